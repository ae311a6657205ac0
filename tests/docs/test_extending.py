"""The pieces of code in docs/EXTENDING.md, put together as they say, run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import basis_actors
from basis_actors.config import CustomVenue, config_root, load_mode, load_venue
from basis_actors.finance.keys import parse_key
from basis_actors.messages.events import DECISION_TYPES
from basis_actors.strategies.base import Decision
from basis_actors.strategies.order_writer import OrderWriter

PAGE = Path(__file__).resolve().parents[2] / "docs" / "EXTENDING.md"
TEXT = PAGE.read_text(encoding="utf-8")
LEND, VAULT = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
MODE_KEYS, VENUE_FILE = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def fund(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the page describes it, with a mode made of `pure_lending_usdt` and the two keys of the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for module in ("my_fund", "my_fund.carry", "my_fund.vault"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    folder = tmp_path / "my_fund"
    (folder / "venues").mkdir(parents=True)
    (folder / "carry.py").write_text(LEND)
    (folder / "vault.py").write_text(VAULT)
    (folder / "venues" / "vault.yaml").write_text(VENUE_FILE)
    mode = (config_root() / "modes" / "pure_lending_usdt.yaml").read_text(encoding="utf-8")
    kept = mode[: mode.index("strategy_config:")] + mode[mode.index("risk_limits:") :]
    kept = kept.replace("strategy: pure_lending\n", MODE_KEYS).replace("venues: [", "venues: [vault, ")
    (folder / "lend.yaml").write_text(kept)
    return folder


def test_the_strategy_lends_what_it_does_not_keep(fund: Path) -> None:
    result = basis_actors.backtest(fund / "lend.yaml", end="2024-01-03", capital=1_000.0)
    assert result.positions["wallet:BaseToken:USDT"].iloc[-1] == pytest.approx(100.0, abs=1e-9)
    assert result.summary.max_residual is not None
    assert result.summary.max_residual <= 1e-9
    assert (result.summary.orders_by_status, result.summary.errors) == ({"confirmed": 1}, {})


def test_the_strategy_pays_out_what_the_owner_asks_for(fund: Path) -> None:
    flows = {"2024-01-02": -300.0, "2024-01-02T12:00": 500.0}
    result = basis_actors.backtest(fund / "lend.yaml", end="2024-01-03", capital=1_000.0, flows=flows)
    assert result.summary.external_flows == 200.0
    assert result.positions["wallet:BaseToken:USDT"].iloc[-1] == pytest.approx(100.0, abs=1e-9)
    assert result.positions["aave:aToken:aUSDT"].iloc[-1] == pytest.approx(1_100.0, rel=1e-3)
    assert (result.summary.orders_by_status, result.summary.errors) == ({"confirmed": 4}, {})


def test_the_strategy_runs_on_history_without_an_order_that_fails(fund: Path, history: Path) -> None:
    result = basis_actors.backtest(fund / "lend.yaml", data=history, end="2024-01-05", flows={"2024-01-03": -5_000.0})
    assert (result.summary.orders_by_status, result.summary.errors) == ({"confirmed": 3}, {})
    assert result.summary.external_flows == -5_000.0


def test_the_strategy_gives_everything_back_when_risk_wants_it(fund: Path) -> None:
    mode = fund / "lend.yaml"
    limits = {"risk_limits.max_drawdown": 1e-6, "risk_limits.enforce": True}
    result = basis_actors.backtest(mode, end="2024-01-03", capital=1_000.0, overrides=limits)
    assert result.summary.stopped is not None
    assert result.positions["aave:aToken:aUSDT"].iloc[-1] == 0.0


def test_a_strategy_that_fails_is_told_by_file_and_line(fund: Path) -> None:
    file = fund / "carry.py"
    wrong = '        raise KeyError("no such key")\n'
    head, _, rest = file.read_text().partition("        wallet, lent, keep = ")
    file.write_text(f"{head}{wrong}        wallet, lent, keep = {rest}")
    line = head.count("\n") + 1
    with pytest.raises(basis_actors.RunFailed, match=rf"KeyError: 'no such key' \(my_fund/carry\.py:{line}\)"):
        basis_actors.backtest(fund / "lend.yaml", end="2024-01-02")


def test_a_decision_of_no_known_type_is_told_those_that_there_are(fund: Path) -> None:
    file = fund / "carry.py"
    file.write_text(file.read_text().replace('"entry", "entry_full"', '"enter", "entry_full"'))
    with pytest.raises(basis_actors.RunFailed, match="one of entry, exit, rebalance, hold, emergency_exit is needed"):
        basis_actors.backtest(fund / "lend.yaml", end="2024-01-02")


def column(heading: str) -> list[list[str]]:
    """What stands in backquotes in each row of the table below a heading."""
    section = TEXT.split(f"\n### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    return [re.findall(r"`([^`]+)`", line) for line in section.splitlines() if line.startswith("| `")]


def test_every_value_of_a_decision_is_named() -> None:
    named = {field: set(values) for field, *values in column("What a decision says")}
    assert named["decision_type"] == set(DECISION_TYPES)
    for action in named["action"]:
        wanted = Decision(decision_type="hold", action=action, reasoning="", invested=False)
        assert wanted.adds_risk == action.startswith("entry_")


def test_every_key_is_one() -> None:
    for keys in column("What positions are called"):
        for key in keys:
            assert ":" not in key or parse_key(key).key == key


def test_every_method_that_writes_orders_is_named() -> None:
    named = {name.partition("(")[0] for cells in column("How orders are written") for name in cells}
    methods = {name for name in dir(OrderWriter) if not name.startswith("_")}
    assert methods <= named


def test_the_venue_is_read_with_its_settings(fund: Path) -> None:
    venue = load_venue(fund / "venues" / "vault.yaml")
    assert isinstance(venue, CustomVenue)
    assert venue.settings.model_dump() == {"fee": 0.0}
    assert load_mode(fund / "lend.yaml").venues["vault"] == venue
