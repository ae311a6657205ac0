"""Turns price paths into bars: open, high, low, close and volume at any step.

A bar opens at the close before it. High and low are the extremes of a Brownian bridge between open and close, drawn
from their exact marginal laws; all venues of a coin share the draw, so their extremes agree as they do in reality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from basis_actors.data.synthetic_paths import Array, Paths

__all__ = ["BarGrid", "Extremes", "bars"]


@dataclass(frozen=True, slots=True)
class BarGrid:
    """Which bars are wanted: the first moment, how many bars, and how many moments of the path make one."""

    start: int
    count: int
    moments: int


@dataclass(frozen=True, slots=True)
class Extremes:
    """For every step of a path: its variance and two exponential draws that place its high and low."""

    variance: Array
    above: Array
    below: Array

    @classmethod
    def draw(cls, paths: Paths, name: str, variance: Array) -> Extremes:
        """Draw for the path called `name`; `variance` is that of the log return of each step."""
        above, below = (
            (paths.white(f"{name}/{side}/a") ** 2 + paths.white(f"{name}/{side}/b") ** 2) / 2.0
            for side in ("above", "below")
        )
        return cls(variance, above, below)


def bars(log_price: Array, extremes: Extremes, grid: BarGrid, decimals: int | None) -> dict[str, Array]:
    """Open, high, low, close of a path of log prices; prices are rounded to `decimals` where that is given."""
    steps = slice(grid.start, grid.start + grid.count * grid.moments)
    left = log_price[steps]
    right = log_price[grid.start + 1 : steps.stop + 1]
    middle = (left + right) / 2.0
    square = (right - left) ** 2
    double = 2.0 * extremes.variance[steps]
    high = middle + np.sqrt(square + double * extremes.above[steps]) / 2.0
    low = middle - np.sqrt(square + double * extremes.below[steps]) / 2.0
    if grid.moments > 1:
        shape = (grid.count, grid.moments)
        high = high.reshape(shape).max(axis=1)
        low = low.reshape(shape).min(axis=1)
        left = left[:: grid.moments]
        right = right[grid.moments - 1 :: grid.moments]
    # The bridge touches open and close in the limit, so rounding could leave an extreme a hair inside them.
    high = np.maximum(high, np.maximum(left, right))
    low = np.minimum(low, np.minimum(left, right))
    columns = {"open": np.exp(left), "high": np.exp(high), "low": np.exp(low), "close": np.exp(right)}
    if decimals is None:
        return columns
    return {name: values.round(decimals) for name, values in columns.items()}
