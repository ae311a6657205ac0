"""`logs prune` deletes what is old, and with `--dry-run` only says so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.run_lock import RunLock

Run = Callable[..., Result]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run that ended ten days ago."""
    run_dir = LogDirectoryManager.create_run_logs("old", 1, "btc_basis", "basis", 1.0, tmp_path / "logs")
    LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED)
    then = time.time() - 10 * 86_400
    for path in run_dir.rglob("*"):
        os.utime(path, (then, then))
    return run_dir


def test_a_dry_run_names_what_it_would_delete_and_deletes_nothing(run: Run, old: Path) -> None:
    result = run("logs", "prune", "--dry-run")
    assert result.exit_code == 0
    assert "logs/old/1" in result.stdout
    assert "1 would be deleted" in result.stdout
    assert old.exists()


def test_what_is_old_is_deleted(run: Run, old: Path) -> None:
    (row,) = run("logs", "prune", "--json").stdout.splitlines()
    assert json.loads(row)["run_dir"] == "logs/old/1"
    assert not old.parent.exists()
    assert "nothing is older than 7 days" in run("logs", "prune").stdout


def test_only_what_no_result_holds_is_said_to_be_freed(run: Run, old: Path, tmp_path: Path) -> None:
    (old / "big").write_bytes(b"x" * 5_000)
    (old / "events" / "mine").write_bytes(b"x" * 700)
    os.link(old / "big", tmp_path / "held by a result")
    for path in (old / "big", old / "events" / "mine"):
        os.utime(path, (0, 0))
    rest = (old / "metadata.json").stat().st_size
    row = json.loads(run("logs", "prune", "--dry-run", "--json").stdout)
    assert (row["bytes"], row["held"]) == (700 + rest, 5_000)
    result = run("logs", "prune")
    assert "5.0 kB more are files that results hold as well" in result.stdout
    assert "1 deleted, which freed 1." in result.stdout


def test_a_long_path_is_not_broken_within_the_process_id(run: Run, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "usdt_market_neutral_no_leverage-20261128T082820-0216"
    long = old.parent.with_name(name)
    old.parent.rename(long)
    (long / "1").rename(long / "30072")
    lines = run("logs", "prune", "--dry-run").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any(line.split()[0] == "30072" for line in lines if line)


def test_longer_limits_and_a_running_process_keep_it(run: Run, old: Path) -> None:
    assert run("logs", "prune", "--backtest-days", "11").exit_code == 0
    lock = RunLock(old)
    then = time.time() - 10 * 86_400
    os.utime(old / "run.lock", (then, then))
    assert run("logs", "prune").exit_code == 0
    lock.release()
    assert old.exists()


def test_a_damaged_run_is_named_by_whoever_comes_upon_it_and_keeps_nobody_from_working(run: Run, old: Path) -> None:
    damaged = old.parent.parent / "damaged" / "1" / "metadata.json"
    damaged.parent.mkdir(parents=True)
    for text in (b"\xff", b"[" * 100_000):
        damaged.write_bytes(text)
        for command in (("replay",), ("report",), ("logs", "errors"), ("logs", "sql", "SELECT 1")):
            result = run(*command[:2], "damaged", *command[2:])
            assert result.exit_code == 2
            assert result.stderr.startswith("Error: LOG-003: logs/damaged/1/metadata.json cannot be read")
            assert len(result.stderr.splitlines()) == 1
        assert "unreadable" in run("logs", "list", "--json").stdout
        done = run("backtest", "pure_lending_usdt", "--end", "2024-01-02", "--no-results", "--quiet")
        assert done.exit_code == 0, done.output
    assert not old.exists(), "the first of the backtests has deleted it"
    pruned = run("logs", "prune")
    assert pruned.exit_code == 0
    assert "Note: LOG-003: logs/damaged/1/metadata.json cannot be read" in pruned.stderr
    assert damaged.exists()


def test_what_cannot_be_deleted_is_not_said_to_be_too_young(
    run: Run, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "rmdir", refused)
    pruned = run("logs", "prune")
    assert pruned.exit_code == 1
    assert pruned.stdout == ""
    assert pruned.stderr.startswith("Error: LOG-003: logs/old/1 cannot be deleted completely")
    assert old.exists()


def test_a_folder_that_is_not_there_is_named(run: Run) -> None:
    result = run("logs", "prune", "--root", "nowhere")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: LOG-003: nowhere")
