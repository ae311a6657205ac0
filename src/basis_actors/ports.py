"""Defines what the actors need from outside: a market feed, venues, exchanges. Clock and timers come from the bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Protocol

from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import (
    AccountState,
    MarketFilters,
    OrderReport,
    OrderTicket,
    Payment,
    TransferReport,
    TransferTicket,
    VenueFill,
)
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.journal import Intent, IntentState, JournalEntry, LastHeld, Remembered
from basis_actors.messages.market import FundingStamp, MarketState
from basis_actors.messages.operations import Alert, AlertNotDelivered
from basis_actors.messages.orders import Order
from basis_actors.messages.quotes import Price
from basis_actors.messages.stops import StopReport, StopTicket

__all__ = [
    "AlertCourier",
    "ExchangeApi",
    "LoopClock",
    "MarketData",
    "MarketFeed",
    "OrderJournal",
    "Settling",
    "SignalEndpoint",
    "StateStore",
    "StatusServer",
    "VenueClient",
]


Settling = tuple[Settlement, ...] | Awaitable[tuple[Settlement, ...]]
"""What a venue settled, or the wait for it."""


class MarketFeed(Protocol):
    """Gives the market as it is known at a tick."""

    def next_tick(self, after_ns: int | None) -> int | None:
        """Time of the first tick after `after_ns` (of the first tick of all for None); None when there is no more."""
        ...

    def take(self, ns: int) -> MarketState | Awaitable[MarketState]:
        """The market as it is known at `ns`, or the wait for it; called once for each tick, in order."""
        ...

    async def between(self, ns: int) -> MarketState | None:
        """The market as it is known at a moment after the last tick and before the next; None while nothing is.

        Funding, rewards and the range of marks belong to the ticks and are left out. Nothing that `take` gives depends
        on whether this was asked.
        """
        ...


class MarketData(Protocol):
    """What an exchange publishes of the markets that a mode uses. It needs no account.

    Everything raises Transient VEN-003 when the exchange does not answer, VEN-006 when it is asked too often, and
    whoever asks decides when to try again.
    """

    @property
    def venue(self) -> str:
        """Name of the exchange."""
        ...

    async def open(self) -> None:
        """Learn what is traded. Raises Rejected VEN-004 for a market that the exchange does not have, or has closed."""
        ...

    async def prices(self) -> tuple[Price, ...]:
        """The last price of every market, and the mark price of every perpetual."""
        ...

    async def watch(self, seen: Callable[[Price], object]) -> None:
        """Call `seen` with each price as it is published, until cancelled.

        What was published before this is called, or while a connection is made, is not shown: ask for it after the
        first price has come. Raises Transient when a stream breaks; one that falls silent is noticed by whoever
        listens.
        """
        ...

    async def funding(self, pair: str, since_ns: int) -> tuple[FundingStamp, ...]:
        """Settled funding of a perpetual at and after `since_ns`, oldest first.

        The mark is None where the exchange does not publish the one that it settled with.
        """
        ...

    async def mark_range(self, pair: str, since_ns: int) -> tuple[float, float] | None:
        """Lowest and highest mark price of a perpetual since then; None while nothing was published since."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class SignalEndpoint(Protocol):
    """Something outside that is asked for signals while trading."""

    async def fetch(self, sleep: Callable[[float], Awaitable[None]]) -> bytes:
        """Its answer, after as many tries as it takes; `sleep` waits between them, seconds.

        Raises DataError DATA-003 when none came.
        """
        ...


class VenueClient(Protocol):
    """One account domain: an exchange account or a wallet on a chain with the protocols it uses."""

    @property
    def domain(self) -> str:
        """Name of the domain: `binance`, `ethereum`."""
        ...

    @property
    def venues(self) -> tuple[str, ...]:
        """Venue names of orders that this domain carries out: `aave_v3`, `wallet`."""
        ...

    def settle(self, tick: TickStarted) -> Settling:
        """Everything that changed the account up to the tick and was not an order: interest, funding, arrivals,
        liquidations, deposits; by time. A venue that has to wait for it (`async def`) may have orders open then."""
        ...

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Carry out one order. Raises a VenueError whose class says whether it may be sent again."""
        ...

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Carry out orders in one transaction. Raises Rejected where the domain has no transactions."""
        ...

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """What became of an order that was sent; status `unknown` while the venue cannot tell."""
        ...

    async def report(self) -> dict[str, float]:
        """Every position of the account as the venue shows it, by position key, zero ones left out."""
        ...

    async def expect(self, transfer: IncomingTransfer) -> None:
        """Take note of tokens that are on their way to this account."""
        ...


