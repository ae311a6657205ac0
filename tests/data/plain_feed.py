"""Defines a feed that answers for one tick from the rows that are known then, one after the other, in Python numbers.

It has no arrays, no chunks and no state, so that it cannot look ahead. Small random data sets to compare feeds on are
made here too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp, log

import numpy as np
from hypothesis import strategies as st

from basis_actors.data import Dataset, Series
from basis_actors.messages.market import (
    FundingStamp,
    GasQuote,
    MarketSpec,
    MarketState,
    PerpQuote,
    ReserveState,
    RewardStamp,
    SpotQuote,
    StakingQuote,
)

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PERPS = ("binance:BTC-PERP", "bybit:BTC-PERP", "okx:BTC-PERP", "binance:BTCUSD-PERP")
RESERVES = {"USDT": "aave_v3/USDT_rates", "morpho:WETH": "morpho/WETH_rates"}
SPEC = MarketSpec(
    assets=("BTC", "EIGEN", "USDT"),
    spot=("binance:BTC", "binance:EIGEN"),
    perps=PERPS,
    reserves=tuple(RESERVES),
    staking=("weETH",),
    oracle=("WETH",),
    gas=True,
    rewards=("weETH",),
)
MARKS = {
    "binance:BTC-PERP": "cex/binance/BTCUSDT_mark",
    "binance:BTCUSD-PERP": "cex/binance/BTCUSDT_mark",
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
        (
            moment,
            {column: float(values[row]) for column, values in series.columns.items()},
        )
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

    def reference(self, asset: str, tick: int):
        sources = [known(self.dataset, f"cex/{venue}/{asset}USDT_spot", tick) for venue in ("binance", "bybit")]
        for rows in sources:
            if rows and tick - rows[-1][0] <= self.limit["spot"]:
                return rows[-1][1]["close"], True
        left = [rows[-1] for rows in sources if rows]
        return (max(left, key=lambda row: row[0])[1]["close"], False) if left else (None, False)

    def eigen(self, tick: int):
        pool, pool_fresh = self.last("dex/uniswap_v3/EIGENWETH_spot", "spot", tick)
        eth, eth_fresh = self.reference("ETH", tick)
        known_both = pool is not None and eth is not None
        return (pool["close"] * eth if known_both else None), known_both and pool_fresh and eth_fresh

    def rewards(self, tick: int) -> list[RewardStamp]:
        """All that was paid up to the tick, by the calendar."""
        paid = []
        for ns, row in known(self.dataset, "rewards/eigen_weekly", tick):
            start, end = day_of(row["period_start"]), day_of(ns / 1e9)
            share = row["eigen_per_eeth_weekly"]
            if (end - start).days + 1 > 14:
                share = row["eigen_earned"] / (row["eth_restaked"] + row["eth_not_restaked"])
            paid.append((monday_after(end), "EIGEN", share, start, end))
        for ns, row in known(self.dataset, "rewards/ethfi_topups", tick):
            start, end = day_of(row["period_start"]), day_of(row["period_end"])
            when = max(monday_after(end), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // 10**9))
            paid.append((when, "ETHFI", row["ethfi_per_eeth_distributed"], start, end))
        return [
            RewardStamp(ns_of(when), "weETH", token, share, ns_of(start), ns_of(end) + DAY)
            for when, token, share, start, end in sorted(paid, key=lambda row: (row[0], row[1], row[3]))
            if ns_of(when) <= tick
        ]

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
            closed[0]["open"] if closed else None,
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

    def reserve(self, series: str, tick: int) -> ReserveState | None:
        rows = known(self.dataset, series, tick)
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
        free = max(0.0, now["total_supplied"] - now["total_variable_debt"]) if "total_supplied" in now else None
        return ReserveState(
            *grown, now["liquidity_rate_apr"], now["variable_borrow_rate_apr"], now["utilization"], fresh, free
        )

    def staking(self, tick: int) -> StakingQuote | None:
        rate, fresh = self.last("oracle/weETH_ETH", "staking", tick)
        market, market_fresh = self.last("staking/weETH_market_rate", "staking", tick)
        if rate is None:
            return None
        median = None if market is None else market["market_rate_median_24h"]
        sellable = market is not None and market_fresh
        return StakingQuote(rate["price"], median, fresh and (market is None or market_fresh), sellable)

    def state(self, tick: int) -> MarketState:
        price, fresh = self.reference("BTC", tick)
        eigen, eigen_fresh = self.eigen(tick)
        spot, spot_fresh = self.last("cex/binance/BTCUSDT_spot", "spot", tick)
        oracle, oracle_fresh = self.last("oracle/WETH_USD", "oracle", tick)
        gas, gas_fresh = self.last("gas/ethereum_gas", "gas", tick)
        staking = self.staking(tick)
        reserves = {name: self.reserve(series, tick) for name, series in RESERVES.items()}
        due = {name: self.funding(name, tick) for name in PERPS}
        since = tick - (1 if tick == self.start else self.step)
        new = [stamp for name in PERPS for stamp in due[name] if stamp.ns > since]
        missed = {}
        for name, stamps in due.items():
            settled = [row for row, stamp in enumerate(stamps) if stamp.rate is not None]
            if stamps:
                missed[name] = len(stamps) - 1 - settled[-1]
        paid = [stamp for stamp in self.rewards(tick) if stamp.ns > since]
        stale = [] if price is None or fresh else ["BTC"]
        stale += [] if eigen is None or eigen_fresh else ["EIGEN"]
        quotes = {} if spot is None else {"binance:BTC": SpotQuote(spot["close"], spot_fresh)}
        quotes |= {} if eigen is None else {"binance:EIGEN": SpotQuote(eigen, eigen_fresh)}
        prices = {"BTC": price, "EIGEN": eigen}
        stale += [] if oracle is None or oracle_fresh else ["oracle:WETH"]
        return MarketState(
            timestamp=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=tick // 10**9),
            ns=tick,
            prices={"USDT": 1.0} | {asset: value for asset, value in prices.items() if value is not None},
            stale_prices=tuple(stale),
            spot=quotes,
            perps={name: self.perp(name, tick) for name in PERPS},
            funding=tuple(sorted(new, key=lambda stamp: stamp.ns)),
            funding_missed=missed,
            reserves={name: reserve for name, reserve in reserves.items() if reserve is not None},
            staking={} if staking is None else {"weETH": staking},
            oracle_usd={} if oracle is None else {"WETH": oracle["price"]},
            gas=None if gas is None else GasQuote(gas["base_fee_gwei"], gas["priority_fee_p50_gwei"], gas_fresh),
            rewards=tuple(paid),
        )


def day_of(seconds: float) -> datetime:
    """The midnight at or before."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(seconds // 86400))


