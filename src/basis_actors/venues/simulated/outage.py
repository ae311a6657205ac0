"""Defines an exchange that cannot be reached for a while: it refuses every order and shows nothing."""

from __future__ import annotations

from collections.abc import Sequence

from basis_actors.config.scenarios import OutageShock, Scenario
from basis_actors.data.shocks import span_of
from basis_actors.errors import Transient
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import Order
from basis_actors.ports import Settling, VenueClient
from basis_actors.venues.simulated.domain import VenueClock

__all__ = ["VenueOutage", "with_outages"]


class VenueOutage:
    """A venue client that is cut off in each of `spans`, after its begin and up to its end (ns).

    Meanwhile whatever is asked raises Transient VEN-003: nothing was done, and it may be asked again. The account goes
    on: funding is settled, tokens arrive, and positions are liquidated as far as marks are known.
    """

    def __init__(self, venue: VenueClient, clock: VenueClock, spans: Sequence[tuple[int, int]]) -> None:
        self._venue = venue
        self._clock = clock
        self._spans = tuple(spans)

    @property
    def domain(self) -> str:
        """Name of the account domain."""
        return self._venue.domain

    @property
    def venues(self) -> tuple[str, ...]:
        """Venue names of the orders that are carried out here."""
        return self._venue.venues

    def settle(self, tick: TickStarted) -> Settling:
        """What happened to the account up to the tick, seen or not."""
        return self._venue.settle(tick)

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Carry out one order. Raises Transient VEN-003 while cut off."""
        self._require_reachable(f"order {order.operation_id!r} was not sent")
        return await self._venue.execute(order)

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Carry out orders in one transaction. Raises Transient VEN-003 while cut off."""
        self._require_reachable(f"group {orders[0].atomic_group_id!r} was not sent")
        return await self._venue.execute_group(orders)

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """What became of an order. Raises Transient VEN-003 while cut off."""
        self._require_reachable(f"nobody knows what became of order {order.operation_id!r}")
        return await self._venue.resolve(order)

    async def report(self) -> dict[str, float]:
        """Every position of the account. Raises Transient VEN-003 while cut off."""
        self._require_reachable("the account cannot be read")
        return await self._venue.report()

    async def expect(self, transfer: IncomingTransfer) -> None:
        """Tokens arrive whether or not anybody can look."""
        await self._venue.expect(transfer)

    def _require_reachable(self, consequence: str) -> None:
        now = self._clock.now()
        if any(begin < now <= end for begin, end in self._spans):
            raise Transient("VEN-003", f"{self.domain} cannot be reached: {consequence}; try again later")


def with_outages(
    venues: Sequence[VenueClient], clock: VenueClock, scenario: Scenario, start_ns: int
) -> tuple[VenueClient, ...]:
    """The same venues, those that `scenario` makes unavailable cut off while it says, counted from `start_ns`."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for shock in scenario.config.shocks:
        if isinstance(shock, OutageShock):
            spans.setdefault(shock.venue, []).append(span_of(shock, start_ns))
    return tuple(VenueOutage(venue, clock, spans[venue.domain]) if venue.domain in spans else venue for venue in venues)
