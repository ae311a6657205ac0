"""The synthetic market has the data layout, is one fixed path per seed, and is the same in every window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.config import DataConfig, VenueConfig
from basis_actors.data import Dataset, HistoricalFeed, build_feed, load_dataset, write_dataset
from basis_actors.data.catalogue import kind_of
from basis_actors.data.stamps import DAY, HOUR
from basis_actors.data.synthetic import SyntheticGenerator
from basis_actors.data.validation import problems_of
from basis_actors.errors import DataError
from basis_actors.messages.market import MarketSpec, MarketState
from basis_actors.times import ns_from_utc

EPOCH = SyntheticGenerator(0, 3600).epoch_ns
BARS = ("cex/binance/BTCUSDT_spot", "cex/okx/ETHUSDT_perp", "cex/binance/ETHUSDT_mark", "dex/uniswap_v3/EIGENWETH_spot")


def generate(seed: int, step_seconds: int, first_hour: int, hours: int) -> Dataset:
    start = EPOCH + first_hour * HOUR
    return SyntheticGenerator(seed, step_seconds).generate(start, start + hours * HOUR)


def contents(dataset: Dataset) -> dict[str, dict[str, bytes]]:
    return {
        name: {"": series.ns.tobytes(), **{key: values.tobytes() for key, values in series.columns.items()}}
        for name, series in dataset.series.items()
    }


@pytest.mark.parametrize("step_seconds", [60, 300, 3600, 5400, 86400])
def test_every_series_passes_the_checks_of_loaded_data(step_seconds: int) -> None:
    dataset = generate(3, step_seconds, 0, 40 * 24)
    for name, series in dataset.series.items():
        kind = kind_of(name)
        assert kind is not None, name
        assert set(kind.required) <= set(series.columns) <= {column.name for column in kind.columns}
        assert list(problems_of(kind, series.ns, series.columns, series.step_ns)) == []
        assert {series.ns.size} == {values.size for values in series.columns.values()}
        assert series.ns.size > 0
        assert all(np.isfinite(values).all() for values in series.columns.values())


def test_series_and_columns_are_those_of_real_history_and_what_it_lacks(real: Dataset) -> None:
    dataset = generate(0, 3600, 0, 24)
    lacking = {"cex/okx/BTCUSDT_perp", "cex/okx/BTCUSDT_mark", "cex/bybit/BTCUSDT_mark", "cex/bybit/ETHUSDT_mark"}
    lacking |= {f"morpho/{token}_rates" for token in ("WETH", "weETH", "wstETH")}
    assert set(dataset.series) == set(real.series) | lacking
    for name, series in real.series.items():
        assert set(dataset.series[name].columns) == set(series.columns), name
        assert dataset.series[name].step_ns == series.step_ns, name


def test_it_says_that_it_is_synthetic_and_which_seed() -> None:
    dataset = generate(41, 3600, 0, 24)
    assert dataset.origin == "synthetic, seed 41"
    assert dataset.seed == 41
    assert list(dataset.hashes) == ["synthetic parameters"]
    assert dataset.hashes == generate(5, 60, 100, 3).hashes


def test_another_parameter_has_another_hash() -> None:
    usual = SyntheticGenerator(1, 3600)
    funding = usual.calibration.funding.model_copy(update={"interest": 2.0})
    other = SyntheticGenerator(1, 3600, usual.calibration.model_copy(update={"funding": funding}))
    assert other.generate(EPOCH, EPOCH).hashes != usual.generate(EPOCH, EPOCH).hashes


@pytest.mark.parametrize("step_seconds", [300, 3600])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_market(step_seconds: int) -> None:
    one, again, other = (contents(generate(seed, step_seconds, 500, 72)) for seed in (8, 8, 9))
    assert one == again
    # Collateral on Morpho earns nothing in any market.
    for name in set(one) - {"morpho/weETH_rates", "morpho/wstETH_rates"}:
        columns = one[name]
        for key in set(columns) - {"", "block_number", "block_timestamp", "period_start", "period_end"}:
            assert columns[key] != other[name][key] or not columns[key], (name, key)


@settings(max_examples=16, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    step=st.sampled_from([900, 3600, 5400, 86400]),
    first=st.integers(0, 1500),
    hours=st.integers(0, 900),
    more=st.integers(0, 900),
)
def test_a_later_end_only_adds_rows(seed: int, step: int, first: int, hours: int, more: int) -> None:
    short, long = generate(seed, step, first, hours), generate(seed, step, first, hours + more)
    end = EPOCH + (first + hours) * HOUR
    for name, series in long.series.items():
        kept = int(np.searchsorted(series.ns, end, side="right"))
        assert short.series[name].ns.tobytes() == series.ns[:kept].tobytes(), name
        for key, values in series.columns.items():
            assert short.series[name].columns[key].tobytes() == values[:kept].tobytes(), (name, key)


@settings(max_examples=10, deadline=None)
@given(
    step=st.sampled_from([1800, 3600, 86400]),
    first=st.integers(0, 800),
    later=st.integers(0, 800),
    hours=st.integers(0, 400),
)
def test_an_earlier_start_only_adds_rows(step: int, first: int, later: int, hours: int) -> None:
    long, short = generate(7, step, first, later + hours), generate(7, step, first + later, hours)
    for name, series in short.series.items():
        skip = long.series[name].ns.size - series.ns.size
        assert long.series[name].ns[skip:].tobytes() == series.ns.tobytes(), name
        for key, values in series.columns.items():
            assert long.series[name].columns[key][skip:].tobytes() == values.tobytes(), (name, key)


def test_rows_reach_from_the_midnight_before_the_start_to_the_end() -> None:
    start, end = EPOCH + 30 * DAY + 5 * HOUR, EPOCH + 33 * DAY + 8 * HOUR
    dataset = SyntheticGenerator(2, 3600).generate(start, end)
    for name in (*BARS, "cex/bybit/BTCUSDT_funding", "staking/weETH_market_rate"):
        assert dataset.series[name].ns[[0, -1]].tolist() == [EPOCH + 30 * DAY, end], name
    assert dataset.series["aave_v3/WETH_rates"].ns.tolist() == [EPOCH + day * DAY for day in (30, 31, 32, 33)]


@pytest.mark.parametrize("name", BARS)
def test_bars_open_at_the_close_before(name: str) -> None:
    columns = generate(6, 3600, 0, 24 * 60).series[name].columns
    np.testing.assert_array_equal(columns["open"][1:], columns["close"][:-1])
    assert (columns["high"] > columns["low"]).all()


def test_prices_at_full_hours_and_slow_series_are_the_same_at_every_step() -> None:
    minute, hour, day = (generate(11, step, 0, 24 * 9).series for step in (60, 3600, 86400))
    for name in BARS:
        opens = minute[name].columns["open"][::60]
        # Exchange prices are rounded to 0.01, so the last bit of a path may move them by one hundredth.
        tolerance = 0.0101 if name.startswith("cex") else 1e-12
        np.testing.assert_allclose(hour[name].columns["open"], opens, rtol=0, atol=tolerance)
        np.testing.assert_allclose(day[name].columns["open"], opens[::24], rtol=0, atol=tolerance)
    for name in minute:
        if not name.startswith(("cex", "dex")) or name.endswith("funding"):
            for key, values in minute[name].columns.items():
                np.testing.assert_allclose(day[name].columns[key], values, rtol=1e-5, err_msg=f"{name} {key}")


def test_the_levels_at_the_epoch_are_those_of_real_history() -> None:
    series = generate(23, 3600, 0, 24).series
    assert series["cex/binance/BTCUSDT_spot"].columns["open"][0] == 42283.58
    assert series["cex/binance/ETHUSDT_spot"].columns["open"][0] == 2281.87
    assert series["aave_v3/USDT_rates"].columns["liquidity_index"][0] == 1.0362
    assert series["oracle/wstETH_ETH"].columns["price"][0] == pytest.approx(1.1538)


@pytest.mark.parametrize("step_seconds", [0, -60, 59, 90, 420, 86401, 172800])
def test_a_step_that_does_not_divide_a_day_into_whole_minutes_is_refused(step_seconds: int) -> None:
    with pytest.raises(
        DataError, match=rf"synthetic step of {step_seconds} s; expected whole minutes that divide a day"
    ):
        SyntheticGenerator(1, step_seconds)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_outside_its_range_is_refused(seed: int) -> None:
    with pytest.raises(DataError, match="expected a whole number from 0 to"):
        SyntheticGenerator(seed, 3600)


def test_a_window_that_ends_before_it_starts_or_starts_before_the_epoch_is_refused() -> None:
    generator = SyntheticGenerator(1, 3600)
    with pytest.raises(DataError, match="2024-01-02T00:00:00Z, before its start 2024-01-03T00:00:00Z"):
        generator.generate(EPOCH + 2 * DAY, EPOCH + DAY)
    with pytest.raises(DataError, match="begins at 2024-01-01T00:00:00Z; start there or later"):
        generator.generate(EPOCH - HOUR, EPOCH + DAY)


@pytest.mark.parametrize("year", [2262, 2500, 9999])
def test_a_window_beyond_the_last_stamp_that_there_can_be_is_refused(year: int) -> None:
    late = ns_from_utc(datetime(year, 1, 1, tzinfo=UTC))
    with pytest.raises(DataError, match="the synthetic market ends before 2262-01-01T00:00:00Z; end there"):
        SyntheticGenerator(1, 3600).generate(late - DAY, late)


def test_written_and_loaded_it_is_the_same_market(tmp_path: Path) -> None:
    dataset = generate(4, 900, 24 * 320, 24 * 12)
    write_dataset(dataset, tmp_path)
    loaded = load_dataset(tmp_path)
    assert contents(loaded) == contents(dataset)
    assert loaded.seed == 4
    assert "synthetic" in loaded.origin


@pytest.mark.parametrize("step_seconds", [60, 300, 3600, 86400])
def test_a_feed_runs_on_it_without_gaps(
    step_seconds: int,
    eth_spec: MarketSpec,
    data_config: DataConfig,
    venues: dict[str, VenueConfig],
    take_all: Callable[[HistoricalFeed], list[MarketState]],
) -> None:
    start, end, step = EPOCH + 10 * DAY, EPOCH + 13 * DAY, step_seconds * 10**9
    dataset = SyntheticGenerator(5, step_seconds).generate(start - 7 * DAY, end)
    spec = msgspec.structs.replace(
        eth_spec,
        assets=("BTC", "ETH", "EIGEN", "ETHFI"),
        spot=("binance:ETH", "binance:EIGEN", "binance:ETHFI"),
        perps=(*eth_spec.perps, "binance:BTCUSD-PERP"),
        reserves=("USDT", "WETH", "weETH", "wstETH", "morpho:WETH", "morpho:weETH", "morpho:wstETH"),
        oracle=("USDT", "WETH", "weETH", "wstETH"),
        rewards=("weETH",),
    )
    feed = build_feed(dataset, spec, start_ns=start, end_ns=end, step_ns=step, data=data_config, venues=venues)
    states = list(take_all(feed))
    assert len(states) == (end - start) // step + 1
    assert feed.report.absent == ()
    for state in states:
        assert set(state.prices) == {"USDT", *spec.assets}
        assert set(state.spot) == set(spec.spot)
        assert set(state.perps) == set(spec.perps)
        assert set(state.reserves) == set(spec.reserves)
        assert set(state.oracle_usd) == set(spec.oracle)
        assert all(quote.market_rate is not None and quote.fresh for quote in state.staking.values())
        assert all(quote.mark is not None and quote.mark_fresh for quote in state.perps.values())
        assert set(state.staking) == set(spec.staking)
        assert state.stale_prices == ()
        assert state.gas is not None
