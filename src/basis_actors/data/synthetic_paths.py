"""Builds random paths that can be sampled on any window: a daily skeleton from a fixed origin, refined by bridges.

The value of a path at a moment depends on the seed, the path's name and the moment, never on the window asked for.
Days are drawn forward from the origin; hours fill the days between two known midnights, and finer steps fill the
hours, each with the exact conditional law. Random numbers come from one generator per name and calendar block.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Draws", "Paths", "blend", "quantile_map"]

Array = NDArray[np.float64]

_BLOCK_DAYS = 32
"""Days whose random numbers come from one generator."""
_HOURS = 24


@dataclass(frozen=True, slots=True)
class Draws:
    """Standard normal numbers, addressed by name and day."""

    seed: int

    def normal(self, name: str, first: int, days: int, per_day: int) -> Array:
        """Numbers for `days` days from day `first` (counted from the origin), shape (days, per_day)."""
        key = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], dtype="<u4").tolist()
        low, high = first // _BLOCK_DAYS, (first + days - 1) // _BLOCK_DAYS
        blocks = []
        for block in range(low, high + 1):
            child = np.random.SeedSequence(self.seed, spawn_key=(*key, per_day, block))
            blocks.append(np.random.Generator(np.random.PCG64(child)).standard_normal((_BLOCK_DAYS, per_day)))
        start = first - low * _BLOCK_DAYS
        return np.concatenate(blocks)[start : start + days]


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths over `days` days from day `first`, with `per_day` moments a day (a multiple of 24), midnight first."""

    draws: Draws
    first: int
    days: int
    per_day: int

    @property
    def hourly(self) -> Paths:
        """The same window with one moment an hour."""
        return Paths(self.draws, self.first, self.days, _HOURS)

    def since_origin(self, per_day: int) -> Paths:
        """The window from the origin to the end of this one."""
        return Paths(self.draws, 0, self.first + self.days, per_day)

    def white(self, name: str) -> Array:
        """Independent standard normal numbers, one a moment, shape (days x per_day)."""
        return self.draws.normal(f"{name}/white", self.first, self.days, self.per_day).ravel()

    def midnights(self, name: str, days: float) -> Array:
        """Values of `wander` at the midnights of the window and the one after it, shape (days + 1)."""
        return self._skeleton(name, days)[self.first :]

    def wander(self, name: str, days: float) -> Array:
        """A stationary Ornstein-Uhlenbeck path, mean 0, variance 1, correlation exp(-lag / days)."""
        nodes = self._skeleton(name, days)[self.first :]
        path = self._bridge(f"{name}/hours", nodes, days, _HOURS)
        if self.per_day > _HOURS:
            path = self._bridge(f"{name}/steps", path, days, self.per_day)
        return path[:-1]

    def smooth(self, name: str, days: float, hours: int) -> Array:
        """The means of `wander` over the `hours` up to each hour, scaled to variance 1, for hourly paths.

        The first values, for which the window does not reach back far enough, are those of `wander`.
        """
        path = self.wander(name, days)
        lag = np.arange(1, hours)
        variance = (1.0 + 2.0 * np.sum((1.0 - lag / hours) * np.exp(-lag / (_HOURS * days)))) / hours
        means = np.lib.stride_tricks.sliding_window_view(path, hours).mean(axis=1)
        path[hours - 1 :] = means / math.sqrt(variance)
        return path

    def _skeleton(self, name: str, days: float) -> Array:
        count = self.first + self.days + 1
        shocks = self.draws.normal(f"{name}/days", 0, count, 1).ravel()
        keep = math.exp(-1.0 / days)
        noise = math.sqrt(1.0 - keep * keep)
        shocks[1:] *= noise
        return np.fromiter(accumulate(shocks.tolist(), lambda last, shock: keep * last + shock), np.float64, count)

    def _bridge(self, name: str, nodes: Array, days: float, per_day: int) -> Array:
        """Fill the moments between neighbouring nodes, so that there are `per_day` a day."""
        intervals = nodes.size - 1
        steps = per_day * self.days // intervals
        noise = self.draws.normal(name, self.first, self.days, per_day).reshape(intervals, steps)
        filled = np.empty((steps, intervals))
        right = nodes[1:]
        filled[0] = last = nodes[:-1]
        step = math.exp(-1.0 / (days * per_day))
        for index in range(1, steps):
            rest = step ** (steps - index)
            inverse = 1.0 / (1.0 - (step * rest) ** 2)
            by_last = step * (1.0 - rest * rest) * inverse
            by_right = rest * (1.0 - step * step) * inverse
            spread = math.sqrt((1.0 - step * step) * (1.0 - rest * rest) * inverse)
            last = by_last * last + by_right * right + spread * noise[:, index]
            filled[index] = last
        return np.append(filled.T.ravel(), nodes[-1])


def blend(parts: Sequence[tuple[float, Array]]) -> Array:
    """Add independent paths of variance 1 by their shares of the variance."""
    total = np.zeros_like(parts[0][1])
    for share, path in parts:
        total += math.sqrt(share) * path
    return total


def quantile_map(score: Array, table: Sequence[tuple[float, float]]) -> Array:
    """Values of a quantile table at standard normal scores, linear in the score, flat beyond the first and last row."""
    normal = NormalDist()
    return np.interp(score, [normal.inv_cdf(p) for p, _ in table], [value for _, value in table])
