"""Defines the life of a trade at an exchange: sent once, followed until it is known how it ended, all its fills booked.

That an order never arrived counts as known only after several answers, when the exchange could no longer take it, and
with no trace of it among open orders and trades.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import ROUND_FLOOR, Decimal
from math import ceil
from typing import Final

from msgspec.structs import replace

from basis_actors.errors import Rejected, Transient, UnknownOutcome, VenueError
from basis_actors.messages.exchange import OrderReport, OrderState, OrderTicket
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.journal import IntentState, JournalEntry
from basis_actors.messages.orders import Order, Side
from basis_actors.ports import ExchangeApi
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.answers import concluded, failed, unconcluded, undecided
from basis_actors.venues.live.intake import Intake, OrderNumber
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.market_rules import MarketRules
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.tickets import ticket_of

__all__ = ["OrderDesk"]

_LOT_NOISE: Final = Decimal("1e-6")
"""Fraction of a lot that is rounding noise of floats."""
_STATES: Final = {
    OrderState.OPEN: IntentState.ACKNOWLEDGED,
    OrderState.PARTIALLY_FILLED: IntentState.PARTIALLY_FILLED,
    OrderState.FILLED: IntentState.FILLED,
    OrderState.CANCELLED: IntentState.CANCELLED,
    OrderState.REJECTED: IntentState.REJECTED,
}


class OrderDesk:
    """Sends and follows the trades of one account. `held` says how much there is of something, by position key."""

    def __init__(
        self,
        terms: AccountTerms,
        api: ExchangeApi,
        intents: Intents,
        intake: Intake,
        rules: MarketRules,
        held: Callable[[str], Awaitable[float]],
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._api = api
        self._intents = intents
        self._intake = intake
        self._rules = rules
        self._held = held
        self._clock = clock
        self._untold: set[OrderNumber] = set()
        self._guarded: set[str] = set()
        self._unwanted_ns = 0
        """What was sent up to this moment is not to rest any more."""

    async def send(self, order: Order) -> ExecutionHandshake:
        """Send a trade and follow it. Raises what the exchange raises on sending; what comes after that is an answer:
        an order that was taken is not to be sent again because its trades could not be read.
        """
        await self._rules.renew_closed(order.pair)
        order, rules = await self._within_reach(order), self._rules.by_pair
        entry = await self._intents.prepare(order, lambda name: ticket_of(order, name, self._terms, rules))
        ticket = entry.intent.ticket
        assert isinstance(ticket, OrderTicket), "a trade has an order ticket"
        sent, report = await self._intents.send(entry, lambda: self._api.place(ticket))
        try:
            return await self._follow(sent, report)
        except VenueError as error:
            return undecided(sent, self._clock.now(), error.message, pending=True)

    async def _within_reach(self, order: Order) -> Order:
        """A trade that may only reduce, cut down to whole lots and to those that are there: the owner may have reduced
        as well.

        Raises Rejected EXEC-009 where not a lot is there.
        """
        rules = self._rules.by_pair.get(order.pair or "")
        if rules is None or not order.reduce_only or order.side in (None, Side.BUY):
            return order
        is_sale = order.side is Side.SELL
        what = rules.pair.split("/")[0]
        held = await self._held(self._terms.spot_key(what) if is_sale else self._terms.position_key(rules.pair))
        there = Decimal(repr(-held if order.side is Side.LONG else held))
        lots = (min(there, Decimal(repr(order.amount))) / rules.lot + _LOT_NOISE).to_integral_value(ROUND_FLOOR)
        reached = float(lots * rules.lot)
        if reached >= order.amount:
            return order
        if reached <= 0.0:
            left = f"{held:.12g} {what} is less than a lot" if is_sale else f"a position of {held:.12g} leaves nothing"
            raise Rejected("EXEC-009", f"{order.operation} {order.operation_id!r}: {left}")
        return replace(order, amount=reached)

    def is_dust(self, pair: str, size: float) -> bool:
        """Whether a position is nothing, or less than can be traded."""
        rules = self._rules.by_pair[pair]
        return abs(Decimal(repr(size))) < max(rules.lot, rules.min_amount) * (1 - _LOT_NOISE)

    async def ask(self, entry: JournalEntry) -> ExecutionHandshake:
        """What became of a trade of this process. Raises Transient or AuthFailed when the exchange cannot be asked."""
        entry, report = await self._look(entry)
        if report is not None:
            return await self._follow(entry, report)
        if entry.state.has_ended and entry.filled == 0:
            return failed(entry, self._clock.now(), "EXEC-001", entry.evidence)
        return undecided(entry, self._clock.now(), f"{self._terms.venue} does not know the order yet")

    async def unwanted(self, before_ns: int) -> tuple[OrderReport, ...]:
        """Open orders of ours that were sent up to a moment, none of which is to rest any more.

        One that turns out to be open only later is cancelled where it is followed. Raises what the exchange raises.
        """
        self._unwanted_ns = max(self._unwanted_ns, before_ns)
        later = await self._intents.sent_since(before_ns)
        found = [order for order in await self._api.open_orders() if self._intents.are_ours(order.client_id)]
        return tuple(order for order in found if order.client_id not in later)

    @property
    def awaits_trades(self) -> bool:
        """Whether an order of ours has filled more than the trades that are shown."""
        return bool(self._untold)

    async def conclude(self, entry: JournalEntry) -> JournalEntry:
        """Bring an order of an earlier process to its end, without booking anything: what it filled is on the account
        that is read afterwards. One that is still open is cancelled: the process that wanted it is gone.

        Raises Transient when the exchange does not say how it ended for as long as a start may take.
        """
        patience, clock = self._terms.patience, self._clock
        give_up = clock.now() + round(patience.recovery_seconds * NS_PER_SECOND)
        while not entry.state.has_ended:
            entry, report = await self._look(entry)
            if report is not None:
                entry = await self._known(entry, report)
                if not report.has_ended:
                    await self.end(report.pair, entry.intent.client_id)
            if not entry.state.has_ended:
                if clock.now() >= give_up:
                    raise unconcluded(entry)
                await clock.sleep(patience.read_pause_seconds)
        if _is_perp(entry.intent.ticket) and not self._terms.keeps_stops:
            await self._call_off()
        return entry

    async def end(self, pair: str, client_id: str) -> None:
        """Ask for the end of an order of an earlier process. Raises Transient also where no answer came and where it is
        refused: a cancellation may be asked for again, once it is known how the order stands."""
        try:
            await self._api.cancel(pair, client_id)
        except (UnknownOutcome, Rejected) as error:
            text = f"{self._terms.venue} does not say that it ends {client_id} in {pair}: {error.message}"
            raise Transient("VEN-003", text) from error

    async def _look(self, entry: JournalEntry) -> tuple[JournalEntry, OrderReport | None]:
        """What the exchange says of an order; where it says nothing for good, the entry has ended."""
        intents, ticket = self._intents, entry.intent.ticket
        assert isinstance(ticket, OrderTicket), "a trade has an order ticket"
        if entry.state is IntentState.PENDING:
            return await intents.advance(entry, IntentState.CANCELLED, "was never handed to the exchange"), None
        if entry.state is IntentState.REJECTED:
            return entry, None
        report = await self._api.order(ticket.pair, ticket.client_id)
        if report is not None:
            intents.found(entry)
            return entry, report
        if entry.state.has_ended or not intents.is_absent(entry):
            return entry, None
        report = await self._trace(entry, ticket)
        if report is not None:
            return entry, report
        if entry.state in (IntentState.SENT, IntentState.UNKNOWN):
            evidence = "the exchange never had it: not found again and again, no open order, no trade"
            return await intents.advance(entry, IntentState.REJECTED, evidence), None
        evidence = "the exchange had it and has no longer: not found again and again, not open, no further trade"
        return await intents.advance(entry, IntentState.CANCELLED, evidence), None

    async def _trace(self, entry: JournalEntry, ticket: OrderTicket) -> OrderReport | None:
        """An order that is not found by its id, as open orders and trades show it.

        Not every exchange names our id with a trade; then the order that a trade belongs to is asked for. Raises
        Transient when the exchange does not show that either.
        """
        for order in await self._api.open_orders():
            if order.client_id == ticket.client_id:
                return order
        patience = self._terms.patience
        margin = round((patience.receive_window_seconds + patience.absence_seconds) * NS_PER_SECOND)
        fills = await self._api.fills(ticket.pair, entry.intent.created_ns - margin)
        may_be_its = [fill for fill in fills if fill.client_id in (None, ticket.client_id) and fill.buys == ticket.buys]
        for number in dict.fromkeys(fill.venue_order_id for fill in may_be_its):
            if await self._intents.knows(ticket.pair, number):
                continue
            report = await self._api.order_by_number(ticket.pair, number)
            if report is None:
                text = f"{self._terms.venue} shows trades of order {number} in {ticket.pair}, and not the order"
                raise Transient("VEN-003", text)
            if report.client_id == ticket.client_id:
                return report
        return None

    async def _known(self, entry: JournalEntry, report: OrderReport) -> JournalEntry:
        """Write down what the exchange says of an order. Raises Transient VEN-001 for one that is not what was sent."""
        number, ticket = report.venue_order_id, entry.intent.ticket
        assert isinstance(ticket, OrderTicket), "a trade has an order ticket"
        if (report.pair, report.buys) != (ticket.pair, ticket.buys):
            shown, sent = (f"{'buys' if each.buys else 'sells'} {each.pair}" for each in (report, ticket))
            text = f"shows order {number} under {ticket.client_id}, and it {shown}; what was sent under that id {sent}"
            raise Transient("VEN-001", f"{self._terms.venue} {text}. Look whose order it is")
        evidence = f"order {number} is {report.state}, {report.filled} of {report.amount} filled"
        return await self._intents.advance(entry, _STATES[report.state], evidence, report.filled, number)

    async def _follow(self, entry: JournalEntry, report: OrderReport) -> ExecutionHandshake:
        """Wait for the trades of an order that has ended; end one that is open for too long."""
        patience, clock = self._terms.patience, self._clock
        entry = await self._known(entry, report)
        if not report.has_ended:
            open_for = (clock.now() - entry.intent.created_ns) / NS_PER_SECOND
            if self._is_wanted(entry) and open_for < patience.order_seconds:
                text = await self._guard(entry, report, patience.order_seconds - open_for)
                return undecided(entry, clock.now(), text, pending=True)
            await self._api.cancel(report.pair, entry.intent.client_id)
            ended = await self._api.order(report.pair, entry.intent.client_id)
            if ended is None or not ended.has_ended:
                return undecided(entry, clock.now(), f"order {report.venue_order_id} is being cancelled", pending=True)
            report = ended
            entry = await self._known(entry, report)
        await self._unguard(entry)
        number = (report.pair, report.venue_order_id)
        # An answer from an old copy takes nothing back.
        due = max(report.filled, entry.filled)
        self._untold.add(number)
        for read in range(patience.steady_reads):
            if read:
                await clock.sleep(patience.read_pause_seconds)
            await self._intake.read_fills(report.pair)
            fills = self._intake.fills_of(number)
            if self._intake.filled(number) >= due and (fills or report.state is not OrderState.FILLED):
                self._untold.discard(number)
                if report.state is OrderState.CANCELLED and not fills and not self._is_wanted(entry):
                    text = "was cancelled before anything was filled: trading was stopped"
                    return failed(entry, clock.now(), "RISK-008", f"order {report.venue_order_id} {text}")
                return concluded(entry, report, fills, clock.now())
        text = f"order {report.venue_order_id} is {report.state} with {due} filled, its trades are not all shown yet"
        return undecided(entry, clock.now(), text, pending=True)

    def _is_wanted(self, entry: JournalEntry) -> bool:
        """Whether trading has not been stopped since an order was written down."""
        return entry.intent.created_ns > self._unwanted_ns

    async def _guard(self, entry: JournalEntry, report: OrderReport, left_seconds: float) -> str:
        """Have the exchange itself end an open order, some time after we would, in case that this process is gone.
        Returns how the order stands."""
        text, client_id = f"order {report.venue_order_id} is open", entry.intent.client_id
        if client_id in self._guarded or self._terms.keeps_stops or not _is_perp(entry.intent.ticket):
            return text
        patience = self._terms.patience
        try:
            if await self._api.countdown_cancel(ceil(left_seconds + patience.absence_seconds)):
                self._guarded.add(client_id)
        except VenueError as error:
            return f"{text}, and {self._terms.venue} would not end it by itself: {error.message}"
        return text

    async def _unguard(self, entry: JournalEntry) -> None:
        """The exchange need not end anything any more: it would end the orders of others as well."""
        if entry.intent.client_id not in self._guarded:
            return
        self._guarded.remove(entry.intent.client_id)
        if not self._guarded:
            await self._call_off()

    async def _call_off(self) -> None:
        # What cannot be called off runs out, and the next open order begins it anew.
        with suppress(VenueError):
            await self._api.countdown_cancel(0)


def _is_perp(ticket: object) -> bool:
    return isinstance(ticket, OrderTicket) and ticket.pair.endswith("-PERP")
