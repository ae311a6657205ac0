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


def printed(folder: Path, encoding: str, *arguments: str, columns: str = "80") -> bytes:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": columns}
    command = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True).stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_summary_is_shown_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = printed(tmp_path, encoding, *RUN).decode(encoding)
    assert "Equity at end" in text
    assert "Logs: logs/pure_lending_usdt-" in text


def test_a_terminal_that_does_not_know_its_width_shows_a_summary_all_the_same(tmp_path: Path) -> None:
    assert "Equity at end" in printed(tmp_path, "utf-8", *RUN, columns="0").decode()


def test_json_is_utf_8_in_every_encoding(tmp_path: Path) -> None:
    waits = ("--set", "strategy_config.funding_threshold=0.9", "--json")
    summary = json.loads(printed(tmp_path, "ascii", "backtest", "btc_basis", "--end", "2024-01-01T04:00", *waits))
    assert any(line.startswith("never invested: 4 × ") for line in summary["warnings"])


def test_help_and_modes_are_shown_in_ascii(tmp_path: Path) -> None:
    assert b"Exit codes" in printed(tmp_path, "ascii", "--help")
    assert b"btc_basis" in printed(tmp_path, "ascii", "modes")


def run_with(folder: Path, redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-c", MAIN, *arguments]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("form", "redirection"), [((), "| true"), (("--json",), "> /dev/full")])
def test_a_result_is_made_whether_or_not_anybody_reads(tmp_path: Path, form: tuple[str, ...], redirection: str) -> None:
    done = run_with(tmp_path, redirection, *RUN[:-1], "--correlation-id", "unread", *form)
    assert (tmp_path / "results" / "unread" / "summary.json").is_file()
    assert "Traceback" not in done.stderr
    if "full" in redirection:
        assert done.returncode == 1
        assert done.stderr.startswith("Error: LOG-001: standard output cannot be written: No space left on device")
        assert done.stderr.count("\n") == 1
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("arguments", [("--help",), ("logs", "--help"), ("live", "-h")])
def test_help_that_nobody_reads_to_its_end_is_no_failure(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert piped_to_nobody(tmp_path, *arguments) == (141, "")


def test_a_reader_that_goes_makes_no_failure_of_a_log_that_is_verified(tmp_path: Path) -> None:
    """`modes` is cut off in the middle of its output, `replay` knows already what it was asked for."""
    kept = ("backtest", "btc_basis", "--end", "2024-01-02", "--always-in", "--quiet", "--correlation-id", "run")
    assert run_with(tmp_path, "", *kept).returncode == 0
    positions = ("logs", "positions", "run", "wallet:BaseToken:USDT")
    commands = (("replay", "run"), ("replay", "run", "--json"), ("logs", "diff", "run", "run"), ("modes",), positions)
    ends = [piped_to_nobody(tmp_path, *command) for command in commands]
    (next((tmp_path / "logs" / "run").glob("*")) / "config.yaml").unlink()
    changed = piped_to_nobody(tmp_path, "replay", "run")
    assert ends == [(0, "")] * 3 + [(141, "")] * 2
    assert changed[0] == 1
    assert changed[1].startswith("Not verified: ")


def piped_to_nobody(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and complaints of a command whose output has lost its reader before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        command = [sys.executable, "-u", "-c", MAIN, *arguments]
        done = subprocess.run(command, cwd=folder, check=False, stdout=pipe, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", [("modes",), ("--help",), ("config", "show", "btc_basis")])
def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    full, closed = (run_with(tmp_path, where, *command) for where in ("> /dev/full", ">&-"))
    assert (full.returncode, closed.returncode) == (1, 2)
    for done in (full, closed):
        assert done.stderr.startswith("Error: LOG-001: standard output ")
        assert done.stderr.count("\n") == 1


def test_without_a_standard_error_a_complaint_is_lost_and_the_code_is_not(tmp_path: Path) -> None:
    assert run_with(tmp_path, "2>&-", "replay", "nowhere").returncode == 2
