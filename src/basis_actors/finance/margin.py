"""Defines cross margin: bracketed maintenance, margin ratio, the price of liquidation and what a liquidation costs.

One account has cash and perpetuals that share it: linear ones cash in USDT, inverse ones cash in their base asset.
Cash, profit and fees are in that currency, margin tables in USD (1 USDT = 1 USD), prices in USD per base unit, sizes
signed: base units of a linear perpetual, USD notional of an inverse one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import inf
from typing import Final, NamedTuple, Protocol

import msgspec

from basis_actors.finance.contracts import LINEAR, Contract

__all__ = [
    "Bracket",
    "Close",
    "Liquidation",
    "PathLeg",
    "bracket_table",
    "first_breach",
    "initial_margin",
    "inverse_liquidation_price",
    "liquidate",
    "liquidation_price",
    "maintenance_margin",
]


_EDGE: Final = 1e-12
"""Relative width by which brackets overlap, so that rounding at a boundary loses no solution."""


class Bracket(msgspec.Struct, frozen=True, gc=False):
    """One row of a venue's margin table: it holds for a notional in [floor, cap)."""

    floor: float
    cap: float
    rate: float
    """Maintenance margin as a fraction of notional."""
    amount: float
    """Deducted from notional x rate, so that maintenance is continuous over brackets."""
    max_leverage: float


class BracketRow(Protocol):
    """A row of a margin table as configuration has it."""

    @property
    def floor(self) -> float: ...
    @property
    def cap(self) -> float: ...
    @property
    def rate(self) -> float: ...
    @property
    def amount(self) -> float: ...
    @property
    def max_leverage(self) -> float: ...


def bracket_table(rows: Iterable[BracketRow]) -> tuple[Bracket, ...]:
    """A configured margin table, row by row."""
    return tuple(Bracket(row.floor, row.cap, row.rate, row.amount, row.max_leverage) for row in rows)


class PathLeg(NamedTuple):
    """One position on the way from one mark to another."""

    size: float
    entry: float
    start: float
    """Mark at the start of the way."""
    end: float
    brackets: Sequence[Bracket]
    contract: Contract = LINEAR


class Close(NamedTuple):
    """One position that a liquidation closed."""

    price: float
    realised: float


class Liquidation(NamedTuple):
    """What a liquidation books."""

    closes: tuple[Close, ...]
    fee: float


def _bracket(notional: float, brackets: Sequence[Bracket]) -> Bracket:
    return brackets[max(0, bisect_right(brackets, notional, key=lambda row: row.floor) - 1)]


def maintenance_margin(notional: float, brackets: Sequence[Bracket]) -> float:
    """Maintenance margin of a position: notional x rate - amount of its bracket (Binance USD-M leverage brackets).

    Above the last cap the last bracket goes on. Brackets are sorted by floor and not empty.
    """
    row = brackets[0]
    if notional >= row.cap:  # few positions are that large
        row = _bracket(notional, brackets)
    return notional * row.rate - row.amount


def initial_margin(notional: float, brackets: Sequence[Bracket]) -> float:
    """Margin that opening a position needs at least: notional / highest leverage of its bracket.

    Infinite above the last cap: the venue opens no such position.
    """
    row = _bracket(notional, brackets)
    return inf if notional > row.cap else notional / row.max_leverage


def liquidation_price(
    cash: float, size: float, entry: float, brackets: Sequence[Bracket], others: float = 0.0
) -> float | None:
    """Mark price at which margin balance equals maintenance when only this position's price moves.

    Solves cash + others + size x (p - entry) = |size| x p x rate - amount in the bracket where p lands. `others` is
    the sum over the other positions of unrealised PnL minus maintenance. None when no price above 0 does it. For a
    long whose rate reaches 1 there is none either. Source: Binance USD-M liquidation price formula.
    """
    quantity, last = abs(size), brackets[-1]
    free = cash + others - size * entry
    for row in brackets:
        slope = quantity * row.rate - size
        if slope == 0.0:
            continue
        price = (free + row.amount) / slope
        notional = quantity * price
        below_cap = row is last or notional < row.cap * (1.0 + _EDGE)
        if price > 0.0 and below_cap and notional >= row.floor * (1.0 - _EDGE):
            return price
    return None


