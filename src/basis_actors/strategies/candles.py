"""Defines the candle of a directional position: it opens with the entry and lasts one horizon.

A position that its stop or target closed, or a liquidation, is not followed by another before its candle has ended:
the forecast that opened it has come to its end, whichever way it went.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from basis_actors.messages.execution import DeltaSource, Settlement
from basis_actors.messages.stops import StopKind

__all__ = ["Candles", "Entry"]


class Entry(msgspec.Struct, frozen=True):
    """One entry order."""

    operation_id: str
    direction: int
    """1 long, -1 short."""
    ns: int
    """When the candle began."""


class Candles:
    """When the position was opened, and until when nothing may be opened. Reads everything else off the ledger."""

    def __init__(self, horizon_ns: int) -> None:
        self._horizon_ns = horizon_ns
        self._ordered: Entry | None = None
        self._open: Entry | None = None
        self._blocked_until = 0
        self.closed_by = ""
        """What closed the last position early: `stop_loss`, `take_profit` or `liquidation`; empty before any did."""

    def see(self, settlements: Iterable[Settlement]) -> None:
        """Take note of what was settled; each counts once, or again to the same effect."""
        for settlement in settlements:
            closed = self._closed_by(settlement)
            if closed is not None:
                self._blocked_until = closed.ns + self._horizon_ns

    def look(self, ns: int, direction: int, settlements: Iterable[Settlement]) -> None:
        """Take note of the position at a tick (its sign) and of what was settled before it and not seen yet."""
        self.see(settlements)
        if direction == 0:
            self._open = None
        elif self._open is None or self._open.direction != direction:
            ordered = self._ordered
            known = ordered is not None and ordered.direction == direction
            self._open = ordered if known else Entry("", direction, ns - self._horizon_ns)

    def _closed_by(self, settlement: Settlement) -> Entry | None:
        """The entry whose position this settlement closed early; None for any other settlement."""
        if settlement.source is DeltaSource.LIQUIDATION:
            self.closed_by = "liquidation"
            return self._open or self._ordered
        operation_id = settlement.operation_id
        if operation_id is None:
            return None
        for entry in (self._open, self._ordered):
            for kind in StopKind:
                # What closes in the place of a stop, as its level was passed without it, adds something to its name.
                if entry is not None and operation_id.startswith(f"{entry.operation_id}-{kind}"):
                    self.closed_by = kind
                    return entry
        return None

    def order(self, entry: Entry) -> None:
        """An entry was ordered; it counts once the ledger shows its position."""
        self._ordered = entry

    def renew(self, ns: int) -> None:
        """The forecast still holds at the end of the candle: another one begins."""
        if self._open is not None:
            self._open = msgspec.structs.replace(self._open, ns=ns)

    def recall(self, entry: Entry, closed_by: str) -> None:
        """What the process before had ordered last: its candle goes on, or still blocks what its stop has closed."""
        if closed_by:
            self.closed_by, self._blocked_until = closed_by, entry.ns + self._horizon_ns
        else:
            self._ordered = entry

    def over(self, ns: int) -> bool:
        """Whether the candle of the open position has ended."""
        return self._open is not None and ns >= self._open.ns + self._horizon_ns

    def blocked(self, ns: int) -> bool:
        """Whether the candle of a position that was closed early has not ended yet."""
        return ns < self._blocked_until
