"""Two runs part where their events do, file by file; what wall clock and process make of them does not count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.logs.clumsy import clumsy_run
from tests.logs.queries.conftest import cut

from basis_actors.errors import BasisError
from basis_actors.logs.queries.difference import FileDifference, difference, first_parting
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.retention import pack_rest
from basis_actors.messages.events import EVENT_TYPES


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run once more, under another name."""
    return clumsy_run(tmp_path_factory.mktemp("again"), correlation_id="again")


def changed(run_dir: Path, stem: str, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the event in line `number` of a file."""
    path = run_dir / "events" / f"{stem}.jsonl"
    every = path.read_text().splitlines(keepends=True)
    event = json.loads(every[number - 1])
    change(event)
    every[number - 1] = json.dumps(event, separators=(",", ":")) + "\n"
    path.write_text("".join(every))


def compared(a: Path, b: Path, **options: Any) -> dict[str, FileDifference]:
    found = list(difference(RunLog(a), RunLog(b), **options))
    assert [entry.file for entry in found] == [kind.FILE for kind in EVENT_TYPES]
    return {entry.file: entry for entry in found}


def parted(found: dict[str, FileDifference]) -> set[str]:
    return {name for name, entry in found.items() if entry.line is not None}


def test_two_runs_of_the_same_are_the_same_in_any_form(run_dir: Path, again: Path, copied: Path) -> None:
    cut(copied)
    pack_rest(copied)
    for one in (run_dir, copied):
        found = compared(one, again)
        assert parted(found) == set()
        for kind in EVENT_TYPES:
            path = run_dir / "events" / f"{kind.FILE}.jsonl"
            assert found[kind.FILE].same == len(path.read_bytes().splitlines())


def test_exactly_they_differ_in_what_the_logger_filled_in(run_dir: Path, again: Path) -> None:
    found = compared(run_dir, again, exact=True)
    entry = found["positions"]
    assert entry.line == 1
    assert set(entry.fields) == {"correlation_id", "real_utc_time"}
    assert entry.fields["correlation_id"] == ("clumsy", "again")
    assert "execution_duration_ms" in found["operation_executions"].fields
    assert parted(compared(run_dir, run_dir, exact=True)) == set()


def test_the_line_and_the_fields_that_differ_are_named(run_dir: Path, copied: Path) -> None:
    def change(event: dict[str, Any]) -> None:
        event["deltas"][0]["delta_amount"] += 1e-3
        event["source"] = "reward"
        event["sequence"] += 100

    changed(copied, "execution_deltas", 17, change)
    changed(copied, "strategy_decisions", 60, lambda event: event["market_conditions"].update(new={"deep": [1]}))
    found = compared(run_dir, copied)
    assert parted(found) == {"execution_deltas", "strategy_decisions"}
    entry = found["execution_deltas"]
    assert (entry.line, entry.same) == (17, 16)
    assert set(entry.fields) == {"source", "deltas[0].delta_amount"}
    assert entry.fields["source"] == ("accrual", "reward")
    assert found["strategy_decisions"].fields == {"market_conditions.new": (None, '{"deep":[1]}')}
    assert first_parting(list(found.values())) is entry, "which is the earlier one"


def test_numbers_may_differ_by_a_share(run_dir: Path, copied: Path) -> None:
    changed(copied, "pnl_calculations", 40, lambda event: event.update(equity=event["equity"] * (1.0 + 1e-9)))
    assert parted(compared(run_dir, copied)) == {"pnl_calculations"}
    assert parted(compared(run_dir, copied, rel=1e-8)) == set()
    assert parted(compared(run_dir, copied, rel=1e-10)) == {"pnl_calculations"}


def test_a_run_that_ends_before_the_other_is_told(run_dir: Path, copied: Path) -> None:
    path = copied / "events" / "strategy_decisions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:50]))
    for one, other in ((run_dir, copied), (copied, run_dir)):
        entry = compared(one, other)["strategy_decisions"]
        assert (entry.same, entry.line, entry.fields) == (50, 51, {})
        assert (entry.a is None, entry.b is None) == (one is copied, other is copied)


@pytest.mark.parametrize("text", [b"{}\n", b'{"timestamp":5}\n', b'{"timestamp":"\xff"}\n', b'{"timestamp":}\n'])
@pytest.mark.parametrize("end", ["within", "after"])
def test_a_line_that_is_no_event_is_named(run_dir: Path, copied: Path, text: bytes, end: str) -> None:
    path = copied / "events" / "positions.jsonl"
    every = path.read_bytes().splitlines(keepends=True)
    number = 10 if end == "within" else len(every) + 1
    every.insert(number - 1, text)
    path.write_bytes(b"".join(every))
    for one, other in ((run_dir, copied), (copied, run_dir)):
        with pytest.raises(
            BasisError, match=rf"LOG-004: .*positions\.jsonl, line {number}: .*expected one event as JSON"
        ):
            list(difference(RunLog(one), RunLog(other)))


@pytest.mark.parametrize("rel", [-0.1, 1.0, float("nan")])
def test_a_tolerance_that_is_none_is_refused(run_dir: Path, rel: float) -> None:
    with pytest.raises(BasisError, match=r"LOG-006: tolerance .* expected 0 or more and less than 1"):
        list(difference(RunLog(run_dir), RunLog(run_dir), rel=rel))
