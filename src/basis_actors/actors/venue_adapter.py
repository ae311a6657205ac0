"""Defines the actor that owns one venue domain: an exchange account, or a wallet on a chain.

It turns the domain's refusals into handshakes; whatever else a venue client raises is a failure of the component.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from typing import Any

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, on
from basis_actors.errors import Transient, UnknownOutcome, VenueError
from basis_actors.messages.book import TickStarted, VenueReport
from basis_actors.messages.commands import (
    CheckRoom,
    ExecuteGroup,
    ExecuteOrder,
    IncomingTransfer,
    Objection,
    ReportVenue,
    ResolveOrder,
    VenueSettled,
)
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import Order
from basis_actors.ports import Settling, VenueClient
from basis_actors.times import utc_from_ns

__all__ = ["VenueAdapter"]


class VenueAdapter(Actor):
    """Serves one venue domain; named after it. Tells `manager` what each tick settled."""

    def __init__(self, client: VenueClient, manager: str, *, simulated: bool) -> None:
        super().__init__(f"venue_{client.domain}")
        self._client = client
        self._domain = client.domain
        self._manager = manager
        self._simulated = simulated

    @on(TickStarted)
    def settle(self, tick: TickStarted) -> Coroutine[Any, Any, None] | None:
        """Accrue up to the tick; at most ticks nothing of that has to be waited for."""
        settling = self._client.settle(tick)
        if tick.reconcile or not isinstance(settling, tuple):
            return self._settle(tick, settling)
        self.tell(self._manager, VenueSettled(self._domain, tick, settling))
        return None

    async def _settle(self, tick: TickStarted, settling: Settling) -> None:
        settlements = settling if isinstance(settling, tuple) else await settling
        report = await self._report() if tick.reconcile else None
        if report is not None:
            settlements += report.settlements
        self.tell(self._manager, VenueSettled(self._domain, tick, settlements, report, self._bound()))

    @on(ExecuteOrder)
    async def execute(self, request: ExecuteOrder) -> ExecutionHandshake:
        """Carry out one order; a refusal is an answer, not an exception."""
        submitted = self._engine_time()
        try:
            return self._checked(request.order, await self._client.execute(request.order), submitted)
        except VenueError as error:
            return self._refusal(request.order, error, submitted)

    @on(ExecuteGroup)
    async def execute_group(self, request: ExecuteGroup) -> tuple[ExecutionHandshake, ...]:
        """Carry out orders in one transaction."""
        submitted = self._engine_time()
        try:
            handshakes = await self._client.execute_group(request.orders)
            return tuple(
                self._checked(order, handshake, submitted)
                for order, handshake in zip(request.orders, handshakes, strict=True)
            )
        except VenueError as error:
            return tuple(self._refusal(order, error, submitted) for order in request.orders)

    @on(CheckRoom)
    async def check_room(self, _request: CheckRoom) -> Objection | None:
        """A domain that limits no requests takes them at any time."""
        return None

    @on(ResolveOrder)
    async def resolve(self, request: ResolveOrder) -> ExecutionHandshake:
        """Find out what became of an order; still unknown when the venue cannot be asked now."""
        submitted = self._engine_time()
        try:
            return self._checked(request.order, await self._client.resolve(request.order), submitted)
        except VenueError as error:
            return self._handshake(request.order, ExecutionStatus.UNKNOWN, error, submitted)

    @on(ReportVenue)
    async def report(self, _request: ReportVenue) -> VenueReport | None:
        """The venue's own account of every position."""
        return await self._report()

    @on(IncomingTransfer)
    async def expect(self, transfer: IncomingTransfer) -> None:
        """Note tokens that are on their way."""
        await self._client.expect(transfer)

    def _bound(self) -> dict[str, float]:
        """What open orders bind; nothing where orders are done at once."""
        return {}

    async def _report(self) -> VenueReport | None:
        try:
            return VenueReport(self._domain, await self._client.report())
        except VenueError as error:
            text = f"{self._domain} does not show its account: {error.message}"
            passes = isinstance(error, Transient)
            self.log(error_event(self._engine_time(), self.name, error.code, text, passes=passes))
            return None

    def _checked(self, order: Order, handshake: ExecutionHandshake, submitted: datetime) -> ExecutionHandshake:
        """An answer that is not one to this order leaves its outcome unknown."""
        if getattr(handshake, "operation_id", None) == order.operation_id:
            return handshake
        text = f"{self._domain} answered order {order.operation_id!r} with {handshake!r}"
        return self._handshake(order, ExecutionStatus.UNKNOWN, UnknownOutcome("EXEC-008", text), submitted)

    def _refusal(self, order: Order, error: VenueError, submitted: datetime) -> ExecutionHandshake:
        unknown = isinstance(error, UnknownOutcome)
        status = ExecutionStatus.UNKNOWN if unknown else ExecutionStatus.FAILED
        return self._handshake(order, status, error, submitted)

    def _handshake(
        self, order: Order, status: ExecutionStatus, error: VenueError, submitted: datetime
    ) -> ExecutionHandshake:
        passing = error if status is ExecutionStatus.FAILED and isinstance(error, Transient) else None
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=status,
            error_code=error.code,
            error_message=error.message,
            submitted_at=submitted,
            simulated=self._simulated,
            retryable=passing is not None,
            wait_seconds=0.0 if passing is None else passing.wait_seconds,
        )

    def _engine_time(self) -> datetime:
        return utc_from_ns(self.now)
