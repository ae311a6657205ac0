"""The pages on a strategy and a venue of one's own: their code, run in more ways than the pages show."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tests.docs.readme import Snippet, run, sections

import basis_actors
from basis_actors.config import CustomVenue, load_mode, load_venue
from basis_actors.finance.keys import parse_key
from basis_actors.messages.events import DECISION_TYPES
from basis_actors.strategies.base import Decision
from basis_actors.strategies.order_writer import OrderWriter

CHECKOUT = Path(__file__).resolve().parents[2]
TUTORIALS = CHECKOUT / "docs" / "tutorials"
STRATEGY = (TUTORIALS / "my_own_strategy.md").read_text(encoding="utf-8")
VENUE = (TUTORIALS / "my_own_venue.md").read_text(encoding="utf-8")


def files_and_mode(page: str) -> list[Snippet]:
    """What a page makes before it runs anything: its files, and the mode file that it derives from another."""
    snippets = [snippet for section in sections(page).values() for snippet in section]
    last = next(place for place, snippet in enumerate(snippets) if "config check" in snippet.text)
    return snippets[: last + 1]


@pytest.fixture
def fund(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that both pages make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for module in ("my_fund", "my_fund.carry", "my_fund.vault"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for part in ("configs", "examples"):
        (tmp_path / part).symlink_to(CHECKOUT / part)
    run([*files_and_mode(STRATEGY), *files_and_mode(VENUE)], tmp_path)
    return tmp_path / "my_fund"


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
    # Of another length: a file of the same size and second is taken for the one that is compiled already.
    file.write_text(file.read_text().replace('"entry", "entry_full"', '"enter_now", "entry_full"'))
    with pytest.raises(basis_actors.RunFailed, match="one of entry, exit, rebalance, hold, emergency_exit is needed"):
        basis_actors.backtest(fund / "lend.yaml", end="2024-01-02")


def column(heading: str) -> list[list[str]]:
    """What stands in backquotes in each row of the table below a heading."""
    section = STRATEGY.split(f"\n## {heading}\n")[1].split("\n## ")[0]
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
    assert venue.settings.model_dump() == {"fee_per_year": 0.01}
    assert load_mode(fund / "keep.yaml").venues["vault"] == venue


def test_the_vault_takes_its_fee_and_no_more(fund: Path) -> None:
    result = basis_actors.backtest(fund / "keep.yaml", end="2024-01-11", capital=1_000.0)
    kept = result.positions["vault:BaseToken:USDT"]
    hours = int((kept > 0.0).sum()) - 1
    assert hours > 200
    assert kept.iloc[-1] == pytest.approx(kept[kept > 0.0].iloc[0] * (1.0 - 0.01 / (365 * 24)) ** hours, rel=1e-12)
    assert result.summary.max_residual is not None
    assert result.summary.max_residual <= 1e-9


def test_the_vault_gives_back_when_risk_wants_it(fund: Path) -> None:
    limits = {"risk_limits.max_drawdown": 1e-6, "risk_limits.enforce": True}
    result = basis_actors.backtest(fund / "keep.yaml", end="2024-01-11", capital=1_000.0, overrides=limits)
    assert result.summary.stopped is not None
    assert result.positions["vault:BaseToken:USDT"].iloc[-1] == pytest.approx(0.0, abs=1e-9)
