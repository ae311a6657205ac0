"""Which bar is known at a tick, what is stale, what stands in, and which windows and specs are refused."""

from __future__ import annotations

import pytest

from basis_actors.data import Dataset, build_feed, requirements_of
from basis_actors.errors import BasisError, ConfigError, DataError
from basis_actors.messages.market import MarketSpec

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SPEC = MarketSpec(assets=("BTC",), spot=("binance:BTC",))
BINANCE, BYBIT = "cex/binance/BTCUSDT_spot", "cex/bybit/BTCUSDT_spot"


@pytest.fixture
def feed_of(venues, data_config):
    def make(series, start: int, end: int, step: int = HOUR, spec: MarketSpec = SPEC):
        dataset = Dataset({one.name: one for one in series}, "made up")
        return build_feed(dataset, spec, start_ns=start, end_ns=end, step_ns=step, data=data_config, venues=venues)

    return make


@pytest.fixture
def prices(feed_of, take_all):
    """(price, stale) of BTC at each tick."""

    def make(series, start: int, end: int, step: int = HOUR):
        feed = feed_of(series, start, end, step, MarketSpec(assets=("BTC",)))
        return [(state.prices.get("BTC"), bool(state.stale_prices)) for state in take_all(feed)]

    return make


def test_a_bar_is_known_when_it_closes(bars, prices) -> None:
    series = [bars(BINANCE, 0, [10.0, 11.0, 12.0])]
    assert prices(series, 0, 3 * HOUR) == [(None, False), (10.0, False), (11.0, False), (12.0, False)]


def test_ticks_within_a_bar_see_the_bar_before(bars, prices) -> None:
    series = [bars(BINANCE, 0, [10.0, 11.0, 12.0])]
    assert [price for price, _ in prices(series, HOUR, 2 * HOUR, 20 * MINUTE)] == [10.0, 10.0, 10.0, 11.0]


def test_ticks_longer_than_a_bar_see_the_last_one_closed(bars, prices) -> None:
    series = [bars(BINANCE, 0, [float(10 + hour) for hour in range(48)])]
    assert [price for price, _ in prices(series, 0, 2 * DAY, DAY)] == [None, 33.0, 57.0]


@pytest.mark.parametrize("days", [105, 213, 300])
def test_no_tick_is_lost_when_they_are_a_day_apart(days: int, bars, prices) -> None:
    """Nanoseconds of our time do not fit into a double: a chunk of long steps must be counted in whole numbers."""
    start = 1_704_067_200 * 10**9
    series = [bars(BINANCE, start, [float(day) for day in range(1, 24 * days + 1)])]
    known = prices(series, start, start + days * DAY, DAY)
    assert [price for price, _ in known] == [None, *(24.0 * day for day in range(1, days + 1))]


def test_extremes_of_the_mark_span_the_bars_closed_since_the_tick_before(bars, feed_of, take_all, venues) -> None:
    root = "cex/binance/BTCUSDT"
    closes = [float(10 + hour) for hour in range(48)]
    funding = bars(f"{root}_perp", 0, closes)
    series = [bars(f"{root}_{kind}", 0, closes) for kind in ("spot", "perp", "mark")]
    series.append(_funding(root, funding.ns))
    spec = MarketSpec(assets=("BTC",), perps=("binance:BTC-PERP",))

    def extremes(start: int, end: int, step: int):
        states = take_all(feed_of(series, start, end, step, spec))
        return [
            (state.perps["binance:BTC-PERP"].mark_low, state.perps["binance:BTC-PERP"].mark_high) for state in states
        ]

    # highs and lows are 1 above and below the closes
    assert extremes(8 * HOUR, 16 * HOUR, 4 * HOUR) == [(None, None), (17.0, 22.0), (21.0, 26.0)]
    assert extremes(8 * HOUR, 9 * HOUR, 30 * MINUTE) == [(None, None), (None, None), (17.0, 19.0)]


def _funding(root: str, ns):
    import numpy as np

    from basis_actors.data import Series

    return Series(f"{root}_funding", ns[::8].copy(), {"funding_rate": np.zeros(ns[::8].size)}, None)


def test_a_price_older_than_its_limit_is_kept_and_called_stale(bars, prices) -> None:
    series = [bars(BINANCE, 0, [10.0, None, None, None, 14.0])]
    assert prices(series, HOUR, 5 * HOUR) == [
        (10.0, False),
        (10.0, False),  # one hour old, which is the limit
        (10.0, True),
        (10.0, True),
        (14.0, False),
    ]


def test_a_fresh_price_of_bybit_stands_in_for_a_stale_one_of_binance(bars, prices) -> None:
    series = [bars(BINANCE, 0, [10.0, None, None, None, 14.0]), bars(BYBIT, 0, [20.0, 21.0, 22.0, 23.0, 24.0])]
    assert prices(series, HOUR, 5 * HOUR) == [(10.0, False), (10.0, False), (22.0, False), (23.0, False), (14.0, False)]


def test_when_both_are_stale_the_one_known_last_is_kept(bars, prices) -> None:
    series = [bars(BINANCE, 0, [10.0, *[None] * 9, 30.0]), bars(BYBIT, 0, [20.0, 21.0])]
    assert prices(series, 6 * HOUR, 6 * HOUR) == [(21.0, True)]


