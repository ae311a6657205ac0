"""Every number of a summary that follows from the log is counted again, in the run directory and in its result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from basis_actors.results.store import ResultStore
from basis_actors.results.verification import verify

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
        return {**value, "x": "y" if field == "first_errors" else 1}
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


@pytest.mark.parametrize("text", [None, b"", b"\xff", b"{}"])
def test_a_result_without_a_readable_summary_is_not_verified(result: Path, text: bytes | None) -> None:
    (result / "summary.json").unlink()
    if text is not None:
        (result / "summary.json").write_bytes(text)
    (finding,) = verify(result / "logs").findings
    assert (finding.check, finding.where) == ("summary", "../summary.json")
