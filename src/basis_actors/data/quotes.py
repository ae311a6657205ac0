"""Makes the quotes of each kind for a chunk of ticks: reference prices, spot, perpetuals, reserves, staking, gas."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.columns import Lane, Track, changes, expand, floats, with_blanks
from basis_actors.data.dataset import Series
from basis_actors.data.stamps import DAY
from basis_actors.messages.market import GasQuote, PerpQuote, ReserveState, SpotQuote, StakingQuote

__all__ = [
    "GasLane",
    "OracleLane",
    "PerpLane",
    "ReferenceLane",
    "ReserveLane",
    "SpotLane",
    "StakingLane",
    "has_pool_size",
]

Ticks = NDArray[np.int64]
_Prices = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]
"""Price at each tick, whether it is fresh, and whether there is one."""


class ReferenceLane:
    """Reference price of one asset in USDT: the first source that is fresh, else the one known last."""

    def __init__(self, sources: Sequence[Track]) -> None:
        """`sources` in order of preference."""
        self._sources = sources
        self._ticks: Ticks | None = None
        self._newest: _Prices | None = None

    def chunk(self, ticks: Ticks) -> tuple[Lane[float], NDArray[np.bool_]]:
        """Price and staleness at each tick."""
        price, fresh, has = self.newest(ticks)
        return Lane(floats(price, ~has), changes(price, has)), has & ~fresh

    def newest(self, ticks: Ticks) -> _Prices:
        """For each tick the price (any number where there is none), whether it is fresh, and whether there is one.

        What pools price reads it too: for the same array of ticks the answer is the same, and not to be changed.
        """
        if self._newest is None or self._ticks is not ticks:
            self._ticks, self._newest = ticks, self._merged(ticks)
        return self._newest

    def _merged(self, ticks: Ticks) -> _Prices:
        price, fresh, known_ns, has = self._of(self._sources[0], ticks)
        for source in self._sources[1:]:
            other, other_fresh, other_ns, other_has = self._of(source, ticks)
            better = other_has & ~fresh & (~has | other_fresh | (other_ns > known_ns))
            price = np.where(better, other, price)
            known_ns = np.where(better, other_ns, known_ns)
            fresh = fresh | (better & other_fresh)
            has = has | other_has
        return price, fresh, has

    @staticmethod
    def _of(
        source: Track, ticks: Ticks
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
        row, fresh, known_ns = source.newest(ticks)
        return source.column("close")[np.maximum(row, 0)], fresh, known_ns, row >= 0


class SpotLane:
    """Quotes of one spot market."""

    def __init__(self, bars: Track) -> None:
        self._bars = bars
        self._close = bars.column("close")

    def chunk(self, ticks: Ticks) -> Lane[SpotQuote]:
        """The quote at each tick."""
        row, fresh, _ = self._bars.newest(ticks)
        changed = changes(row, fresh)

        def build(at: NDArray[np.intp]) -> list[SpotQuote | None]:
            prices = self._close[np.maximum(row[at], 0)].tolist()
            return with_blanks(map(SpotQuote, prices, fresh[at].tolist()), row[at] < 0)

        return Lane(expand(changed, build), changed)


class PerpLane:
    """Quotes of one perpetual, with the first mark and the extremes of the mark since the previous tick."""

    def __init__(self, last: Track, mark: Track, start_ns: int, step_ns: int) -> None:
        """`start_ns` is the first tick, before which nothing is looked at; `step_ns` the distance of ticks."""
        self._last = last
        self._mark = mark
        self._start_ns = start_ns
        self._step_ns = step_ns

    def chunk(self, ticks: Ticks) -> Lane[PerpQuote]:
        """The quote at each tick of consecutive ticks."""
        last, last_fresh, _ = self._last.newest(ticks)
        mark, mark_fresh, _ = self._mark.newest(ticks)
        begin = self._mark.count(ticks - self._step_ns)
        end = mark + 1
        closed = (end > begin) & (ticks > self._start_ns)
        high = np.full(ticks.size, np.nan)
        low = np.full(ticks.size, np.nan)
        if closed.any():
            stop = int(end[closed][-1])
            high[closed] = np.maximum.reduceat(self._mark.column("high")[:stop], begin[closed])
            low[closed] = np.minimum.reduceat(self._mark.column("low")[:stop], begin[closed])
        changed = changes(last, last_fresh, mark, mark_fresh, closed)

        def build(at: NDArray[np.intp]) -> list[PerpQuote | None]:
            lasts = floats(self._last.column("close")[np.maximum(last[at], 0)], last[at] < 0)
            marks = floats(self._mark.column("close")[np.maximum(mark[at], 0)], mark[at] < 0)
            none = ~closed[at]
            highs, lows = floats(high[at], none), floats(low[at], none)
            opens = floats(self._mark.column("open")[np.where(none, 0, begin[at])], none)
            fresh, mark_is_fresh = last_fresh[at].tolist(), mark_fresh[at].tolist()
            return list(map(PerpQuote, lasts, fresh, marks, mark_is_fresh, highs, lows, opens))

        return Lane(expand(changed, build), changed)


class ReserveLane:
    """States of one lending reserve; between stamps the indices grow as fast as is certain to have been seen.

    That is min(last realised daily log growth, last APR / 365) a day: the posted rate is a snapshot, and
    extrapolating a spike of it would invent interest. At a stamp an index takes its true value, also downwards.
    """

    def __init__(self, rates: Track) -> None:
        self._rates = rates
        ns = rates.series.ns.tolist()
        self._supply = rates.column("liquidity_index")
        self._borrow = rates.column("variable_borrow_index")
        self._supply_apr = rates.column("liquidity_rate_apr")
        self._borrow_apr = rates.column("variable_borrow_rate_apr")
        self._utilization = rates.column("utilization")
        self._available = _free(rates.series)
        self._supply_growth = _daily_growth(ns, self._supply.tolist(), self._supply_apr.tolist())
        self._borrow_growth = _daily_growth(ns, self._borrow.tolist(), self._borrow_apr.tolist())

    def chunk(self, ticks: Ticks) -> Lane[ReserveState]:
        """The state at each tick."""
        row, fresh, known_ns = self._rates.newest(ticks)
        at = np.maximum(row, 0)
        days = (ticks - known_ns) / DAY
        available = self._available[at] if self._available.size else np.full(ticks.size, np.nan)
        states = map(
            ReserveState,
            _grown(self._supply[at], self._supply_growth[at] * days, row),
            _grown(self._borrow[at], self._borrow_growth[at] * days, row),
            self._supply_apr[at].tolist(),
            self._borrow_apr[at].tolist(),
            self._utilization[at].tolist(),
            fresh.tolist(),
            floats(available, np.isnan(available)),
        )
        return Lane(with_blanks(states, row < 0), np.ones(ticks.size, dtype=np.bool_))


class StakingLane:
    """Quotes of one liquid staking token; fresh only when both rates that are known are fresh."""

    def __init__(self, rate: Track, market: Track) -> None:
        self._rate = rate
        self._market = market

    def chunk(self, ticks: Ticks) -> Lane[StakingQuote]:
        """The quote at each tick."""
        row, fresh, _ = self._rate.newest(ticks)
        market, market_fresh, _ = self._market.newest(ticks)
        market_fresh = market_fresh & (market >= 0)
        fresh = fresh & (market_fresh | (market < 0))
        changed = changes(row, market, fresh, market_fresh)

        def build(at: NDArray[np.intp]) -> list[StakingQuote | None]:
            rates = self._rate.column("price")[np.maximum(row[at], 0)].tolist()
            medians = self._market.column("market_rate_median_24h")[np.maximum(market[at], 0)]
            known = floats(medians, market[at] < 0)
            quotes = map(StakingQuote, rates, known, fresh[at].tolist(), market_fresh[at].tolist())
            return with_blanks(quotes, row[at] < 0)

        return Lane(expand(changed, build), changed)


class OracleLane:
    """Aave oracle price of one token in USD."""

    def __init__(self, price: Track) -> None:
        self._price = price

    def chunk(self, ticks: Ticks) -> tuple[Lane[float], NDArray[np.bool_]]:
        """Price and staleness at each tick."""
        row, fresh, _ = self._price.newest(ticks)
        prices = self._price.column("price")[np.maximum(row, 0)]
        return Lane(floats(prices, row < 0), changes(row)), (row >= 0) & ~fresh


class GasLane:
    """Gas price of the last block read."""

    def __init__(self, gas: Track) -> None:
        self._gas = gas

    def chunk(self, ticks: Ticks) -> list[GasQuote | None]:
        """The quote at each tick."""
        row, fresh, _ = self._gas.newest(ticks)

        def build(at: NDArray[np.intp]) -> list[GasQuote | None]:
            rows = np.maximum(row[at], 0)
            base = self._gas.column("base_fee_gwei")[rows].tolist()
            tip = self._gas.column("priority_fee_p50_gwei")[rows].tolist()
            return with_blanks(map(GasQuote, base, tip, fresh[at].tolist()), row[at] < 0)

        return expand(changes(row, fresh), build)


def has_pool_size(rates: Series) -> bool:
    """Whether the data say how much of a reserve lies free, wherever any of it is lent."""
    lent = rates.columns["utilization"] > 0.0
    return not np.isnan(_free(rates)[lent]).any()


def _free(rates: Series) -> NDArray[np.float64]:
    """Tokens of a reserve that nobody has borrowed, at each stamp; NaN where the data do not have both totals."""
    columns = rates.columns
    if "total_supplied" not in columns or "total_variable_debt" not in columns:
        return np.full(rates.ns.size, np.nan)
    return np.maximum(columns["total_supplied"] - columns["total_variable_debt"], 0.0)


def _daily_growth(ns: list[int], index: list[float], apr: list[float]) -> NDArray[np.float64]:
    """Log growth a day to go on with after each stamp; `math.log`, because its value does not depend on neighbours."""
    growth = [rate / 365.0 for rate in apr]
    for row in range(1, len(ns)):
        realised = log(index[row] / index[row - 1]) * DAY / (ns[row] - ns[row - 1])
        growth[row] = min(realised, growth[row])
    return np.array(growth)


def _grown(index: NDArray[np.float64], growth: NDArray[np.float64], row: NDArray[np.intp]) -> list[float]:
    """index x exp(growth), with growth 0 where nothing is known."""
    factors = np.array([exp(value) for value in np.where(row < 0, 0.0, growth).tolist()])
    grown: list[float] = (index * factors).tolist()
    return grown
