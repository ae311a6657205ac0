"""What scenarios do to a data set, against formulas by hand, and that nothing before a shock ever changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.config import DataConfig, VenueConfig, load_scenario, scenario_names
from basis_actors.config.scenarios import Scenario
from basis_actors.data import Dataset, Series, SyntheticGenerator, build_feed
from basis_actors.data.columns import delay_of
from basis_actors.data.shocks import shocked
from basis_actors.data.stamps import DAY, HOUR
from basis_actors.errors import ConfigError
from basis_actors.messages.market import MarketSpec, MarketState

Shock = dict[str, Any]
Scenarios = Callable[..., Scenario]
Take = Callable[[Any], Any]

GENERATOR = SyntheticGenerator(11, 3600)
START = GENERATOR.epoch_ns
SPEC = MarketSpec(
    assets=("BTC", "ETH"),
    spot=("binance:BTC", "binance:ETH", "bybit:BTC"),
    perps=("binance:BTC-PERP", "bybit:ETH-PERP", "okx:ETH-PERP"),
    reserves=("USDT", "WETH", "weETH"),
    staking=("weETH", "wstETH"),
    oracle=("WETH", "weETH", "USDT"),
    gas=True,
)
AT = 60.0
"""Hours at which the shocks of these tests begin."""
SHOCKS: dict[str, Shock] = {
    "price": {"kind": "price", "assets": ["BTC"], "change": -0.3, "over_hours": 4.0},
    "funding": {"kind": "funding", "hours": 24.0, "perps": "binance:*", "set": -0.002},
    "lst": {
        "kind": "lst", "lst": "weETH", "change": -0.05, "over_hours": 2.0, "hours": 3.0, "recovery_hours": 5.0,
    },
    "reserve": {"kind": "reserve", "hours": 48.0, "token": "USDT", "borrow_apr": 0.25},
    "outage": {"kind": "outage", "hours": 10.0, "venue": "binance"},
    "stale": {"kind": "stale", "hours": 30.0, "series": "oracle/*"},
    "gas": {"kind": "gas", "hours": 12.0, "gwei": 800.0},
}  # fmt: skip


class World:
    """The market of these tests and what a feed shows of it."""

    def __init__(self, venues: dict[str, VenueConfig], data: DataConfig, take_all: Take) -> None:
        self.market = GENERATOR.generate(START, START + 8 * DAY)
        self._venues, self._data, self._take_all = venues, data, take_all
        self.usual = self.states(self.market)

    def states(self, dataset: Dataset) -> list[MarketState]:
        """Everything that a feed of `dataset` shows in a week."""
        feed = build_feed(
            dataset, SPEC, start_ns=START, end_ns=START + 7 * DAY, step_ns=HOUR, data=self._data, venues=self._venues
        )
        return list(self._take_all(feed))

    def require_same_past(self, dataset: Dataset, start_hours: float) -> list[MarketState]:
        """The states of `dataset`, which up to that hour are those of the market."""
        now, until = self.states(dataset), START + round(start_hours * HOUR)
        assert [state for state in now if state.ns <= until] == [state for state in self.usual if state.ns <= until]
        return now


@pytest.fixture(scope="session")
def world(venues: dict[str, VenueConfig], data_config: DataConfig, take_all: Take) -> World:
    return World(venues, data_config, take_all)


@pytest.fixture(scope="session")
def market(world: World) -> Dataset:
    return world.market


@pytest.fixture(scope="session")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenarios:
    """`scenario({"kind": ...}, ...)`: a file of these shocks, read like one of a user's."""
    folder = tmp_path_factory.mktemp("scenarios")

    def make(*shocks: Shock, start_hours: float = AT) -> Scenario:
        file = folder / "mine.yaml"
        listed = [{"start_hours": start_hours, **shock} for shock in shocks]
        file.write_text(json.dumps({"scenario": "mine", "description": "a test", "shocks": listed}))
        return load_scenario(file)

    return make


