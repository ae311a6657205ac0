"""Assembles the on-chain series: reserves of Aave and Morpho, oracles, staked tokens, yields, gas and rewards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.dataset import Series
from basis_actors.data.stamps import DAY, HOUR
from basis_actors.data.synthetic_gas import gas_columns
from basis_actors.data.synthetic_lending import ReservePaths, idle_columns
from basis_actors.data.synthetic_market import Market
from basis_actors.data.synthetic_paths import Array
from basis_actors.data.synthetic_rewards import eigen_weekly, ethfi_topups
from basis_actors.data.synthetic_staking import StakingPaths, protocol_rate

__all__ = ["chain_series"]

_BLOCK_AT_2024 = 18_908_894
_SECONDS_AT_2024 = 1_704_067_200
_SECONDS_PER_BLOCK = 12.12
"""Block numbers are nominal: the first block read in 2024, and from there the mean distance of blocks."""


def chain_series(market: Market) -> Iterator[Series]:
    """Yield all series that are not below `cex/` or `dex/`, at least for the window of the paths."""
    yield from _reserves(market)
    yield from _staking(market)
    yield _gas(market)
    yield from _rewards(market)


def _reserves(market: Market) -> Iterator[Series]:
    paths = market.paths.since_origin(24)
    stamps = market.stamps_of_days(0, paths.days, 1)
    lending = market.model.lending
    pools = {f"aave_v3/{name}": (f"aave/{name}", reserve) for name, reserve in lending.reserves.items()}
    pools |= {f"morpho/{name}": (f"morpho/{name}", reserve) for name, reserve in lending.morpho.reserves.items()}
    for series, (name, reserve) in pools.items():
        path = ReservePaths(name, reserve, paths, market.hourly_demand_since_origin, market.epoch)
        yield Series(f"{series}_rates", stamps, {**path.daily(), "block_number": _blocks(stamps)}, DAY)
    for token in lending.morpho.collateral:
        yield Series(f"morpho/{token}_rates", stamps, idle_columns(stamps.size), DAY)


def _staking(market: Market) -> Iterator[Series]:
    model, paths = market.model.staking, market.paths.hourly
    staking = StakingPaths(model, paths)
    daily, hourly = market.stamps(1), market.stamps(24)
    eth = np.exp(market.coins[0]["ETH"].log_price[:: market.paths.per_day])
    weth_usd = staking.weth_usd(eth)
    blocks = _blocks(daily)

    def oracle(name: str, price: Array) -> Series:
        return Series(f"oracle/{name}", daily, {"price": price, "block_number": blocks}, DAY)

    yield oracle("USDT_USD", staking.usdt_usd())
    yield oracle("WETH_USD", weth_usd)
    for name, token in model.tokens.items():
        since = protocol_rate(paths.draws, name, token, paths.first + paths.days, market.epoch)
        window = since[paths.first :]
        yield oracle(f"{name}_ETH", window[:-1])
        yield oracle(f"{name}_USD", window[:-1] * weth_usd)
        rate = staking.market_rate(name, token, window)
        yield Series(f"staking/{name}_market_rate", hourly, {"market_rate_median_24h": rate}, HOUR)
    demand = market.demand[:: market.paths.per_day]
    yield Series("staking/ethena_susde_apy", daily, {"base_apy_pct": staking.susde_apy(demand)}, DAY)
    yield Series("staking/etherfi_eeth_apy", daily, staking.etherfi_apy(), DAY)


def _gas(market: Market) -> Series:
    stamps = market.stamps(12)
    columns = gas_columns(market.model.gas, market.paths.hourly, market.demand[:: market.per_hour])
    columns |= {"block_number": _blocks(stamps), "block_timestamp": stamps / 1e9}
    return Series("gas/ethereum_gas", stamps, columns, 2 * HOUR)


def _rewards(market: Market) -> Iterator[Series]:
    model, paths = market.model.rewards, market.paths.since_origin(24)
    saturday = (5 - market.weekday) % 7

    def seconds(days: NDArray[np.int64]) -> Array:
        return (market.origin_ns + days * DAY) / 1e9

    for name, (days, columns) in {
        "eigen_weekly": eigen_weekly(model.eigen, paths, saturday, seconds),
        "ethfi_topups": ethfi_topups(model.ethfi, paths, saturday, seconds),
    }.items():
        yield Series(f"rewards/{name}", market.origin_ns + days * DAY, columns, None)


def _blocks(stamps: NDArray[np.int64]) -> Array:
    """Nominal numbers of the blocks at `stamps`."""
    return _BLOCK_AT_2024 + np.floor((stamps / 1e9 - _SECONDS_AT_2024) / _SECONDS_PER_BLOCK)
