"""The examples run as they are, in an empty folder, and print what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.logs.directory import LogDirectoryManager, RunStatus

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def output_of(name: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_script_has_a_test() -> None:
    assert {file.name for file in EXAMPLES.glob("*.py")} == {"first_backtest.py", "real_data.py", "side_by_side.py"}


def test_first_backtest(tmp_path: Path) -> None:
    output = output_of("first_backtest.py", tmp_path)
    assert "2,161 ticks" in output
    assert "synthetic, seed 7" in output
    assert output.splitlines()[-1].startswith("  2024-03  ")


def test_real_data(tmp_path: Path) -> None:
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 14 * DAY), tmp_path / "market")
    output = output_of("real_data.py", tmp_path, "market", "2024-01-02", "2024-01-14")
    assert output.startswith("eth_basis on market (synthetic, seed 3)")
    assert "PnL by component" in output
    assert "The best and the worst day" in output


def test_side_by_side(tmp_path: Path) -> None:
    output = output_of("side_by_side.py", tmp_path)
    assert output.count("half-way") == 4
    assert output.count("log in ") == 4
    statuses = [LogDirectoryManager.read_metadata(folder).status for folder in (tmp_path / "logs").glob("*/*")]
    assert statuses == [RunStatus.COMPLETED] * 4
