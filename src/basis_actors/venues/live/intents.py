"""Defines how a request is sent: written down first, sent once, and what came of it written down before anything else.

What is known of an intent only grows: news that are older than what is known change nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

from basis_actors.errors import UnknownOutcome, VenueError
from basis_actors.messages.exchange import OrderTicket, TransferTicket
from basis_actors.messages.journal import Intent, IntentState, JournalEntry, may_follow
from basis_actors.messages.orders import Order
from basis_actors.ports import OrderJournal
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.tickets import client_id_of, is_ours

__all__ = ["Intents"]

R = TypeVar("R")


class Intents:
    """The requests of one account, from decision to end."""

    def __init__(self, terms: AccountTerms, journal: OrderJournal, clock: LiveClock) -> None:
        self._terms = terms
        self._journal = journal
        self._clock = clock
        self._missed: dict[str, tuple[int, int]] = {}
        """How often in a row, and since when, the exchange knew nothing of a request."""

    async def prepare(self, order: Order, make_ticket: Callable[[str], OrderTicket | TransferTicket]) -> JournalEntry:
        """Write down the next attempt at an order.

        Raises UnknownOutcome VEN-002 for one that may have been carried out: it is asked for, never sent again.
        """
        earlier = await self.attempts(order)
        for entry in earlier:
            if entry.state is not IntentState.REJECTED:
                raise UnknownOutcome(
                    "VEN-002",
                    f"{order.operation} {order.operation_id!r} was sent as {entry.intent.client_id} and is"
                    f" {entry.state}; it is asked for, never sent again",
                )
        journal, attempt, now = self._journal, len(earlier), self._clock.now()
        client_id = client_id_of(journal.deployment, journal.incarnation, order.operation_id, attempt, now)
        return await journal.intend(
            Intent(
                client_id=client_id,
                order=order,
                ticket=make_ticket(client_id),
                domain=self._terms.venue,
                incarnation=journal.incarnation,
                attempt=attempt,
                created_ns=now,
            )
        )

    async def attempts(self, order: Order) -> tuple[JournalEntry, ...]:
        """What this process sent for an order, oldest first."""
        return await self._journal.attempts(self._journal.incarnation, order.operation_id)

    def are_ours(self, client_id: str) -> bool:
        """Whether a process of this deployment made an id."""
        return is_ours(self._journal.deployment, client_id)

    async def sent_since(self, moment_ns: int) -> frozenset[str]:
        """Ids of what was written down after a moment and has not ended."""
        open_entries = await self._journal.unresolved(self._terms.venue)
        return frozenset(entry.intent.client_id for entry in open_entries if entry.intent.created_ns > moment_ns)

    async def knows(self, pair: str, venue_order_id: str) -> bool:
        """Whether an order at the exchange is known to be one of ours, of any process."""
        return await self._journal.named(self._terms.venue, pair, venue_order_id) is not None

    async def send(self, entry: JournalEntry, request: Callable[[], Awaitable[R]]) -> tuple[JournalEntry, R]:
        """Send it, once; what is known then, and the answer. What the exchange raises is written down first.

        Raises JournalError where it cannot be written down that it is sent: then it was not.
        """
        entry = await self.advance(entry, IntentState.SENT, "handed to the exchange")
        try:
            return entry, await request()
        except UnknownOutcome as error:
            await self.advance(entry, IntentState.UNKNOWN, str(error))
            raise
        except VenueError as error:
            await self.advance(entry, IntentState.REJECTED, str(error))
            raise

    async def advance(
        self,
        entry: JournalEntry,
        state: IntentState,
        evidence: str,
        filled: Decimal | None = None,
        venue_id: str | None = None,
    ) -> JournalEntry:
        """Write down what is known now, where it is more than before."""
        total = entry.filled if filled is None else max(filled, entry.filled)
        if (state is entry.state and total == entry.filled) or not may_follow(entry.state, state):
            return entry
        return await self._journal.advance(entry.intent.client_id, state, total, evidence, self._clock.now(), venue_id)

    def found(self, entry: JournalEntry) -> None:
        """The exchange knows of it."""
        self._missed.pop(entry.intent.client_id, None)

    def is_absent(self, entry: JournalEntry) -> bool:
        """The exchange knows nothing of it once more: whether that is enough to say that it is not there.

        One such answer proves nothing: a request may be late, and a query may be answered from a copy that lags. When
        the first of them comes, the request has left, or its process is gone; after the receive window the exchange no
        longer takes it; the margin is for clocks and copies.
        """
        patience, now = self._terms.patience, self._clock.now()
        count, since = self._missed.get(entry.intent.client_id, (0, now))
        self._missed[entry.intent.client_id] = (count + 1, since)
        wait = patience.receive_window_seconds + patience.absence_seconds
        return count + 1 >= patience.absence_queries and now >= since + round(wait * NS_PER_SECOND)
