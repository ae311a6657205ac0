"""Defines a live account at one exchange, as the engine sees any venue domain: orders in, settlements out.

It says in which order the desks, which send, and the comparison, which looks, do their work; how is for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from basis_actors.config import AccountConfig
from basis_actors.errors import AuthFailed, Rejected, Transient, UnknownOutcome, VenueError
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import OrderReport
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.messages.stops import BracketRecalled
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.contact import Contact
from basis_actors.venues.live.lateness import Lateness
from basis_actors.venues.live.left_orders import LeftOrders
from basis_actors.venues.live.opening import Opening
from basis_actors.venues.live.order_desk import OrderDesk
from basis_actors.venues.live.parts import AccountParts
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.tickets import sketch_of
from basis_actors.venues.live.transfer_desk import TransferDesk

__all__ = ["ExchangeAccount"]


class ExchangeAccount:
    """One account. Before anything else, in this order: `prepare`, `conclude_earlier`, `open`.

    `findings` collects what the account finds out beside what it was asked; whoever owns the account logs and books it.
    """

    def __init__(
        self,
        terms: AccountTerms,
        api: ExchangeApi,
        journal: OrderJournal,
        leverage: Mapping[str, int],
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._api = api
        self._journal = journal
        self._leverage = dict(leverage)
        self._clock = clock
        self._parts = parts = AccountParts(terms, api, journal, clock)
        self._opening = Opening(parts)
        self.findings = parts.findings
        self._lateness = Lateness(terms, self.findings)
        self._contact = Contact(terms.venue, self.findings, clock)
        self.left = LeftOrders()
        """Orders that nobody waits for any longer."""
        self.recalled: tuple[BracketRecalled, ...] = ()
        """What earlier processes knew of positions with stops, for somebody to tell the strategy."""
        self._market: MarketState | None = None
        """Of the last tick."""
        self._opened: tuple[Settlement, ...] = ()
        self._told: set[str] = set()

    @property
    def domain(self) -> str:
        """Name of the exchange."""
        return self._terms.venue

    @property
    def venues(self) -> tuple[str, ...]:
        """Itself."""
        return (self._terms.venue,)

    def identify(self, account: str) -> None:
        """Let it know what tells this account from others at its exchange, before it is opened."""
        self._parts.last_known.account = account

    @property
    def patience(self) -> AccountConfig:
        """How long it waits for its exchange."""
        return self._terms.patience

    @property
    def tolerance(self) -> float:
        """Relative difference between ledger and exchange that is rounding."""
        return self._terms.patience.tolerance

    @property
    def lost_since(self) -> int | None:
        """Since when it could not be looked at, nanoseconds; None when it could."""
        return self._contact.lost_since

    @property
    def left_alone_until(self) -> int | None:
        """Until when the exchange wants to be left alone, nanoseconds; None when it may be asked."""
        return self._contact.left_alone_until

    @property
    def key_refused(self) -> str | None:
        """Why the exchange does not take our key: then nothing is begun there. None when it does."""
        return self._contact.key_refused

    @property
    def doubt(self) -> str | None:
        """What the exchange shows and is not believed yet; None while it is believed."""
        return self._parts.comparison.doubt.problem

    @property
    def bound(self) -> dict[str, float]:
        """How much of what could be sold open orders bind, by position key, as it was shown last."""
        return self._parts.reader.bound

    @property
    def late(self) -> str | None:
        """Tokens on their way that should have arrived; None while there are none."""
        return self._lateness.problem

    @property
    def unprotected(self) -> str | None:
        """Positions that are open without their stops, and how much of each; None while there are none."""
        return "; ".join(self._parts.stops.unprotected.values()) or None

    @property
    def has_own_order(self) -> bool:
        """Whether an order is on its way that nobody has asked for: one that closes what cannot have its stop."""
        return self._parts.stops.is_closing

    def begin_nothing(self) -> None:
        """Send no such order from now on when it looks at itself: what it closed nobody would book."""
        self._parts.stops.is_ending = True

    # Before trading

    async def prepare(self) -> None:
        """As `Opening.prepare`."""
        await self._opening.prepare(self._leverage)

    async def conclude_earlier(self) -> None:
        """As `Opening.conclude_earlier`."""
        await self._opening.conclude_earlier()

    async def open(self) -> None:
        """As `Opening.open`."""
        self._opened, self.recalled = await self._opening.open()

    # The port of a venue domain

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """What happened on the account since it was last looked at; less when it cannot be looked at now."""
        self._market = tick.market
        opened, self._opened = self._opened, ()
        await self._parts.intake.handed_over()
        try:
            await self._catch_up()
        except AuthFailed as error:
            self._contact.lose(error)
        except UnknownOutcome:
            self._contact.find()  # and still it does not say what became of an order; nothing is read before it does
        except Transient as error:
            if self._contact.lost_since is None:
                text = f"{self.domain} cannot be looked at: {error.message}"
                self.findings.error(self._clock.now(), error.code, text, passes=True)
            self._contact.lose(error)
        await self._parts.rules.renew()
        expected = await self._journal.expected(self.domain)
        self._lateness.look(self._clock.now(), (*expected, *self._parts.transfers.leaving))
        found, self.findings.settlements = tuple(self.findings.settlements), []
        return opened + found

    async def look(self) -> None:
        """Ask an account that could not be looked at whether it can be again, and what became of what was left to it;
        then it is compared with the ledger as well."""
        try:
            await (self._parts.reader.state() if self.left.problem is None else self._catch_up())
        except (Transient, AuthFailed) as error:
            self._contact.lose(error)
            return
        except UnknownOutcome:
            pass  # it answers
        self._contact.find()

    async def require_room(self, orders: Sequence[Order]) -> None:
        """Whether trades like these would be sent now. Raises Transient as `ExchangeApi.require_room`."""
        await self._api.require_room([sketch_of(order) for order in orders])

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Carry out one order. Raises a VenueError whose class says whether it may be sent again.

        Also where our key is refused: what brings a group to its end that had begun may be what it still may send.
        """
        try:
            await self._parts.stops.plan(order)
            return await self._parts.stops.see_to(order, await self._desk(order).send(order))
        except VenueError as error:
            await self._parts.stops.drop(order)
            self._contact.not_sent(error)
            raise

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Refused: only a chain has transactions. Raises Rejected EXEC-004."""
        raise Rejected(
            "EXEC-004",
            f"{self.domain} has no transactions, so the {len(orders)} orders of group {orders[0].atomic_group_id!r}"
            " cannot be atomic; use execution mode compensated",
        )

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """What became of an order that was sent."""
        attempts = await self._parts.intents.attempts(order)
        if attempts:
            try:
                return await self._parts.stops.see_to(order, await self._desk(order).ask(attempts[-1]))
            except (AuthFailed, Transient) as error:
                self._contact.not_told(error)
                raise
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.FAILED,
            error_code="EXEC-001",
            error_message=f"{order.operation} {order.operation_id!r} never reached the journal; it was not sent",
            submitted_at=utc_from_ns(self._clock.now()),
            simulated=False,
        )

    async def leave(self, order: Order, *, unknown: bool) -> None:
        """Find out by itself what became of an order, and take no other before; with `unknown` false it is done, and
        the account has yet to be compared with the ledger."""
        if unknown:
            attempts = await self._parts.intents.attempts(order)
            self.left.add(order, attempts, self._clock.now())
        else:
            self.left.must_compare()

    async def report(self) -> dict[str, float]:
        """Every position as the exchange shows it and what is on its way to it, with the ledger's side up to date.

        Where the exchange is not believed, what is booked stands: that they differ is said already.
        """
        try:
            shown = await self._catch_up()
            doubted = self._parts.comparison.doubt.keys
            booked = {key: amount for key in doubted if (amount := self._parts.mirror.positions.get(key, 0.0))}
            believed = {key: amount for key, amount in shown.items() if key not in doubted}
            return {**believed, **booked, **await self._parts.transfers.under_way()}
        except AuthFailed as error:
            self._contact.lose(error)
            raise

    def can_send(self, order: Order) -> bool:
        """Whether a transfer stays here, or goes where tokens may be withdrawn to."""
        return order.target_venue == self.domain or (order.target_venue, order.source_token) in self._terms.addresses

    async def expect(self, transfer: IncomingTransfer) -> None:
        """Take note of tokens that are on their way, unless their sender has.

        Operation ids repeat from one process to the next, so only what this process knows of is left out.
        """
        operation_id = transfer.operation_id
        if operation_id in self._told or await self._journal.attempts(self._journal.incarnation, operation_id):
            return
        self._told.add(operation_id)
        await self._journal.expect(self.domain, transfer)

    async def unwanted_orders(self, before_ns: int) -> tuple[OrderReport, ...]:
        """Open orders of ours that were sent up to a moment, for somebody to cancel; orders of others stay.

        From now on none of them is waited for: one that is not open yet is cancelled by whoever follows it. Raises a
        VenueError when the exchange does not say what is open.
        """
        return await self._parts.orders.unwanted(before_ns)

    async def cancel(self, order: OrderReport) -> None:
        """Ask for the end of an open order; what it had filled is booked by whoever follows it. Raises a VenueError."""
        await self._api.cancel(order.pair, order.client_id)

    async def countdown_cancel(self, seconds: int) -> bool:
        """As `ExchangeApi.countdown_cancel`; False for an account that keeps stops, which it might cancel."""
        return not self._terms.keeps_stops and await self._api.countdown_cancel(seconds)

    # Looking at the exchange

    async def _catch_up(self) -> dict[str, float]:
        """Read the account, and bring stops in line with what it holds. Returns what it shows."""
        await self._parts.stops.watch()
        shown = await self._read_account()
        if await self._parts.stops.tend_all():
            shown = await self._read_account()
        return shown

    async def _read_account(self) -> dict[str, float]:
        """Compare the account with the ledger. Returns what it shows.

        What was left to it is asked for first, as its trades are not known for ours before. Raises UnknownOutcome while
        the exchange answers and does not say what became of it.
        """
        for order in self.left.waiting:
            self.left.answer(order, await self.resolve(order))
        shown = await self._parts.comparison.run(self._market)
        self._contact.find()
        self.left.compared()
        return shown

    def _desk(self, order: Order) -> OrderDesk | TransferDesk:
        return self._parts.transfers if order.operation is OperationType.TRANSFER else self._parts.orders
