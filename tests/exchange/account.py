"""Defines the one account of the local exchange: purses, orders, positions, and what a test can make happen to them.

It knows no wire format; each exchange's dialect shows it in its own words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.exchange.hand_clock import HandClock
from tests.exchange.market import ZERO, Fill, Kind, Market, Order, Position, Settled, Stop

EPS = Decimal("0.00000001")


class Refused(Exception):
    """The exchange says no. `reason` is a word that each dialect has a code for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Income:
    """One entry of a perpetual account's statement."""

    kind: str
    wallet: Kind
    symbol: str
    asset: str
    amount: Decimal
    time_ms: int
    number: int


@dataclass
class Transfer:
    """Tokens moved between purses."""

    route: str
    asset: str
    amount: Decimal
    time_ms: int
    number: int
    name: str = ""
    """Given by its sender, where an exchange takes one."""
    status: str = "CONFIRMED"


@dataclass
class Withdrawal:
    """Tokens on their way out. `amount` is what arrives."""

    name: str
    client_id: str
    asset: str
    network: str
    address: str
    amount: Decimal
    fee: Decimal
    time_ms: int
    status: int | str = 4
    """In Binance's numbers, or in the word that another exchange has for it."""


@dataclass
class Deposit:
    """Tokens that came in."""

    name: str
    asset: str
    amount: Decimal
    time_ms: int


