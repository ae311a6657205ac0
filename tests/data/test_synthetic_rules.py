"""Series of the synthetic market obey the rules of their protocols, recomputed here from the generated numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from basis_actors.data import Dataset
from basis_actors.data.calibration import load_calibration
from basis_actors.data.stamps import DAY
from basis_actors.data.synthetic import SyntheticGenerator

RESERVE_FACTORS = {
    "aave_v3/USDT": 0.10,
    "aave_v3/WETH": 0.15,
    "aave_v3/wstETH": 0.05,
    "aave_v3/weETH": 0.45,
    "morpho/WETH": 0.0,
}
TOKENS = ("wstETH", "weETH")


@pytest.fixture(scope="module")
def year() -> Dataset:
    generator = SyntheticGenerator(2, 3600)
    return generator.generate(generator.epoch_ns, generator.epoch_ns + 365 * DAY)


@pytest.fixture(scope="module")
def years() -> Dataset:
    generator = SyntheticGenerator(2, 3600)
    return generator.generate(generator.epoch_ns, generator.epoch_ns + 4 * 365 * DAY)


def column(dataset: Dataset, name: str, key: str) -> np.ndarray:
    return dataset.series[name].columns[key]


@pytest.mark.parametrize("reserve", RESERVE_FACTORS)
def test_supply_rate_is_borrow_rate_times_utilization_less_the_reserve_factor(year: Dataset, reserve: str) -> None:
    columns = year.series[f"{reserve}_rates"].columns
    expected = columns["variable_borrow_rate_apr"] * columns["utilization"] * (1.0 - RESERVE_FACTORS[reserve])
    np.testing.assert_allclose(columns["liquidity_rate_apr"], expected, rtol=1e-12)
    np.testing.assert_allclose(columns["total_variable_debt"] / columns["total_supplied"], columns["utilization"])
    assert ((columns["utilization"] > 0.0) & (columns["utilization"] < 1.0)).all()


@pytest.mark.parametrize("reserve", RESERVE_FACTORS)
def test_indices_rise_every_day_and_debt_grows_faster_than_supply(year: Dataset, reserve: str) -> None:
    supply, debt = (
        np.diff(np.log(column(year, f"{reserve}_rates", key))) for key in ("liquidity_index", "variable_borrow_index")
    )
    assert (supply > 0.0).all()
    assert (debt > supply).all()


@pytest.mark.parametrize("reserve", RESERVE_FACTORS)
def test_an_index_grows_by_the_mean_of_its_rate(year: Dataset, reserve: str) -> None:
    columns = year.series[f"{reserve}_rates"].columns
    for index, rate in (
        ("liquidity_index", "liquidity_rate_apr"),
        ("variable_borrow_index", "variable_borrow_rate_apr"),
    ):
        growth = np.diff(np.log(columns[index])) * 365.0
        noise = growth - columns[rate][:-1]
        # The mean of daily snapshots misses the mean of the path by the mean of 365 nearly independent differences;
        # hourly compounding of supply lies within rate^2 / (2 x 8760) of it.
        allowed = 5.0 * noise.std() / np.sqrt(noise.size) + 1e-6
        assert growth.mean() == pytest.approx(columns[rate][:-1].mean(), abs=allowed)
        assert np.median(np.abs(noise)) > 0.0


def test_the_borrow_rate_lies_on_a_kinked_curve_of_utilization(year: Dataset) -> None:
    utilization = column(year, "aave_v3/WETH_rates", "utilization")
    rate = column(year, "aave_v3/WETH_rates", "variable_borrow_rate_apr")
    expected = np.interp(utilization, [0.0, 0.90, 1.0], [0.0, 0.0271, 0.8271])
    np.testing.assert_allclose(rate, expected, rtol=1e-12)


def test_morpho_lends_near_its_target_at_a_rate_that_adapts(years: Dataset) -> None:
    columns = years.series["morpho/WETH_rates"].columns
    utilization, rate = columns["utilization"], columns["variable_borrow_rate_apr"]
    assert np.median(utilization) == pytest.approx(0.90, abs=0.01)
    assert np.corrcoef(utilization, years.series["aave_v3/WETH_rates"].columns["utilization"])[0, 1] < 0.3
    # The slope below the target, found from rate and utilization, stands for the rate there: it moves every four weeks.
    over = np.maximum(utilization - 0.9, 0.0) / 0.1
    slope = (rate - 0.0065 - 0.078 * over) / np.minimum(utilization / 0.9, 1.0)
    assert np.count_nonzero(np.round(np.diff(slope), 12)) == pytest.approx(4 * 365 / 28, abs=1)
    assert np.median(slope) == pytest.approx(0.0195, rel=0.3)
    assert 0.015 < np.median(rate) < 0.04


@pytest.mark.parametrize("token", TOKENS)
def test_collateral_on_morpho_earns_nothing(year: Dataset, token: str) -> None:
    columns = year.series[f"morpho/{token}_rates"].columns
    for key in ("liquidity_rate_apr", "variable_borrow_rate_apr", "utilization"):
        assert not columns[key].any()
    for key in ("liquidity_index", "variable_borrow_index"):
        assert (columns[key] == 1.0).all()


def test_the_curve_of_usdt_changes_only_when_governance_changes_it() -> None:
    generator = SyntheticGenerator(3, 86400)
    dataset = generator.generate(generator.epoch_ns, generator.epoch_ns + 700 * DAY)
    utilization = column(dataset, "aave_v3/USDT_rates", "utilization")
    rate = column(dataset, "aave_v3/USDT_rates", "variable_borrow_rate_apr")
    slope = np.round((rate / utilization)[utilization < 0.92], 9)
    days = np.flatnonzero(utilization < 0.92)
    changes = days[1:][np.diff(slope) != 0.0]
    assert len(set(slope.tolist())) > 10
    # Day 0 is the 32nd of the path, so votes every 28 days take effect on days 25, 53, ...
    for before, after in pairwise(days.tolist()):
        voted = (after + 31) // 28 != (before + 31) // 28
        assert voted == (after in changes)


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_funding_is_the_premium_clamped_around_the_interest_rate(years: Dataset, venue: str, coin: str) -> None:
    funding = years.series[f"cex/{venue}/{coin}USDT_funding"]
    assert np.diff(funding.ns).tolist() == [DAY // 3] * (funding.ns.size - 1)
    rate = funding.columns["funding_rate"] * 1e4
    hours = years.series[f"cex/{venue}/{coin}USDT_perp"]
    close = np.log(hours.columns["close"] / column(years, f"cex/{venue}/{coin}USDT_spot", "close")) * 1e4
    # Closes of the eight bars before each stamp, from the second day on.
    mean = np.array([close[at - 8 : at].mean() for at in range(24, close.size, 8)])
    rate = rate[3 : 3 + mean.size]
    inside = np.abs(1.0 - mean) < 2.5
    assert inside.sum() > 20
    assert np.mean(rate[inside] == 1.0) > 0.9
    for side, shift in ((mean > 8.0, -5.0), (mean < -5.2, 5.0)):
        assert side.sum() > 20
        assert np.median(rate[side] - mean[side]) == pytest.approx(shift, abs=0.5)
        assert np.mean(rate[side] == 1.0) < 0.05


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_the_mark_price_of_a_funding_stamp_is_the_open_of_its_mark_bar(year: Dataset, coin: str) -> None:
    funding, mark = (year.series[f"cex/binance/{coin}USDT_{sort}"] for sort in ("funding", "mark"))
    at = np.searchsorted(mark.ns, funding.ns)
    np.testing.assert_array_equal(mark.ns[at], funding.ns)
    np.testing.assert_array_equal(mark.columns["open"][at], funding.columns["mark_price"])


@pytest.mark.parametrize("token", TOKENS)
def test_protocol_rates_never_fall_and_oracle_prices_multiply(year: Dataset, token: str) -> None:
    rate = column(year, f"oracle/{token}_ETH", "price")
    assert (np.diff(rate) >= 0.0).all()
    product = rate * column(year, "oracle/WETH_USD", "price")
    np.testing.assert_allclose(column(year, f"oracle/{token}_USD", "price"), product, rtol=1e-12)


@pytest.mark.parametrize("token", TOKENS)
def test_the_market_rate_is_a_little_below_the_protocol_rate(year: Dataset, token: str) -> None:
    market = column(year, f"staking/{token}_market_rate", "market_rate_median_24h")[::24]
    premium = (market / column(year, f"oracle/{token}_ETH", "price") - 1.0) * 1e4
    assert -6.0 < np.median(premium) < -2.5
    assert premium.min() < -12.0
    assert premium.max() < 7.0


def test_gas_price_is_base_fee_and_median_tip_and_tips_are_ordered(year: Dataset) -> None:
    columns = year.series["gas/ethereum_gas"].columns
    low, middle, high = (columns[f"priority_fee_p{share}_gwei"] for share in (25, 50, 75))
    np.testing.assert_array_equal(columns["gas_price_gwei"], columns["base_fee_gwei"] + middle)
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_gas_has_the_measured_daily_cycle() -> None:
    generator = SyntheticGenerator(5, 86400)
    dataset = generator.generate(generator.epoch_ns, generator.epoch_ns + (3 * 365 * 12 - 1) * DAY // 12)
    log_fee = np.log(column(dataset, "gas/ethereum_gas", "base_fee_gwei")).reshape(-1, 12)
    hour = log_fee.mean(axis=0) - log_fee.mean()
    cycle = np.array(load_calibration().gas.cycle)
    # What is left after the cycle moves with sd 0.35 between the hours of a day; 1,095 days, four standard errors.
    np.testing.assert_allclose(hour, cycle - cycle.mean(), atol=4 * 0.35 / np.sqrt(1095))


def test_reward_rows_are_weekly_saturdays_and_their_numbers_agree(year: Dataset) -> None:
    eigen, topups = year.series["rewards/eigen_weekly"], year.series["rewards/ethfi_topups"]
    assert set(np.diff(eigen.ns).tolist()) == {7 * DAY}
    # 1970-01-03 was a Saturday.
    assert set((eigen.ns // DAY % 7).tolist()) == {2}
    np.testing.assert_array_equal(eigen.columns["period_start"], eigen.ns / 1e9 - 6 * 86400)
    pool = eigen.columns["eth_restaked"] + eigen.columns["eth_not_restaked"]
    np.testing.assert_allclose(eigen.columns["eigen_earned"] / pool, eigen.columns["eigen_per_eeth_weekly"], rtol=1e-5)
    assert 10 <= topups.ns.size <= 42
    assert (topups.columns["period_end"] < topups.ns / 1e9).all()
    assert set((topups.columns["period_end"] - topups.columns["period_start"]).tolist()) == {6 * 86400.0}


def test_last_mark_and_spot_of_a_coin_stay_close_together(year: Dataset) -> None:
    spot = column(year, "cex/binance/ETHUSDT_spot", "close")
    for name, furthest in (
        ("cex/bybit/ETHUSDT_spot", 10.0),
        ("cex/binance/ETHUSDT_perp", 40.0),
        ("cex/okx/ETHUSDT_mark", 40.0),
        ("dex/uniswap_v3/WETHUSDT_spot", 140.0),
    ):
        assert np.abs(np.log(column(year, name, "close") / spot)).max() * 1e4 < furthest, name
