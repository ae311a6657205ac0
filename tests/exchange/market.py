"""Defines what is traded at the local exchange, and what stands in its books: orders, trades, positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


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
    trades: list[Trade] = field(default_factory=list)

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
class Trade:
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
