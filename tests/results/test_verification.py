"""Every number of a summary that follows from the log is counted again, in the run directory and in its result."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from basis_actors.results.store import ResultStore
from basis_actors.results.verification import verify
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

BELIEVED = {"share_class", "decimals", "stopped", "proxies"}
"""What only the run knew."""
DERIVED = {"seconds", "data_gaps", "missed_funding"}
"""What only the run knew and other numbers follow from."""
WORDS = {"result_dir", "failure", "stopped"}


@pytest.fixture
def result(store: ResultStore, tmp_path: Path) -> Path:
    """A copy of a result to do harm to."""
    return Path(shutil.copytree(store.root / "first", tmp_path / "first"))


def _other(field: str, value: Any) -> Any:
    if value is None:
        return "x" if field in WORDS else 1.0
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "2023-01-01T00:00:00Z" if value.startswith("20") else f"{value}x"
    if isinstance(value, list):
        return [*value, "x"]
    if isinstance(value, dict):
        return {**value, "x": "y" if field in ("first_errors", "worst_errors") else 1}
    return value + 1


def test_a_result_that_nobody_touched_is_verified(run_dir: Path, result: Path) -> None:
    for place in (run_dir, result / "logs"):
        found = verify(place)
        assert (found.findings, found.notes) == ([], [])


def _unnoticed(path: Path, run_dir: Path) -> set[str]:
    """Fields of a summary that can be changed without a finding."""
    stated, missed = json.loads(path.read_text()), set()
    for field, value in stated.items():
        path.write_text(json.dumps(stated | {field: _other(field, value)}))
        found = verify(run_dir).findings
        assert {finding.check for finding in found} <= {"summary"}
        assert field in DERIVED or all(f"has {field} " in finding.what for finding in found)
        if not found:
            missed.add(field)
    return missed


def test_every_number_that_follows_from_the_log_is_held_against_it(run_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / "1"))
    assert _unnoticed(copy / "summary.json", copy) == BELIEVED


@pytest.mark.parametrize("place", ["logs/summary.json", "summary.json"])
def test_in_a_result_both_summaries_are_held_against_log_and_each_other(result: Path, place: str) -> None:
    assert _unnoticed(result / place, result / "logs") == set()


@pytest.mark.parametrize("place", ["logs/", ""])
@pytest.mark.parametrize("name", ["config.yaml", "data_report.json"])
def test_what_the_run_began_with_is_under_its_seal(result: Path, place: str, name: str) -> None:
    path = result / place / name
    text = path.read_bytes()
    path.write_bytes(text + b"\n")
    (changed,) = verify(result / "logs").findings
    path.unlink()
    (gone,) = [finding for finding in verify(result / "logs").findings if finding.check != "summary"]
    assert changed.check == gone.check == "seal"
    assert changed.where == gone.where == (name if place else f"../{name}")
    assert "is not what the run began with" in changed.what
    assert "No such file" in gone.what


def test_a_limit_that_was_changed_afterwards_is_found(run_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / "1"))
    path = copy / "config.yaml"
    path.write_text(re.sub(r"max_venue_share: .*", "max_venue_share: 0.99", path.read_text()))
    assert [finding.where for finding in verify(copy).findings] == ["config.yaml"]


def test_a_run_of_an_earlier_version_has_no_seal_of_what_it_began_with(run_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / "1"))
    path = copy / "events" / "seals.jsonl"
    seals = [json.loads(line) for line in path.read_text().splitlines()]
    assert set(seals[0].pop("inputs")) == {"config.yaml", "data_report.json"}
    assert not any("inputs" in seal for seal in seals)
    path.write_text("".join(json.dumps(seal) + "\n" for seal in seals))
    found = verify(copy)
    assert found.findings == []
    (note,) = found.notes
    assert note.startswith("the seals do not say what the run began with")


def test_an_interrupted_run_that_says_it_is_complete_is_not_believed(tmp_path: Path) -> None:
    request = BacktestRequest(
        mode="pure_lending_eth", end=datetime(2024, 1, 3, tzinfo=UTC), out=tmp_path, write_events=True
    )
    run = Backtest(prepare(request))
    run.run(lambda now: run.cancel("enough") if now.ticks else None)
    for name in ("metadata.json", "summary.json"):
        path = run.run_dir / name
        told = json.loads(path.read_text())
        changed = {"status": "completed", "failure": None} if name == "metadata.json" else {"partial": False}
        path.write_text(json.dumps(told | changed))
    (finding,) = verify(run.run_dir).findings
    assert (finding.check, finding.where) == ("summary", "metadata.json")
    assert "was to end at 2024-01-03T00:00:00Z" in finding.what


@pytest.mark.parametrize("text", [None, b"", b"\xff", b"{}"])
def test_a_result_without_a_readable_summary_is_not_verified(result: Path, text: bytes | None) -> None:
    (result / "summary.json").unlink()
    if text is not None:
        (result / "summary.json").write_bytes(text)
    (finding,) = verify(result / "logs").findings
    assert (finding.check, finding.where) == ("summary", "../summary.json")
