"""Defines the actor that owns a live account: a venue adapter that also logs and books what the account finds out."""

from __future__ import annotations

from math import inf

from msgspec.structs import replace

from basis_actors.actors.reporting import say_mismatches
from basis_actors.actors.venue_adapter import VenueAdapter
from basis_actors.bus import on
from basis_actors.errors import Transient
from basis_actors.messages.book import TickStarted, VenueReport
from basis_actors.messages.commands import (
    CheckRoom,
    ExecuteOrder,
    IncomingTransfer,
    Objection,
    ReportVenue,
    ResolveOrder,
)
from basis_actors.messages.events import ReconciliationEvent
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.safety import KeyRefused, LedgerCompared, LookAgain, VenueSeen
from basis_actors.venues.live.account import ExchangeAccount

__all__ = ["ExchangeAdapter"]


class ExchangeAdapter(VenueAdapter):
    """Serves one account at an exchange.

    An order that would be carried out when whoever asked no longer waits is not sent: `least_seconds` must be left.
    """

    def __init__(self, account: ExchangeAccount, manager: str, least_seconds: float) -> None:
        super().__init__(account, manager, simulated=False)
        self._account = account
        self._least = least_seconds
        self._refused: str | None = None
        """Why our key is refused, as everybody was told."""

    @on(TickStarted)
    async def settle(self, tick: TickStarted) -> None:
        """Look at the account."""
        await super().settle(tick)
        account = self._account
        if self._tell() and account.lost_since is None:
            self.publish(LedgerCompared(account.domain, None))
        self.publish(VenueSeen(account.domain, account.lost_since))

    @on(LookAgain)
    async def look_again(self, _command: LookAgain) -> None:
        """See whether the account can be looked at again; what happened meanwhile is for the next tick."""
        await self._account.look()
        self._tell()
        self.publish(VenueSeen(self._account.domain, self._account.lost_since))

    @on(ExecuteOrder)
    async def execute(self, request: ExecuteOrder) -> ExecutionHandshake:
        """Carry out one order, while somebody waits for it."""
        deadline = self.envelope.deadline
        left = inf if deadline is None else self.seconds_until(deadline)
        if left < self._least:
            text = f"{left:.3g} s are left to carry it out, {self._least:g} s are needed; not sent"
            return self._refusal(request.order, Transient("EXEC-001", text), self._engine_time())
        return self._complete(await super().execute(request))

    @on(CheckRoom)
    async def check_room(self, request: CheckRoom) -> Objection | None:
        """Whether the exchange wants to be left alone, or has granted no more."""
        try:
            await self._account.require_room(request.orders)
        except Transient as error:
            return Objection(error.code, error.message, error.wait_seconds)
        return None

    @on(ResolveOrder)
    async def resolve(self, request: ResolveOrder) -> ExecutionHandshake:
        """Find out what became of an order."""
        return self._complete(await super().resolve(request))

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
        if self._account.key_refused is not None and self._account.lost_since is not None:
            return None  # said already, and asked at the next tick
        report = await super()._report()
        found = tuple(self._account.findings.settlements)
        return report if report is None else replace(report, settlements=found)

    def _complete(self, handshake: ExecutionHandshake) -> ExecutionHandshake:
        """Put what else was found in front of and between the settlements of an order: the ledger takes all in turn."""
        self._tell()
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
        for event in self._account.findings.take_events():
            self.log(event)
            if isinstance(event, ReconciliationEvent) and not event.success:
                agrees = False
                self.publish(LedgerCompared(self._account.domain, say_mismatches(event.mismatches)))
        return agrees
