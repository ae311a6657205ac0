"""Defines the life of a transfer: between purses of one account, or out to another venue of the house.

What leaves is in transit until the other side books it. The journal says to both that it is on its way, where the other
side is an account that keeps it too; a wallet sees for itself what has arrived.
"""

from __future__ import annotations

from typing import Final

from basis_actors.errors import UnknownOutcome, VenueError
from basis_actors.finance.keys import parse_key
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import TransferReport, TransferState, TransferTicket
from basis_actors.messages.execution import (
    DeltaSource,
    ExecutionHandshake,
    ExecutionStatus,
    PositionDelta,
    Settlement,
)
from basis_actors.messages.journal import IntentState, JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.live.answers import failed, unconcluded, undecided
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.mirror import Mirror
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.tickets import ticket_of

__all__ = ["TransferDesk"]

_WALLET: Final = "wallet"
_NEVER_LEFT: Final = (IntentState.REJECTED, IntentState.CANCELLED)


class TransferDesk:
    """Sends and follows the transfers of one account."""

    def __init__(
        self,
        terms: AccountTerms,
        api: ExchangeApi,
        journal: OrderJournal,
        intents: Intents,
        mirror: Mirror,
        findings: Findings,
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._api = api
        self._journal = journal
        self._intents = intents
        self._mirror = mirror
        self._findings = findings
        self._clock = clock
        self._booked: dict[str, tuple[Settlement, ...]] = {}
        self._watched: dict[str, JournalEntry] = {}

    @property
    def leaving(self) -> tuple[IncomingTransfer, ...]:
        """What is on its way to where nobody waits for it: to the wallet."""
        return tuple(_incoming(entry) for entry in self._watched.values() if not _is_announced(entry))

    async def under_way(self) -> dict[str, float]:
        """Tokens on their way here, by transit key."""
        found: dict[str, float] = {}
        for transfer in await self._journal.expected(self._terms.venue):
            found[transfer.transit_key] = found.get(transfer.transit_key, 0.0) + transfer.amount
        return found

    async def send(self, order: Order) -> ExecutionHandshake:
        """Send a transfer. Raises what the exchange raises."""
        entry = await self._intents.prepare(order, lambda name: ticket_of(order, name, self._terms, {}))
        ticket = _ticket(entry)
        if _is_announced(entry):
            await self._journal.expect(order.target_venue, _incoming(entry))
        try:
            sent, report = await self._intents.send(entry, lambda: self._api.move(ticket))
        except VenueError as error:
            if not isinstance(error, UnknownOutcome):
                await self._call_off(entry)
            raise
        return await self._follow(sent, report)

    async def ask(self, entry: JournalEntry) -> ExecutionHandshake:
        """What became of a transfer of this process. Raises Transient or AuthFailed as the exchange does."""
        entry, report = await self._look(entry)
        if report is not None:
            return await self._follow(entry, report)
        if entry.state in _NEVER_LEFT:
            return failed(entry, self._clock.now(), "EXEC-001", entry.evidence)
        return undecided(entry, self._clock.now(), f"{self._terms.venue} does not know the transfer yet")

    async def conclude(self, entry: JournalEntry) -> JournalEntry:
        """Find out what became of a transfer of an earlier process. One that is on its way is watched from now on.

        Raises Transient when the exchange does not say that for as long as a start may take.
        """
        patience = self._terms.patience
        give_up = self._clock.now() + round(patience.recovery_seconds * NS_PER_SECOND)
        while True:
            entry, report = await self._look(entry)
            if report is not None:
                entry = await self._known(entry, report)
                if not entry.state.has_ended:
                    self._watched[entry.intent.client_id] = entry
                return entry
            if entry.state.has_ended:
                return entry
            if self._clock.now() >= give_up:
                raise unconcluded(entry)
            await self._clock.sleep(patience.read_pause_seconds)

    async def strike_out(self) -> None:
        """Expect nothing here any more that never left its sender: a process may have been killed between the end of
        such a transfer and the word of it."""
        journal, venue = self._journal, self._terms.venue
        for transfer in await journal.expected(venue):
            for incarnation in range(1, journal.incarnation + 1):
                for entry in await journal.attempts(incarnation, transfer.operation_id):
                    # Operation ids repeat: in another process the same one may have been a trade.
                    is_transfer = isinstance(entry.intent.ticket, TransferTicket)
                    if is_transfer and entry.state in _NEVER_LEFT and _incoming(entry) == transfer:
                        await journal.arrived(venue, transfer)

    async def forget_ended(self) -> bool:
        """Before the ledger begins: look no more after withdrawals to the wallet that have ended by now, because an
        account that is read from now on has in it what came of them. Returns whether there were any."""
        watched = tuple(self._watched.items())
        for client_id, entry in watched:
            if _is_announced(entry):
                continue
            report = await self._moved(entry)
            if report is not None and report.state is not TransferState.PENDING:
                ended = await self._known(entry, report)
                del self._watched[client_id]
                text = f"{client_id} of an earlier process is {ended.state}: {ended.evidence}"
                self._findings.error(self._clock.now(), "VEN-002", text, entry.intent.order.operation_id, passes=True)
        return len(self._watched) < len(watched)

    async def effect(self, entry: JournalEntry) -> tuple[int, tuple[PositionDelta, ...]] | None:
        """When a transfer that has been concluded was carried out, nanoseconds, and what it changed; None for one that
        never left, or has come back. Raises what the exchange raises."""
        report = None if entry.state in _NEVER_LEFT else await self._moved(entry)
        if entry.state in _NEVER_LEFT or (report is not None and report.state is TransferState.FAILED):
            return None
        fee = 0.0 if report is None else float(report.fee)
        at_ns = entry.intent.created_ns if report is None else report.time_ns
        source, target = _keys(entry)
        amount = float(_ticket(entry).amount)
        return at_ns, (PositionDelta(source, -amount - fee), PositionDelta(target, amount))

    async def watch(self) -> None:
        """Look after withdrawals that are under way: one that fails brings its tokens back."""
        for client_id, entry in tuple(self._watched.items()):
            report = await self._moved(entry)
            if report is None or report.state is TransferState.PENDING:
                continue
            del self._watched[client_id]
            was_expected = _incoming(entry) in await self._journal.expected(entry.intent.order.target_venue)
            known = await self._known(entry, report)
            if known.state is IntentState.REJECTED:
                self._bring_back(known, report, in_ledger=was_expected or client_id in self._booked)

    async def _look(self, entry: JournalEntry) -> tuple[JournalEntry, TransferReport | None]:
        intents = self._intents
        if entry.state is IntentState.PENDING:
            ended = await intents.advance(entry, IntentState.CANCELLED, "was never handed to the exchange")
            await self._call_off(ended)
            return ended, None
        if entry.state in _NEVER_LEFT:
            return entry, None
        report = await self._moved(entry)
        if report is not None:
            intents.found(entry)
            return entry, report
        # What the exchange has acknowledged is there, whatever an answer from an old copy says.
        if entry.state not in (IntentState.SENT, IntentState.UNKNOWN) or not intents.is_absent(entry):
            return entry, None
        evidence = "the exchange never had it: not found again and again"
        ended = await intents.advance(entry, IntentState.REJECTED, evidence)
        await self._call_off(ended)
        return ended, None

    async def _moved(self, entry: JournalEntry) -> TransferReport | None:
        """What the exchange says, from a little before the intent on: its clock may be behind."""
        overlap = round(self._terms.patience.overlap_seconds * NS_PER_SECOND)
        return await self._api.moved(_ticket(entry), entry.intent.created_ns - overlap)

    async def _known(self, entry: JournalEntry, report: TransferReport) -> JournalEntry:
        """Write down what the exchange says of a transfer."""
        ticket, number = _ticket(entry), report.venue_transfer_id
        evidence = f"transfer {number} is {report.state}"
        if report.state is TransferState.FAILED:
            entry = await self._intents.advance(entry, IntentState.REJECTED, evidence, venue_id=number)
            if entry.state is IntentState.REJECTED:
                await self._call_off(entry)
            return entry
        if report.state is TransferState.PENDING:
            return await self._intents.advance(entry, IntentState.ACKNOWLEDGED, evidence, venue_id=number)
        return await self._intents.advance(entry, IntentState.FILLED, evidence, ticket.amount, number)

    async def _follow(self, entry: JournalEntry, report: TransferReport) -> ExecutionHandshake:
        entry = await self._known(entry, report)
        client_id, now = entry.intent.client_id, self._clock.now()
        if entry.state is IntentState.REJECTED:
            text = f"transfer {report.venue_transfer_id} was refused by {self._terms.venue}"
            return failed(entry, now, "EXEC-001", text)
        if not entry.state.has_ended:
            self._watched[client_id] = entry
        if client_id not in self._booked:
            self._booked[client_id] = self._book(entry, report)
        settlements = self._booked[client_id]
        submitted = utc_from_ns(entry.intent.created_ns)
        fee = float(report.fee)
        return ExecutionHandshake(
            operation_id=entry.intent.order.operation_id,
            status=ExecutionStatus.CONFIRMED,
            actual_deltas={delta.position_key: delta.delta_amount for delta in settlements[0].deltas},
            execution_details={"transfer_state": report.state.value},
            fee_amount=fee,
            fee_currency=_ticket(entry).token if fee > 0.0 else None,
            submitted_at=submitted,
            executed_at=max(submitted, utc_from_ns(now)),
            venue_metadata={
                "domain": self._terms.venue,
                "client_id": client_id,
                "venue_transfer_id": report.venue_transfer_id,
            },
            simulated=False,
            settlements=settlements,
        )

    def _book(self, entry: JournalEntry, report: TransferReport) -> tuple[Settlement, ...]:
        order, moment = entry.intent.order, utc_from_ns(report.time_ns)
        source, target = _keys(entry)
        amount = float(_ticket(entry).amount)
        deltas = (PositionDelta(source, -amount), PositionDelta(target, amount))
        booked = [self._mirror.book(DeltaSource.TRANSFER, moment, deltas, order.operation_id)]
        if report.fee:
            fee = (PositionDelta(source, -float(report.fee)),)
            booked.append(self._mirror.book(DeltaSource.FEE, moment, fee, order.operation_id))
        self._findings.settlements += booked
        return tuple(booked)

    def _bring_back(self, entry: JournalEntry, report: TransferReport, *, in_ledger: bool) -> None:
        """Undo what a withdrawal booked that the exchange accepted and did not carry out.

        One that left for the wallet before the ledger began is not in it: then its tokens come from outside.
        """
        order, moment = entry.intent.order, utc_from_ns(self._clock.now())
        source, transit = _keys(entry)
        amount = float(_ticket(entry).amount)
        back = PositionDelta(source, amount)
        if in_ledger:
            deltas = (PositionDelta(transit, -amount), back)
            booked = [self._mirror.book(DeltaSource.TRANSFER, moment, deltas, order.operation_id)]
        else:
            booked = [self._mirror.book(DeltaSource.DEPOSIT, moment, (back,), order.operation_id)]
        if report.fee:
            fee = (PositionDelta(source, float(report.fee)),)
            booked.append(self._mirror.book(DeltaSource.FEE, moment, fee, order.operation_id))
        self._findings.settlements += booked
        text = f"{self._terms.venue} accepted {order.operation_id} and did not carry it out: {entry.evidence}"
        text = f"{text}; {amount:.12g} {order.source_token} are back, and the fee"
        self._findings.error(self._clock.now(), "EXEC-001", text, order.operation_id)

    async def _call_off(self, entry: JournalEntry) -> None:
        """The other side need not wait for it."""
        target, transfer = entry.intent.order.target_venue, _incoming(entry)
        if _is_announced(entry) and transfer in await self._journal.expected(target):
            await self._journal.arrived(target, transfer)


def _ticket(entry: JournalEntry) -> TransferTicket:
    ticket = entry.intent.ticket
    assert isinstance(ticket, TransferTicket), "a transfer has a transfer ticket"
    return ticket


def _keys(entry: JournalEntry) -> tuple[str, str]:
    """What it leaves, and where it is until it has arrived."""
    details, ticket = entry.intent.order.operation_details, _ticket(entry)
    target = details["target_key"] if ticket.target is not None else f"transit:BaseToken:{ticket.token}"
    return str(details["source_key"]), str(target)


def _is_announced(entry: JournalEntry) -> bool:
    """Whether the other side learns of it from the journal."""
    return _ticket(entry).target is None and parse_key(_incoming(entry).position_key).venue != _WALLET


def _incoming(entry: JournalEntry) -> IncomingTransfer:
    order, ticket = entry.intent.order, _ticket(entry)
    return IncomingTransfer(
        operation_id=order.operation_id,
        position_key=str(order.operation_details["target_key"]),
        transit_key=f"transit:BaseToken:{ticket.token}",
        amount=float(ticket.amount),
        arrives_ns=entry.intent.created_ns,
    )
