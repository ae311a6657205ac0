"""Defines the order journal in memory: the rules of every journal, and the journal of simulated time.

A simulated kill leaves the object and takes the process: `reopened` is what the next one finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from basis_actors.errors import BasisError
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import OrderTicket, Payment, TransferTicket, VenueFill
from basis_actors.messages.journal import Intent, IntentState, JournalEntry, LastHeld, Remembered, may_follow
from basis_actors.messages.orders import Order
from basis_actors.messages.stops import StopTicket

__all__ = ["JournalBook", "Kept", "MemoryJournal"]

_LONGEST: Final = 1_000
"""Characters of evidence that are kept."""


class Kept(NamedTuple):
    """What is remembered of one account."""

    held: LastHeld
    intents: int
    """How many there were, at all accounts."""
    fills: list[VenueFill]
    """Since then."""
    payments: list[Payment]
    """Since then."""


class JournalBook:
    """What a journal holds. Nothing here waits or writes; a change that is not allowed changes nothing."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.entries: dict[str, JournalEntry] = {}
        """By client id, oldest first."""
        self.fills: set[tuple[str, str, str]] = set()
        """(domain, pair, trade id)."""
        self.payments: set[tuple[str, str]] = set()
        """(domain, payment id)."""
        self.expected: list[tuple[str, IncomingTransfer]] = []
        """By domain, oldest first."""
        self.groups: list[tuple[int, str, tuple[Order, ...]]] = []
        """Incarnation, name and orders of what began and did not end, oldest first."""
        self.begun: list[tuple[int, tuple[Order, ...]]] = []
        """Incarnation and orders of every group, oldest first; only a journal in memory keeps them all."""
        self.kept: dict[str, Kept] = {}
        """By domain."""
        self._attempts: dict[tuple[int, str], list[str]] = {}
        self._named: dict[tuple[str, str | None, str], str] = {}

    def entry_of(self, intent: Intent) -> JournalEntry:
        """The first entry of an intent. Raises BasisError ENGINE-003 for a client id that is there already."""
        known = self.entries.get(intent.client_id)
        if known is not None:
            raise BasisError(
                "ENGINE-003",
                f"intent {intent.client_id!r} of {intent.order.operation_id} is in the journal already, as"
                f" {known.intent.order.operation_id} in state {known.state}; every attempt needs an id of its own",
            )
        return JournalEntry(
            intent=intent,
            state=IntentState.PENDING,
            filled=Decimal(0),
            evidence="decided",
            changed_ns=intent.created_ns,
        )

    def advanced(
        self, client_id: str, state: IntentState, filled: Decimal, evidence: str, now_ns: int, venue_id: str | None
    ) -> JournalEntry:
        """The entry that follows. Raises BasisError ENGINE-003 for a step back, and for an id that is not known."""
        entry = self.entries.get(client_id)
        if entry is None:
            raise BasisError("ENGINE-003", f"intent {client_id!r} is not in the journal; it is written down first")
        if not may_follow(entry.state, state) or filled < entry.filled:
            raise BasisError(
                "ENGINE-003",
                f"intent {client_id!r} of {entry.intent.order.operation_id} is {entry.state} with {entry.filled} filled"
                f" ({entry.evidence}); it cannot become {state} with {filled} ({evidence})",
            )
        return msgspec.structs.replace(
            entry,
            state=state,
            filled=filled,
            evidence=_legible(evidence),
            changed_ns=now_ns,
            venue_id=venue_id or entry.venue_id,
        )

    def put(self, entry: JournalEntry) -> JournalEntry:
        """Keep an entry."""
        intent = entry.intent
        if intent.client_id not in self.entries:
            operation = (intent.incarnation, intent.order.operation_id)
            self._attempts.setdefault(operation, []).append(intent.client_id)
        self.entries[intent.client_id] = entry
        if entry.venue_id is not None:
            pair = intent.ticket.pair if isinstance(intent.ticket, OrderTicket | StopTicket) else None
            self._named[intent.domain, pair, entry.venue_id] = intent.client_id
        return entry

    def attempts(self, incarnation: int, operation_id: str) -> tuple[JournalEntry, ...]:
        """Oldest first."""
        found = self._attempts.get((incarnation, operation_id), ())
        return tuple(self.entries[client_id] for client_id in found)

    def named(self, domain: str, pair: str | None, venue_id: str) -> JournalEntry | None:
        """The intent that a domain calls `venue_id`; `pair` is None for a transfer."""
        client_id = self._named.get((domain, pair, venue_id))
        return None if client_id is None else self.entries[client_id]

    def unresolved(self, domain: str) -> tuple[JournalEntry, ...]:
        """Of any incarnation, oldest first."""
        return tuple(
            entry for entry in self.entries.values() if entry.intent.domain == domain and not entry.state.has_ended
        )

    def stops(self, domain: str) -> tuple[JournalEntry, ...]:
        """Of any incarnation, oldest first."""
        ours = (entry for entry in self.entries.values() if entry.intent.domain == domain)
        return tuple(entry for entry in ours if isinstance(entry.intent.ticket, StopTicket))

    def domains(self) -> frozenset[str]:
        """Where anything has not ended: an intent, or a leg of a group."""
        of_intents = {entry.intent.domain for entry in self.entries.values() if not entry.state.has_ended}
        return frozenset(of_intents | {order.venue for _, _, orders in self.groups for order in orders})

    def add_fill(self, domain: str, fill: VenueFill) -> bool:
        """Whether it was not there yet."""
        before = len(self.fills)
        self.fills.add((domain, fill.pair, fill.trade_id))
        is_new = len(self.fills) > before
        if is_new and domain in self.kept:
            self.kept[domain].fills.append(fill)
        return is_new

    def add_payment(self, domain: str, payment: Payment, arrived: IncomingTransfer | None) -> bool:
        """Whether it was not there yet; if so, what has arrived with it is no longer on its way."""
        if (domain, payment.payment_id) in self.payments:
            return False
        if arrived is not None:
            self.require_expected(domain, arrived)
            self.expected.remove((domain, arrived))
        self.payments.add((domain, payment.payment_id))
        if domain in self.kept:
            self.kept[domain].payments.append(payment)
        return True

    def expected_at(self, domain: str) -> tuple[IncomingTransfer, ...]:
        """What is on its way to a domain, oldest first."""
        return tuple(transfer for to, transfer in self.expected if to == domain)

    def require_expected(self, domain: str, transfer: IncomingTransfer) -> None:
        """Raises BasisError ENGINE-003 for a transfer that is not on its way to a domain."""
        if (domain, transfer) not in self.expected:
            known = [other.operation_id for other in self.expected_at(domain)] or "nothing"
            raise BasisError(
                "ENGINE-003",
                f"{transfer.amount:.12g} of {transfer.operation_id!r} have arrived at {domain}, where {known} was"
                " expected; a transfer is written down before it arrives, and arrives once",
            )

    def end_group(self, incarnation: int, group_id: str) -> None:
        """Forget a group."""
        self.groups = [group for group in self.groups if group[:2] != (incarnation, group_id)]

    def open_groups(self) -> tuple[tuple[int, tuple[Order, ...]], ...]:
        """Incarnation and orders of what began and did not end, oldest first."""
        return tuple((incarnation, orders) for incarnation, _, orders in self.groups)

    def keep(self, domain: str, held: LastHeld) -> None:
        """Everything that is known by now is in what is held."""
        self.kept[domain] = Kept(held, len(self.entries), [], [])

    def remembered(self, domain: str) -> Remembered | None:
        """What was kept, and what came since."""
        kept = self.kept.get(domain)
        if kept is None:
            return None
        since = islice(self.entries.values(), kept.intents, None)
        ours = (entry for entry in since if entry.intent.domain == domain)
        return Remembered(
            held=kept.held,
            fills=tuple(kept.fills),
            payments=tuple(kept.payments),
            transfers=tuple(entry for entry in ours if isinstance(entry.intent.ticket, TransferTicket)),
        )