class Account:
    """Everything one customer has. Numbers, times and prices come from the test alone."""

    def __init__(self, clock: HandClock, markets: Iterable[Market], *, unified: bool = False) -> None:
        self.clock = clock
        self.unified = unified
        self.home = "funding" if unified else "spot"
        """Purse that deposits arrive in and withdrawals leave."""
        self.ids_serve_once = unified
        """Whether the id of an order is never taken again, rather than not while its order is open."""
        self.spot_refuses_takers = not unified
        """Whether a spot order that is to be a maker and would take is refused, rather than ended at once."""
        self.markets = {(market.kind, market.symbol): market for market in markets}
        self.purses: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
        self.orders: list[Order] = []
        self.stops: list[Stop] = []
        self.trades: list[Fill] = []
        self.positions: dict[str, Position] = {m.pair: Position() for m in markets if m.kind is not Kind.SPOT}
        self.income: list[Income] = []
        self.transfers: list[Transfer] = []
        self.withdrawals: list[Withdrawal] = []
        self.deposits: list[Deposit] = []
        self.two_way: dict[Kind, bool] = {Kind.LINEAR: False, Kind.INVERSE: False}
        self.multi_assets = False
        self.may_trade = True
        self.withdrawal_fee = Decimal(1)
        self.sends_away = True
        self.countdown: dict[str, int] = {}
        self.portions: list[Decimal] = []
        """How much of each of the next orders is filled at once; all of it when there is none left."""
        self.on_event: Callable[[str, Any], None] = lambda _kind, _what: None
        self._numbers = iter(range(1000, 10**9))
        for market in self.markets.values():
            market.marks.append((clock.ms, market.mark_price))

    # What a test makes happen.

    def market(self, pair: str) -> Market:
        """The market of a pair."""
        return next(market for market in self.markets.values() if market.pair == pair)

    def fund(self, purse: str, token: str, amount: str) -> None:
        """Put tokens into a purse, from nowhere."""
        self.purses[purse][token] += Decimal(amount)

    def set_price(self, pair: str, price: str) -> None:
        """Move a market, which fills the orders that were waiting for it."""
        market = self.market(pair)
        market.price = Decimal(price)
        for order in [order for order in self.open_orders() if order.market is market]:
            if order.limit is not None and _crosses(order, market.price):
                self._fill(order, order.left, order.limit, maker=True)
        self.on_event("price", market)
        if market.mark is None:
            self._mark(market)

    def set_mark(self, pair: str, mark: str) -> None:
        """Move what a perpetual is valued at, apart from its price."""
        market = self.market(pair)
        market.mark = Decimal(mark)
        self._mark(market)

    def fill_only(self, *portions: str) -> None:
        """Of each of the next orders only so much is filled when it arrives."""
        self.portions += [Decimal(portion) for portion in portions]

    def fill(self, client_id: str, amount: str, price: str | None = None) -> None:
        """Fill some of an order that waits."""
        order = self.find_order(client_id)
        self._fill(order, Decimal(amount), Decimal(price) if price else order.limit or order.market.price, maker=True)

    def expire(self, client_id: str) -> None:
        """End an order that waits, what is filled stays filled."""
        self._end(self.find_order(client_id), "EXPIRED")

    def trade_by_hand(self, pair: str, amount: str, client_id: str | None = None) -> Order:
        """Buy (> 0) or sell at market, as the owner does on the exchange's own page."""
        market, size = self.market(pair), Decimal(amount)
        return self.place(market, client_id or f"web_{self.number()}", buys=size > 0, amount=abs(size))

    def liquidate(self, pair: str, fee_rate: str = "0.0125") -> None:
        """Take a whole position away at the market's price, for a fee."""
        market, position = self.market(pair), self.positions[pair]
        size = position.size
        worth = market.paid(abs(size), market.price)
        order = self.place(market, f"autoclose-{self.number()}", buys=size < 0, amount=abs(size))
        self._earn("INSURANCE_CLEAR", market, -worth * Decimal(fee_rate))
        order.status = "FILLED"

    def deleverage(self, pair: str, amount: str) -> None:
        """Take some of a position away to close somebody else's bankruptcy."""
        buys = self.positions[pair].size < 0
        self.place(self.market(pair), f"adl_autoclose-{self.number()}", buys=buys, amount=Decimal(amount))

    def pay_funding(self, pair: str, rate: str) -> None:
        """Settle funding on what is held, and publish the rate."""
        market, position = self.market(pair), self.positions[pair]
        market.settled.append(Settled(self.clock.ms, Decimal(rate), market.mark_price))
        if position.size:
            sign = 1 if position.size > 0 else -1
            worth = market.paid(abs(position.size), market.price)
            self._earn("FUNDING_FEE", market, -sign * worth * Decimal(rate))

    def deposit(self, token: str, amount: str) -> Deposit:
        """Credit tokens from outside."""
        arrived = Deposit(f"dep{self.number()}", token, Decimal(amount), self.clock.ms)
        self.deposits.append(arrived)
        self.purses[self.home][token] += arrived.amount
        return arrived

    def complete_withdrawals(self) -> None:
        """Let everything that is on its way out arrive."""
        for withdrawal in self.withdrawals:
            withdrawal.status = 6

    # What the dialects ask.

    def purse_of(self, kind: Kind) -> str:
        """The purse behind a kind of market."""
        return "unified" if self.unified else kind.value

    def number(self) -> int:
        """A number nothing else has."""
        return next(self._numbers)

    def open_orders(self) -> list[Order]:
        """Orders of which more may be filled."""
        return [order for order in self.orders if order.is_open]

    def orders_of(self, client_id: str) -> Iterator[Order]:
        """Orders of one id, the newest first: an id may be used again once its order has ended."""
        return (order for order in reversed(self.orders) if order.client_id == client_id)

    def find_order(self, client_id: str) -> Order:
        """The newest order of an id."""
        found = next(self.orders_of(client_id), None)
        if found is None:
            raise Refused("no such order")
        return found

    def place(
        self,
        market: Market,
        client_id: str,
        *,
        buys: bool,
        amount: Decimal,
        limit: Decimal | None = None,
        maker_only: bool = False,
        immediate: bool = False,
        reduce_only: bool = False,
    ) -> Order:
        """Take an order and match it against the market's price."""
        amount = self._admit(market, client_id, buys, amount, limit, reduce_only)
        now = self.clock.ms
        order = Order(
            self.number(), client_id, market, buys, amount, limit, maker_only, immediate, reduce_only, now, now
        )
        crossing = limit is None or _crosses(order, market.price)
        if maker_only and crossing:
            if market.kind is Kind.SPOT and self.spot_refuses_takers:
                raise Refused("would take")
            self.orders.append(order)
            self._end(order, "EXPIRED")
            return order
        self.orders.append(order)
        self.on_event("order", order)
        if crossing:
            self._fill(order, min(self.portions.pop(0), amount) if self.portions else amount, market.price)
        if order.is_open and (limit is None or immediate):
            self._end(order, "EXPIRED")
        return order

    def cancel(self, order: Order) -> None:
        """End an order that waits."""
        if not order.is_open:
            raise Refused("nothing to cancel")
        self._end(order, "CANCELED")

    def place_stop(self, market: Market, client_id: str, *, buys: bool, trigger: Decimal, takes_profit: bool) -> Stop:
        """Keep a stop, one of each kind for a direction; one whose trigger is reached already is refused."""
        waiting = [stop for stop in self.stops if stop.waits]
        if any(stop.client_id == client_id for stop in waiting):
            raise Refused("duplicate id")
        if trigger <= 0 or trigger % market.tick:
            raise Refused("tick")
        stop = Stop(self.number(), client_id, market, buys, trigger, takes_profit, self.clock.ms)
        if stop.is_met():
            raise Refused("would trigger")
        same = (market, buys, takes_profit)
        if any((other.market, other.buys, other.takes_profit) == same for other in waiting):
            raise Refused("stop exists")
        self.stops.append(stop)
        return stop

    def cancel_stop(self, stop: Stop) -> None:
        """End a stop that waits."""
        if not stop.waits:
            raise Refused("nothing to cancel")
        stop.status = "CANCELED"

    def find_stop(self, kind: str) -> Stop:
        """The only stop that waits, by what it does: `loss` or `profit`."""
        (found,) = [stop for stop in self.stops if stop.waits and stop.takes_profit is (kind == "profit")]
        return found

    def free(self, purse: str, token: str) -> Decimal:
        """What of a purse is not bound by waiting orders or positions."""
        bound = ZERO
        for order in self.open_orders():
            market = order.market
            if market.kind is Kind.SPOT and purse == self.purse_of(Kind.SPOT) and order.limit is not None:
                paying = market.quote if order.buys else market.base
                bound += (order.left * order.limit if order.buys else order.left) if paying == token else ZERO
        return self.purses[purse][token] - bound - self.initial_margin(purse, token)

    def initial_margin(self, purse: str, token: str) -> Decimal:
        """What positions bind of a purse."""
        held = [(m, self.positions[m.pair]) for m in self.markets.values() if m.kind is not Kind.SPOT]
        return sum(
            (
                m.paid(abs(p.size), m.price) / m.leverage
                for m, p in held
                if self.purse_of(m.kind) == purse and m.margin == token
            ),
            ZERO,
        )

    def move(self, source: str, target: str, route: str, token: str, amount: Decimal, name: str = "") -> Transfer:
        """Move tokens between purses."""
        if name and any(row.name == name for row in self.transfers):
            raise Refused("transfer id used")
        if amount <= 0 or self.free(source, token) < amount:
            raise Refused("transfer exceeds balance")
        self.purses[source][token] -= amount
        self.purses[target][token] += amount
        done = Transfer(route, token, amount, self.clock.ms, self.number(), name)
        self.transfers.append(done)
        for purse, signed in ((source, -amount), (target, amount)):
            if purse in (Kind.LINEAR, Kind.INVERSE):
                self.income.append(Income("TRANSFER", Kind(purse), "", token, signed, self.clock.ms, done.number))
        return done

    def withdraw(self, client_id: str, token: str, network: str, address: str, amount: Decimal) -> Withdrawal:
        """Send tokens away; the fee is taken from the amount."""
        if self.free(self.home, token) < amount:
            raise Refused("withdrawal exceeds balance")
        if client_id and any(row.client_id == client_id for row in self.withdrawals):
            raise Refused("withdrawal id used")
        self.purses[self.home][token] -= amount
        fee = self.withdrawal_fee
        sent = Withdrawal(f"wd{self.number()}", client_id, token, network, address, amount - fee, fee, self.clock.ms)
        self.withdrawals.append(sent)
        return sent

    def run_countdowns(self) -> None:
        """Cancel what a countdown that has run out is to cancel."""
        for pair, until in list(self.countdown.items()):
            if until <= self.clock.ms:
                del self.countdown[pair]
                for order in self.open_orders():
                    if order.market.pair == pair:
                        self._end(order, "CANCELED")

    def _admit(
        self, market: Market, client_id: str, buys: bool, amount: Decimal, limit: Decimal | None, reduce_only: bool
    ) -> Decimal:
        if not market.trading:
            raise Refused("market closed")
        if not self.may_trade:
            raise Refused("no permission")
        if any(order.is_open or self.ids_serve_once for order in self.orders_of(client_id)):
            raise Refused("duplicate id")
        if amount <= 0 or amount % market.lot or (limit is None and amount > market.max_market):
            raise Refused("lot")
        if limit is not None and (limit <= 0 or limit % market.tick):
            raise Refused("tick")
        if (
            market.kind is not Kind.INVERSE
            and amount * (limit or market.price) < market.min_notional
            and not reduce_only
        ):
            raise Refused("notional")
        if market.kind is Kind.SPOT:
            paying = market.quote if buys else market.base
            if self.free(self.purse_of(Kind.SPOT), paying) < (amount * (limit or market.price) if buys else amount):
                raise Refused("balance")
            return amount
        size = self.positions[market.pair].size
        shrinks = size and (size > 0) != buys
        if reduce_only:
            if not shrinks:
                raise Refused("reduce only")
            return min(amount, abs(size))
        opened = amount if not shrinks else max(amount - abs(size), ZERO)
        needed = market.paid(opened, limit or market.price) / market.leverage
        if self.free(self.purse_of(market.kind), market.margin) < needed:
            raise Refused("margin")
        return amount

    def _fill(self, order: Order, amount: Decimal, price: Decimal, *, maker: bool = False) -> None:
        if amount <= 0:
            return
        market = order.market
        worth = market.paid(amount, price)
        order.filled += amount
        order.paid += worth
        order.updated_ms = self.clock.ms
        order.status = "FILLED" if not order.left else "PARTIALLY_FILLED"
        rate, purse = market.maker if maker else market.taker, self.purses[self.purse_of(market.kind)]
        realised = ZERO
        if market.kind is Kind.SPOT:
            sign = 1 if order.buys else -1
            currency = market.base if order.buys else market.quote
            fee = _rounded((amount if order.buys else worth) * rate)
            purse[market.base] += sign * amount
            purse[market.quote] -= sign * worth
        else:
            currency = market.margin
            fee = _rounded(worth * rate)
            signed = amount if order.buys else -amount
            realised = _rounded(self.positions[market.pair].take(market, signed, price))
        purse[currency] -= fee
        trade = Fill(self.number(), order, amount, price, fee, currency, maker, realised, self.clock.ms)
        self.trades.append(trade)
        order.trades.append(trade)
        if market.kind is not Kind.SPOT:
            self.income.append(
                Income("COMMISSION", market.kind, market.symbol, currency, -fee, self.clock.ms, trade.trade_id)
            )
            if realised:
                self._earn("REALIZED_PNL", market, realised)
        self.on_event("trade", trade)

    def _earn(self, kind: str, market: Market, amount: Decimal) -> None:
        paid = _rounded(amount)
        self.purses[self.purse_of(market.kind)][market.margin] += paid
        self.income.append(Income(kind, market.kind, market.symbol, market.margin, paid, self.clock.ms, self.number()))
        self.on_event("income", self.income[-1])

    def _mark(self, market: Market) -> None:
        market.marks.append((self.clock.ms, market.mark_price))
        if market.kind is not Kind.SPOT:
            self.on_event("mark", market)
        for stop in [stop for stop in self.stops if stop.market is market and stop.waits and stop.is_met()]:
            self._fire(stop)

    def _fire(self, stop: Stop) -> None:
        """The position is closed at the market's price; without one there is nothing to close."""
        size = self.positions[stop.market.pair].size
        if not size or (size < 0) is not stop.buys:
            stop.status = "EXPIRED"
            return
        stop.order = self.place(stop.market, stop.client_id, buys=stop.buys, amount=abs(size), reduce_only=True)
        stop.status = "FINISHED"

    def _end(self, order: Order, status: str) -> None:
        order.status = status
        order.updated_ms = self.clock.ms
        self.on_event("end", order)


def _crosses(order: Order, price: Decimal) -> bool:
    assert order.limit is not None
    return order.limit >= price if order.buys else order.limit <= price


def _rounded(value: Decimal) -> Decimal:
    """As books are kept: eight digits after the point."""
    return value.quantize(EPS)