def inverse_liquidation_price(
    cash: float, notional: float, entry: float, brackets: Sequence[Bracket], others: float = 0.0
) -> float | None:
    """Mark price at which the margin balance of an inverse position of signed USD notional N equals maintenance.

    Cash and `others` (see `liquidation_price`) are in the base asset. The bracket is that of |N|, whatever the price:
    maintenance is M = |N| x rate - amount in USD, M / p in the base asset. So cash + others + N (1/entry - 1/p) = M / p
    gives p = (N + M) / (cash + others + N / entry). None for a short whose cash covers its whole notional: no rise
    liquidates it. None too for a long that owes more than it holds, which no price saves. Source: Binance COIN-M
    liquidation price formula, with its maintenance amount counted in USD.
    """
    owed = notional + maintenance_margin(abs(notional), brackets)
    held = cash + others + notional / entry
    price = owed / held if held != 0.0 else 0.0
    return price if price > 0.0 else None


def _surplus(cash: float, legs: Sequence[PathLeg], way: float) -> float:
    surplus = cash
    for size, entry, start, end, brackets, contract in legs:
        price = contract.between(start, end, way)
        maintenance = maintenance_margin(contract.notional(size, price), brackets) * contract.per_quote(price)
        surplus += contract.upnl(size, entry, price) - maintenance
    return surplus


def first_breach(cash: float, legs: Sequence[PathLeg]) -> float | None:
    """How far along the way, 0 to 1, margin balance first falls to maintenance; None when it stays above.

    All legs move together from `start` to `end`, each as its profit does: a linear one in price, an inverse one in
    1 / price. So margin balance minus maintenance is linear between the points where a notional changes its bracket
    (that of an inverse one never does), and the first zero is found exactly.
    """
    before = _surplus(cash, legs, 0.0)
    if before <= 0.0:
        return 0.0
    done = 0.0
    for way in _kinks(legs):
        now = _surplus(cash, legs, way)
        if now <= 0.0:
            return done + (way - done) * before / (before - now)
        before, done = now, way
    return None


def _kinks(legs: Iterable[PathLeg]) -> list[float]:
    kinks = {1.0}
    for leg in legs:
        start = leg.contract.notional(leg.size, leg.start)
        move = leg.contract.notional(leg.size, leg.end) - start
        if move == 0.0:
            continue
        for row in leg.brackets:
            way = (row.floor - start) / move
            if 0.0 < way < 1.0:
                kinks.add(way)
    return sorted(kinks)


def liquidate(
    cash: float, positions: Sequence[tuple[float, float, float]], fee_rate: float, contract: Contract = LINEAR
) -> Liquidation:
    """Close every (size, entry, price) of an account whose cash is `cash`, with a fee on the notional closed.

    The account cannot end below zero. The fee (`fee_rate`, a fraction of notional at the close) takes at most what the
    closes leave. Where the closes alone would lose more than there is, each is moved to an effective price in favour
    of the account, in proportion to notional, at which it ends at exactly zero; the venue's insurance fund bears the
    difference, and there is no fee. So every close realises the profit of its size at the price that is returned.
    """
    closes = [Close(price, contract.upnl(size, entry, price)) for size, entry, price in positions]
    notionals = [contract.notional(size, price) * contract.per_quote(price) for size, _, price in positions]
    total = sum(notionals)
    left = cash + sum(close.realised for close in closes)
    if left >= 0.0:
        return Liquidation(tuple(closes), min(total * fee_rate, left))
    capped = []
    for (size, entry, _), close, notional in zip(positions, closes, notionals, strict=True):
        realised = close.realised - left * notional / total
        capped.append(Close(contract.exit_price(size, entry, realised), realised))
    return Liquidation(tuple(capped), 0.0)
