"""Makes the prices of assets that only a pool against WETH knows: its close x the reference price of ETH, in USDT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.columns import Lane, Track, changes, expand, floats, with_blanks
from basis_actors.data.quotes import ReferenceLane
from basis_actors.messages.market import SpotQuote

__all__ = ["PoolPriceLane", "PoolSpotLane"]

Ticks = NDArray[np.int64]


class PoolPriceLane:
    """Price of one asset; known once both factors are, fresh while both are."""

    def __init__(self, pool: Track, eth: ReferenceLane) -> None:
        """`pool` has WETH per token, `eth` the reference price of ETH."""
        self._pool = pool
        self._eth = eth

    def chunk(self, ticks: Ticks) -> tuple[Lane[float], NDArray[np.bool_]]:
        """Price and staleness at each tick."""
        price, fresh, has = self.newest(ticks)
        return Lane(floats(price, ~has), changes(price, has)), has & ~fresh

    def newest(self, ticks: Ticks) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """For each tick the price (0 where there is none), whether it is fresh, and whether there is one."""
        row, fresh, _ = self._pool.newest(ticks)
        eth, eth_fresh, eth_has = self._eth.newest(ticks)
        has = (row >= 0) & eth_has
        price = np.where(has, self._pool.column("close")[np.maximum(row, 0)] * eth, 0.0)
        return price, has & fresh & eth_fresh, has


class PoolSpotLane:
    """Quotes of an exchange's spot market for which the price of the pool stands in."""

    def __init__(self, price: PoolPriceLane) -> None:
        self._price = price

    def chunk(self, ticks: Ticks) -> Lane[SpotQuote]:
        """The quote at each tick."""
        price, fresh, has = self._price.newest(ticks)
        changed = changes(price, fresh, has)

        def build(at: NDArray[np.intp]) -> list[SpotQuote | None]:
            return with_blanks(map(SpotQuote, price[at].tolist(), fresh[at].tolist()), ~has[at])

        return Lane(expand(changed, build), changed)
