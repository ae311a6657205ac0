"""`basis-actors modes`, `config check` and `--version`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from basis_actors.config import mode_names

Run = Callable[..., Result]


def test_modes_lists_the_ten_with_share_class_and_venues(run: Run) -> None:
    result = run("modes")
    assert result.exit_code == 0
    heads = [line.split("  ") for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert [head[0] for head in heads] == list(mode_names())
    assert heads[0][1:] == ["usdt_stable", "wallet, binance, bybit, okx"]
    assert "Cannot be run yet." not in " ".join(result.stdout.split())


def test_config_check_passes_everything_that_is_shipped(run: Run) -> None:
    result = run("config", "check")
    assert result.exit_code == 0
    assert "✓ configs/modes/btc_basis.yaml  mode" in result.stdout
    assert "✓ configs/venues/okx.yaml  venue" in result.stdout
    assert "✗" not in result.stdout


def test_config_check_says_all_that_is_wrong_and_goes_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mode: mine\nstrategy: basis\nleverage: 3\n")
    result = run("config", "check", "mine.yaml", "btc_basis", "btc_bass")
    assert result.exit_code == 2
    assert "✗ mine.yaml" in result.stdout
    assert "leverage: unknown key" in result.stdout
    assert "✓ btc_basis  mode" in result.stdout
    assert "CONFIG-001: unknown mode 'btc_bass'" in result.stdout


def test_version_is_that_of_the_package(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"basis-actors {version('basis-actors')}\n")


def test_without_a_command_there_is_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    for command in ("backtest", "modes", "config", "data"):
        assert command in result.stdout + result.stderr


def test_config_check_reads_an_overlay_with_its_mode(run: Run, tmp_path: Path) -> None:
    (tmp_path / "careful.yaml").write_text("strategy_config: {leverage: 1.5}\n")
    checked = run("config", "check", "btc_basis", "--config", "careful.yaml")
    assert (checked.exit_code, checked.stdout) == (0, "✓ btc_basis  mode\n")
    alone = run("config", "check", "careful.yaml")
    assert alone.exit_code == 2
    assert "basis-actors config check MODE --config careful.yaml" in alone.stdout


def test_config_show_prints_what_holds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "careful.yaml").write_text("strategy_config: {leverage: 1.5}\n")
    shown = run(
        "config", "show", "btc_basis", "--config", "careful.yaml", "--set", "venue_configs.bybit.perp.taker_fee=0.0"
    )
    assert shown.exit_code == 0
    values = yaml.safe_load(shown.stdout)
    assert list(values) == ["mode", "venues", "share_class"]
    assert values["mode"]["strategy_config"]["leverage"] == 1.5
    assert values["venues"]["bybit"]["perp"]["taker_fee"] == 0.0
    assert list(values["venues"]) == values["mode"]["venues"]


def test_config_show_hides_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIS_ACTORS_BINANCE__API_SECRET", "Long BTC spot")
    shown = run("config", "show", "btc_basis").stdout
    assert "Long BTC spot" not in shown
    assert "short the same BTC" in shown


def test_config_show_refuses_what_does_not_hold(run: Run) -> None:
    shown = run("config", "show", "btc_basis", "--set", "strategy_config.leverag=1.5")
    assert shown.exit_code == 2
    assert "nearest valid key: leverage" in shown.stderr
