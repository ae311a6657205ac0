"""Times and rates that no clock and no market could hold are refused with key and limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from basis_actors.config import load_mode
from basis_actors.config.scenarios import load_scenario
from basis_actors.errors import ConfigError

CENTURY_SECONDS = 100 * 365 * 24 * 3600
ML = "ml_btc_directional_usdt_margin"


@pytest.mark.parametrize(
    ("mode", "key", "value", "limit"),
    [
        ("btc_basis", "tick_interval_seconds", 10**30, CENTURY_SECONDS),
        ("btc_basis", "data.staleness_seconds.spot", 1e308, CENTURY_SECONDS),
        ("btc_basis", "data.staleness_seconds.gas", 1e300, CENTURY_SECONDS),
        ("btc_basis", "data.funding_missed_limit", 10**30, 10**9),
        ("btc_basis", "strategy_config.funding_window", 10**30, 10**9),
        ("btc_basis", "component_config.execution_manager.tight_loop_timeout", 1e300, CENTURY_SECONDS),
        ("btc_basis", "component_config.execution_manager.retry_delay_seconds", 1e300, CENTURY_SECONDS),
        ("btc_basis", "component_config.strategy_manager.longest_pause_seconds", 1e300, CENTURY_SECONDS),
        ("btc_basis", "component_config.health_monitor.check_interval_seconds", 1e300, CENTURY_SECONDS),
        ("btc_basis", "component_config.event_logger.flush_seconds", 1e300, CENTURY_SECONDS),
        ("btc_basis", "venue_configs.binance.transfer_delay_seconds", 1e300, CENTURY_SECONDS),
        ("btc_basis", "venue_configs.wallet.transfer_delay_seconds", 1e300, CENTURY_SECONDS),
        ("eth_leveraged", "strategy_config.loop.min_hold_days", 1e308, 36_500),
        ("eth_leveraged", "venue_configs.etherfi.unstake_delay_days", 1e300, 36_500),
        (ML, "strategy_config.signal.horizon_hours", 10**20, 876_000),
        (ML, "strategy_config.signal.walk_forward_logistic.retrain_days", 10**20, 36_500),
        (ML, "strategy_config.signal.walk_forward_logistic.seed", 2**32, 2**32 - 1),
        (ML, "strategy_config.signal.file", {"path": "a.csv", "staleness_seconds": 1e300}, CENTURY_SECONDS),
    ],
)
def test_what_is_too_large_is_refused_with_its_key_and_limit(mode: str, key: str, value: object, limit: int) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mode(mode, {key: value})
    code = "CONFIG-004" if key.startswith("venue_configs") else "CONFIG-003"
    assert caught.value.code == code
    assert f"{key.rpartition('.')[2]}" in caught.value.message
    assert f"less than or equal to {limit} was expected" in caught.value.message


def test_a_century_is_not_too_long() -> None:
    run = load_mode("btc_basis", {"data.staleness_seconds.spot": float(CENTURY_SECONDS)})
    assert run.mode.data.staleness_seconds.spot == CENTURY_SECONDS


def test_a_seed_is_none_below_0() -> None:
    key = "strategy_config.signal.walk_forward_logistic.seed"
    with pytest.raises(ConfigError, match="is -1; greater than or equal to 0 was expected"):
        load_mode(ML, {key: -1})
    load_mode(ML, {key: 2**32 - 1})


@pytest.mark.parametrize(
    ("shock", "expected"),
    [
        ("kind: gas, start_hours: 1e300, hours: 1, gwei: 3", "start_hours: is 1e+300; less than or equal to 876000"),
        ("kind: gas, start_hours: 1, hours: 1e300, gwei: 3", "hours: is 1e+300; less than or equal to 876000"),
        ("kind: gas, start_hours: 1, hours: 1, gwei: 1e300", "gwei: is 1e+300; less than or equal to 1000000"),
        (
            "kind: price, start_hours: 1, assets: [BTC], change: 1e300, over_hours: 1",
            "change: is 1e+300; less than or equal to 1000 was",
        ),
        (
            "kind: price, start_hours: 1, assets: [BTC], change: 1, over_hours: 1e300",
            "over_hours: is 1e+300; less than or equal to 876000 was",
        ),
        (
            "kind: reserve, start_hours: 1, hours: 300, token: WETH, borrow_apr: 1e6",
            "borrow_apr: is 1000000.0; less than or equal to 100 was",
        ),
        ('kind: funding, start_hours: 1, hours: 1, perps: "*", set: 1e9', "set: is 1000000000.0; less than or equal"),
        ('kind: funding, start_hours: 1, hours: 1, perps: "*", add: -1e9', "add: is -1000000000.0; greater than or"),
    ],
)
def test_shocks_that_no_market_could_show_are_refused(tmp_path: Path, shock: str, expected: str) -> None:
    file = tmp_path / "shock.yaml"
    file.write_text(f"scenario: shock\ndescription: too much\nshocks:\n  - {{{shock}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_scenario(file)
    assert caught.value.code == "CONFIG-003"
    assert f"{file}:4: shocks.0." in caught.value.message
    assert expected in caught.value.message
