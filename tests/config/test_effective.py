"""The effective configuration as YAML: it reads back as the same run, and keeps the order of the files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from basis_actors.config import config_root, load_mode, mode_names, without_friction
from basis_actors.config.documents import read_document
from basis_actors.config.effective import effective_values, written_values, yaml_text
from basis_actors.config.run import RunConfig

SAVINGS = Path(__file__).resolve().parents[2] / "examples" / "savings_account" / "savings.yaml"


def read_back(text: str, folder: Path) -> RunConfig:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return RunConfig.model_validate(read_document(file, str(file)).values)


@pytest.mark.parametrize("mode", mode_names())
def test_every_mode_reads_back_as_the_same_run(mode: str, tmp_path: Path) -> None:
    run = load_mode(mode)
    assert read_back(yaml_text(effective_values(run, written_values(run, mode))), tmp_path) == run


@pytest.mark.parametrize("mode", mode_names())
def test_keys_stand_in_the_order_of_the_mode_file(mode: str) -> None:
    written = yaml.safe_load((config_root() / "modes" / f"{mode}.yaml").read_text(encoding="utf-8"))
    run = load_mode(mode)
    given = yaml.safe_load(yaml_text(effective_values(run, written_values(run, mode))))
    assert list(given) == ["mode", "venues", "share_class"]
    assert list(given["mode"]) == list(written)
    assert list(given["mode"]["strategy_config"]) == list(written["strategy_config"])
    assert list(given["mode"]["risk_limits"]) == list({**written["risk_limits"], "max_drawdown": "the share class's"})
    assert list(given["venues"]) == written["venues"]


def test_what_was_laid_over_holds_and_costs_that_were_switched_off_are_zero(tmp_path: Path) -> None:
    settings = (
        "strategy_config.leverage=1.5",
        "venue_configs.bybit.transfer_delay_seconds=60",
        "risk_limits.max_peg_deviation=0.1",
    )
    run = without_friction(load_mode("btc_basis", settings=settings))
    values = effective_values(run, written_values(run, "btc_basis"))
    assert values["mode"]["strategy_config"]["leverage"] == 1.5
    assert values["mode"]["risk_limits"]["max_peg_deviation"] == 0.1
    assert values["venues"]["bybit"]["transfer_delay_seconds"] == 60.0
    assert values["venues"]["binance"]["perp"]["taker_fee"] == 0.0
    assert read_back(yaml_text(values), tmp_path) == run


def test_a_mode_file_with_a_venue_of_its_own_is_written_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SAVINGS.parent)
    monkeypatch.syspath_prepend(SAVINGS.parent)
    run = load_mode(SAVINGS)
    values = effective_values(run, written_values(run, SAVINGS))
    own = yaml.safe_load((SAVINGS.parent / "venues" / "savings.yaml").read_text(encoding="utf-8"))
    assert list(values["venues"]["savings"]) == list(own)
    assert read_back(yaml_text(values), tmp_path) == run


def test_small_mappings_stand_on_one_line_and_words_that_look_like_others_are_quoted() -> None:
    text = yaml_text({"a": {"x": 1e-9, "y": "off"}, "b": [{"floor": 0.0}, {"floor": 1.0}], "c": ["x: y", "2024-01-01"]})
    assert text.splitlines() == [
        "a: {x: 1.0e-09, y: 'off'}",
        "b:",
        "- {floor: 0.0}",
        "- {floor: 1.0}",
        "c: ['x: y', '2024-01-01']",
    ]
