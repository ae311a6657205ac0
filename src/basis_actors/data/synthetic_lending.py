"""Generates lending reserves: utilization moves, the rate curve follows, the indices are the integral of the rates.

Rates move hourly, rows are daily snapshots, so a row's rate and the growth of the index after it differ as they do on
chain, where one block a day does not see how long a spike lasts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from basis_actors.config.synthetic import AaveReserve
from basis_actors.data.synthetic_paths import Array, Paths, blend, quantile_map

__all__ = ["ReservePaths", "idle_columns"]

_HOURS_PER_YEAR = 8760.0
_FULLEST = 0.97
"""Utilization that spikes do not exceed."""
_VOTE_DAYS = 28
"""Days between changes of a curve by governance."""


@dataclass(frozen=True, slots=True)
class ReservePaths:
    """One reserve from the origin to the end of the window; indices have their calibrated values at day `epoch`."""

    name: str
    """Of its random numbers: `aave/WETH`."""
    reserve: AaveReserve
    paths: Paths
    """Hourly, from the origin."""
    demand: Array
    epoch: int

    def daily(self) -> dict[str, Array]:
        """The columns of a reserve's rates for every midnight since the origin."""
        reserve = self.reserve
        utilization = self._utilization()
        borrow = self._borrow_rate(utilization)
        supply = borrow * utilization * (1.0 - reserve.reserve_factor)
        # Aave accrues supply linearly from one update to the next and debt continuously; updates are taken hourly.
        grown_supply = _integral(np.log1p(supply / _HOURS_PER_YEAR))
        grown_debt = _integral(borrow / _HOURS_PER_YEAR)
        midnight = slice(None, None, 24)
        size = reserve.supplied
        supplied = size.level * np.exp(size.sd * self.paths.midnights(f"{self.name}/supplied", size.days)[:-1])
        return {
            "liquidity_rate_apr": supply[midnight],
            "variable_borrow_rate_apr": borrow[midnight],
            "liquidity_index": reserve.index[0] * np.exp(grown_supply - grown_supply[self.epoch]),
            "variable_borrow_index": reserve.index[1] * np.exp(grown_debt - grown_debt[self.epoch]),
            "utilization": utilization[midnight],
            "total_supplied": supplied,
            "total_variable_debt": supplied * utilization[midnight],
        }

    def _utilization(self) -> Array:
        reserve, name = self.reserve, f"{self.name}/utilization"
        own_share = 1.0 - sum(part.share for part in reserve.fast)
        parts = [(own_share, self.paths.smooth(name, reserve.own_days, reserve.smooth_hours))]
        parts += [
            (part.share, self.paths.wander(f"{name}/{number}", part.days)) for number, part in enumerate(reserve.fast)
        ]
        rest = math.sqrt(1.0 - reserve.demand**2)
        usual = quantile_map(reserve.demand * self.demand + rest * blend(parts), reserve.utilization)
        spikes = reserve.spikes
        excess = self.paths.wander(f"{name}/spikes", spikes.days) - spikes.above
        return np.minimum(usual + spikes.size * np.maximum(excess, 0.0), np.maximum(usual, _FULLEST))

    def _borrow_rate(self, utilization: Array) -> Array:
        curve, votes = self.reserve.curve, self.reserve.governance
        own = self.paths.midnights(f"{self.name}/governance", votes.days)[:-1]
        opinion = votes.demand * self.demand[::24] + math.sqrt(1.0 - votes.demand**2) * own
        day = np.arange(opinion.size)
        in_force = opinion[day - day % _VOTE_DAYS]
        slope1 = np.repeat(curve.slope1 * np.exp(votes.sd * in_force - votes.sd**2 / 2.0), 24)
        below = np.minimum(utilization / curve.optimal, 1.0)
        above = np.maximum(utilization - curve.optimal, 0.0) / (1.0 - curve.optimal)
        return curve.base + slope1 * below + curve.slope2 * above


def idle_columns(size: int) -> dict[str, Array]:
    """The rate columns of `size` days of a token that is held as collateral and lent to nobody."""
    nothing, one = np.zeros(size), np.ones(size)
    return {
        "liquidity_rate_apr": nothing,
        "variable_borrow_rate_apr": nothing,
        "liquidity_index": one,
        "variable_borrow_index": one,
        "utilization": nothing,
    }


def _integral(growth: Array) -> Array:
    """Growth since the origin at every midnight; `growth` is that of each hour."""
    return np.concatenate(([0.0], np.cumsum(growth)))[:-1:24]
