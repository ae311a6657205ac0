"""The pieces of code in docs/EXTENDING.md, put together as they say, run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import basis_actors
from basis_actors.config import CustomVenue, config_root, load_mode, load_venue

PAGE = Path(__file__).resolve().parents[2] / "docs" / "EXTENDING.md"
LEND, VAULT = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
MODE_KEYS, VENUE_FILE = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def fund(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the page describes it, with a mode made of `pure_lending_usdt` and the two keys of the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
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


def test_the_venue_is_read_with_its_settings(fund: Path) -> None:
    venue = load_venue(fund / "venues" / "vault.yaml")
    assert isinstance(venue, CustomVenue)
    assert venue.settings.model_dump() == {"fee": 0.0}
    assert load_mode(fund / "lend.yaml").venues["vault"] == venue
