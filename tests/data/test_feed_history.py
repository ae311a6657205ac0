"""The feed over the real history, recomputed from the text of the files with the csv module."""

from __future__ import annotations

from math import exp, log

import pytest

from basis_actors.data import build_feed, load_dataset, load_for, window_of
from basis_actors.messages.market import MarketSpec

HOUR = 3600 * 10**9
BASIS = MarketSpec(
    assets=("BTC",), spot=("binance:BTC",), perps=("binance:BTC-PERP", "bybit:BTC-PERP", "okx:BTC-PERP"), gas=True
)


@pytest.fixture(scope="module")
def feed_of(real, venues, data_config, at):
    def make(spec: MarketSpec, start: str, end: str, step_ns: int = HOUR):
        return build_feed(
            real, spec, start_ns=at(start), end_ns=at(end), step_ns=step_ns, data=data_config, venues=venues
        )

    return make


@pytest.fixture(scope="module")
def state_at(feed_of, eth_spec, take_all, at):
    """The state of everything on ETH at one hour, as the second of two ticks."""

    def make(text: str):
        start = at(text) - HOUR
        feed = feed_of(eth_spec, _iso(start), text)
        return list(take_all(feed))[1]

    return make


def _iso(ns: int) -> str:
    from basis_actors.times import utc_from_ns

    return utc_from_ns(ns).replace(tzinfo=None).isoformat()


def test_the_year_has_8785_ticks_and_starts_unknown(feed_of, take_all, at) -> None:
    states = list(take_all(feed_of(BASIS, "2024-01-01", "2025-01-01")))
    assert len(states) == 8785
    assert (states[0].ns, states[-1].ns) == (at("2024-01-01"), at("2025-01-01"))
    assert states[0].timestamp.isoformat() == "2024-01-01T00:00:00+00:00"
    assert states[-1].timestamp.isoformat() == "2025-01-01T00:00:00+00:00"
    assert states[0].prices == {"USDT": 1.0}
    assert states[0].spot == {}
    assert states[0].perps["binance:BTC-PERP"].last is None
    assert {stamp.perp: stamp.rate for stamp in states[0].funding} == {
        "binance:BTC-PERP": 0.00037409,
        "bybit:BTC-PERP": 0.00043294,
    }


def test_every_funding_row_of_the_year_is_settled_once(feed_of, take_all, csv_rows, at) -> None:
    stamps = [stamp for state in take_all(feed_of(BASIS, "2024-01-01", "2025-01-01")) for stamp in state.funding]
    for venue in ("binance", "bybit"):
        rows = csv_rows(f"cex/{venue}/BTCUSDT_funding")
        expected = [
            (at(text.rstrip("Z")), float(row["funding_rate"]))
            for text, row in rows.items()
            if text <= "2025-01-01T00:00:00Z"
        ]
        assert [(stamp.ns, stamp.rate) for stamp in stamps if stamp.perp == f"{venue}:BTC-PERP"] == expected
        assert len(expected) == 366 * 3 + 1


@pytest.mark.parametrize("text", ["2024-05-20T09:00", "2024-08-05T16:00", "2025-02-03T01:00"])
def test_prices_are_those_of_the_bar_that_has_just_closed(state_at, csv_rows, at, text: str) -> None:
    state = state_at(text)
    opened = _iso(at(text) - HOUR) + "Z"
    spot = csv_rows("cex/binance/ETHUSDT_spot_1h")[opened]
    assert state.prices["ETH"] == float(spot["close"])
    assert state.prices["USDT"] == 1.0
    assert state.spot["binance:ETH"].price == float(spot["close"])
    assert state.spot["binance:ETH"].fresh
    binance, mark = csv_rows("cex/binance/ETHUSDT_perp_1h")[opened], csv_rows("cex/binance/ETHUSDT_mark_1h")[opened]
    quote = state.perps["binance:ETH-PERP"]
    assert (quote.last, quote.mark) == (float(binance["close"]), float(mark["close"]))
    assert (quote.mark_high, quote.mark_low) == (float(mark["high"]), float(mark["low"]))
    bybit = csv_rows("cex/bybit/ETHUSDT_perp_1h")[opened]
    quote = state.perps["bybit:ETH-PERP"]
    assert (quote.last, quote.mark) == (float(bybit["close"]), float(bybit["close"]))
    assert (quote.mark_high, quote.mark_low) == (float(bybit["high"]), float(bybit["low"]))


