"""`logs list` finds runs, and `logs diff` tells where two of them part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.run_lock import RunLock

Run = Callable[..., Result]


def test_runs_are_listed_newest_first_with_how_they_ended(
    run: Run, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = LogDirectoryManager.create_run_logs("killed", 1, "btc_basis", "basis", 1.0, Path("logs"))
    going_on = LogDirectoryManager.create_run_logs("going-on", 1, "eth_basis", "basis", 1.0, Path("logs"))
    lock = RunLock(going_on)
    broken = Path("logs/broken/1")
    broken.mkdir(parents=True)
    (broken / "metadata.json").write_text("{")
    listed = [json.loads(line) for line in run("logs", "list", "--json").stdout.splitlines()]
    assert [(entry["run_dir"], entry["status"]) for entry in listed] == [
        ("logs/going-on/1", "running"),
        ("logs/killed/1", "killed"),
        (f"logs/clumsy/{run_dir.name}", "failed"),
        ("logs/broken/1", "unreadable"),
    ]
    lock.release()
    assert listed[2]["bytes"] == sum(path.stat().st_size for path in run_dir.rglob("*") if path.is_file())
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("logs", "list", "--limit", 3)
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert f"clumsy/{run_dir.name}" in shown.stdout
    assert "orders were refused" in shown.stdout
    assert "4 runs, the newest 3 shown" in shown.stdout
    assert killed.exists()


def test_a_folder_without_runs_is_a_sentence_and_no_folder_an_error(run: Run) -> None:
    Path("logs").mkdir()
    assert run("logs", "list").stdout == "No runs in logs.\n"
    result = run("logs", "list", "--root", "nowhere")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: LOG-003: nowhere is not a folder; name one that holds run directories (--root)\n"


def test_a_run_is_the_same_as_itself(run: Run, run_dir: Path) -> None:
    result = run("logs", "diff", "clumsy", run_dir, "--exact")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("identical") == 12
    assert "The runs are the same." in result.stdout


def test_the_first_event_at_which_two_runs_part_is_shown_field_by_field(run: Run, run_dir: Path) -> None:
    other = Path(shutil.copytree(run_dir.parent, "logs/other"))
    path = other / run_dir.name / "events" / "strategy_decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"reasoning":"overdraw"', b'"reasoning":"prudence"'))
    result = run("logs", "diff", "clumsy", "other")
    assert result.exit_code == 1
    assert result.stdout.count("identical") == 11
    assert "First to part: strategy_decisions, line 31" in result.stdout
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("reasoning"))
    assert line.split() == ["reasoning", '"overdraw"', '"prudence"']
    rows = {
        row["file"]: row
        for row in map(json.loads, run("logs", "diff", "clumsy", "other", "--json").stdout.splitlines())
    }
    assert len(rows) == 12
    assert rows["strategy_decisions"]["line"] == 31
    assert rows["strategy_decisions"]["fields"] == {"reasoning": ["overdraw", "prudence"]}
    assert rows["strategy_decisions"]["a"]["reasoning"] == "overdraw"
    assert rows["positions"]["line"] is None


def test_the_run_that_ends_first_is_named(run: Run, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path(shutil.copytree(run_dir.parent, "logs/other")) / run_dir.name
    path = other / "events" / "positions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:70]))
    monkeypatch.setenv("COLUMNS", "80")
    result = run("logs", "diff", "other", "clumsy")
    assert result.exit_code == 1
    assert "A ends, B has line 71" in result.stdout
    assert "A has ended" in result.stdout
    assert "positions.jsonl has" in result.stderr, "what is missing is said as well"
