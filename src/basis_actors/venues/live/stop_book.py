"""Defines single stops at an exchange: written down, placed once, looked at, ended. What a position needs is for
`StopDesk` to say.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

from basis_actors.errors import JournalError, Transient, UnknownOutcome, VenueError
from basis_actors.messages.exchange import OrderReport
from basis_actors.messages.journal import Intent, IntentState, JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.messages.stops import StopKind, StopReport, StopState, StopTicket
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.answers import unconcluded
from basis_actors.venues.live.brackets import stop_ticket
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.tickets import client_id_of

__all__ = ["StopBook"]


class StopBook:
    """The stops of one account, in the journal and at the exchange."""

    def __init__(
        self,
        terms: AccountTerms,
        api: ExchangeApi,
        journal: OrderJournal,
        intents: Intents,
        findings: Findings,
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._api = api
        self._journal = journal
        self._intents = intents
        self._findings = findings
        self._clock = clock
        self._told: set[str] = set()

    async def kept(self, pair: str | None = None) -> list[JournalEntry]:
        """What has not ended, in one market or in all, oldest first."""
        found = []
        for entry in await self._journal.unresolved(self._terms.venue):
            ticket = entry.intent.ticket
            if isinstance(ticket, StopTicket) and pair in (None, ticket.pair):
                found.append(entry)
        return found

    async def intend(self, order: Order, kind: StopKind, tick: Decimal) -> JournalEntry:
        """Write down the next attempt at a stop; it waits to be placed. `order` is under the name of the stop."""
        journal, now = self._journal, self._clock.now()
        attempt = len(await journal.attempts(journal.incarnation, order.operation_id))
        client_id = client_id_of(journal.deployment, journal.incarnation, order.operation_id, attempt, now)
        return await journal.intend(
            Intent(
                client_id=client_id,
                order=order,
                ticket=stop_ticket(order, kind, client_id, tick),
                domain=self._terms.venue,
                incarnation=journal.incarnation,
                attempt=attempt,
                created_ns=now,
            )
        )

    async def place(self, entry: JournalEntry, tick: Decimal) -> None:
        """Have a stop kept, sent once; what passes is tried again under another id.

        Takes no longer than a request may be on its way. Raises a VenueError when nobody can say by then that it is
        kept.
        """
        patience, clock = self._terms.patience, self._clock
        wait = patience.receive_window_seconds + patience.absence_seconds
        give_up = clock.now() + round(wait * NS_PER_SECOND)
        while True:
            ticket = _ticket(entry)
            try:
                entry, report = await self._intents.send(entry, lambda: self._api.place_stop(ticket))  # noqa: B023
            except UnknownOutcome:
                if await self._turns_up(entry.intent.client_id, give_up):
                    return
                raise
            except JournalError:
                raise
            except Transient as error:
                pause = max(patience.read_pause_seconds, error.wait_seconds)
                if clock.now() + round(pause * NS_PER_SECOND) >= give_up:
                    raise
                entry = await self.intend(entry.intent.order, ticket.kind, tick)
                await clock.sleep(pause)
            else:
                await self._know(entry, report)
                return

    async def look(self, entry: JournalEntry) -> tuple[JournalEntry, StopReport | None]:
        """What the exchange says of a stop; the entry has ended where it never had it. Raises Transient."""
        ticket = _ticket(entry)
        report = await self._api.stop(ticket.pair, ticket.client_id)
        if report is not None:
            return await self._know(entry, report), report
        if not self._intents.is_absent(entry):
            return entry, None
        text = "not found again and again"
        if entry.state in (IntentState.SENT, IntentState.UNKNOWN):
            text = f"the exchange never had it: {text}"
            return await self._intents.advance(entry, IntentState.REJECTED, text), None
        return entry, _gone(ticket)

    async def conclude(self, entry: JournalEntry) -> None:
        """Find out whether the exchange has a stop that an earlier process sent without learning what became of it.

        Raises Transient when it does not say for as long as a start may take.
        """
        patience, clock = self._terms.patience, self._clock
        give_up = clock.now() + round(patience.recovery_seconds * NS_PER_SECOND)
        while entry.state in (IntentState.SENT, IntentState.UNKNOWN):
            entry, report = await self.look(entry)
            if report is not None and report.state is StopState.GONE:
                await self._intents.advance(entry, IntentState.CANCELLED, "it is gone")
                return
            if entry.state in (IntentState.SENT, IntentState.UNKNOWN):
                if clock.now() >= give_up:
                    raise unconcluded(entry)
                await clock.sleep(patience.read_pause_seconds)

    async def strike(self, entry: JournalEntry, evidence: str) -> None:
        """A stop that was never handed to the exchange is not wanted any more, or one that vanished is written off."""
        await self._intents.advance(entry, IntentState.CANCELLED, evidence)

    async def end(self, entry: JournalEntry) -> None:
        """Bring the stop of a position that is closed to its end: cancel it, or note what it has closed.

        One of which the exchange does not say that it has ended is ended later. Raises a VenueError as the exchange.
        """
        if entry.state is IntentState.PENDING:
            await self.strike(entry, "there is nothing to protect")
            return
        ticket = _ticket(entry)
        if entry.state is not IntentState.PARTIALLY_FILLED:
            await self._api.cancel_stop(ticket.pair, ticket.client_id)
        entry, report = await self.look(entry)
        if report is None or report.state is StopState.WAITING:
            return
        order = await self.order_of(report)
        if order is not None and order.filled:
            await self._fired(entry, order)
        elif order is None or order.has_ended:
            await self.strike(entry, f"it is {report.state}, and nothing came of it")

    async def order_of(self, report: StopReport) -> OrderReport | None:
        """The order that a stop has become; None before."""
        if report.venue_order_id is None:
            return None
        order = await self._api.order_by_number(report.pair, report.venue_order_id)
        if order is None:
            text = (
                f"{self._terms.venue} shows stop {report.client_id} as order {report.venue_order_id}, and not the order"
            )
            raise Transient("VEN-003", text)
        return order

    async def survey(self) -> dict[str, StopReport]:
        """What waits at the exchange, by client id. Those of others are named once and left alone; one of ours that
        nobody wants any more is cancelled. Raises a VenueError as the exchange."""
        wanted = {entry.intent.client_id for entry in await self.kept()}
        shown = {report.client_id: report for report in await self._api.open_stops()}
        for client_id, report in shown.items():
            if client_id in wanted:
                continue
            what = f"{self._terms.venue} has an open stop {report.venue_stop_id} in {report.pair} ({client_id})"
            if not self._intents.are_ours(client_id):
                self._tell(client_id, "VEN-007", f"{what}, which is not ours; it is left alone")
                continue
            self._tell(client_id, "VEN-010", f"{what} of ours, which nobody wants any more; it is cancelled")
            with suppress(VenueError):
                await self._api.cancel_stop(report.pair, client_id)
        return shown

    async def _turns_up(self, client_id: str, give_up: int) -> bool:
        """Ask for a stop that got no answer, until the exchange has it or it is too late for it to arrive."""
        while True:
            (entry,) = [each for each in await self.kept() if each.intent.client_id == client_id] or (None,)
            if entry is None:
                return False
            try:
                _, report = await self.look(entry)
            except Transient:
                report = None
            if report is not None:
                return report.state is not StopState.GONE
            if self._clock.now() >= give_up:
                return False
            await self._clock.sleep(self._terms.patience.read_pause_seconds)

    async def _know(self, entry: JournalEntry, report: StopReport) -> JournalEntry:
        """Write down what the exchange says of a stop, before it has ended: that it is kept, and what it became."""
        self._intents.found(entry)
        evidence = f"stop {report.venue_stop_id} is {report.state} at {report.trigger}"
        if report.state is StopState.WAITING:
            return await self._intents.advance(entry, IntentState.ACKNOWLEDGED, evidence)
        number = report.venue_order_id
        if report.state is StopState.FIRED and number is not None:
            evidence = f"stop {report.venue_stop_id} has become order {number}"
            return await self._intents.advance(entry, IntentState.PARTIALLY_FILLED, evidence, None, number)
        return entry

    async def _fired(self, entry: JournalEntry, order: OrderReport) -> None:
        side = "bought" if order.buys else "sold"
        filled = order.filled.normalize()
        what = f"order {order.venue_order_id} {side} {filled:f} {order.pair} at {order.average_price}"
        await self._intents.advance(entry, IntentState.FILLED, what, order.filled, order.venue_order_id)
        whose = "" if entry.intent.incarnation == self._journal.incarnation else " of an earlier process"
        operation_id = entry.intent.order.operation_id
        text = f"stop {operation_id}{whose} has fired: {what}"
        self._findings.error(order.updated_ns, "VEN-010", text, operation_id, passes=True)

    def _tell(self, client_id: str, code: str, text: str) -> None:
        """Once for each stop."""
        if client_id not in self._told:
            self._told.add(client_id)
            self._findings.error(self._clock.now(), code, text, passes=True)


def _ticket(entry: JournalEntry) -> StopTicket:
    assert isinstance(entry.intent.ticket, StopTicket), "a stop has a stop ticket"
    return entry.intent.ticket


def _gone(ticket: StopTicket) -> StopReport:
    """What is known of a stop that the exchange had and does not find any more: it forgets cancelled ones."""
    return StopReport(
        client_id=ticket.client_id,
        venue_stop_id="",
        pair=ticket.pair,
        buys=ticket.buys,
        trigger=ticket.trigger,
        state=StopState.GONE,
        venue_order_id=None,
    )
