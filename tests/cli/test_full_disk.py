"""A disk that takes no more: the run fails, says what is not on disk, and shows its summary all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.reader import EventLog

CODE = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from basis_actors.cli import main
main()
"""
LATER = """
import resource, sys
from basis_actors.cli import main
from basis_actors.services.backtest import Backtest

limit = int(sys.argv.pop(1))
run = Backtest.run


def limited(self, progress):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return run(self, progress)


Backtest.run = limited
main()
"""
"""The limit holds from the first tick on."""


def run_with_files_up_to(
    limit: int, folder: Path, *arguments: str, code: str = CODE
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, str(limit), "backtest", "pure_lending_eth", "--end", "2024-01-20", "--json"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_events_that_cannot_be_written_fail_the_run_and_are_counted(tmp_path: Path) -> None:
    done = run_with_files_up_to(60_000, tmp_path)
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert summary["partial"] is True
    assert summary["failure"].startswith("LOG-001: ")
    assert "not on disk yet" in summary["failure"]
    assert done.stderr.startswith("Failed: LOG-001: ")
    assert "Traceback" not in done.stderr
    run_dir = tmp_path / summary["run_dir"]
    assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.FAILED
    assert 0 < sum(1 for _ in EventLog(run_dir).all()) < summary["events"]


@pytest.mark.parametrize("limit", [1500, 900])
def test_an_end_that_cannot_be_written_down_is_no_success(tmp_path: Path, limit: int) -> None:
    """At 1500 bytes there is no room for the summary, at 900 none for its component logs' last line or metadata."""
    done = run_with_files_up_to(limit, tmp_path, "--no-events", code=LATER)
    assert done.returncode == 1
    assert "File too large" in json.loads(done.stdout)["failure"]
    assert "Traceback" not in done.stderr
    (run_dir,) = tmp_path.glob("logs/*/*")
    assert not list(run_dir.glob("*summary.json*")), "no part of it"
    if limit == 1500:
        assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.FAILED


def test_a_run_whose_configuration_cannot_be_written_down_does_not_begin(tmp_path: Path) -> None:
    done = run_with_files_up_to(4000, tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "LOG-003: run directory logs/pure_lending_eth-" in done.stderr
    assert "free space or choose another log folder" in done.stderr
    (run_dir,) = tmp_path.glob("logs/*/*")
    assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.FAILED
