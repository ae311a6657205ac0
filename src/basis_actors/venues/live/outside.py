"""Defines the wallet of a process that trades on exchanges only: it holds nothing and does nothing.

Money is where its owner has put it, on the exchanges. A mode that would move it over the chain is told so.
"""

from __future__ import annotations

from basis_actors.errors import Rejected
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.orders import Order

__all__ = ["OutsideWallet"]


class OutsideWallet:
    """A chain domain that nobody acts on."""

    def __init__(self, domain: str, venues: tuple[str, ...]) -> None:
        self._domain = domain
        self._venues = venues

    @property
    def domain(self) -> str:
        """Name of the chain."""
        return self._domain

    @property
    def venues(self) -> tuple[str, ...]:
        """The wallet, and the protocols on its chain."""
        return self._venues

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:  # noqa: ARG002 (nothing ever happens here)
        """Nothing happens."""
        return ()

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Refused. Raises Rejected VEN-001."""
        raise self._refusal(order)

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Refused. Raises Rejected VEN-001."""
        raise self._refusal(orders[0])

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """Refused. Raises Rejected VEN-001."""
        raise self._refusal(order)

    async def report(self) -> dict[str, float]:
        """It holds nothing."""
        return {}

    async def expect(self, transfer: IncomingTransfer) -> None:
        """Nobody sends tokens here: withdrawals go to the addresses of the exchanges' lists."""

    def _refusal(self, order: Order) -> Rejected:
        return Rejected(
            "VEN-001",
            f"{order.operation} {order.operation_id!r}: {self._domain} is not connected, this process trades on"
            " exchanges only; put the money there by hand",
        )
