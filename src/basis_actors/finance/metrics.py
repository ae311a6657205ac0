"""Defines how a run is judged: return, volatility, Sharpe ratio, drawdown.

Everything starts from an index of flow-adjusted growth, so that money the owner adds or takes is neither profit nor
loss. Volatility, Sharpe ratio and drawdown use that index at 00:00 UTC, one point a day, whatever the tick length.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import fsum, sqrt
from typing import Final

__all__ = [
    "DAYS_PER_YEAR",
    "SHORTEST_TO_ANNUALISE",
    "annualised_return",
    "daily_returns",
    "flow_adjusted_index",
    "growth_factor",
    "is_midnight",
    "max_drawdown",
    "midnight_samples",
    "sharpe_ratio",
    "total_return",
    "volatility",
]

DAYS_PER_YEAR: Final = 365.0
SHORTEST_TO_ANNUALISE: Final = 30.0
"""Days from which a return is compounded to a year. Of less it is the cost of one entry, or one good day, to a power of
more than twelve (GIPS standards do not allow it for less than a year at all).

Volatility and Sharpe ratio are given for less: they scale what a day was like and compound nothing. How much they can
be trusted is another matter: the standard error of a Sharpe ratio of n days is about sqrt(365 / n), 3.5 after 30 days
(Lo 2002)."""
_NS_PER_DAY: Final = 86_400 * 1_000_000_000


def growth_factor(before: float, after: float, flow: float) -> float:
    """Growth of equity from one tick to the next without the money that came in: (after - flow) / before.

    `flow` is what the owner added (> 0) or took (< 0) in between; it lands at the later tick, so it has earned nothing
    yet (time-weighted return, GIPS standards). Same currency for all three. Raises ValueError when `before` is not
    greater than 0, because growth of nothing is not defined.
    """
    if not before > 0.0:
        raise ValueError(f"equity before is {before}; growth needs equity greater than 0")
    return (after - flow) / before


def flow_adjusted_index(equity: Sequence[float], flows: Sequence[float]) -> list[float]:
    """Chained growth factors, 1.0 at the first point; `flows[i]` is what came in between point i - 1 and point i.

    `flows[0]` is ignored: it is in the first equity. Raises ValueError for lengths that differ.
    """
    if len(equity) != len(flows):
        raise ValueError(f"{len(equity)} equities and {len(flows)} flows; each point needs both")
    index: list[float] = []
    for point, now in enumerate(equity):
        if point == 0:
            index.append(1.0)
        else:
            index.append(index[-1] * growth_factor(equity[point - 1], now, flows[point]))
    return index


def is_midnight(ns: int) -> bool:
    """Whether `ns` (nanoseconds since the epoch) is 00:00 UTC."""
    return ns % _NS_PER_DAY == 0


def midnight_samples(ns: Sequence[int], values: Sequence[float]) -> list[float]:
    """The values at 00:00 UTC; both sequences have the same length, times in nanoseconds since the epoch."""
    return [value for moment, value in zip(ns, values, strict=True) if is_midnight(moment)]


def total_return(index: Sequence[float]) -> float:
    """Last over first point minus 1, a fraction. Raises ValueError for an empty index."""
    if not index:
        raise ValueError("the index is empty; a return needs at least one point")
    return index[-1] / index[0] - 1.0


def annualised_return(total: float, days: float) -> float | None:
    """Compound yearly return: (1 + total) ** (365 / days) - 1; `total` is a fraction, `days` may have a fraction.

    None where it has no meaning: for less than `SHORTEST_TO_ANNUALISE` days, for a total loss, and when it is too large
    for a float.
    """
    if days < SHORTEST_TO_ANNUALISE or total <= -1.0:
        return None
    try:
        return float((1.0 + total) ** (DAYS_PER_YEAR / days)) - 1.0
    except OverflowError:
        return None


def daily_returns(index: Sequence[float]) -> list[float]:
    """Return from each 00:00 UTC point to the next, fractions; one fewer than points."""
    return [after / before - 1.0 for before, after in pairwise(index)]


def _deviation(returns: Sequence[float]) -> tuple[float, float] | None:
    count = len(returns)
    if count < 2:
        return None
    mean = fsum(returns) / count
    return mean, sqrt(fsum((value - mean) ** 2 for value in returns) / (count - 1))


def volatility(returns: Sequence[float]) -> float | None:
    """Sample standard deviation of daily returns x sqrt(365), a fraction; None for fewer than two returns."""
    moments = _deviation(returns)
    return None if moments is None else moments[1] * sqrt(DAYS_PER_YEAR)


def sharpe_ratio(returns: Sequence[float]) -> float | None:
    """Mean over sample standard deviation of daily returns x sqrt(365), riskless rate 0 (Sharpe 1994).

    None for fewer than two returns and for returns that do not vary.
    """
    moments = _deviation(returns)
    if moments is None or moments[1] == 0.0:
        return None
    return moments[0] / moments[1] * sqrt(DAYS_PER_YEAR)


def max_drawdown(index: Sequence[float]) -> float:
    """Largest fall from an earlier peak, as a fraction of that peak, 0 or more; 0.0 for fewer than two points."""
    peak, worst = 0.0, 0.0
    for value in index:
        peak = max(peak, value)
        if peak > 0.0:
            worst = max(worst, 1.0 - value / peak)
    return worst
