"""The ten modes, nine venues and three share classes say what the reference says."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from basis_actors.config import (
    BasisConfig,
    ChainVenue,
    DexVenue,
    DirectionalConfig,
    ExchangeVenue,
    LendingConfig,
    LendingVenue,
    LeveragedConfig,
    MarketNeutralConfig,
    StakingConfig,
    StakingVenue,
    load_mode,
    load_share_class,
    load_venue,
    mode_names,
    mode_table,
    share_class_names,
    venue_names,
)

RISK = Path(__file__).parents[3] / "shared" / "data" / "risk"
needs_risk = pytest.mark.skipif(not RISK.is_dir(), reason="needs the shared risk files")

FAMILIES = {
    "btc_basis": ("usdt_stable", BasisConfig),
    "eth_basis": ("usdt_stable", BasisConfig),
    "eth_leveraged": ("eth_directional", LeveragedConfig),
    "eth_staking_only": ("eth_directional", StakingConfig),
    "ml_btc_directional_btc_margin": ("btc_directional", DirectionalConfig),
    "ml_btc_directional_usdt_margin": ("usdt_stable", DirectionalConfig),
    "pure_lending_eth": ("eth_directional", LendingConfig),
    "pure_lending_usdt": ("usdt_stable", LendingConfig),
    "usdt_market_neutral": ("usdt_stable", MarketNeutralConfig),
    "usdt_market_neutral_no_leverage": ("usdt_stable", MarketNeutralConfig),
}


def exchange(name: str) -> ExchangeVenue:
    venue = load_venue(name)
    assert isinstance(venue, ExchangeVenue)
    return venue


def test_there_are_ten_modes_nine_venues_and_three_share_classes() -> None:
    assert mode_names() == tuple(sorted(FAMILIES))
    assert venue_names() == tuple(
        sorted(["aave_v3", "binance", "bybit", "etherfi", "lido", "morpho", "okx", "uniswap", "wallet"])
    )
    assert share_class_names() == ("btc_directional", "eth_directional", "usdt_stable")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_mode_loads_with_its_venues_and_share_class(name: str) -> None:
    run = load_mode(name)
    share_class, family = FAMILIES[name]
    assert (run.mode.mode, run.share_class.name) == (name, share_class)
    assert type(run.mode.strategy_config) is family
    assert tuple(run.venues) == run.mode.venues
    own = {"ml_btc_directional_usdt_margin": 0.30}
    assert run.mode.risk_limits.max_drawdown == own.get(name, run.share_class.drawdown_limit)
    assert "wallet" in run.venues, "capital arrives in the wallet"


def test_execution_manager_has_the_shared_defaults_in_every_mode() -> None:
    expected = {
        "max_retry_attempts": 3,
        "tight_loop_timeout": 120,
        "retry_delay_seconds": 0.1,
        "longest_question_pause_seconds": 3,
        "unanswered_seconds": 60,
        "execution_timeout": 30,
        "reconciliation_timeout": 10,
    }
    for name in mode_names():
        components = load_mode(name).mode.component_config
        assert components.execution_manager.model_dump() == expected
        assert components.strategy_manager.time_throttle_interval == 60
        assert components.pnl_monitor.residual_tolerance == 1e-9


@pytest.mark.parametrize("name", ["btc_basis", "eth_basis"])
def test_basis_modes_have_the_parameters_of_the_reference(name: str) -> None:
    run = load_mode(name)
    config = run.mode.strategy_config
    assert isinstance(config, BasisConfig)
    assert config.hedge_allocation == {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
    assert (config.asset, config.spot_venue, config.leverage) == (name[:3].upper(), "binance", 2.0)
    assert (config.funding_threshold, config.exit_threshold) == (0.0001, 0.0)
    assert (config.funding_window, config.funding_minimum) == (21, 3)
    assert (config.margin_band_low, config.margin_band_high, config.margin_target) == (0.8, 1.2, 0.5)
    assert (config.dust_delta, config.position_deviation_threshold) == (0.002, 0.02)
    limits = run.mode.risk_limits
    assert (limits.margin_ratio_reduce, limits.margin_ratio_exit_half, limits.margin_emergency_multiple) == (
        0.30,
        0.20,
        1.5,
    )


@pytest.mark.parametrize("name", ["eth_leveraged", "usdt_market_neutral"])
def test_leveraged_modes_aim_at_the_ltv_that_survives_the_spread_move(name: str) -> None:
    config = load_mode(name).mode.strategy_config
    assert isinstance(config, LeveragedConfig | MarketNeutralConfig)
    loop = config.loop
    assert loop is not None
    assert (loop.max_ltv, loop.max_stake_spread_move, loop.ltv_band) == (0.93, 0.0225, 0.01)
    assert loop.target_ltv == round(0.93 * (1 - 0.0225), 3)


def test_the_cautious_profile_is_accepted() -> None:
    run = load_mode("eth_leveraged", {"strategy_config.loop.target_ltv": 0.65})
    assert isinstance(run.mode.strategy_config, LeveragedConfig)
    assert run.mode.strategy_config.loop.target_ltv == 0.65


def test_market_neutral_halves_are_margin_and_stake() -> None:
    config = load_mode("usdt_market_neutral_no_leverage").mode.strategy_config
    assert isinstance(config, MarketNeutralConfig)
    assert (config.stake_allocation_percentage, config.margin_target, config.loop) == (0.5, 1.0, None)
    assert config.always_in


def test_staking_can_be_switched_to_lido_with_two_settings() -> None:
    settings = ["strategy_config.lst_type=wstETH", "strategy_config.staking_venue=lido"]
    config = load_mode("eth_staking_only", settings=settings).mode.strategy_config
    assert isinstance(config, StakingConfig)
    assert config.lst_type == "wstETH"


def test_fees_are_those_of_the_reference() -> None:
    fees = {}
    for name in ("binance", "bybit", "okx"):
        perp = exchange(name).perp
        assert perp is not None
        fees[name] = (perp.maker_fee, perp.taker_fee)
    assert fees == {"binance": (0.0002, 0.0005), "bybit": (0.0002, 0.00055), "okx": (0.0002, 0.0005)}
    spot = exchange("binance").spot
    assert spot is not None
    assert (spot.maker_fee, spot.taker_fee) == (0.001, 0.001)
    assert {exchange(name).minimum_notional for name in fees} == {10.0}
    assert {exchange(name).liquidation_fee for name in fees} == {0.0125}


def test_execution_costs_are_those_of_the_reference() -> None:
    binance = exchange("binance").impact_bps
    assert binance["ETH/USDT"] == (5, 7, 13)
    assert binance["BTC/USDT"] == (4, 6, 12)
    assert binance["BTC-PERP"] == binance["ETH-PERP"] == (3, 4, 8)
    assert (binance["EIGEN/USDT"], binance["ETHFI/USDT"]) == ((8, 13, 28), (12, 20, 42))
    uniswap = load_venue("uniswap")
    assert isinstance(uniswap, DexVenue)
    assert (uniswap.impact_bps["ETH/wstETH"], uniswap.impact_bps["ETH/weETH"]) == ((15, 18, 27), (20, 24, 35))
    assert uniswap.max_slippage_bps == 50


def test_stand_ins_are_named_and_hold_one_copy_of_the_numbers() -> None:
    binance = exchange("binance")
    assert binance.perp is not None
    for name in ("bybit", "okx"):
        venue = exchange(name)
        assert venue.perp is not None
        for base in ("BTC", "ETH"):
            market = venue.perp.markets[base]
            assert market.brackets_from == "binance"
            assert market.brackets == binance.perp.markets[base].brackets
        assert any("brackets" in proxy for proxy in venue.proxies)
    bybit, okx = exchange("bybit").perp, exchange("okx").perp
    assert bybit is not None
    assert okx is not None
    assert {market.mark for market in bybit.markets.values()} == {"perp_close"}
    assert okx.markets["BTC"].optional
    assert not okx.markets["ETH"].optional
    assert exchange("okx").spot is None
    assert [exchange(name).account for name in ("binance", "bybit", "okx")] == ["split", "unified", "unified"]


@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_maintenance_margin_is_continuous_over_the_brackets(base: str) -> None:
    perp = exchange("binance").perp
    assert perp is not None
    for lower, upper in pairwise(perp.markets[base].brackets):
        at_cap = lower.cap * lower.rate - lower.amount
        assert at_cap == pytest.approx(lower.cap * upper.rate - upper.amount, abs=1e-6)
        assert lower.max_leverage > upper.max_leverage


@needs_risk
@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_brackets_are_those_of_the_snapshot(base: str) -> None:
    snapshot = json.loads((RISK / "binance_margin.json").read_text(encoding="utf-8"))
    perp = exchange("binance").perp
    assert perp is not None
    assert [tuple(bracket.model_dump().values()) for bracket in perp.markets[base].brackets] == [
        (
            row["notional_floor_usdt"],
            row["notional_cap_usdt"],
            row["maintenance_margin_rate"],
            row["maintenance_amount_usdt"],
            row["max_leverage"],
        )
        for row in snapshot["symbols"][f"{base}USDT"]
    ]
    assert any(snapshot["snapshot_date"] in source for source in exchange("binance").sources)


@needs_risk
def test_aave_parameters_are_those_of_the_snapshot() -> None:
    snapshot = json.loads((RISK / "aave_v3_parameters.json").read_text(encoding="utf-8"))
    pool = load_venue("aave_v3")
    assert isinstance(pool, LendingVenue)
    for token, reserve in pool.reserves.items():
        row = snapshot["assets"][token]
        for field in ("ltv", "liquidation_threshold", "liquidation_bonus", "reserve_factor", "optimal_utilization"):
            assert getattr(reserve, field) == row[field]
    category = pool.emode["eth_correlated"]
    for field in ("ltv", "liquidation_threshold", "liquidation_bonus"):
        assert getattr(category, field) == snapshot["emode_eth_correlated"][field]


def test_chain_and_staking_facts_are_those_of_the_reference() -> None:
    wallet = load_venue("wallet")
    assert isinstance(wallet, ChainVenue)
    assert wallet.gas_units == {
        "stake": 150_000,
        "unstake": 200_000,
        "swap": 180_000,
        "supply": 250_000,
        "withdraw": 220_000,
        "borrow": 300_000,
        "repay": 280_000,
        "transfer": 65_000,
        "transfer_eth": 21_000,
        "atomic_entry": 1_250_000,
        "atomic_unwind": 850_000,
    }
    delays = {}
    for name in ("etherfi", "lido"):
        venue = load_venue(name)
        assert isinstance(venue, StakingVenue)
        delays[venue.lst] = (venue.unstake_delay_days, venue.min_stake)
    assert delays == {"weETH": (7, 0.01), "wstETH": (3, 0.01)}


def test_share_classes_are_those_of_the_reference() -> None:
    rows = {name: load_share_class(name) for name in share_class_names()}
    assert {name: (row.currency, row.decimals, row.drawdown_limit) for name, row in rows.items()} == {
        "usdt_stable": ("USDT", 6, 0.05),
        "eth_directional": ("ETH", 18, 0.20),
        "btc_directional": ("BTC", 8, 0.30),
    }


def test_every_venue_and_share_class_names_its_sources() -> None:
    assert all(load_venue(name).sources for name in venue_names())
    assert all(load_share_class(name).sources for name in share_class_names())


def test_mode_table_has_a_row_for_each_mode_with_its_own_words() -> None:
    rows = mode_table()
    assert [row.mode for row in rows] == list(mode_names())
    assert len({row.description for row in rows}) == len(rows)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_limit_can_be_switched_off_by_saying_so(name: str) -> None:
    limits = load_mode(name).mode.order_limits
    assert limits.max_order_notional is None, "an amount is for whoever operates the mode to set"
    assert all(value is not None for key, value in limits if key != "max_order_notional")
    off = {f"order_limits.{key}": None for key, _ in limits} | {"component_config.kill_switch.countdown_seconds": None}
    mode = load_mode(name, off).mode
    assert {value for _, value in mode.order_limits} == {None}
    assert mode.component_config.kill_switch.countdown_seconds is None


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_no_limit_of_a_mode_is_beyond_what_its_risk_already_closes_for(name: str) -> None:
    """An order limit that is looser than the risk limit of the same kind by more than two would never be met."""
    mode = load_mode(name).mode
    assert mode.order_limits.max_drawdown is not None
    assert mode.order_limits.max_drawdown <= 2.0 * mode.risk_limits.max_drawdown
    if mode.risk_limits.max_asset_exposure is not None:
        assert mode.order_limits.max_asset_exposure is not None
        assert mode.order_limits.max_asset_exposure <= mode.risk_limits.max_asset_exposure
