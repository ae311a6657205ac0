"""Defines what a model looks at and what it is to foretell, as pure functions of rows of the past.

A row of features at position i is made of rows up to i only. A label at i compares the price `horizon` rows later, so
it is known from then on and not before.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["features_at", "horizon_sd", "labels_of", "lookback", "newest_features"]

Rows = NDArray[np.float64]
_RETURN_WINDOWS: Final = (1 / 24, 1 / 6, 1 / 2, 1, 3, 7)
"""In horizons: of a day, one, four, twelve hours, one, three and seven days."""
_VOLATILITY_WINDOWS: Final = (1, 7)
_FUNDING_WINDOW: Final = 7


@lru_cache
def _ticks(windows: tuple[float, ...], horizon: int) -> tuple[int, ...]:
    """Windows in rows, at least one each, none twice."""
    return tuple(dict.fromkeys(max(1, round(window * horizon)) for window in windows))


def lookback(horizon: int) -> int:
    """Rows before a row that its features are made of."""
    return 7 * horizon + 1


def features_at(rows: Rows, begin: int, horizon: int) -> Rows:
    """Features of rows `begin` and later, one row each; NaN where something they need is not known.

    `begin` is at least `lookback(horizon)`. Columns: log returns over six windows, standard deviation of the returns of
    one row over two windows, the last funding rate and its mean, the basis.
    """
    if begin < lookback(horizon):
        raise ValueError(f"features of row {begin} need {lookback(horizon)} rows before it")
    past = rows[begin - lookback(horizon) :]
    price, funding, basis = past.T
    first, count = lookback(horizon), len(past) - lookback(horizon)
    columns = [
        price[first:] - price[first - window : len(past) - window] for window in _ticks(_RETURN_WINDOWS, horizon)
    ]
    steps = np.diff(price)
    spreads = (window for window in _ticks(_VOLATILITY_WINDOWS, horizon) if window > 1)
    columns.extend(_rolling_sd(steps, window)[-count:] for window in spreads)
    columns.append(funding[first:])
    columns.append(_rolling_mean(funding, _FUNDING_WINDOW * horizon)[-count:])
    columns.append(basis[first:])
    return np.column_stack(columns)


def _rolling_mean(values: Rows, window: int) -> Rows:
    """Mean of each `window` values in a row, in one pass whatever the window; NaN where one of them is."""
    blank = np.isnan(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(blank, 0.0, values))))
    blanks = np.concatenate(([0], np.cumsum(blank)))
    means = (sums[window:] - sums[:-window]) / window
    return np.where(blanks[window:] > blanks[:-window], np.nan, means)


def _rolling_sd(values: Rows, window: int) -> Rows:
    """Standard deviation of each `window` values in a row."""
    variance = _rolling_mean(values**2, window) - _rolling_mean(values, window) ** 2
    return np.sqrt(np.maximum(variance, 0.0))


def newest_features(rows: Rows, horizon: int) -> Rows:
    """The last row of `features_at`, without the cost of a table. Raises ValueError for too few rows before it."""
    if len(rows) <= lookback(horizon):
        raise ValueError(f"features of row {len(rows) - 1} need {lookback(horizon)} rows before it")
    price, funding, basis = rows[-lookback(horizon) - 1 :].T
    steps = price[1:] - price[:-1]
    now = price[-1]
    return np.array(
        [
            *(now - price[-1 - window] for window in _ticks(_RETURN_WINDOWS, horizon)),
            *(steps[-window:].std() for window in _ticks(_VOLATILITY_WINDOWS, horizon) if window > 1),
            funding[-1],
            funding[-_FUNDING_WINDOW * horizon :].mean(),
            basis[-1],
        ]
    )


def labels_of(rows: Rows, horizon: int) -> Rows:
    """1 where the price is higher `horizon` rows later, 0 where it is not, NaN where that is not known (yet)."""
    price = rows[:, 0]
    labels = np.full(len(price), np.nan)
    change = price[horizon:] - price[: max(0, len(price) - horizon)]
    labels[: len(change)] = np.where(np.isnan(change), np.nan, change > 0.0)
    return labels


def horizon_sd(rows: Rows, horizon: int, window: int) -> float | None:
    """Standard deviation of the log returns over `horizon` that ended in the last `window` rows.

    None when fewer than half of them are known, or the price did not move.
    """
    price = rows[-(window + horizon) :, 0]
    change = price[horizon:] - price[: max(0, len(price) - horizon)]
    known = change[~np.isnan(change)]
    if len(known) < max(2, window // 2):
        return None
    sd = float(known.std(ddof=1))
    return sd if sd > 0.0 else None
