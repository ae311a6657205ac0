"""Defines what is traded at the local exchange, and what stands in its books: orders, trades, positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

ZERO = Decimal(0)
MINUTE_MS = 60_000


class Candle(NamedTuple):
    """Prices of one minute."""

    begin_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Settled(NamedTuple):
    """Funding of a perpetual as it is published, whoever held it."""

    time_ms: int
    rate: Decimal
    mark: Decimal


class Kind(StrEnum):
    """What a market trades, and the purse that pays for it."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"


@dataclass
class Market:
    """One market at a price that a test sets. Amounts are base units, of an inverse perpetual contracts."""

    pair: str
    symbol: str
    kind: Kind
    base: str
    quote: str
    lot: Decimal
    tick: Decimal
    price: Decimal
    min_notional: Decimal = Decimal(5)
    max_market: Decimal = Decimal(1000)
    contract: Decimal = Decimal(1)
    """USD a contract of an inverse perpetual; base units a contract, where sizes on the wire are contracts."""
    taker: Decimal = Decimal("0.0005")
    maker: Decimal = Decimal("0.0002")
    leverage: int = 20
    cross: bool = True
    most_leverage: int = 50
    trading: bool = True
    mark: Decimal | None = None
    """Its mark price; where the test sets none it is that of the last trade."""
    marks: list[tuple[int, Decimal]] = field(default_factory=list)
    """Every mark price there was, with the time from which it held."""
    settled: list[Settled] = field(default_factory=list)

    @property
    def mark_price(self) -> Decimal:
        """What positions are valued at."""
        return self.price if self.mark is None else self.mark

    def mark_candles(self, begin_ms: int, now_ms: int) -> list[Candle]:
        """The minutes that began at or after `begin_ms`, the oldest first, the last of them not over yet."""
        first = max(begin_ms, self.marks[0][0])
        return [self._candle(begin) for begin in range(-(-first // MINUTE_MS) * MINUTE_MS, now_ms + 1, MINUTE_MS)]

    def _candle(self, begin_ms: int) -> Candle:
        """A minute opens with the mark that held when it began."""
        opened = next(mark for since, mark in reversed(self.marks) if since <= begin_ms)
        seen = [opened, *(mark for since, mark in self.marks if begin_ms < since < begin_ms + MINUTE_MS)]
        return Candle(begin_ms, opened, max(seen), min(seen), seen[-1])

    @property
    def margin(self) -> str:
        """Currency that it pays in."""
        return self.base if self.kind is Kind.INVERSE else self.quote

    def paid(self, amount: Decimal, price: Decimal) -> Decimal:
        """What an amount is worth: quote, of an inverse perpetual its base."""
        return amount * self.contract / price if self.kind is Kind.INVERSE else amount * price


@dataclass
class Order:
    """One order, as the exchange keeps it."""

    order_id: int
    client_id: str
    market: Market
    buys: bool
    amount: Decimal
    limit: Decimal | None
    maker_only: bool
    immediate: bool
    reduce_only: bool
    time_ms: int
    updated_ms: int
    status: str = "NEW"
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    trades: list[Fill] = field(default_factory=list)

    @property
    def left(self) -> Decimal:
        """What is not filled."""
        return self.amount - self.filled

    @property
    def is_open(self) -> bool:
        """Whether more may be filled."""
        return self.status in ("NEW", "PARTIALLY_FILLED")

    @property
    def average(self) -> Decimal:
        """Price of what is filled; 0 while nothing is."""
        if not self.filled:
            return ZERO
        inverse = self.market.kind is Kind.INVERSE
        return self.filled * self.market.contract / self.paid if inverse else self.paid / self.filled


@dataclass
class Stop:
    """An order that waits for a mark price and then closes a whole position."""

    stop_id: int
    client_id: str
    market: Market
    buys: bool
    trigger: Decimal
    takes_profit: bool
    time_ms: int
    status: str = "NEW"
    order: Order | None = None
    """What it has become."""

    @property
    def waits(self) -> bool:
        """Whether it may still fire."""
        return self.status == "NEW"

    def is_met(self) -> bool:
        """Whether the mark has reached its trigger: a loss is cut against the position, a profit taken with it."""
        mark = self.market.mark_price
        return mark >= self.trigger if self.buys is not self.takes_profit else mark <= self.trigger


@dataclass
class Fill:
    """One fill."""

    trade_id: int
    order: Order
    amount: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    maker: bool
    realised: Decimal
    time_ms: int


@dataclass
class Position:
    """What is held of one perpetual."""

    size: Decimal = ZERO
    entry: Decimal = ZERO

    def take(self, market: Market, amount: Decimal, price: Decimal) -> Decimal:
        """Fill `amount` (signed); the profit that it realises, in the margin currency."""
        closing = self.size and (self.size > 0) != (amount > 0)
        closed = min(abs(amount), abs(self.size)) if closing else ZERO
        realised = self._profit(market, closed, price)
        opened = abs(amount) - closed
        before = abs(self.size) - closed
        if opened and not before:
            self.entry = price
        elif opened:
            self.entry = _mean(market, before, self.entry, opened, price)
        self.size += amount
        if not self.size:
            self.entry = ZERO
        return realised

    def unrealised(self, market: Market) -> Decimal:
        """Profit at the market's price, in the margin currency."""
        return self._profit(market, abs(self.size), market.price)

    def _profit(self, market: Market, amount: Decimal, price: Decimal) -> Decimal:
        if not amount:
            return ZERO
        sign = 1 if self.size > 0 else -1
        if market.kind is Kind.INVERSE:
            return sign * amount * market.contract * (1 / self.entry - 1 / price)
        return sign * amount * (price - self.entry)


def _mean(market: Market, held: Decimal, entry: Decimal, bought: Decimal, price: Decimal) -> Decimal:
    if market.kind is Kind.INVERSE:
        return (held + bought) / (held / entry + bought / price)
    return (held * entry + bought * price) / (held + bought)
