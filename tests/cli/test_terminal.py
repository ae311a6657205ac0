"""What is printed reaches terminals that cannot show all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from basis_actors.cli import main; main()"
RUN = ("backtest", "pure_lending_usdt", "--end", "2024-01-02", "--no-results")


def printed(folder: Path, encoding: str, *arguments: str) -> bytes:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "80"}
    command = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True).stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_summary_is_shown_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = printed(tmp_path, encoding, *RUN).decode(encoding)
    assert "Equity at end" in text
    assert "Logs: logs/pure_lending_usdt-" in text


def test_json_is_utf_8_in_every_encoding(tmp_path: Path) -> None:
    waits = ("--set", "strategy_config.funding_threshold=0.9", "--json")
    summary = json.loads(printed(tmp_path, "ascii", "backtest", "btc_basis", "--end", "2024-01-01T04:00", *waits))
    assert any(line.startswith("never invested: 4 × ") for line in summary["warnings"])


def test_help_and_modes_are_shown_in_ascii(tmp_path: Path) -> None:
    assert b"Exit codes" in printed(tmp_path, "ascii", "--help")
    assert b"btc_basis" in printed(tmp_path, "ascii", "modes")