def test_the_holes_of_the_okx_perpetual_leave_its_mark_and_make_its_price_stale(state_at, csv_rows) -> None:
    last_bar = csv_rows("cex/okx/ETHUSDT_perp_1h")["2024-08-31T15:00:00Z"]
    for text, fresh in [("2024-08-31T16:00", True), ("2024-08-31T17:00", True), ("2024-08-31T18:00", False)]:
        quote = state_at(text).perps["okx:ETH-PERP"]
        assert (quote.last, quote.last_fresh) == (float(last_bar["close"]), fresh)
    quote = state_at("2024-09-30T16:00").perps["okx:ETH-PERP"]
    assert (quote.last, quote.last_fresh) == (float(last_bar["close"]), False)
    assert quote.mark == float(csv_rows("cex/okx/ETHUSDT_mark_1h")["2024-09-30T15:00:00Z"]["close"])
    assert quote.mark_fresh
    back = state_at("2024-09-30T17:00").perps["okx:ETH-PERP"]
    assert (back.last, back.last_fresh) == (
        float(csv_rows("cex/okx/ETHUSDT_perp_1h")["2024-09-30T16:00:00Z"]["close"]),
        True,
    )


def test_a_day_without_okx_funding_is_told_and_counted(feed_of, eth_spec, take_all, at) -> None:
    states = list(take_all(feed_of(eth_spec, "2024-11-03T08:00", "2024-11-04T16:00")))
    told = {
        stamp.ns: stamp.rate is not None for state in states for stamp in state.funding if stamp.perp == "okx:ETH-PERP"
    }
    assert told == {
        at("2024-11-03T08:00"): True,
        at("2024-11-03T16:00"): False,
        at("2024-11-04T00:00"): False,
        at("2024-11-04T08:00"): False,
        at("2024-11-04T16:00"): True,
    }
    missed = {state.ns: state.funding_missed["okx:ETH-PERP"] for state in states}
    assert missed[at("2024-11-04T15:00")] == 3
    assert missed[at("2024-11-04T16:00")] == 0
    marks = [stamp.mark for stamp in states[8].funding if stamp.perp == "okx:ETH-PERP"]
    assert marks == [states[8].perps["okx:ETH-PERP"].mark]


def test_indices_are_exact_at_midnight_and_grow_by_the_smaller_rate_between(feed_of, take_all, csv_rows) -> None:
    rows = csv_rows("aave_v3/USDT_rates")
    states = list(take_all(feed_of(MarketSpec(assets=(), reserves=("USDT",)), "2024-03-04", "2024-03-06")))
    before, now = rows["2024-03-04T00:00:00Z"], rows["2024-03-05T00:00:00Z"]
    for side, column, rate in [
        ("supply", "liquidity_index", "liquidity_rate_apr"),
        ("borrow", "variable_borrow_index", "variable_borrow_rate_apr"),
    ]:
        index = [getattr(state.reserves["USDT"], f"{side}_index") for state in states]
        assert index[0] == float(before[column])
        assert index[24] == float(now[column])
        assert index[48] == float(rows["2024-03-06T00:00:00Z"][column])
        daily = min(log(float(now[column]) / float(before[column])), float(now[rate]) / 365)
        for hour in (1, 7, 23):
            assert index[24 + hour] == pytest.approx(float(now[column]) * exp(daily * hour / 24), rel=1e-15)
        assert getattr(states[30].reserves["USDT"], f"{side}_apr") == float(now[rate])
    assert states[30].reserves["USDT"].utilization == float(now["utilization"])


