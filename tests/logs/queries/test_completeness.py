"""What is torn or missing is said, though hardly anything is read; a whole log gives no notice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.logs.queries.conftest import cut

from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.queries.orders import failed_orders
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.retention import pack_rest
from basis_actors.logs.run_lock import RunLock
from basis_actors.messages.events import PositionSnapshot, StrategyDecision, SystemErrorEvent


def without(path: Path, *numbers: int) -> None:
    """Take lines out of a file."""
    every = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for number, line in enumerate(every, start=-len(every)) if number not in numbers))


def test_a_whole_log_gives_no_notice_in_any_form(log: RunLog) -> None:
    assert log.notices() == []


def test_a_torn_end_is_named_in_every_file(copied: Path) -> None:
    path = copied / "events" / "health_status.jsonl"
    path.write_bytes(path.read_bytes() + b'{"timestamp":"2024')
    assert RunLog(copied).notices() == [f"{path} ends within a line, which is left out (18 bytes)"]


@pytest.mark.parametrize("form", ["whole", "cut", "packed"])
def test_sealed_lines_that_are_gone_are_told(copied: Path, form: str) -> None:
    path = copied / "events" / "positions.jsonl"
    gone = len(path.read_bytes().splitlines(keepends=True)[-3])
    without(path, -3)
    if form != "whole":
        cut(copied)
    if form == "packed":
        pack_rest(copied)
    assert RunLog(copied).notices() == [f"{path} has {gone} bytes less than were written: events are missing"]


@pytest.fixture
def killed(tmp_path: Path, snapshot: Callable[[float], PositionSnapshot], decision: StrategyDecision) -> Path:
    """A run of 1,200 events that has sealed the first 1,000 of them and was killed then."""
    run_dir = LogDirectoryManager.create_run_logs("killed", 1, "m", "s", 1.0, tmp_path)
    logger = DomainEventLogger(run_dir, "killed", 1)
    for number in range(600):
        logger.log(snapshot(float(number)))
        logger.log(decision)
    logger.flush()
    return run_dir


def test_of_a_killed_run_the_events_after_the_last_seal_are_counted(killed: Path) -> None:
    log = RunLog(killed)
    assert log.notices() == []
    without(killed / "events" / "positions.jsonl", -5, -4)
    assert log.notices() == ["2 of the events 1,000 to 1,199 are missing"]
    lock = RunLock(killed)
    assert log.notices() == ["2 of the events 1,000 to 1,199 are not written yet"]
    lock.release()
    without(killed / "events" / "strategy_decisions.jsonl", *range(-300, 0))
    path = killed / "events" / "strategy_decisions.jsonl"
    first, second = log.notices()
    assert first.startswith(f"{path} has ")
    assert second == "101 of the events 1,000 to 1,198 are missing", "what came after is not known"


def test_a_log_without_seals_says_that_nothing_can_be_told(copied: Path) -> None:
    (copied / "events" / "seals.jsonl").unlink()
    (notice,) = RunLog(copied).notices()
    assert "whether events are missing cannot be told" in notice


@pytest.mark.parametrize("text", [b'{"sequence":"x"}\n', b'{"sequence":1,"files":{"positions":[1]}}\n', b"x\n"])
def test_seals_that_cannot_be_read_are_named(copied: Path, text: bytes) -> None:
    (copied / "events" / "seals.jsonl").write_bytes(text)
    with pytest.raises(BasisError, match=r"LOG-004: .*seals\.jsonl"):
        RunLog(copied).notices()


def test_a_packed_segment_that_is_no_gzip_file_is_named(copied: Path) -> None:
    cut(copied)
    pack_rest(copied)
    path = copied / "events" / "positions.000001.jsonl.gz"
    path.write_bytes(gzip.compress(b"")[:10])
    with pytest.raises(BasisError, match=r"positions\.000001\.jsonl\.gz has 10 bytes, and is no gzip file"):
        RunLog(copied).notices()


def test_events_of_another_run_are_refused(copied: Path) -> None:
    path = copied / "events" / "system_errors.jsonl"
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["correlation_id"] = "other"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BasisError, match=r"system_errors\.jsonl, line 2: it belongs to the run other, and mixed runs"):
        list(RunLog(copied).find(SystemErrorEvent))


def test_a_line_that_cannot_be_decoded_is_named(copied: Path) -> None:
    path = copied / "events" / "operation_executions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"status":"rolled_back"', b'"status":"rolled_back","fee_amount":"x"'))
    with pytest.raises(
        BasisError, match=r"operation_executions\.jsonl, line 4: .*expected one OperationExecutionEvent"
    ):
        list(failed_orders(RunLog(copied)))


@pytest.mark.parametrize("keeps_events", [False, True])
def test_a_run_without_event_files_is_refused(tmp_path: Path, *, keeps_events: bool) -> None:
    run_dir = LogDirectoryManager.create_run_logs("quiet", 1, "m", "s", 1.0, tmp_path, keeps_events=keeps_events)
    reason = "the run ended before it wrote one, or they were removed" if keeps_events else "the run kept no log"
    with pytest.raises(BasisError, match=rf"LOG-003: .*events has no event files: {reason}"):
        RunLog(run_dir)
    lock = RunLock(run_dir)
    with pytest.raises(BasisError, match="the run has just begun" if keeps_events else reason):
        RunLog(run_dir)
    lock.release()