def after(market: Dataset, scenario: Scenario, name: str) -> Series:
    return shocked(market, scenario, START).series[name]


def known_at(series: Series, hours: float) -> int:
    """The row that becomes known at that hour."""
    (row,) = np.flatnonzero(series.ns + delay_of(series) == START + round(hours * HOUR))
    return int(row)


def test_a_price_moves_evenly_in_its_logarithm_everywhere_and_stays(market: Dataset, scenario: Scenarios) -> None:
    mine = scenario(SHOCKS["price"])
    for name in (*(f"cex/{venue}/BTCUSDT_perp" for venue in ("binance", "bybit", "okx")), "cex/binance/BTCUSDT_spot"):
        before, now = market.series[name], after(market, mine, name)
        for hours, factor in ((60, 1.0), (61, 0.7**0.25), (62, 0.7**0.5), (64, 0.7), (100, 0.7), (180, 0.7)):
            row = known_at(before, hours)
            ratio = now.columns["close"][row] / before.columns["close"][row]
            assert ratio == pytest.approx(factor, rel=1e-12), (name, hours)
        opened = known_at(before, 61)
        assert now.columns["open"][opened] == before.columns["open"][opened]
        assert now.columns["low"][opened] == pytest.approx(before.columns["low"][opened] * 0.7**0.25, rel=1e-12)
        assert now.columns["high"][opened] == before.columns["high"][opened]
    mark = after(market, mine, "cex/binance/BTCUSDT_funding")
    usual = market.series["cex/binance/BTCUSDT_funding"]
    assert mark.columns["mark_price"][-1] == pytest.approx(0.7 * usual.columns["mark_price"][-1], rel=1e-12)
    for untouched in ("cex/binance/ETHUSDT_spot", "oracle/WETH_USD", "dex/uniswap_v3/WETHUSDT_spot"):
        assert after(market, mine, untouched) is market.series[untouched]


def test_eth_moves_with_its_pool_and_what_oracles_derive_from_it(market: Dataset, scenario: Scenarios) -> None:
    mine = scenario({**SHOCKS["price"], "assets": ["ETH"], "change": 0.6})
    for name in ("dex/uniswap_v3/WETHUSDT_spot", "oracle/WETH_USD", "oracle/weETH_USD", "oracle/wstETH_USD"):
        before, now = market.series[name], after(market, mine, name)
        column = "close" if "close" in before.columns else "price"
        assert now.columns[column][-1] == pytest.approx(1.6 * before.columns[column][-1], rel=1e-12), name
    for untouched in ("oracle/USDT_USD", "oracle/weETH_ETH", "dex/uniswap_v3/EIGENWETH_spot"):
        assert after(market, mine, untouched) is market.series[untouched]


@given(
    change=st.one_of(st.floats(-0.95, -0.01), st.floats(0.01, 5.0)),
    start=st.floats(0.0, 150.0),
    over=st.floats(0.01, 200.0),
)
@settings(max_examples=25, deadline=None)
def test_bars_stay_bars_whatever_the_move(
    world: World, scenario: Scenarios, change: float, start: float, over: float
) -> None:
    shock = {"kind": "price", "assets": ["BTC", "ETH"], "change": change, "over_hours": over}
    moved = shocked(world.market, scenario(shock, start_hours=start), START)
    for series in moved.series.values():
        if "close" in series.columns:
            o, h, low, c = (series.columns[name] for name in ("open", "high", "low", "close"))
            assert (low > 0.0).all()
            assert (low <= np.minimum(o, c)).all()
            assert (h >= np.maximum(o, c)).all()


