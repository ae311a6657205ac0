"""What stands in for a market that has no series: pool prices, the coin-margined perpetual; and Morpho's reserves."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from basis_actors.data import Dataset, Series, build_feed, check_dataset, load_for, requirements_of, window_of
from basis_actors.errors import BasisError, ConfigError, DataError
from basis_actors.messages.market import MarketSpec

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
POOL, BINANCE, BYBIT = "dex/uniswap_v3/EIGENWETH_spot", "cex/binance/ETHUSDT_spot", "cex/bybit/ETHUSDT_spot"
SPEC = MarketSpec(assets=("EIGEN",), spot=("binance:EIGEN",))
SOLD = "binance:EIGEN price: close of dex/uniswap_v3/EIGENWETH_spot x reference price of ETH"


@pytest.fixture
def feed_of(venues, data_config):
    def make(dataset: Dataset, spec: MarketSpec, start: int, end: int, step: int = HOUR):
        return build_feed(dataset, spec, start_ns=start, end_ns=end, step_ns=step, data=data_config, venues=venues)

    return make


@pytest.fixture
def eigen(feed_of, take_all):
    """(price, stale, spot price, spot fresh) of EIGEN at each tick; None for what is absent."""

    def make(series: list[Series], start: int, end: int, step: int = HOUR):
        feed = feed_of(Dataset({one.name: one for one in series}, "made up"), SPEC, start, end, step)
        found = []
        for state in take_all(feed):
            quote = state.spot.get("binance:EIGEN")
            shown = (None, None) if quote is None else (quote.price, quote.fresh)
            found.append((state.prices.get("EIGEN"), "EIGEN" in state.stale_prices, *shown))
        return found

    return make


def test_a_pool_price_is_the_close_in_weth_times_the_price_of_eth(bars, eigen) -> None:
    series = [bars(POOL, 0, [2.0, 4.0]), bars(BINANCE, 0, [10.0, 20.0])]
    assert eigen(series, HOUR, 2 * HOUR) == [(20.0, False, 20.0, True), (80.0, False, 80.0, True)]


def test_it_is_absent_until_both_factors_are_known(bars, eigen) -> None:
    late_pool = [bars(POOL, 2 * HOUR, [2.0]), bars(BINANCE, 0, [10.0] * 4)]
    nothing = (None, False, None, None)
    assert eigen(late_pool, HOUR, 4 * HOUR) == [nothing, nothing, (20.0, False, 20.0, True), (20.0, False, 20.0, True)]
    late_eth = [bars(POOL, 0, [2.0] * 4), bars(BINANCE, 2 * HOUR, [10.0, 11.0])]
    assert eigen(late_eth, 2 * HOUR, 4 * HOUR) == [nothing, (20.0, False, 20.0, True), (22.0, False, 22.0, True)]


def test_it_is_stale_when_either_factor_is(bars, eigen) -> None:
    fresh, stale = (20.0, False, 20.0, True), (20.0, True, 20.0, False)
    old_pool = [bars(POOL, 0, [2.0]), bars(BINANCE, 0, [10.0] * 4)]
    assert eigen(old_pool, HOUR, 4 * HOUR) == [fresh, fresh, stale, stale]
    old_eth = [bars(POOL, 0, [2.0] * 4), bars(BINANCE, 0, [10.0])]
    assert eigen(old_eth, HOUR, 4 * HOUR) == [fresh, fresh, stale, stale]


def test_the_price_of_eth_is_the_reference_price_with_its_own_stand_in(bars, eigen) -> None:
    series = [bars(POOL, 0, [2.0] * 5), bars(BINANCE, 0, [10.0]), bars(BYBIT, 0, [11.0] * 5)]
    assert [price for price, *_ in eigen(series, HOUR, 4 * HOUR)] == [20.0, 20.0, 22.0, 22.0]


def test_a_pool_without_rows_has_not_begun(bars, eigen) -> None:
    assert eigen([bars(POOL, 0, []), bars(BINANCE, 0, [10.0])], HOUR, HOUR) == [(None, False, None, None)]


def test_real_prices_are_products_of_the_rows_of_two_files(real, feed_of, take_all, csv_rows, at) -> None:
    spec = MarketSpec(assets=("ETH", "EIGEN", "ETHFI"), spot=("binance:EIGEN", "binance:ETHFI"))
    states = list(take_all(feed_of(real, spec, at("2024-10-04T20:00"), at("2024-10-20"))))
    eth = csv_rows("cex/binance/ETHUSDT_spot_1h")
    pools = {token: csv_rows(f"dex/uniswap_v3/{token}WETH_spot_1h") for token in ("EIGEN", "ETHFI")}
    compared = 0
    for state in states:
        opened = (state.timestamp - np.timedelta64(1, "h").item()).strftime("%Y-%m-%dT%H:%M:%SZ")
        for token, rows in pools.items():
            if opened in rows:
                price = float(rows[opened]["close"]) * float(eth[opened]["close"])
                assert state.prices[token] == state.spot[f"binance:{token}"].price == price
                assert token not in state.stale_prices
                compared += 1
    assert compared > 700
    # The pool of EIGEN opens with the bar of 2024-10-05 00:00, which closes at 01:00.
    assert ["EIGEN" in state.prices for state in states[4:6]] == [False, True]
    assert ["binance:EIGEN" in state.spot for state in states[4:6]] == [False, True]


def test_what_stands_in_and_what_is_missing_is_named(bars, feed_of, take_all) -> None:
    everything = {one.name: one for one in (bars(POOL, 0, [2.0]), bars(BINANCE, 0, [10.0]))}
    report = feed_of(Dataset(everything, "made up"), SPEC, HOUR, HOUR).report
    assert (report.proxies, report.absent) == ((SOLD,), ())
    spec = msgspec.structs.replace(SPEC, assets=("ETH", "EIGEN"))
    feed = feed_of(Dataset({BINANCE: everything[BINANCE]}, "made up"), spec, HOUR, HOUR)
    assert feed.report.proxies == ()
    assert feed.report.absent == (
        f"EIGEN: no price, {POOL} not in the data",
        f"binance:EIGEN: no price, {POOL} not in the data",
    )
    (state,) = take_all(feed)
    assert (set(state.prices), state.spot) == ({"USDT", "ETH"}, {})


def test_a_pool_price_without_any_price_of_eth_is_refused(bars, feed_of) -> None:
    with pytest.raises(DataError, match="ETHUSDT_spot, needed for the reference price of ETH"):
        feed_of(Dataset({POOL: bars(POOL, 0, [2.0])}, "made up"), SPEC, HOUR, HOUR)


def test_a_late_pool_does_not_shorten_the_window(data_folder, venues, at) -> None:
    spec = MarketSpec(assets=("ETH", "EIGEN", "ETHFI"), spot=("binance:EIGEN",), rewards=("weETH",), gas=True)
    assert window_of(load_for(data_folder, spec, venues), spec, venues, HOUR) == (at("2024-01-01"), at("2025-07-01"))


@pytest.mark.parametrize(
    ("spec", "start"),
    [
        (MarketSpec(assets=("ETH",), staking=("weETH",)), "2024-05-12"),
        (MarketSpec(assets=("ETH",), reserves=("WETH", "wstETH"), staking=("wstETH",), gas=True), "2024-05-12"),
        (MarketSpec(assets=("ETH",), oracle=("weETH",)), "2024-05-12"),
        (MarketSpec(assets=("ETH",), reserves=("WETH",), oracle=("WETH",), gas=True), "2024-01-01"),
        (MarketSpec(assets=("ETH",), perps=("okx:ETH-PERP",)), "2024-01-01"),
    ],
)
def test_a_window_begins_with_the_rates_that_a_mode_cannot_do_without(data_folder, venues, at, spec, start) -> None:
    assert window_of(load_for(data_folder, spec, venues), spec, venues, HOUR)[0] == at(start)


def test_a_staking_mode_may_start_before_the_market_rate_is_known(real, feed_of, take_all, at) -> None:
    spec = MarketSpec(assets=("ETH",), staking=("weETH", "wstETH"))
    states = list(take_all(feed_of(real, spec, at("2024-05-12"), at("2024-05-13T06:00"))))
    for lst, first in (("wstETH", "2024-05-13T00:00"), ("weETH", "2024-05-13T05:00")):
        for state in states:
            assert (state.staking[lst].market_rate is not None) == (state.ns >= at(first))
            assert state.staking[lst].eth_per_lst > 1.0
            assert state.staking[lst].fresh


INVERSE, LINEAR = "binance:BTCUSD-PERP", "binance:BTC-PERP"


def test_the_coin_margined_perpetual_has_the_quotes_and_funding_of_the_linear_one(real, feed_of, take_all, at) -> None:
    spec = MarketSpec(assets=("BTC",), perps=(INVERSE, LINEAR))
    feed = feed_of(real, spec, at("2024-03-01"), at("2024-03-10"))
    told = 0
    for state in take_all(feed):
        assert state.perps[INVERSE] == state.perps[LINEAR]
        stamps = {stamp.perp: (stamp.ns, stamp.rate, stamp.mark) for stamp in state.funding}
        assert stamps.get(INVERSE) == stamps.get(LINEAR)
        assert state.funding_missed[INVERSE] == state.funding_missed[LINEAR] == 0
        told += bool(stamps)
    assert told == 9 * 3 + 1
    assert feed.report.proxies == (
        "binance:BTCUSD-PERP: COIN-M price, mark and funding are those of BTCUSDT, with 1 USDT = 1 USD",
    )
    assert feed.report.missed_funding == {INVERSE: 0, LINEAR: 0}
    history = feed.warmup_funding(INVERSE, 21)
    assert len(history) == 21
    assert {stamp.perp for stamp in history} == {INVERSE}


def test_it_needs_only_series_of_its_venue(venues) -> None:
    root = "cex/binance/BTCUSDT"
    needs = requirements_of(MarketSpec(assets=(), perps=(INVERSE,)), venues)
    assert needs.required == (f"{root}_perp", f"{root}_mark", f"{root}_funding")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bybit:BTCUSD-PERP", "venue 'bybit' has no coin-margined perpetuals"),
        ("binance:ETHUSD-PERP", "venue binance has no market 'ETH' under inverse_perp.markets; there is: BTC"),
        ("kraken:BTCUSD-PERP", "venue 'kraken' has no coin-margined perpetuals"),
    ],
)
def test_a_coin_margined_perpetual_that_is_not_configured_is_refused(venues, name: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        requirements_of(MarketSpec(assets=(), perps=(name,)), venues)
    assert caught.value.code == "CONFIG-004"
    assert isinstance(caught.value, BasisError)
    assert expected in str(caught.value)


def rates(name: str, index: float) -> Series:
    columns = {
        "liquidity_rate_apr": 0.0,
        "variable_borrow_rate_apr": 0.0,
        "liquidity_index": index,
        "variable_borrow_index": index,
        "utilization": 0.5,
    }
    return Series(
        name, np.arange(2, dtype=np.int64) * DAY, {key: np.full(2, value) for key, value in columns.items()}, DAY
    )


def test_reserves_of_morpho_have_their_own_series_and_name(feed_of, take_all) -> None:
    series = {name: rates(name, index) for name, index in (("aave_v3/WETH_rates", 1.5), ("morpho/WETH_rates", 1.25))}
    spec = MarketSpec(assets=(), reserves=("WETH", "morpho:WETH"))
    (state,) = take_all(feed_of(Dataset(series, "made up"), spec, HOUR, HOUR))
    assert {name: reserve.supply_index for name, reserve in state.reserves.items()} == {
        "WETH": 1.5,
        "morpho:WETH": 1.25,
    }


def test_what_lies_free_in_a_pool_is_supply_less_debt_and_a_pool_without_a_size_is_named(feed_of, take_all) -> None:
    sizes = {"total_supplied": np.full(2, 100.0), "total_variable_debt": np.full(2, 90.0)}
    blank = {"total_supplied": np.full(2, np.nan), "total_variable_debt": np.full(2, 90.0)}
    series = {name: rates(name, 1.5) for name in ("aave_v3/WETH_rates", "aave_v3/USDT_rates", "morpho/WETH_rates")}
    for name, more in (("aave_v3/WETH_rates", sizes), ("morpho/WETH_rates", blank)):
        series[name] = replace(series[name], columns={**series[name].columns, **more})
    feed = feed_of(
        Dataset(series, "made up"), MarketSpec(assets=(), reserves=("WETH", "USDT", "morpho:WETH")), HOUR, HOUR
    )
    (state,) = take_all(feed)
    assert {name: reserve.available for name, reserve in state.reserves.items()} == {
        "WETH": 10.0,
        "USDT": None,
        "morpho:WETH": None,
    }
    assert feed.report.proxies == tuple(
        f"reserve {token}: {name} lacks total_supplied or total_variable_debt, and no order is too large for it"
        for token, name in (("USDT", "aave_v3/USDT_rates"), ("morpho:WETH", "morpho/WETH_rates"))
    )


def test_a_token_that_nobody_borrows_needs_no_size(feed_of, take_all) -> None:
    idle = rates("morpho/weETH_rates", 1.0)
    idle = replace(idle, columns={**idle.columns, "utilization": np.zeros(2)})
    feed = feed_of(Dataset({idle.name: idle}, "made up"), MarketSpec(assets=(), reserves=("morpho:weETH",)), HOUR, HOUR)
    (state,) = take_all(feed)
    assert state.reserves["morpho:weETH"].available is None
    assert feed.report.proxies == ()


def test_history_has_no_lending_market_of_morpho_and_says_so(data_folder, venues) -> None:
    with pytest.raises(DataError, match=r"series missing: morpho/WETH_rates \(looked for") as caught:
        load_for(data_folder, MarketSpec(assets=(), reserves=("morpho:WETH",)), venues)
    assert caught.value.code == "DATA-003"
    assert (
        "morpho/WETH_rates is not there: nothing is supplied to or borrowed from Morpho"
        in check_dataset(data_folder).proxies
    )


@pytest.mark.parametrize("name", ["compound:WETH", "morpho:", "WE-TH"])
def test_a_reserve_whose_name_is_none_is_refused(venues, name: str) -> None:
    with pytest.raises(ConfigError, match=f"reserve '{name}' is not a name; expected a token such as WETH") as caught:
        requirements_of(MarketSpec(assets=(), reserves=(name,)), venues)
    assert caught.value.code == "CONFIG-003"
