"""Generates staked tokens, oracle prices and yields: daily protocol rates, hourly market rates, daily oracles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from basis_actors.config.synthetic import Quantiles, StakedToken, Staking
from basis_actors.data.synthetic_paths import Array, Draws, Paths, blend, quantile_map

__all__ = ["StakingPaths", "protocol_rate"]

_SMOOTHED_HOURS = 24


def protocol_rate(draws: Draws, name: str, token: StakedToken, days: int, epoch: int) -> Array:
    """ETH per token at every midnight from the origin, `days` + 1 values; `token.rate` at day `epoch`."""
    growth = quantile_map(_echoed(draws, f"staking/{name}", token.echo, days), token.growth) / 36500.0
    level = np.concatenate(([0.0], np.cumsum(growth)))
    rates: Array = token.rate * np.exp(level - level[epoch])
    return rates


@dataclass(frozen=True, slots=True)
class StakingPaths:
    """Everything around staked ETH in one window of hourly paths."""

    model: Staking
    paths: Paths

    def market_rate(self, name: str, token: StakedToken, midnights: Array) -> Array:
        """ETH per token on the market, hourly; `midnights` are the protocol rates of the window's midnights and
        one more, between which the market accrues evenly."""
        parts = [
            (share, self.paths.smooth(f"staking/{name}/premium/{number}", days, _SMOOTHED_HOURS))
            for number, (share, days) in enumerate(zip(token.premium_shares, token.premium_days, strict=True))
        ]
        premium = quantile_map(blend(parts), token.premium)
        logs = np.log(midnights)
        accrued = logs[:-1, None] + np.diff(logs)[:, None] * (np.arange(24) / 24.0)
        return np.exp(accrued.ravel()) * (1.0 + 1e-4 * premium)

    def usdt_usd(self) -> Array:
        """Oracle price of USDT at every midnight."""
        return 1.0 + 1e-4 * self._daily("oracle/USDT", self.model.usdt_usd.days, self.model.usdt_usd.table)

    def weth_usd(self, eth_usdt: Array) -> Array:
        """Oracle price of WETH at every midnight, given the exchange price then."""
        noise = self._daily("oracle/WETH", self.model.weth_usd.days, self.model.weth_usd.table)
        return eth_usdt * (1.0 + 1e-4 * noise)

    def susde_apy(self, demand: Array) -> Array:
        """sUSDe yield in percent; `demand` at every midnight."""
        model = self.model.susde_apy
        own = self.paths.midnights("yield/susde", model.days)[:-1]
        return quantile_map(model.demand * demand + math.sqrt(1.0 - model.demand**2) * own, model.table)

    def etherfi_apy(self) -> dict[str, Array]:
        """ether.fi base and reward yield in percent at every midnight."""
        model, paths = self.model, self.paths
        base = _echoed(paths.draws, "yield/etherfi", model.etherfi_base_apy.echo, paths.first + paths.days)
        reward = model.etherfi_reward_apy
        return {
            "base_apy_pct": quantile_map(base[paths.first :], model.etherfi_base_apy.table),
            "reward_apy_pct": self._daily("yield/etherfi/reward", reward.days, reward.table),
        }

    def _daily(self, name: str, days: float, table: Quantiles) -> Array:
        return quantile_map(self.paths.midnights(name, days)[:-1], table)


def _echoed(draws: Draws, name: str, echo: float, days: int) -> Array:
    """Standard normal scores of the days from the origin, each with a share of the shock of the day before."""
    shocks = draws.normal(name, 0, days, 1).ravel()
    before = np.concatenate(([0.0], shocks[:-1]))
    return (shocks + echo * before) / math.sqrt(1.0 + echo * echo)
