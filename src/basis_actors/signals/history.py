"""Defines what a model remembers of the market: one row a tick, as many as it needs and no more."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLUMNS", "MarketHistory"]

COLUMNS: Final = ("log_price", "funding", "basis")
"""Natural log of the perpetual's last price; last settled funding rate; last price / reference price - 1."""


class MarketHistory:
    """The newest rows, on the grid of ticks. What was not known at a tick, and a tick that was missed, is NaN."""

    def __init__(self, keep: int, step_ns: int) -> None:
        """At least the newest `keep` rows are there once so many have come, at most twice as many."""
        self._keep = keep
        self._step_ns = step_ns
        self._rows = np.full((2 * keep, len(COLUMNS)), np.nan)
        self._end = 0
        self.newest_ns: int | None = None
        """Time of the newest row, ns; None before the first."""

    def __len__(self) -> int:
        return self._end

    @property
    def rows(self) -> NDArray[np.float64]:
        """All rows that are there, oldest first, one column each of `COLUMNS`. Not to be changed."""
        return self._rows[: self._end]

    def add(self, ns: int, log_price: float, funding: float, basis: float) -> None:
        """The row of the tick at `ns`. Raises ValueError for one that is not later than the newest."""
        if self.newest_ns is not None:
            distance = ns - self.newest_ns
            if distance <= 0:
                raise ValueError(f"a row of {ns} ns came after one of {self.newest_ns} ns; rows come in order of time")
            missed = min(distance // self._step_ns - 1, self._keep)
            for _ in range(missed):
                self._push((np.nan, np.nan, np.nan))
        self._push((log_price, funding, basis))
        self.newest_ns = ns

    def _push(self, row: tuple[float, float, float]) -> None:
        if self._end == len(self._rows):
            self._rows[: self._keep] = self._rows[-self._keep :]
            self._end = self._keep
        self._rows[self._end] = row
        self._end += 1