def monday_after(last_day: datetime) -> datetime:
    """Walks through the calendar from the end of the last day."""
    day = last_day + timedelta(days=2)
    while day.weekday() != 0:
        day += timedelta(days=1)
    return day


def ns_of(moment: datetime) -> int:
    return round(moment.timestamp()) * 10**9


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
    elif name.startswith("rewards"):
        days = ns // DAY * 86400.0
        start = days - 86400.0 * random.integers(5, 20, size)
        columns = {"period_start": start}
        if name == "rewards/eigen_weekly":
            columns |= {"eigen_per_eeth_weekly": random.random(size), "eigen_earned": random.uniform(1e5, 2e5, size)}
            columns |= {"eth_restaked": random.uniform(1e5, 2e5, size), "eth_not_restaked": random.random(size)}
        else:
            columns["period_end"] = start + 86400.0 * random.integers(0, 5, size)
            columns |= {"ethfi_amount": random.random(size), "ethfi_per_eeth_distributed": random.random(size)}
    elif name.startswith(("aave", "morpho")):
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
    has_grid = not name.endswith("_funding") and not name.startswith("rewards")
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
    end = draw(st.integers(2, 8)) * DAY
    keep = draw(st.sampled_from([1.0, 0.9, 0.5]))
    steps = {
        "gas/ethereum_gas": 2 * HOUR,
        "aave_v3/USDT_rates": draw(st.sampled_from([DAY, 6 * HOUR])),
        "morpho/WETH_rates": DAY,
        "rewards/eigen_weekly": DAY,
        "rewards/ethfi_topups": draw(st.sampled_from([DAY, 90 * MINUTE])),
        "dex/uniswap_v3/EIGENWETH_spot": bar,
        "cex/binance/ETHUSDT_spot": bar,
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
    # Reference prices have to have begun for there to be a feed at all.
    for asset in ("BTC", "ETH"):
        name = f"cex/bybit/{asset}USDT_spot"
        series[name] = rows_of(random, name, bar, 0, end, 1.0)
    tick = draw(st.sampled_from([5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, DAY]))
    count = draw(st.integers(1, 300))
    first = draw(st.integers(0, end // tick - 1))
    last = min(first + count, end // tick)
    return Made(Dataset(series, "made up"), range(first * tick, last * tick + 1, tick), seed, bar, keep)
