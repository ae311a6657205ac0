"""Assembles the series of exchanges and pools: spot, perp and mark bars, funding, Uniswap bars."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10

import numpy as np
from numpy.typing import NDArray

from basis_actors.config.synthetic import Coin
from basis_actors.data.dataset import Series
from basis_actors.data.stamps import DAY
from basis_actors.data.synthetic_bars import BarGrid, Extremes, bars
from basis_actors.data.synthetic_basis import BasisPaths, Venue
from basis_actors.data.synthetic_market import Market
from basis_actors.data.synthetic_paths import Array, quantile_map
from basis_actors.data.synthetic_prices import SpotPath

__all__ = ["exchange_series"]

_SPOT_VENUES: tuple[Venue, ...] = ("binance", "bybit")
_PERP_VENUES: tuple[Venue, ...] = ("binance", "bybit", "okx")
_COINS: tuple[Coin, ...] = ("BTC", "ETH")


def exchange_series(market: Market) -> Iterator[Series]:
    """Yield all series below `cex/` and `dex/` for the whole window of the paths."""
    grid, stamps = _grid(market)
    for coin in _COINS:
        yield from _coin_series(market, coin, grid, stamps)
    yield from _pool_series(market, grid, stamps)


def _grid(market: Market) -> tuple[BarGrid, NDArray[np.int64]]:
    """Bars of all days but the first, which only serves to look back, and the last, which closes them."""
    per_bar = market.step_ns * market.paths.per_day // DAY
    days = market.paths.days - 2
    bars_a_day = DAY // market.step_ns
    grid = BarGrid(market.paths.per_day, days * bars_a_day, per_bar)
    return grid, market.stamps_of_days(market.paths.first + 1, days, bars_a_day)


def _coin_series(market: Market, coin: Coin, grid: BarGrid, stamps: NDArray[np.int64]) -> Iterator[Series]:
    prices = market.model.prices
    spot = market.coins[0][coin]
    asset = prices.assets[coin]
    decimals = round(-log10(asset.tick))
    extremes = Extremes.draw(market.paths, f"extremes/{coin}", spot.variance * prices.extremes)

    def bar(name: str, log_price: Array) -> Series:
        return Series(f"cex/{name}", stamps, bars(log_price, extremes, grid, decimals), market.step_ns)

    def traded(venue: Venue, sort: str, log_price: Array) -> Series:
        series = bar(f"{venue}/{coin}USDT_{sort}", log_price)
        series.columns["volume"] = _volume(market, f"{venue}_{coin}_{sort}", spot, asset.volatility, grid)
        return series

    away = market.walks.difference(f"spot/bybit/{coin}", prices.spot_difference)
    under = {"binance": spot.log_price, "bybit": spot.log_price + away, "okx": spot.log_price}
    for venue in _SPOT_VENUES:
        yield traded(venue, "spot", under[venue])
    perps = BasisPaths(market.model.basis, market.model.funding, market.paths, market.demand)
    for venue in _PERP_VENUES:
        slow = perps.slow(venue, coin)
        last = under[venue] + 1e-4 * perps.basis(venue, coin, slow)
        yield traded(venue, "perp", last)
        last -= 1e-4 * perps.last_over_mark(venue, coin)
        yield bar(f"{venue}/{coin}USDT_mark", last)
        columns = {"funding_rate": perps.rates(venue, coin, slow)}
        if venue == "binance":
            every_eight = 8 * market.per_hour
            columns["mark_price"] = np.exp(last[market.paths.per_day :: every_eight]).round(decimals)
        times = market.stamps_of_days(market.paths.first + 1, market.paths.days - 1, 3)
        yield Series(f"cex/{venue}/{coin}USDT_funding", times, columns, None)


def _pool_series(market: Market, grid: BarGrid, stamps: NDArray[np.int64]) -> Iterator[Series]:
    dex, walks, paths = market.model.dex, market.walks, market.paths
    spots, rhythms = market.coins
    pool = dex.WETHUSDT
    away = 1e-4 * quantile_map(paths.wander("dex/WETHUSDT", pool.constant_days), pool.deviation)
    path = SpotPath(spots["ETH"].log_price + away, spots["ETH"].variance)
    volatility = market.model.prices.assets["ETH"].volatility
    yield _pool(market, "WETHUSDT", path, pool.volume, volatility, grid, stamps)
    for name, pair in dex.pairs.items():
        path = walks.token(name, pair, rhythms["ETH"])
        yield _pool(market, name, path, pair.volume, pair.volatility, grid, stamps)


def _pool(
    market: Market,
    name: str,
    path: SpotPath,
    volume: float,
    volatility: float,
    grid: BarGrid,
    stamps: NDArray[np.int64],
) -> Series:
    extremes = Extremes.draw(market.paths, f"extremes/{name}", path.variance)
    columns = bars(path.log_price, extremes, grid, None)
    columns["volume"] = _spread(market, f"dex_{name}", volume, path, volatility, grid)
    return Series(f"dex/uniswap_v3/{name}_spot", stamps, columns, market.step_ns)


def _volume(market: Market, name: str, spot: SpotPath, volatility: float, grid: BarGrid) -> Array:
    return _spread(market, name, market.model.prices.volume[name], spot, volatility, grid)


def _spread(market: Market, name: str, typical: float, path: SpotPath, volatility: float, grid: BarGrid) -> Array:
    """Volume of every bar: the sum over its moments."""
    volume = market.walks.volume(name, typical, path, volatility)[grid.start : grid.start + grid.count * grid.moments]
    return volume.reshape(grid.count, grid.moments).sum(axis=1) if grid.moments > 1 else volume