def _legible(evidence: str) -> str:
    """What an exchange says may be a page of HTML, or text that no file takes."""
    return evidence[:_LONGEST].encode("utf-8", "replace").decode()


class MemoryJournal:
    """An order journal that lives as long as its object."""

    def __init__(self, deployment: str, book: JournalBook | None = None) -> None:
        self._deployment = deployment
        self._book = book or JournalBook(1)

    @property
    def deployment(self) -> str:
        """Names this journal for good."""
        return self._deployment

    @property
    def incarnation(self) -> int:
        """How often it was opened."""
        return self._book.incarnation

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """Everything that was ever intended, oldest first."""
        return tuple(self._book.entries.values())

    @property
    def groups(self) -> tuple[tuple[int, tuple[Order, ...]], ...]:
        """Incarnation and orders of every compensated group, oldest first."""
        return tuple(self._book.begun)

    @property
    def accounts(self) -> frozenset[str]:
        """Domains of which somebody has kept what they hold."""
        return frozenset(self._book.kept)

    def reopened(self) -> MemoryJournal:
        """The same journal as the next process finds it."""
        self._book.incarnation += 1
        return MemoryJournal(self._deployment, self._book)

    async def intend(self, intent: Intent) -> JournalEntry:
        """Keep an intent."""
        return self._book.put(self._book.entry_of(intent))

    async def advance(
        self,
        client_id: str,
        state: IntentState,
        filled: Decimal,
        evidence: str,
        now_ns: int,
        venue_id: str | None = None,
    ) -> JournalEntry:
        """Keep what has become known."""
        return self._book.put(self._book.advanced(client_id, state, filled, evidence, now_ns, venue_id))

    async def attempts(self, incarnation: int, operation_id: str) -> tuple[JournalEntry, ...]:
        """Every attempt of an incarnation at an operation, oldest first."""
        return self._book.attempts(incarnation, operation_id)

    async def unresolved(self, domain: str) -> tuple[JournalEntry, ...]:
        """What has not ended on a domain, oldest first."""
        return self._book.unresolved(domain)

    async def named(self, domain: str, pair: str | None, venue_id: str) -> JournalEntry | None:
        """The intent that a domain calls `venue_id`."""
        return self._book.named(domain, pair, venue_id)

    async def stops(self, domain: str) -> tuple[JournalEntry, ...]:
        """Every stop that was ever wanted on a domain, oldest first."""
        return self._book.stops(domain)

    async def domains(self) -> frozenset[str]:
        """Where anything has not ended."""
        return self._book.domains()

    async def book_fill(self, domain: str, fill: VenueFill) -> bool:
        """Whether the trade was not there yet."""
        return self._book.add_fill(domain, fill)

    async def book_payment(self, domain: str, payment: Payment, arrived: IncomingTransfer | None = None) -> bool:
        """Whether the payment was not there yet."""
        return self._book.add_payment(domain, payment, arrived)

    async def has_payment(self, domain: str, payment_id: str) -> bool:
        """Whether it was written down, by any incarnation."""
        return (domain, payment_id) in self._book.payments

    async def expect(self, domain: str, transfer: IncomingTransfer) -> None:
        """Keep what is on its way."""
        self._book.expected.append((domain, transfer))

    async def arrived(self, domain: str, transfer: IncomingTransfer) -> None:
        """It is there."""
        self._book.require_expected(domain, transfer)
        self._book.expected.remove((domain, transfer))

    async def expected(self, domain: str) -> tuple[IncomingTransfer, ...]:
        """What is on its way to a domain, oldest first."""
        return self._book.expected_at(domain)

    async def begin_group(self, group_id: str, orders: Sequence[Order]) -> None:
        """Keep a group."""
        group = tuple(orders)
        self._book.groups.append((self._book.incarnation, group_id, group))
        self._book.begun.append((self._book.incarnation, group))

    async def end_group(self, incarnation: int, group_id: str) -> None:
        """Forget it."""
        self._book.end_group(incarnation, group_id)

    async def open_groups(self) -> tuple[tuple[int, tuple[Order, ...]], ...]:
        """What began and did not end."""
        return self._book.open_groups()

    async def keep(self, domain: str, held: LastHeld) -> None:
        """Keep what an account holds."""
        self._book.keep(domain, held)

    async def remembered(self, domain: str) -> Remembered | None:
        """What was kept, and what came since."""
        return self._book.remembered(domain)