def test_bybit_alone_gives_the_reference_price_and_the_report_says_so(bars, feed_of, take_all) -> None:
    feed = feed_of([bars(BYBIT, 0, [20.0, 21.0])], HOUR, HOUR, spec=MarketSpec(assets=("BTC",)))
    assert next(take_all(feed)).prices["BTC"] == 20.0
    assert feed.report.proxies == (f"reference price of BTC: {BYBIT} instead of {BINANCE}",)


def test_unchanged_parts_are_the_same_objects(bars, feed_of, take_all) -> None:
    states = list(take_all(feed_of([bars(BINANCE, 0, [10.0, 11.0, 12.0])], HOUR, HOUR + 59 * MINUTE, MINUTE)))
    assert all(state.spot is states[0].spot for state in states)
    assert all(state.prices is states[0].prices for state in states)


def test_ticks_are_taken_once_each_in_order(bars, feed_of) -> None:
    feed = feed_of([bars(BINANCE, 0, [10.0, 11.0, 12.0])], HOUR, 3 * HOUR)
    assert feed.next_tick(None) == HOUR
    assert feed.next_tick(0) == HOUR
    assert feed.next_tick(HOUR) == 2 * HOUR
    assert feed.next_tick(HOUR + MINUTE) == 2 * HOUR
    assert feed.next_tick(3 * HOUR) is None
    feed.take(HOUR)
    with pytest.raises(ValueError, match="in order"):
        feed.take(HOUR)
    with pytest.raises(ValueError, match="in order"):
        feed.take(3 * HOUR)
    assert feed.take(2 * HOUR).ns == 2 * HOUR


@pytest.mark.parametrize(
    ("start", "end", "step", "code", "expected"),
    [
        (3 * HOUR, 2 * HOUR, HOUR, "DATA-002", "start 1970-01-01T03:00:00Z is after end 1970-01-01T02:00:00Z"),
        (HOUR + MINUTE, 2 * HOUR + MINUTE, HOUR, "DATA-002", "the nearest earlier tick is 1970-01-01T01:00:00Z"),
        (HOUR, 2 * HOUR + MINUTE, HOUR, "DATA-002", "the nearest earlier tick is 1970-01-01T02:00:00Z"),
        (HOUR, 2 * HOUR, 0, "DATA-002", "a whole number of seconds above 0"),
        (HOUR, 2 * HOUR, 10**8, "DATA-002", "a whole number of seconds above 0"),
        (0, 2 * DAY, HOUR, "DATA-003", "there is 1970-01-01T00:00:00Z to before 1970-01-01T04:00:00Z"),
        (-HOUR, 2 * HOUR, HOUR, "DATA-003", "there is 1970-01-01T00:00:00Z to before 1970-01-01T04:00:00Z"),
    ],
)
def test_a_window_that_is_none_is_refused(bars, feed_of, start, end, step, code, expected) -> None:
    with pytest.raises(DataError) as caught:
        feed_of([bars(BINANCE, 0, [10.0, 11.0, 12.0])], start, end, step)
    assert caught.value.code == code
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "missing"),
    [
        (MarketSpec(assets=("ETH",)), "cex/binance/ETHUSDT_spot or cex/bybit/ETHUSDT_spot, needed for the reference"),
        (MarketSpec(assets=(), spot=("bybit:BTC",)), f"{BYBIT}, needed for bybit:BTC"),
        (MarketSpec(assets=(), perps=("okx:ETH-PERP",)), "cex/okx/ETHUSDT_perp, needed for okx:ETH-PERP"),
        (MarketSpec(assets=(), reserves=("USDT",)), "aave_v3/USDT_rates, needed for reserve USDT"),
        (MarketSpec(assets=(), staking=("weETH",)), "oracle/weETH_ETH, needed for weETH"),
        (MarketSpec(assets=(), gas=True), "gas/ethereum_gas, needed for gas"),
    ],
)
def test_a_series_that_is_not_there_is_named_with_its_purpose(bars, feed_of, spec, missing) -> None:
    with pytest.raises(DataError) as caught:
        feed_of([bars(BINANCE, 0, [10.0])], 0, HOUR, spec=spec)
    assert caught.value.code == "DATA-003"
    assert missing in str(caught.value)
    assert f"there is: {BINANCE}" in str(caught.value)


def test_an_optional_perpetual_without_series_is_left_out(bars, feed_of, take_all) -> None:
    spec = MarketSpec(assets=("BTC",), perps=("okx:BTC-PERP",))
    feed = feed_of([bars(BINANCE, 0, [10.0])], HOUR, HOUR, spec=spec)
    assert next(take_all(feed)).perps == {}
    assert feed.report.absent == (
        "okx:BTC-PERP: left out, cex/okx/BTCUSDT_perp, cex/okx/BTCUSDT_funding not in the data",
    )


def test_a_reference_price_without_a_single_row_is_refused(bars, feed_of) -> None:
    with pytest.raises(DataError, match="the reference price of BTC has no rows"):
        feed_of([bars(BINANCE, 0, [])], HOUR, HOUR)


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("kraken:BTC-PERP", "CONFIG-004", "venue 'kraken' has no perpetuals"),
        ("binance:DOGE-PERP", "CONFIG-004", "no market 'DOGE'"),
        ("binance:BTC", "CONFIG-003", "such as binance:BTC-PERP"),
        ("BTC-PERP", "CONFIG-003", "expected venue:symbol"),
    ],
)
def test_a_perpetual_that_is_not_configured_is_refused(venues, name: str, code: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        requirements_of(MarketSpec(assets=(), perps=(name,)), venues)
    assert caught.value.code == code
    assert isinstance(caught.value, BasisError)
    assert expected in str(caught.value)