class ExchangeApi(Protocol):
    """One account at one exchange, as its API shows it: single requests, no memory of what was asked before.

    Whatever changes something raises a VenueError whose class says what is known: `Rejected`, the exchange refused and
    did nothing; `Transient`, it did nothing for a reason that passes; `UnknownOutcome`, nobody knows; `AuthFailed`, the
    credentials do not serve. What only reads raises Transient or AuthFailed, and changes nothing however often it is
    asked. An empty answer is an answer; an answer that cannot be read is Transient.
    """

    @property
    def venue(self) -> str:
        """Name of the exchange: `binance`."""
        ...

    async def prepare(self, leverage: dict[str, int]) -> int:
        """Take the exchange's time, check key and account, set one-way positions and the leverage of each perpetual.
        Returns its time then, nanoseconds since the epoch.

        Raises AuthFailed VEN-005 for a key that is missing, wrong, revoked or may not trade; Rejected VEN-001 for an
        account that cannot be brought into the state that is needed: position mode, margin mode, leverage, symbol.
        """
        ...

    async def filters(self) -> dict[str, MarketFilters]:
        """What each configured market requires of an order, by pair."""
        ...

    async def require_room(self, tickets: Sequence[OrderTicket]) -> None:
        """Whether orders like these would be sent now, all of them, by what is known here: the exchange is not asked.

        Raises Transient VEN-006 while it wants to be left alone or has granted no more, VEN-003 while it bans us.
        """
        ...

    async def place(self, ticket: OrderTicket) -> OrderReport:
        """Send an order, once. UnknownOutcome VEN-002 for whatever happens after it has left, but for an answer."""
        ...

    async def cancel(self, pair: str, client_id: str) -> None:
        """Ask for the end of an order. That it is gone already is no error; `order` tells how it ended."""
        ...

    async def order(self, pair: str, client_id: str) -> OrderReport | None:
        """What the exchange says of an order; None when it knows none of that id, which is no proof that none will
        appear."""
        ...

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None:
        """The order that a trade belongs to, whoever placed it; None as in `order`."""
        ...

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Every open order of the account in the configured markets, whoever placed it."""
        ...

    async def place_stop(self, ticket: StopTicket) -> StopReport:
        """Have a stop kept, sent once as `place`. Raises Rejected VEN-004 where the exchange keeps none for us, and
        EXEC-004 for one that would fire at once, or stands beside another that closes the position the same way."""
        ...

    async def cancel_stop(self, pair: str, client_id: str) -> None:
        """Ask for the end of a stop. That it is gone already is no error; `stop` tells how it ended."""
        ...

    async def stop(self, pair: str, client_id: str) -> StopReport | None:
        """What the exchange says of a stop; None as in `order`."""
        ...

    async def open_stops(self) -> tuple[StopReport, ...]:
        """Everything of the account that waits for a price in the configured perpetuals, whoever placed it; nothing
        where the exchange keeps no stops for us."""
        ...

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Every trade of the account in a market from `since_ns` on, oldest first."""
        ...

    async def account(self) -> AccountState:
        """Balances and positions."""
        ...

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """The account's statement from `since_ns` on, oldest first: funding, and what is no trade of ours."""
        ...

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Move tokens between purses, or withdraw them to an address of the allow-list. As `place`.

        Raises Rejected VEN-001 for an address that is not on the list.
        """
        ...

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:
        """What became of a transfer or withdrawal that was sent after `since_ns`; None as in `order`.

        Not every exchange takes an id with a transfer. It is then found by what it moved and when, so `since_ns` has
        to allow for two clocks that differ, and nothing must have moved the same amount the same way since then.
        """
        ...

    async def countdown_cancel(self, seconds: int) -> bool:
        """Have the exchange cancel every open order unless this is called again within `seconds`; 0 calls it off.

        False where the exchange has no such thing.
        """
        ...


class OrderJournal(Protocol):
    """What must be known of orders after a kill.

    What is about to happen (`intend`, the step to `sent`, `begin_group`) is on disk before the call returns, or
    JournalError ENGINE-006 is raised and it must not happen. What has happened is known once the call returns; a disk
    that does not take it gets it with the next change, as the exchange would tell it again to a process that asks.
    """

    @property
    def deployment(self) -> str:
        """Names this journal for good: what it has sent is ours."""
        ...

    @property
    def incarnation(self) -> int:
        """How often the journal was opened by a process, this time included."""
        ...

    async def intend(self, intent: Intent) -> JournalEntry:
        """Write down an intent. Raises BasisError ENGINE-003 for a client id that is there already."""
        ...

    async def advance(
        self,
        client_id: str,
        state: IntentState,
        filled: Decimal,
        evidence: str,
        now_ns: int,
        venue_id: str | None = None,
    ) -> JournalEntry:
        """Write down what has become known; a `venue_id` that is known stays so.

        Raises BasisError ENGINE-003 for a step that `may_follow` does not allow or an amount that has shrunk.
        """
        ...

    async def attempts(self, incarnation: int, operation_id: str) -> tuple[JournalEntry, ...]:
        """Every attempt of an incarnation at an operation, oldest first."""
        ...

    async def unresolved(self, domain: str) -> tuple[JournalEntry, ...]:
        """What has not ended on a domain, of any incarnation, oldest first."""
        ...

    async def named(self, domain: str, pair: str | None, venue_id: str) -> JournalEntry | None:
        """The intent that a domain calls `venue_id`, of any incarnation; `pair` is None for a transfer."""
        ...

    async def stops(self, domain: str) -> tuple[JournalEntry, ...]:
        """Every stop that was ever wanted on a domain, of any incarnation, oldest first."""
        ...

    async def domains(self) -> frozenset[str]:
        """Where anything has not ended, an intent or a leg of a group."""
        ...

    async def book_fill(self, domain: str, fill: VenueFill) -> bool:
        """Write down a trade; whether it was not there yet."""
        ...

    async def book_payment(self, domain: str, payment: Payment, arrived: IncomingTransfer | None = None) -> bool:
        """Write down an entry of the statement, and in one the end of what has `arrived` with it; whether it was not
        there yet. Raises BasisError ENGINE-003 as `arrived` does."""
        ...

    async def has_payment(self, domain: str, payment_id: str) -> bool:
        """Whether an entry of the statement was written down, by any incarnation."""
        ...

    async def expect(self, domain: str, transfer: IncomingTransfer) -> None:
        """Write down tokens that are on their way to a domain."""
        ...

    async def arrived(self, domain: str, transfer: IncomingTransfer) -> None:
        """They are there. Raises BasisError ENGINE-003 when they were not on their way."""
        ...

    async def expected(self, domain: str) -> tuple[IncomingTransfer, ...]:
        """What is on its way to a domain, oldest first."""
        ...

    async def begin_group(self, group_id: str, orders: Sequence[Order]) -> None:
        """Write down a compensated group before its first leg is sent."""
        ...

    async def end_group(self, incarnation: int, group_id: str) -> None:
        """A group that this incarnation began is at its end: its legs are all done, or none is left."""
        ...

    async def open_groups(self) -> tuple[tuple[int, tuple[Order, ...]], ...]:
        """Incarnation and orders of each group that began and did not end, oldest first."""
        ...

    async def keep(self, domain: str, held: LastHeld) -> None:
        """Write down what an account holds, in the place of what was kept before: every trade, payment and transfer
        that was written down by now is in it."""
        ...

    async def remembered(self, domain: str) -> Remembered | None:
        """What was kept of an account last, by any incarnation, and what came since; None when nothing ever was."""
        ...


class StateStore(Protocol):
    """Small facts that survive a kill: on disk, whole, before the call returns.

    Reading and writing raise BasisError ENGINE-004 when that is not possible.
    """

    def read(self, name: str) -> bytes | None:
        """What was written last under a name; None when nothing ever was."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put `content` in the place of what was there: all of it, or none."""
        ...

    def lost(self) -> str | None:
        """What became of the place, or of what else is kept in it; None while all is where this process put it."""
        ...


