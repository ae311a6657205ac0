"""Defines what the builders of synthetic series share: window, paths, demand, and the way from days to stamps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from basis_actors.config.synthetic import Calibration, Coin
from basis_actors.data.stamps import DAY
from basis_actors.data.synthetic_paths import Array, Paths, blend
from basis_actors.data.synthetic_prices import Rhythm, SpotPath, Walks

__all__ = ["Market"]

_MONDAY = 3
"""1970-01-01 was a Thursday, 3 counted from Monday."""


@dataclass(frozen=True)
class Market:
    """One window of the market: `paths` begin one day before its first rows and end after its last."""

    model: Calibration
    paths: Paths
    origin_ns: int
    """Midnight of day 0 of all paths."""
    epoch: int
    """Day at which prices, indices and rates have their calibrated levels."""
    step_ns: int
    """Distance of exchange and pool bars."""

    @cached_property
    def weekday(self) -> int:
        """Weekday of the origin, Monday 0."""
        return (self.origin_ns // DAY + _MONDAY) % 7

    @cached_property
    def demand(self) -> Array:
        """Demand for leverage at every moment of the window, standard normal."""
        return self._demand(self.paths)

    @cached_property
    def hourly_demand_since_origin(self) -> Array:
        """Demand at every hour since the origin."""
        return self._demand(self.paths.since_origin(24))

    @cached_property
    def walks(self) -> Walks:
        """The random walks of all prices."""
        return Walks(self.model.prices, self.paths, self.weekday, self.epoch, self.hourly_demand_since_origin[::24])

    @cached_property
    def coins(self) -> tuple[dict[Coin, SpotPath], dict[Coin, Rhythm]]:
        """Spot paths and rhythms of variance, by coin."""
        return self.walks.coins()

    @property
    def per_hour(self) -> int:
        """Moments of the paths in an hour."""
        return self.paths.per_day // 24

    def stamps(self, per_day: int) -> NDArray[np.int64]:
        """Stamps of the window, `per_day` a day."""
        return self.stamps_of_days(self.paths.first, self.paths.days, per_day)

    def stamps_of_days(self, first: int, days: int, per_day: int) -> NDArray[np.int64]:
        """Stamps of `days` days from day `first`, `per_day` a day."""
        step = DAY // per_day
        return self.origin_ns + first * DAY + np.arange(days * per_day, dtype=np.int64) * step

    def _demand(self, paths: Paths) -> Array:
        model = self.model.demand
        parts = [
            (share, paths.wander(f"demand/{number}", days))
            for number, (share, days) in enumerate(zip(model.shares, model.constants_days, strict=True))
        ]
        return blend(parts)