@pytest.mark.parametrize(
    ("how", "expected"), [({"set": -0.002}, lambda _: -0.002), ({"add": 0.001}, lambda r: r + 0.001)]
)
def test_funding_is_replaced_or_moved_for_the_perpetuals_that_match(
    market: Dataset, scenario: Scenarios, how: dict[str, float], expected: Callable[[float], float]
) -> None:
    mine = scenario({"kind": "funding", "hours": 24.0, "perps": "binance:*", **how})
    before = market.series["cex/binance/ETHUSDT_funding"]
    now = after(market, mine, "cex/binance/ETHUSDT_funding")
    for hours in range(0, 192, 8):
        row = known_at(before, hours)
        usual = before.columns["funding_rate"][row]
        wanted = expected(usual) if 60 < hours <= 84 else usual
        assert now.columns["funding_rate"][row] == wanted, hours
    assert after(market, mine, "cex/okx/ETHUSDT_funding") is market.series["cex/okx/ETHUSDT_funding"]


def test_a_depeg_falls_lasts_and_recovers_and_the_protocol_rate_stays(market: Dataset, scenario: Scenarios) -> None:
    mine = scenario(SHOCKS["lst"])
    before, now = (
        source.series["staking/weETH_market_rate"].columns["market_rate_median_24h"]
        for source in (market, shocked(market, mine, START))
    )
    series = market.series["staking/weETH_market_rate"]
    for hours, share in ((60, 0.0), (61, 0.5), (62, 1.0), (65, 1.0), (66, 0.8), (69, 0.2), (70, 0.0), (100, 0.0)):
        row = known_at(series, hours)
        assert now[row] / before[row] == pytest.approx(0.95**share, rel=1e-12), hours
    for untouched in ("oracle/weETH_ETH", "staking/wstETH_market_rate"):
        assert after(market, mine, untouched) is market.series[untouched]


def test_indices_grow_by_the_rates_that_are_shown(market: Dataset, scenario: Scenarios) -> None:
    """From hour 60 to 108: half of the third day at 25 %, the fourth day, and half of the fifth."""
    mine = scenario(SHOCKS["reserve"])
    before, now = market.series["aave_v3/USDT_rates"], after(market, mine, "aave_v3/USDT_rates")
    debt_0, debt_1 = (source.columns["variable_borrow_index"] for source in (before, now))
    assert list(debt_1[:3]) == list(debt_0[:3])
    usual = np.diff(np.log(debt_0))
    grown = np.diff(np.log(debt_1))
    assert grown[2] == pytest.approx(usual[2] / 2 + 0.25 * 12 / 8760, rel=1e-9)
    assert grown[3] == pytest.approx(0.25 * 24 / 8760, rel=1e-9)
    assert grown[4] == pytest.approx(usual[4] / 2 + 0.25 * 12 / 8760, rel=1e-9)
    assert grown[5] == pytest.approx(usual[5], rel=1e-9)
    assert list(now.columns["variable_borrow_rate_apr"][[3, 4]]) == [0.25, 0.25]
    for row in (0, 1, 2, 5, 6):
        assert now.columns["variable_borrow_rate_apr"][row] == before.columns["variable_borrow_rate_apr"][row]
    supply = now.columns["liquidity_rate_apr"][3]
    assert supply == pytest.approx(0.25 * before.columns["utilization"][3] * 0.9, rel=1e-12)
    lent = np.diff(np.log(now.columns["liquidity_index"]))[3]
    assert lent == pytest.approx(24 * np.log1p(supply / 8760), rel=1e-9)


def test_utilization_goes_up_the_curve_of_the_reserve(market: Dataset, scenario: Scenarios) -> None:
    """USDT: 6.9 % to the optimum of 92 %, 75 % over the rest, a tenth of it for the protocol."""
    mine = scenario({"kind": "reserve", "hours": 48.0, "token": "USDT", "utilization": 0.98})
    now = after(market, mine, "aave_v3/USDT_rates").columns
    rate = 0.069 + 0.75 * 0.06 / 0.08
    assert now["variable_borrow_rate_apr"][3] == pytest.approx(rate, rel=1e-12)
    assert now["liquidity_rate_apr"][3] == pytest.approx(rate * 0.98 * 0.9, rel=1e-12)
    assert now["total_variable_debt"][3] == pytest.approx(0.98 * now["total_supplied"][3], rel=1e-12)


