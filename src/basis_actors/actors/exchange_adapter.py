"""Defines the actor that owns a live account: a venue adapter that also logs and books what the account finds out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from msgspec.structs import replace

from basis_actors.actors.execution_log import operation_event
from basis_actors.actors.reporting import HALTED_CODE, error_event, say_mismatches
from basis_actors.actors.venue_adapter import VenueAdapter
from basis_actors.bus import on
from basis_actors.errors import Rejected, Transient
from basis_actors.messages.book import TickStarted, VenueReport
from basis_actors.messages.commands import (
    CheckRoom,
    ExecuteOrder,
    IncomingTransfer,
    LeaveOrder,
    Objection,
    OrderDecided,
    ReportVenue,
    ResolveOrder,
)
from basis_actors.messages.events import ReconciliationEvent
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import (
    AccountDoubted,
    KeyRefused,
    LedgerCompared,
    LookAgain,
    OrdersUndecided,
    PositionsUnprotected,
    TransfersLate,
    VenueBusy,
    VenueSeen,
)
from basis_actors.venues.live.account import ExchangeAccount

__all__ = ["ExchangeAdapter"]


class ExchangeAdapter(VenueAdapter):
    """Serves one account at an exchange.

    An order that would be carried out when whoever asked no longer waits is not sent: `least_seconds` must be left.
    Nothing is sent to an account that has not said what became of an order.
    """

    def __init__(self, account: ExchangeAccount, manager: str, least_seconds: float) -> None:
        super().__init__(account, manager, simulated=False)
        self._account = account
        self._least = least_seconds
        self._refused: str | None = None
        """Why our key is refused, as everybody was told."""
        self._left = OrdersUndecided(account.domain, (), None)
        """What is left to the account, as everybody was told."""
        self._silent_since: int | None = None
        """Since when it does not answer, as everybody was told."""
        self._late: str | None = None
        """What has not arrived in time, as everybody was told."""
        self._doubted: str | None = None
        """What the exchange shows and is not believed, as everybody was told."""
        self._unprotected: str | None = None
        """What is open without its stops, as everybody was told."""

    @on(TickStarted)
    async def settle(self, tick: TickStarted) -> None:
        """Look at the account. What it recalls is told before anything that is decided on."""
        account = self._account
        recalled, account.recalled = account.recalled, ()
        for bracket in recalled:
            self.publish(bracket)
        with self._busy("what it holds"):
            await self._settle(tick, account.settle(tick))
        unseen = account.lost_since is not None or account.left.problem is not None or account.doubt is not None
        if self._tell() and not unseen:
            self.publish(LedgerCompared(account.domain, None))
        self._say_seen()

    @on(LookAgain)
    async def look_again(self, _command: LookAgain) -> None:
        """See whether the account can be looked at again; what happened meanwhile is for the next tick."""
        with self._busy("whether it is there"):
            await self._account.look()
        self._tell()
        self._say_seen()

    @on(ExecuteOrder)
    async def execute(self, request: ExecuteOrder) -> ExecutionHandshake:
        """Carry out one order, while somebody waits for it."""
        halted = self._halted(request.order)
        if halted is not None:
            return self._refusal(request.order, Rejected(HALTED_CODE, halted), self._engine_time())
        deadline = self.envelope.deadline
        left = inf if deadline is None else self.seconds_until(deadline)
        if left < self._least:
            text = f"{left:.3g} s are left to carry it out, {self._least:g} s are needed; not sent"
            return self._refusal(request.order, Transient("EXEC-001", text), self._engine_time())
        with self._busy(f"{request.order.operation} {request.order.operation_id}"):
            handshake = await super().execute(request)
        return self._complete(handshake)

    @on(CheckRoom)
    async def check_room(self, request: CheckRoom) -> Objection | None:
        """Whether the exchange wants to be left alone, or has granted no more."""
        halted = self._halted(request.orders[0])
        if halted is not None:
            return Objection(HALTED_CODE, halted)
        try:
            await self._account.require_room(request.orders)
        except Transient as error:
            return Objection(error.code, error.message, error.wait_seconds)
        return None

    @on(ResolveOrder)
    async def resolve(self, request: ResolveOrder) -> ExecutionHandshake:
        """Find out what became of an order."""
        with self._busy(f"what became of {request.order.operation_id}"):
            handshake = await super().resolve(request)
        return self._complete(handshake)

    @on(LeaveOrder)
    async def leave(self, left: LeaveOrder) -> None:
        """From now on it is for the account to find out what became of an order."""
        await self._account.leave(left.order, unknown=left.unknown)
        self._tell()

    @on(ReportVenue)
    async def report(self, request: ReportVenue) -> VenueReport | None:
        """The exchange's own account of every position."""
        report = await super().report(request)
        self._tell()
        return report

    @on(IncomingTransfer)
    async def expect(self, transfer: IncomingTransfer) -> None:
        """Note tokens that are on their way."""
        await super().expect(transfer)

    def _bound(self) -> dict[str, float]:
        return self._account.bound

    async def _report(self) -> VenueReport | None:
        account = self._account
        if account.left.problem is not None or (account.key_refused is not None and account.lost_since is not None):
            return None  # said already, and asked at the next tick
        report = await super()._report()
        found = tuple(self._account.findings.settlements)
        return report if report is None else replace(report, settlements=found)

    def _complete(self, handshake: ExecutionHandshake) -> ExecutionHandshake:
        """Put what else was found in front of and between the settlements of an order: the ledger takes all in turn."""
        self._tell()
        if self._account.lost_since != self._silent_since:
            self._say_seen()
        if not handshake.settlements:
            return handshake
        turns = {each.sequence: each for each in (*self._account.findings.settlements, *handshake.settlements)}
        return replace(handshake, settlements=tuple(turns[number] for number in sorted(turns)))

    def _tell(self) -> bool:
        """Log what was found out, say where the ledger disagreed and whether our key is taken; whether it agreed."""
        agrees = True
        if (self._account.key_refused is None) is not (self._refused is None):
            self._refused = self._account.key_refused
            self.publish(KeyRefused(self._account.domain, self._refused))
        self._tell_left()
        if self._account.doubt != self._doubted:
            self._doubted = self._account.doubt
            self.publish(AccountDoubted(self._account.domain, self._doubted))
        if self._account.late != self._late:
            self._late = self._account.late
            self.publish(TransfersLate(self._account.domain, self._late))
        if self._account.unprotected != self._unprotected:
            self._unprotected = self._account.unprotected
            self.publish(PositionsUnprotected(self._account.domain, self._unprotected))
        for event in self._account.findings.take_events():
            self.log(event)
            if isinstance(event, ReconciliationEvent) and not event.success:
                agrees = False
                self.publish(LedgerCompared(self._account.domain, say_mismatches(event.mismatches)))
        return agrees

    def _tell_left(self) -> None:
        """Say what is left to the account where that has changed, and what it has found out."""
        account, left = self._account, self._account.left
        now = OrdersUndecided(account.domain, left.undecided, left.problem)
        if now != self._left:
            self._left = now
            self.publish(now)
        for order, handshake in left.take_decided():
            at = self._engine_time()
            self.log(operation_event(at, order, handshake, 0.0))
            why = "" if handshake.error_message is None else f": {handshake.error_message}"
            text = f"{order.operation} {order.operation_id} on {order.venue} is {handshake.status} after all{why}"
            self.log(error_event(at, self.name, "VEN-002", text, order.operation_id, passes=True))
            self.publish(OrderDecided(order.operation_id))

    def _halted(self, order: Order) -> str | None:
        problem = self._account.left.problem
        return None if problem is None else f"{order.venue} is halted, {order.operation_id} is not sent: {problem}"

    def _say_seen(self) -> None:
        self._silent_since = self._account.lost_since
        self.publish(VenueSeen(self._account.domain, self._silent_since, self._account.left_alone_until))

    @contextmanager
    def _busy(self, doing: str) -> Iterator[None]:
        """Let whoever asks know what is waited for."""
        self.publish(VenueBusy(self._account.domain, doing))
        try:
            yield
        finally:
            self.publish(VenueBusy(self._account.domain, None))