class AlertCourier(Protocol):
    """Brings the alerts of one route to their receiver."""

    def offer(self, alert: Alert) -> bool:
        """Have an alert delivered, after those before it; False when too many wait. Never blocks."""
        ...

    async def run(
        self,
        delivered: Callable[[Alert], object],
        delayed: Callable[[Alert, str], object],
        given_up: Callable[[Alert, str], object],
    ) -> None:
        """Deliver what is offered until cancelled, and say of each alert what came of it, and of one whose first try
        has failed that it is tried again."""
        ...

    async def flush(self, seconds: float, last: Sequence[Alert] = ()) -> Sequence[AlertNotDelivered]:
        """Deliver what still waits and then `last`, however many wait, each with one try, for at most so long. What is
        left."""
        ...


class StatusServer(Protocol):
    """Shows the state of the process over HTTP."""

    async def run(self, opened: Callable[[str, int], object], wait: Callable[[], Awaitable[None]]) -> None:
        """Open the port, say so, answer until `wait` ends, close. Raises BasisError MON-001 for a port that cannot be
        opened."""
        ...


class LoopClock(Protocol):
    """Measures how late an event loop is."""

    async def run(self, measured: Callable[[float], object], wait: Callable[[], Awaitable[None]]) -> None:
        """Call `measured` with each delay, seconds, until `wait` ends."""
        ...