def test_the_first_day_of_a_reserve_grows_by_its_rate_alone(feed_of, take_all, csv_rows) -> None:
    row = csv_rows("aave_v3/USDT_rates")["2024-01-01T00:00:00Z"]
    states = list(take_all(feed_of(MarketSpec(assets=(), reserves=("USDT",)), "2024-01-01", "2024-01-02")))
    expected = float(row["liquidity_index"]) * exp(float(row["liquidity_rate_apr"]) / 365 / 2)
    assert states[12].reserves["USDT"].supply_index == pytest.approx(expected, rel=1e-15)


def test_staking_rates_are_those_of_the_last_stamp_and_medians_of_the_hour_before(state_at, csv_rows) -> None:
    quote = state_at("2024-08-05T16:00").staking["weETH"]
    assert quote.eth_per_lst == float(csv_rows("oracle/weETH_ETH")["2024-08-05T00:00:00Z"]["price"])
    median = csv_rows("staking/weETH_market_rate_24h_median")["2024-08-05T15:00:00Z"]
    assert quote.market_rate == float(median["market_rate_median_24h"])
    assert quote.fresh


def test_a_staking_token_is_absent_before_its_first_stamp_and_without_a_market_on_its_first_day(state_at) -> None:
    assert "weETH" not in state_at("2024-05-11T23:00").staking
    quote = state_at("2024-05-12T00:00").staking["weETH"]
    assert quote.market_rate is None
    assert quote.fresh


def test_oracle_and_gas_are_those_of_the_last_block_read(state_at, csv_rows) -> None:
    state = state_at("2024-06-01T10:00")
    assert state.oracle_usd["USDT"] == float(csv_rows("oracle/USDT_USD")["2024-06-01T00:00:00Z"]["price"])
    block = csv_rows("gas/ethereum_gas_2h")["2024-06-01T09:00:00Z"]
    assert state.gas is not None
    assert state.gas.base_fee_gwei == float(block["base_fee_gwei"])
    assert state.gas.priority_fee_gwei == float(block["priority_fee_p50_gwei"])


@pytest.mark.parametrize("minutes", [5, 60, 240, 1440])
def test_where_a_run_starts_changes_nothing_after_its_first_tick(feed_of, eth_spec, take_all, minutes: int) -> None:
    step = minutes * HOUR // 60
    early = {state.ns: state for state in take_all(feed_of(eth_spec, "2024-07-30", "2024-08-03", step))}
    late = list(take_all(feed_of(eth_spec, "2024-08-01", "2024-08-03", step)))
    assert [early[state.ns] for state in late[1:]] == late[1:]
    assert late[0].funding == early[late[0].ns].funding or minutes > 480


def test_what_a_spec_needs_is_loaded_and_nothing_else(data_folder, venues) -> None:
    dataset = load_for(data_folder, BASIS, venues)
    assert sorted(dataset.series) == [
        "cex/binance/BTCUSDT_funding",
        "cex/binance/BTCUSDT_mark",
        "cex/binance/BTCUSDT_perp",
        "cex/binance/BTCUSDT_spot",
        "cex/bybit/BTCUSDT_funding",
        "cex/bybit/BTCUSDT_perp",
        "cex/bybit/BTCUSDT_spot",
        "cex/okx/BTCUSDT_funding",
        "gas/ethereum_gas",
    ]


def test_the_widest_window_ends_when_the_last_bar_closes(data_folder, venues, at) -> None:
    dataset = load_dataset(data_folder)
    assert window_of(dataset, BASIS, venues, HOUR) == (at("2024-01-01"), at("2025-07-01"))
    assert window_of(dataset, BASIS, venues, 7 * 24 * HOUR)[1] == at("2025-06-30")
