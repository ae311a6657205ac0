"""The feed equals a plain one, and nothing that is known after a tick changes it.

The plain feed below answers for one tick from the rows that are known then, one after the other, in Python numbers.
It has no arrays, no chunks and no state, so that it cannot look ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp, log

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from basis_actors.data import Dataset, Series, build_feed
from basis_actors.messages.market import (
    FundingStamp,
    GasQuote,
    MarketSpec,
    MarketState,
    PerpQuote,
    ReserveState,
    SpotQuote,
    StakingQuote,
)

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PERPS = ("binance:BTC-PERP", "bybit:BTC-PERP", "okx:BTC-PERP")
SPEC = MarketSpec(
    assets=("BTC", "USDT"),
    spot=("binance:BTC",),
    perps=PERPS,
    reserves=("USDT",),
    staking=("weETH",),
    oracle=("WETH",),
    gas=True,
)
MARKS = {
    "binance:BTC-PERP": "cex/binance/BTCUSDT_mark",
    "bybit:BTC-PERP": "cex/bybit/BTCUSDT_perp",
    "okx:BTC-PERP": "cex/okx/BTCUSDT_perp",
}
DELAYED = ("_spot", "_perp", "_mark", "_market_rate")


def delay(series: Series) -> int:
    return series.step_ns if series.name.endswith(DELAYED) else 0


def known(dataset: Dataset, name: str, tick: int) -> list[tuple[int, dict[str, float]]]:
    """(moment it became known, values) of the rows known at the tick, oldest first."""
    series = dataset.series[name]
    moments = [(row, ns + delay(series)) for row, ns in enumerate(series.ns.tolist())]
    return [
        (moment, {column: float(values[row]) for column, values in series.columns.items()})
        for row, moment in moments
        if moment <= tick
    ]


class PlainFeed:
    def __init__(self, dataset: Dataset, start: int, step: int, seconds) -> None:
        self.dataset, self.start, self.step = dataset, start, step
        self.limit = {kind: int(getattr(seconds, kind) * 10**9) for kind in type(seconds).model_fields}

    def last(self, name: str, kind: str, tick: int):
        """Newest values known, and whether they are fresh; (None, False) when there are none."""
        rows = known(self.dataset, name, tick)
        return (rows[-1][1], tick - rows[-1][0] <= self.limit[kind]) if rows else (None, False)

    def reference(self, tick: int):
        sources = [known(self.dataset, f"cex/{venue}/BTCUSDT_spot", tick) for venue in ("binance", "bybit")]
        for rows in sources:
            if rows and tick - rows[-1][0] <= self.limit["spot"]:
                return rows[-1][1]["close"], True
        left = [rows[-1] for rows in sources if rows]
        return (max(left, key=lambda row: row[0])[1]["close"], False) if left else (None, False)

    def perp(self, name: str, tick: int) -> PerpQuote:
        venue = name.split(":")[0]
        last, last_fresh = self.last(f"cex/{venue}/BTCUSDT_perp", "perp", tick)
        mark, mark_fresh = self.last(MARKS[name], "mark", tick)
        closed = [values for moment, values in known(self.dataset, MARKS[name], tick) if moment > tick - self.step]
        closed = [] if tick == self.start else closed
        return PerpQuote(
            None if last is None else last["close"],
            last_fresh,
            None if mark is None else mark["close"],
            mark_fresh,
            max(values["high"] for values in closed) if closed else None,
            min(values["low"] for values in closed) if closed else None,
        )

    def funding(self, name: str, tick: int) -> list[FundingStamp]:
        """All that fell due up to the tick, walking from due stamp to due stamp."""
        rows = dict(known(self.dataset, f"cex/{name.split(':')[0]}/BTCUSDT_funding", tick))
        if not rows:
            return []
        seen = [min(rows)]
        stamps = [(seen[0], True)]
        interval = None
        while True:
            following = min((ns for ns in rows if ns > seen[-1]), default=None)
            expected = None if interval is None else stamps[-1][0] + interval
            if expected is not None and expected <= tick and (following is None or expected < following):
                stamps.append((expected, False))
                continue
            if following is None:
                break
            gap = following - seen[-1]
            gap_before = seen[-1] - seen[-2] if len(seen) > 1 else None
            if interval is None or gap < interval or gap == gap_before:
                interval = gap
            seen.append(following)
            stamps.append((following, True))
        return [self.stamp(name, ns, rows[ns] if came else None) for ns, came in stamps]

    def stamp(self, name: str, ns: int, row) -> FundingStamp:
        own = None if row is None else row.get("mark_price")
        marks = known(self.dataset, MARKS[name], ns)
        mark = own if own is not None and own == own else marks[-1][1]["close"] if marks else None
        return FundingStamp(ns, name, None if row is None else row["funding_rate"], mark)

    def reserve(self, tick: int) -> ReserveState | None:
        rows = known(self.dataset, "aave_v3/USDT_rates", tick)
        if not rows:
            return None
        (ns, now), before = rows[-1], rows[-2] if len(rows) > 1 else None
        grown = []
        for index, rate in (
            ("liquidity_index", "liquidity_rate_apr"),
            ("variable_borrow_index", "variable_borrow_rate_apr"),
        ):
            growth = now[rate] / 365
            if before is not None:
                growth = min(growth, log(now[index] / before[1][index]) * DAY / (ns - before[0]))
            grown.append(now[index] * exp(growth * ((tick - ns) / DAY)))
        fresh = tick - ns <= self.limit["reserve"]
        return ReserveState(
            *grown, now["liquidity_rate_apr"], now["variable_borrow_rate_apr"], now["utilization"], fresh
        )

    def staking(self, tick: int) -> StakingQuote | None:
        rate, fresh = self.last("oracle/weETH_ETH", "staking", tick)
        market, market_fresh = self.last("staking/weETH_market_rate", "staking", tick)
        if rate is None:
            return None
        median = None if market is None else market["market_rate_median_24h"]
        return StakingQuote(rate["price"], median, fresh and (market is None or market_fresh))

    def state(self, tick: int) -> MarketState:
        price, fresh = self.reference(tick)
        spot, spot_fresh = self.last("cex/binance/BTCUSDT_spot", "spot", tick)
        oracle, oracle_fresh = self.last("oracle/WETH_USD", "oracle", tick)
        gas, gas_fresh = self.last("gas/ethereum_gas", "gas", tick)
        reserve, staking = self.reserve(tick), self.staking(tick)
        due = {name: self.funding(name, tick) for name in PERPS}
        since = tick - (1 if tick == self.start else self.step)
        new = [stamp for name in PERPS for stamp in due[name] if stamp.ns > since]
        missed = {}
        for name, stamps in due.items():
            settled = [row for row, stamp in enumerate(stamps) if stamp.rate is not None]
            if stamps:
                missed[name] = len(stamps) - 1 - settled[-1]
        stale = [] if price is None or fresh else ["BTC"]
        stale += [] if oracle is None or oracle_fresh else ["oracle:WETH"]
        return MarketState(
            timestamp=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=tick // 10**9),
            ns=tick,
            prices={"USDT": 1.0} | ({} if price is None else {"BTC": price}),
            stale_prices=tuple(stale),
            spot={} if spot is None else {"binance:BTC": SpotQuote(spot["close"], spot_fresh)},
            perps={name: self.perp(name, tick) for name in PERPS},
            funding=tuple(sorted(new, key=lambda stamp: stamp.ns)),
            funding_missed=missed,
            reserves={} if reserve is None else {"USDT": reserve},
            staking={} if staking is None else {"weETH": staking},
            oracle_usd={} if oracle is None else {"WETH": oracle["price"]},
            gas=None if gas is None else GasQuote(gas["base_fee_gwei"], gas["priority_fee_p50_gwei"], gas_fresh),
        )


def rows_of(random: np.random.Generator, name: str, step: int, first: int, end: int, keep: float) -> Series:
    """A series with random numbers and random gaps."""
    ns = np.arange(first, end, step, dtype=np.int64)
    ns = ns[random.random(ns.size) < keep]
    size = ns.size
    if name.endswith(("_spot", "_perp", "_mark")):
        close = random.uniform(90, 110, size)
        columns = {
            "open": close,
            "high": close + random.random(size),
            "low": close - random.random(size),
            "close": close,
        }
    elif name.endswith("_funding"):
        columns = {"funding_rate": random.normal(0, 1e-4, size)}
        if "binance" in name:
            columns["mark_price"] = np.where(random.random(size) < 0.7, random.uniform(90, 110, size), np.nan)
    elif name.startswith("aave"):
        columns = {
            "liquidity_rate_apr": random.uniform(0, 0.2, size),
            "variable_borrow_rate_apr": random.uniform(0, 0.3, size),
            "liquidity_index": 1 + np.cumsum(random.uniform(0, 5e-4, size)),
            "variable_borrow_index": 1 + np.cumsum(random.uniform(0, 8e-4, size)),
            "utilization": random.random(size),
        }
    elif name.startswith("gas"):
        columns = {"base_fee_gwei": random.uniform(1, 50, size), "priority_fee_p50_gwei": random.uniform(0, 2, size)}
    else:
        column = "market_rate_median_24h" if "market_rate" in name else "price"
        columns = {column: random.uniform(1.0, 1.1, size)}
    has_grid = not name.endswith("_funding")
    return Series(name, ns, columns, step if has_grid else None)


@dataclass(frozen=True)
class Made:
    """A small data set and a window of ticks on it; its text is short enough to print."""

    dataset: Dataset = field(repr=False)
    ticks: range
    seed: int
    bar: int
    keep: float


@st.composite
def markets(draw) -> Made:
    """A small data set with gaps and series that begin late, and a window of ticks on it."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    bar = draw(st.sampled_from([15 * MINUTE, HOUR, 4 * HOUR]))
    end = draw(st.integers(2, 5)) * DAY
    keep = draw(st.sampled_from([1.0, 0.9, 0.5]))
    steps = {
        "gas/ethereum_gas": 2 * HOUR,
        "aave_v3/USDT_rates": draw(st.sampled_from([DAY, 6 * HOUR])),
        "oracle/weETH_ETH": DAY,
        "oracle/WETH_USD": DAY,
        "staking/weETH_market_rate": HOUR,
    }
    for venue in ("binance", "bybit", "okx"):
        steps |= {f"cex/{venue}/BTCUSDT_{kind}": bar for kind in ("spot", "perp", "mark")}
        steps[f"cex/{venue}/BTCUSDT_funding"] = draw(st.sampled_from([HOUR, 4 * HOUR, 8 * HOUR]))
    series = {}
    for name, step in steps.items():
        late = draw(st.sampled_from([0, 0, 1, 2, 9]))
        series[name] = rows_of(random, name, step, late * step, end, keep)
    # The reference price has to have begun for there to be a feed at all.
    series["cex/bybit/BTCUSDT_spot"] = rows_of(random, "cex/bybit/BTCUSDT_spot", bar, 0, end, 1.0)
    tick = draw(st.sampled_from([5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, DAY]))
    count = draw(st.integers(1, 300))
    first = draw(st.integers(0, end // tick - 1))
    last = min(first + count, end // tick)
    return Made(Dataset(series, "made up"), range(first * tick, last * tick + 1, tick), seed, bar, keep)


def states_of(dataset: Dataset, ticks: range, take_all, venues, data_config) -> list[MarketState]:
    feed = build_feed(
        dataset, SPEC, start_ns=ticks[0], end_ns=ticks[-1], step_ns=ticks.step, data=data_config, venues=venues
    )
    assert feed.ticks == ticks
    return list(take_all(feed))


def cut(dataset: Dataset, moment: int) -> Dataset:
    """Without the rows that become known after `moment`."""
    series = {}
    for name, one in dataset.series.items():
        keep = one.ns + delay(one) <= moment
        columns = {column: values[keep] for column, values in one.columns.items()}
        series[name] = Series(name, one.ns[keep], columns, one.step_ns)
    return Dataset(series, dataset.origin)


def altered_after(dataset: Dataset, moment: int, random: np.random.Generator) -> Dataset:
    """With other numbers in, and some fewer of, the rows that become known after `moment`."""
    series = {}
    for name, one in dataset.series.items():
        later = one.ns + delay(one) > moment
        keep = ~later | (random.random(one.ns.size) < 0.8)
        columns = {}
        for column, values in one.columns.items():
            changed = np.where(later, values * random.uniform(0.5, 2.0, values.size), values)
            columns[column] = changed[keep]
        series[name] = Series(name, one.ns[keep], columns, one.step_ns)
    return Dataset(series, dataset.origin)


SETTINGS = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(markets())
def test_the_feed_equals_the_plain_feed(take_all, venues, data_config, market: Made) -> None:
    dataset, ticks = market.dataset, market.ticks
    plain = PlainFeed(dataset, ticks[0], ticks.step, data_config.staleness_seconds)
    states = states_of(dataset, ticks, take_all, venues, data_config)
    assert [state.ns for state in states] == list(ticks)
    for state in states[:2] + states[-2:] + states[:: max(1, len(states) // 8)]:
        assert state == plain.state(state.ns)


@SETTINGS
@given(markets(), st.integers(0, 2**32 - 1))
def test_cutting_the_data_after_a_tick_changes_nothing_up_to_it(
    take_all, venues, data_config, market, seed: int
) -> None:
    dataset, ticks = market.dataset, market.ticks
    moment = ticks[seed % len(ticks)]
    # Without a closed bar of the reference price and of the spot market the cut data gives no feed.
    assume(moment >= 4 * HOUR and known(dataset, "cex/binance/BTCUSDT_spot", moment))
    whole = states_of(dataset, ticks, take_all, venues, data_config)
    window = range(ticks[0], moment + 1, ticks.step)
    assert states_of(cut(dataset, moment), window, take_all, venues, data_config) == whole[: len(window)]


@SETTINGS
@given(markets(), st.integers(0, 2**32 - 1))
def test_other_numbers_after_a_tick_change_nothing_up_to_it(
    take_all, venues, data_config, market: Made, seed: int
) -> None:
    dataset, ticks = market.dataset, market.ticks
    random = np.random.default_rng(seed)
    moment = ticks[int(random.integers(len(ticks)))]
    window = range(ticks[0], moment + 1, ticks.step)
    other = altered_after(dataset, moment, random)
    assert states_of(other, window, take_all, venues, data_config) == states_of(
        dataset, window, take_all, venues, data_config
    )


@pytest.fixture(scope="session")
def summer(real, eth_spec, venues, data_config, take_all, at):
    """States of eth_basis-like ticks over the summer in which the OKX perpetual appears."""
    start, end = at("2024-05-10"), at("2024-09-02")
    feed = build_feed(real, eth_spec, start_ns=start, end_ns=end, step_ns=HOUR, data=data_config, venues=venues)
    return start, list(take_all(feed))


@settings(max_examples=12, deadline=None)
@given(hours=st.integers(24, 115 * 24))
def test_cutting_the_real_history_changes_nothing_before_the_cut(
    real, summer, eth_spec, venues, data_config, take_all, hours: int
) -> None:
    start, whole = summer
    moment = start + hours * HOUR
    feed = build_feed(
        cut(real, moment), eth_spec, start_ns=start, end_ns=moment, step_ns=HOUR, data=data_config, venues=venues
    )
    assert list(take_all(feed)) == whole[: hours + 1]


def test_the_perpetual_of_okx_appears_when_its_first_bar_closes(summer, at) -> None:
    _, states = summer
    by_ns = {state.ns: state for state in states}
    before, after = by_ns[at("2024-08-01T00:00")], by_ns[at("2024-08-01T01:00")]
    assert before.perps["okx:ETH-PERP"].last is None
    assert before.perps["okx:ETH-PERP"].mark is not None
    assert after.perps["okx:ETH-PERP"].last_fresh
    assert "okx:BTC-PERP" not in after.perps
