"""Defines when a simulated exchange liquidates an account, and at which prices.

The test runs on the mark bar that has just closed. Nobody knows how the marks moved inside it, so every position goes
from the mark of the last tick straight to its own adverse extreme, all together; the account is closed where its
margin balance first meets maintenance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from basis_actors.finance.margin import PathLeg, first_breach
from basis_actors.messages.market import MarketState
from basis_actors.venues.simulated.terms import PerpMarket

__all__ = ["HeldPerp", "adverse_mark", "breach_prices"]


class HeldPerp(NamedTuple):
    """An open position of an exchange account."""

    key: str
    quote: str
    """Name of its quotes: `binance:BTC-PERP`."""
    size: float
    entry: float
    line: PerpMarket


def adverse_mark(held: HeldPerp, start: float, market: MarketState) -> float:
    """The worst mark of the bar for this position: the highest for a short, the lowest for a long.

    `start`, the mark of the last tick, where no bar has closed since.
    """
    quote = market.perps[held.quote]
    extreme = quote.mark_high if held.size < 0.0 else quote.mark_low
    if extreme is None:
        return start
    return max(start, extreme) if held.size < 0.0 else min(start, extreme)


def breach_prices(
    cash: float, positions: Iterable[HeldPerp], before: MarketState, now: MarketState
) -> tuple[float, ...] | None:
    """Marks at which margin balance first meets maintenance between two ticks; None when it stays above.

    In the order of `positions`; prices in USDT per base unit.
    """
    legs = []
    for held in positions:
        start = before.perps[held.quote].mark
        assert start is not None, f"{held.quote} was opened without a mark"
        legs.append(PathLeg(held.size, held.entry, start, adverse_mark(held, start, now), held.line.brackets))
    way = first_breach(cash, legs)
    if way is None:
        return None
    return tuple(leg.start + (leg.end - leg.start) * way for leg in legs)