def test_an_outage_takes_the_bars_of_one_exchange_and_leaves_its_funding(market: Dataset, scenario: Scenarios) -> None:
    mine = scenario(SHOCKS["outage"])
    for name, usual in market.series.items():
        now = after(market, mine, name)
        gone = set(usual.ns.tolist()) - set(now.ns.tolist())
        if name.startswith("cex/binance/") and not name.endswith("_funding"):
            assert gone == {START + hour * HOUR for hour in range(60, 70)}, name
        else:
            assert not gone, name


def test_stale_series_have_no_rows_and_gas_stands_at_its_price(market: Dataset, scenario: Scenarios) -> None:
    quiet = after(market, scenario(SHOCKS["stale"]), "oracle/WETH_USD")
    assert [int(ns - START) // HOUR for ns in quiet.ns] == [0, 24, 48, 96, 120, 144, 168, 192]
    gas, usual = after(market, scenario(SHOCKS["gas"]), "gas/ethereum_gas"), market.series["gas/ethereum_gas"]
    hours = (gas.ns - START) // HOUR
    within = (hours > 60) & (hours <= 72)
    assert (gas.columns["base_fee_gwei"][within] == 800.0).all()
    assert (gas.columns["base_fee_gwei"][~within] == usual.columns["base_fee_gwei"][~within]).all()
    tip = usual.columns["priority_fee_p50_gwei"]
    assert (gas.columns["gas_price_gwei"][within] == 800.0 + tip[within]).all()


@given(
    kinds=st.lists(st.sampled_from(sorted(SHOCKS)), min_size=1, max_size=4, unique=True),
    start=st.one_of(st.integers(1, 120).map(float), st.floats(0.5, 120.0)),
)
@settings(max_examples=12, deadline=None)
def test_nothing_that_is_known_up_to_a_shock_changes(
    world: World, scenario: Scenarios, kinds: list[str], start: float
) -> None:
    mine = scenario(*(SHOCKS[kind] for kind in kinds), start_hours=start)
    world.require_same_past(shocked(world.market, mine, START), start)


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_of_the_library_changes_what_is_seen_and_nothing_before(
    world: World, scenario: Scenarios, name: str
) -> None:
    """Their shocks, moved into a short window."""
    shocks = [shock.model_dump(exclude_none=True) for shock in load_scenario(name).config.shocks]
    for shock in shocks:
        del shock["start_hours"]
    assert world.require_same_past(shocked(world.market, scenario(*shocks), START), AT) != world.usual


@pytest.mark.parametrize(
    ("shock", "expected"),
    [
        ({"kind": "stale", "hours": 3.0, "series": "orakel/*"}, "shocks.0.series: is 'orakel/*', and no series"),
        ({"kind": "funding", "hours": 24.0, "perps": "kraken:*", "set": 0.0}, "shocks.0.perps: is 'kraken:*', and no"),
        ({"kind": "gas", "hours": 3.0, "gwei": 50.0, "start_hours": 5000.0}, "shocks.0: changes no row of the data"),
    ],
)
def test_a_shock_without_effect_is_refused_with_its_key(
    market: Dataset, scenario: Scenarios, shock: Shock, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        shocked(market, scenario(shock), START)
    assert caught.value.code == "CONFIG-003"
    assert expected in caught.value.message
    assert "mine.yaml:1: " in caught.value.message


def test_the_data_that_are_shocked_are_a_copy(market: Dataset, scenario: Scenarios, tmp_path: Path) -> None:
    before = {name: {c: v.copy() for c, v in one.columns.items()} for name, one in market.series.items()}
    shocked(market, scenario(*SHOCKS.values()), START)
    for name, columns in before.items():
        for column, values in columns.items():
            assert np.array_equal(values, market.series[name].columns[column], equal_nan=True), (name, column)
