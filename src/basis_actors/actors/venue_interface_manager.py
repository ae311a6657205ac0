"""Defines the actor that knows which venue domain serves what, and that gathers what a tick settled everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter

from basis_actors.bus import Actor, AskFailed, AskTimeout, on
from basis_actors.errors import BasisError
from basis_actors.messages.book import TickSettled, VenueReport
from basis_actors.messages.commands import (
    AskRoom,
    CheckRoom,
    ExecuteGroup,
    ExecuteOrder,
    IncomingTransfer,
    LeaveOrder,
    Objection,
    ReportVenue,
    ResolveOrder,
    RouteGroup,
    RouteOrder,
    RouteReport,
    VenueSettled,
)
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus, Settlement
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import utc_from_ns

__all__ = ["VenueInterfaceManager"]


class VenueInterfaceManager(Actor):
    """Routes orders to domains, and tells the position monitor of each tick once every domain has settled it.

    `domains` names the domains in the order in which their settlements are booked when they carry the same time;
    `routes` gives the domain of each venue.
    """

    def __init__(
        self, domains: Sequence[str], routes: Mapping[str, str], transfer_ns: Mapping[str, int], *, simulated: bool
    ) -> None:
        super().__init__("venue_interface_manager")
        self._domains = tuple(domains)
        self._routes = dict(routes)
        self._transfer_ns = dict(transfer_ns)
        self._simulated = simulated
        self._settled: dict[str, VenueSettled] = {}

    @on(VenueSettled)
    def gather(self, settled: VenueSettled) -> None:
        """Wait for every domain, then hand on what they settled, by time."""
        waiting = self._settled
        waiting[settled.domain] = settled
        if len(waiting) < len(self._domains):
            return
        merged: list[Settlement] = []
        bound: dict[str, float] = {}
        for domain in self._domains:
            one = waiting[domain]
            merged += one.settlements
            if one.bound:
                bound |= one.bound
        if len(merged) > 1:
            merged = _by_time(merged)
        self._settled = {}
        reports = self._all_reports(waiting) if settled.tick.reconcile else ()
        self.tell("position_monitor", TickSettled(settled.tick, tuple(merged), reports, bound))

    def _all_reports(self, settled: Mapping[str, VenueSettled]) -> tuple[VenueReport, ...]:
        """Those of every domain; none when one of them shows nothing."""
        reports = tuple(report for name in self._domains if (report := settled[name].report) is not None)
        return reports if len(reports) == len(self._domains) else ()

    @on(RouteOrder)
    async def route(self, request: RouteOrder) -> ExecutionHandshake:
        """Have the venue of the order carry it out, or say what became of it."""
        order = request.order
        actor = f"venue_{self._domain_of(order.venue, order)}"
        asked = ResolveOrder(order) if request.resolve else ExecuteOrder(order)
        try:
            handshake = await self.ask(actor, asked)
        except (AskTimeout, AskFailed) as error:
            return self._unknown(order, error)
        self._announce_arrival(order, handshake)
        return handshake

    @on(LeaveOrder)
    def leave(self, left: LeaveOrder) -> None:
        """Let the account of an order find out by itself what became of it."""
        self.tell(f"venue_{self._domain_of(left.order.venue, left.order)}", left)

    @on(AskRoom)
    async def ask_room(self, request: AskRoom) -> Objection | None:
        """Ask each domain once; what keeps one of them from its share keeps back all of them."""
        shares: dict[str, list[Order]] = {}
        for order in request.orders:
            shares.setdefault(self._domain_of(order.venue, order), []).append(order)
        for domain, orders in shares.items():
            try:
                objection = await self.ask(f"venue_{domain}", CheckRoom(tuple(orders)))
            except (AskTimeout, AskFailed) as error:
                return Objection("VEN-003", f"{domain} cannot be asked whether it takes orders: {error}")
            if objection is not None:
                return objection
        return None

    @on(RouteGroup)
    async def route_group(self, request: RouteGroup) -> tuple[ExecutionHandshake, ...]:
        """Have one chain carry out a group in one transaction."""
        domains = {self._domain_of(order.venue, order) for order in request.orders}
        if len(domains) != 1:
            first = request.orders[0]
            raise BasisError(
                "VEN-001",
                f"atomic group {first.atomic_group_id!r} spans the domains {sorted(domains)}: one transaction lives on"
                " one chain; use a compensated group",
            )
        try:
            handshakes = await self.ask(f"venue_{domains.pop()}", ExecuteGroup(request.orders))
        except (AskTimeout, AskFailed) as error:
            return tuple(self._unknown(order, error) for order in request.orders)
        for order, handshake in zip(request.orders, handshakes, strict=True):
            self._announce_arrival(order, handshake)
        return handshakes

    @on(RouteReport)
    async def report(self, request: RouteReport) -> VenueReport | None:
        """What the domain that serves a venue says it holds; None when it does not say."""
        domain = self._routes.get(request.venue)
        if domain is None:
            raise BasisError("VEN-004", f"venue {request.venue!r} is not configured; there are {sorted(self._routes)}")
        try:
            return await self.ask(f"venue_{domain}", ReportVenue())
        except (AskTimeout, AskFailed):
            return None

    def _domain_of(self, venue: str, order: Order) -> str:
        domain = self._routes.get(venue)
        if domain is None:
            raise BasisError(
                "VEN-004",
                f"order {order.operation_id!r} names venue {venue!r}, which is not configured; there are"
                f" {sorted(self._routes)}",
            )
        return domain

    def _unknown(self, order: Order, error: Exception) -> ExecutionHandshake:
        """The venue was asked and did not answer: what it did is not known."""
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.UNKNOWN,
            error_code="VEN-002",
            error_message=str(error),
            submitted_at=utc_from_ns(self.now),
            simulated=self._simulated,
        )

    def _announce_arrival(self, order: Order, handshake: ExecutionHandshake) -> None:
        """Tell the receiving domain what a transfer has put on its way, unless it stays or leaves the house."""
        if order.operation is not OperationType.TRANSFER or handshake.status is not ExecutionStatus.CONFIRMED:
            return
        source, target = self._routes[order.source_venue], self._routes.get(order.target_venue)
        if target is None or target == source:
            return
        for key, amount in handshake.actual_deltas.items():
            if key.startswith("transit:") and amount > 0.0:
                delay = max(self._transfer_ns[source], self._transfer_ns[target])
                self.tell(
                    f"venue_{target}",
                    IncomingTransfer(
                        operation_id=order.operation_id,
                        position_key=order.operation_details["target_key"],
                        transit_key=key,
                        amount=amount,
                        arrives_ns=self.now + delay,
                    ),
                )


def _by_time(settlements: list[Settlement]) -> list[Settlement]:
    """By time, and those of one domain in its own order, also where it shows one late."""
    latest: dict[str, datetime] = {}
    turns = []
    for settlement in settlements:
        turn = max(settlement.timestamp, latest.get(settlement.domain, settlement.timestamp))
        latest[settlement.domain] = turn
        turns.append((turn, settlement))
    turns.sort(key=itemgetter(0))
    return [settlement for _, settlement in turns]
