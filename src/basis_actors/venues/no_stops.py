"""Defines what an exchange that keeps no stops for us says to whoever asks for one."""

from __future__ import annotations

from basis_actors.errors import Rejected
from basis_actors.messages.stops import StopReport, StopTicket

__all__ = ["KeepsNoStops"]


class KeepsNoStops:
    """The part of `ports.ExchangeApi` that is about stops, where there are none."""

    async def place_stop(self, ticket: StopTicket) -> StopReport:
        """Refused. Raises Rejected VEN-004."""
        raise Rejected("VEN-004", f"stop {ticket.client_id} on {ticket.pair}: no stops are kept here; use binance")

    async def cancel_stop(self, pair: str, client_id: str) -> None:
        """There are none."""

    async def stop(self, pair: str, client_id: str) -> StopReport | None:  # noqa: ARG002 (part of the port)
        """There are none."""
        return None

    async def open_stops(self) -> tuple[StopReport, ...]:
        """There are none."""
        return ()
