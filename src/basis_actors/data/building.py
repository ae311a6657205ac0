"""Builds a feed from a data set and a market spec, and refuses what cannot give one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from basis_actors.data.columns import Track
from basis_actors.data.dataset import Dataset, Series
from basis_actors.data.feed import FeedParts, HistoricalFeed
from basis_actors.data.funding import DueFunding, due_funding
from basis_actors.data.limits import Limits
from basis_actors.data.pools import PoolPriceLane, PoolSpotLane
from basis_actors.data.quotes import (
    GasLane,
    OracleLane,
    PerpLane,
    ReferenceLane,
    ReserveLane,
    SpotLane,
    StakingLane,
    has_pool_size,
)
from basis_actors.data.requirements import PerpSeries, PoolSeries, Requirements, requirements_of
from basis_actors.data.rewards import due_rewards
from basis_actors.data.window import check_window, ticks_of
from basis_actors.errors import DataError
from basis_actors.messages.market import MarketSpec, RewardStamp

if TYPE_CHECKING:
    from basis_actors.config.models import DataConfig
    from basis_actors.config.venues import VenueConfig

__all__ = ["build_feed"]


def build_feed(
    dataset: Dataset,
    spec: MarketSpec,
    *,
    start_ns: int,
    end_ns: int,
    step_ns: int,
    data: DataConfig,
    venues: Mapping[str, VenueConfig],
) -> HistoricalFeed:
    """The market of `spec` at the ticks start, start + step, ... end, both included.

    Raises DataError: DATA-003 when a needed series is not in the data or the window lies outside it (saying what
    there is), DATA-002 when the window is no window of whole ticks or a reward row makes no sense. A perpetual that
    the configuration calls optional, a pool price and rewards are left out when their series are not there, and the
    feed's report names them.
    """
    ticks = ticks_of(start_ns, end_ns, step_ns)
    return _Builder(dataset, requirements_of(spec, venues), ticks, Limits.from_config(data)).build()


class _Builder:
    def __init__(self, dataset: Dataset, needs: Requirements, ticks: range, limits: Limits) -> None:
        self._dataset = dataset
        self._needs = needs
        self._ticks = ticks
        self._limits = limits
        self._used: dict[str, None] = {}
        self._proxies: list[str] = []
        self._absent: list[str] = []

    def build(self) -> HistoricalFeed:
        needs, limits = self._needs, self._limits
        prices: dict[str, ReferenceLane | PoolPriceLane] = {
            asset: ReferenceLane(self._sources(asset, names)) for asset, names in needs.prices.items()
        }
        prices |= {asset: lane for asset, pool in needs.pool_prices.items() if (lane := self._pool(pool, asset))}
        spot: dict[str, SpotLane | PoolSpotLane] = {
            market: SpotLane(self._with_rows(name, limits.spot, market)) for market, name in needs.spot.items()
        }
        spot |= {
            market: quotes for market, pool in needs.pool_spot.items() if (quotes := self._pool_spot(pool, market))
        }
        perps = {}
        funding: list[DueFunding] = []
        for perp in needs.perps:
            if self._left_out(perp):
                continue
            perps[perp.perp], due = self._perp(perp)
            funding.append(due)
        reserves = {token: self._reserve(token, name) for token, name in needs.reserves.items()}
        staking = {
            lst: StakingLane(self._track(rate, limits.staking, lst), self._track(market, limits.staking, lst))
            for lst, (rate, market) in needs.staking.items()
        }
        oracle = {
            token: OracleLane(self._track(name, limits.oracle, f"oracle {token}"))
            for token, name in needs.oracle.items()
        }
        gas = None if needs.gas is None else GasLane(self._track(needs.gas, limits.gas, "gas"))
        rewards = self._rewards()
        used = tuple(self._used)
        check_window(self._dataset, used, self._ticks)
        parts = FeedParts(
            prices, spot, perps, tuple(funding), reserves, staking, oracle, gas, rewards,
            used, tuple(dict.fromkeys(self._proxies)), tuple(dict.fromkeys(self._absent)),
        )  # fmt: skip
        return HistoricalFeed(self._dataset, parts, self._ticks)

    def _series(self, name: str, purpose: str) -> Series:
        series = self._dataset.series.get(name)
        if series is None:
            raise self._missing((name,), purpose)
        self._used[name] = None
        return series

    def _track(self, name: str, limit_ns: int, purpose: str) -> Track:
        return Track(self._series(name, purpose), limit_ns)

    def _with_rows(self, name: str, limit_ns: int, purpose: str) -> Track:
        track = self._track(name, limit_ns, purpose)
        if not track.series.ns.size:
            raise DataError(
                "DATA-003",
                f"{name}, needed for {purpose}, has no rows in {self._dataset.origin}; expected a closed bar",
            )
        return track

    def _sources(self, asset: str, names: Sequence[str]) -> list[Track]:
        there = [name for name in names if name in self._dataset.series]
        if not there:
            raise self._missing(names, f"the reference price of {asset}")
        if there[0] != names[0]:
            self._proxies.append(f"reference price of {asset}: {there[0]} instead of {names[0]}")
        tracks = [self._track(name, self._limits.spot, asset) for name in there]
        if not any(track.series.ns.size for track in tracks):
            raise DataError(
                "DATA-003",
                f"the reference price of {asset} has no rows in {self._dataset.origin}: {' and '.join(there)} "
                "are empty; expected closed bars in one of them",
            )
        return tracks

    def _pool(self, pool: PoolSeries, purpose: str) -> PoolPriceLane | None:
        """The price of an asset from its pool; None, and a line in the report, when the data has no such pool."""
        if pool.pool not in self._dataset.series:
            self._absent.append(f"{purpose}: no price, {pool.pool} not in the data")
            return None
        eth = ReferenceLane(self._sources("ETH", pool.eth))
        return PoolPriceLane(self._track(pool.pool, self._limits.spot, purpose), eth)

    def _pool_spot(self, pool: PoolSeries, market: str) -> PoolSpotLane | None:
        price = self._pool(pool, market)
        if price is None:
            return None
        self._proxies.append(f"{market} price: close of {pool.pool} x reference price of ETH")
        return PoolSpotLane(price)

    def _reserve(self, token: str, name: str) -> ReserveLane:
        track = self._track(name, self._limits.reserve, f"reserve {token}")
        if not has_pool_size(track.series):
            self._proxies.append(
                f"reserve {token}: {name} lacks total_supplied or total_variable_debt, and no order is too large for it"
            )
        return ReserveLane(track)

    def _rewards(self) -> tuple[RewardStamp, ...]:
        """Every payment that the data announces, by time, then by token."""
        stamps: list[RewardStamp] = []
        for lst, names in self._needs.rewards.items():
            for name in names:
                if name not in self._dataset.series:
                    self._absent.append(f"rewards of {lst}: {name} not in the data")
                    continue
                stamps += due_rewards(lst, self._series(name, f"rewards of {lst}"))
        return tuple(sorted(stamps, key=lambda stamp: (stamp.ns, stamp.token, stamp.period_start_ns)))

    def _left_out(self, perp: PerpSeries) -> bool:
        missing = [name for name in perp.names if name not in self._dataset.series]
        if not missing or not perp.optional:
            return False
        self._absent.append(f"{perp.perp}: left out, {', '.join(missing)} not in the data")
        return True

    def _perp(self, perp: PerpSeries) -> tuple[PerpLane, DueFunding]:
        last = self._track(perp.last, self._limits.perp, perp.perp)
        mark = self._track(perp.mark, self._limits.mark, perp.perp)
        series = self._series(perp.funding, perp.perp)
        if perp.inverse:
            linear = perp.last.rpartition("/")[2].removesuffix("_perp")
            stands_in = f"COIN-M price, mark and funding are those of {linear}, with 1 USDT = 1 USD"
            self._proxies.append(f"{perp.perp}: {stands_in}")
        if perp.mark_is_proxy:
            self._proxies.append(f"{perp.perp} mark: closes, highs and lows of {perp.last}")
        if "mark_price" not in series.columns:
            self._proxies.append(f"{perp.perp} funding: mark of {perp.mark} as known at the stamp")
        for name in perp.names:
            if self._dataset.series[name].ns.size == 0:
                self._absent.append(f"{perp.perp}: {name} has no rows")
        due = due_funding(perp.perp, series, mark.series, mark.delay_ns, self._ticks[-1])
        return PerpLane(last, mark, self._ticks.start, self._ticks.step), due

    def _missing(self, names: Sequence[str], purpose: str) -> DataError:
        there = ", ".join(sorted(self._dataset.series)) or "nothing"
        return DataError(
            "DATA-003",
            f"{' or '.join(names)}, needed for {purpose}, is not in the data ({self._dataset.origin}); "
            f"there is: {there}",
        )
