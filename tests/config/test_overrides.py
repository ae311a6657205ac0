"""Overlay files, Python overrides and `--set` reach every key, are checked like the file, and say where they stand."""

from pathlib import Path

import pytest

from basis_actors.config import BasisConfig, ExchangeVenue, LendingVenue, RunConfig, load_mode
from basis_actors.errors import ConfigError


def basis(run: RunConfig) -> BasisConfig:
    assert isinstance(run.mode.strategy_config, BasisConfig)
    return run.mode.strategy_config


def binance_taker(run: RunConfig) -> float:
    venue = run.venues["binance"]
    assert isinstance(venue, ExchangeVenue)
    assert venue.perp is not None
    return venue.perp.taker_fee


def test_overlay_file_changes_only_what_it_names(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("strategy_config:\n  leverage: 1.5\n  hedge_allocation: {okx: 0.0, bybit: 0.6}\n")
    plain, changed = basis(load_mode("btc_basis")), basis(load_mode("btc_basis", overlays=[overlay]))
    assert changed == plain.model_copy(
        update={"leverage": 1.5, "hedge_allocation": {"binance": 0.4, "bybit": 0.6, "okx": 0.0}}
    )


def test_later_layers_win(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text("strategy_config: {leverage: 1.1}\n")
    second.write_text("strategy_config: {leverage: 1.2}\n")
    overrides = {"strategy_config": {"leverage": 1.3}}
    layers = [first, second]
    assert basis(load_mode("btc_basis", overlays=layers)).leverage == 1.2
    assert basis(load_mode("btc_basis", overrides, overlays=layers)).leverage == 1.3
    dotted = {**overrides, "strategy_config.leverage": 1.4}
    assert basis(load_mode("btc_basis", dotted, overlays=layers)).leverage == 1.4
    assert basis(load_mode("btc_basis", dotted, settings=["strategy_config.leverage=1.5"])).leverage == 1.5


def test_a_setting_replaces_a_whole_mapping() -> None:
    run = load_mode("btc_basis", settings=["strategy_config.hedge_allocation={binance: 1.0}"])
    assert basis(run).hedge_allocation == {"binance": 1.0}


def test_lists_are_taken_from_python_and_from_settings() -> None:
    allocation = {"strategy_config.hedge_allocation": {"binance": 1.0}}
    for run in (
        load_mode("btc_basis", {"venues": ["wallet", "binance"], **allocation}),
        load_mode("btc_basis", allocation, settings=["venues=[wallet, binance]"]),
    ):
        assert run.mode.venues == tuple(run.venues) == ("wallet", "binance")


def test_venue_numbers_can_be_replaced_for_one_run() -> None:
    run = load_mode("btc_basis", settings=["venue_configs.binance.perp.taker_fee=0"])
    assert binance_taker(run) == 0.0
    assert binance_taker(load_mode("btc_basis")) == 0.0005


def test_loading_twice_shares_nothing_that_can_be_changed() -> None:
    first, second = load_mode("btc_basis"), load_mode("btc_basis")
    assert first == second
    basis(first).hedge_allocation["binance"] = 9.0
    assert basis(second).hedge_allocation["binance"] == 0.4


def test_market_impact_can_be_switched_off() -> None:
    venue = load_mode("btc_basis", {"enable_market_impact": False}).venues["binance"]
    assert isinstance(venue, ExchangeVenue)
    assert set(venue.impact_bps.values()) == {(0.0, 0.0, 0.0)}
    assert venue.perp is not None
    assert venue.perp.taker_fee == 0.0005


def test_a_mode_may_set_its_own_drawdown_limit() -> None:
    assert load_mode("btc_basis", {"risk_limits.max_drawdown": 0.5}).mode.risk_limits.max_drawdown == 0.5


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("strategy_config.leverage", "key.path=value was expected"),
        ("=3", "key.path=value was expected"),
        ("strategy_config..leverage=3", "key.path=value was expected"),
        ("strategy_config.levrage=3", "strategy_config.levrage: unknown key; nearest valid key: leverage"),
        ("stratgy_config.leverage=3", "stratgy_config: unknown key; nearest valid key: strategy_config"),
        ("mode.leverage=3", "mode is 'btc_basis', which has no keys inside; set mode itself"),
        ("strategy_config.leverage=[1", "not YAML"),
        (f"strategy_config.leverage={'9' * 5000}", "leverage: is inf; "),
        ("strategy_config.leverage=off", "is 'off'; a number was expected"),
        ("venue_configs.bynance.account=split", "names a venue that the mode does not list"),
        ("venue_configs.binance.perp.taker=0", "perp.taker: unknown key; nearest valid key: taker_fee"),
        ("venue_configs=5", "venue_configs: is 5; a mapping from venues to their keys was expected"),
        ("venue_configs.binance=5", "venue_configs.binance: is 5; a mapping of keys was expected"),
        ("mode=eth_basis", "is 'eth_basis'; a mode keeps its name 'btc_basis': leave this out"),
        ("venue_configs.binance.venue=okx", "is 'okx'; a venue keeps its name 'binance': leave this out"),
    ],
)
def test_a_wrong_setting_is_told_as_a_setting(setting: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mode("btc_basis", settings=[setting])
    assert told in caught.value.message
    assert caught.value.message.startswith("--set ")


def test_an_overlay_is_named_with_its_own_line(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("# mine\nstrategy_config:\n  levrage: 3\n")
    with pytest.raises(ConfigError) as caught:
        load_mode("btc_basis", overlays=[overlay])
    assert caught.value.message.startswith(f"{overlay}:3: strategy_config.levrage: unknown key")


def test_a_setting_replaces_a_whole_mapping_of_a_venue() -> None:
    run = load_mode("pure_lending_usdt", settings=["venue_configs.aave_v3.emode={}"])
    pool = run.venues["aave_v3"]
    assert isinstance(pool, LendingVenue)
    assert pool.emode == {}
    with pytest.raises(ConfigError, match="which has no e-mode with collateral weETH and debt WETH"):
        load_mode("eth_leveraged", {"venue_configs.aave_v3.emode": {}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("venue_configs: {aave_v3: {emode: {}}}", "emode: is empty, which changes nothing: mappings are joined key by"),
        ("venue_configs: {aave_v3: {}}", "venue_configs.aave_v3: is empty, which changes nothing; name the keys to"),
        ("data: {staleness_seconds: {}}", "or empty all of it with --set"),
    ],
)
def test_an_empty_mapping_that_would_be_joined_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(f"{text}\n")
    with pytest.raises(ConfigError) as caught:
        load_mode("pure_lending_usdt", overlays=[overlay])
    assert f"{overlay}:1: " in caught.value.message
    assert expected in caught.value.message
