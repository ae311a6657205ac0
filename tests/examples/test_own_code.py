"""The examples of a strategy and a venue outside the package, run by the command as their pages say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from basis_actors.config import load_scenario
from basis_actors.config.scenarios import SHOCK_KINDS
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import OperationExecutionEvent

ROOT = Path(__file__).resolve().parents[2]


def answer_of(out: Path, *arguments: str) -> dict[str, Any]:
    """The JSON that a command prints in the folder that holds examples/, whatever path Python itself looks in."""
    command = "from basis_actors.cli import main; main()"
    line = [sys.executable, "-P", "-W", "error", "-c", command, *arguments, "--json", "--out", str(out)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def summary_of(mode: str, out: Path, *arguments: str) -> dict[str, Any]:
    return answer_of(out, "backtest", f"examples/{mode}", *arguments)


def test_every_folder_of_examples_is_run_here() -> None:
    assert {folder.name for folder in (ROOT / "examples").iterdir() if list(folder.glob("*.yaml"))} == {
        "funding_rotation",
        "savings_account",
        "scenarios",
    }


def test_funding_rotation_trades_both_assets_and_explains_every_cent(tmp_path: Path) -> None:
    found = summary_of("funding_rotation/funding_rotation.yaml", tmp_path)
    assert found["ticks"] == 2161
    assert found["decisions"]["entry"] >= 2
    assert found["decisions"]["exit"] >= 1
    assert found["orders_by_status"] == {"confirmed": found["orders"]}
    assert found["max_residual"] <= 1e-9
    assert found["unhedged_hours"] == 0.0
    assert found["attribution"]["funding"] > 0.0
    operations = EventLog(Path(found["run_dir"])).events(OperationExecutionEvent)
    assert {operation.target_token for operation in operations} >= {"BTC", "ETH", "USDT"}


@pytest.mark.parametrize("apr", [0.05, 0.0])
def test_savings_account_pays_what_it_promises(tmp_path: Path, apr: float) -> None:
    change = ("--set", f"venue_configs.savings.settings.apr={apr}")
    found = summary_of("savings_account/savings.yaml", tmp_path, "--end", "2024-01-31", *change)
    assert found["max_residual"] <= 1e-9
    expected = 100_000.0 * ((1.0 + apr / 8760.0) ** (29 * 24 + 21) - 1.0)
    assert found["attribution"]["rewards"] == pytest.approx(expected, rel=0.01)


def test_perfect_storm_has_every_kind_of_shock_and_is_felt(tmp_path: Path) -> None:
    file = "examples/scenarios/perfect_storm.yaml"
    assert {shock.kind for shock in load_scenario(ROOT / file).config.shocks} == set(SHOCK_KINDS)
    usual, storm = answer_of(tmp_path, "stress", "eth_leveraged", "--scenario", file, "--days", "24")["rows"]
    assert storm["failure"] is None
    assert storm["total_return"] < usual["total_return"]
    assert storm["max_residual"] <= 1e-9
    assert any("discount of weETH" in text for text in storm["warnings"])
