"""Writing domain events: what a line says, when it is written, and what happens when it cannot be."""

from __future__ import annotations

import json
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger, NullEventLogger
from basis_actors.logs.reader import EventLog
from basis_actors.logs.wall_clock import FIXED_TIME, fixed_clock, system_clock
from basis_actors.messages.events import EVENT_TYPES, DomainEvent, PositionSnapshot

MakeSnapshot = Callable[[float], PositionSnapshot]


def logger(log_dir: Path, **options: Any) -> DomainEventLogger:
    log_dir.mkdir(exist_ok=True)
    return DomainEventLogger(log_dir=log_dir, correlation_id="test123", pid=12345, **options)


def lines(log_dir: Path, stem: str = "positions") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (log_dir / "events" / f"{stem}.jsonl").read_bytes().split(b"\n")[:-1]]


def amounts(log_dir: Path) -> list[float]:
    return [line["total_value_usd"] for line in lines(log_dir)]


class TestDomainEventLogger:
    async def test_log_position_snapshot(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path)
        before = system_clock()
        events.log(snapshot(10_000.0))
        after = system_clock()
        await events.close()
        (line,) = lines(tmp_path)
        assert before <= datetime.fromisoformat(line.pop("real_utc_time")) <= after
        assert line == {
            "timestamp": "2025-01-15T10:30:00Z",
            "sequence": 0,
            "correlation_id": "test123",
            "pid": 12345,
            "metadata": {},
            "positions": {"wallet:BaseToken:USDT": 10_000.0},
            "total_value_usd": 10_000.0,
            "position_type": "simulated",
            "trigger_source": "tick",
        }

    def test_all_files_are_there_from_the_start_and_closed_to_others(self, tmp_path: Path) -> None:
        logger(tmp_path).flush()
        files = list((tmp_path / "events").iterdir())
        assert {path.name for path in files} == {*(f"{kind.FILE}.jsonl" for kind in EVENT_TYPES), "seals.jsonl"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}

    async def test_every_event_type_goes_to_its_own_file(
        self, tmp_path: Path, one_of_each: tuple[DomainEvent, ...]
    ) -> None:
        events = logger(tmp_path)
        for event in one_of_each:
            events.log(event)
        await events.close()
        assert len(one_of_each) == 12
        for number, event in enumerate(one_of_each):
            (line,) = (tmp_path / "events" / f"{event.FILE}.jsonl").read_bytes().splitlines()
            written = msgspec.json.decode(line, type=type(event))
            assert written.sequence == number
            assert written == event

    async def test_multiple_event_types_share_one_numbering(
        self, tmp_path: Path, one_of_each: tuple[DomainEvent, ...]
    ) -> None:
        events = logger(tmp_path, batch_events=5)
        for event in one_of_each * 3:
            events.log(event)
        await events.close()
        numbers = [line["sequence"] for kind in EVENT_TYPES for line in lines(tmp_path, kind.FILE)]
        assert sorted(numbers) == list(range(36))
        assert [line["sequence"] for line in lines(tmp_path)] == [0, 12, 24]

    async def test_an_event_that_is_logged_twice_has_two_lines(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path)
        event = snapshot(1.0)
        events.log(event)
        events.log(event)
        await events.close()
        assert [line["sequence"] for line in lines(tmp_path)] == [0, 1]

    async def test_with_a_fixed_clock_two_runs_write_the_same_bytes(
        self, tmp_path: Path, snapshot: MakeSnapshot
    ) -> None:
        for name, batch in (("one", 3), ("two", 100)):
            events = logger(tmp_path / name, clock=fixed_clock, batch_events=batch)
            for amount in range(10):
                events.log(snapshot(amount))
            await events.close()
        one, two = ((tmp_path / name / "events" / "positions.jsonl").read_bytes() for name in ("one", "two"))
        assert one == two
        assert datetime.fromisoformat(lines(tmp_path / "one")[0]["real_utc_time"]) == FIXED_TIME

    async def test_text_of_any_kind_stays_on_its_line(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        said = {"a\nb": "line 1\nline 2\r\u2028\0 ü 🦀"}
        events = logger(tmp_path)
        events.log(msgspec.structs.replace(snapshot(1.0), metadata=said))
        events.log(snapshot(2.0))
        await events.close()
        assert (tmp_path / "events" / "positions.jsonl").read_bytes().count(b"\n") == 2
        assert lines(tmp_path)[0]["metadata"] == said

    async def test_nothing_is_written_without_events(self, snapshot: MakeSnapshot) -> None:
        events = NullEventLogger()
        events.log(snapshot(1.0))
        events.flush_if_due()
        events.flush()
        await events.close()
        assert events.unwritten == 0


class TestBufferedWriting:
    def test_buffered_writing(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path)
        for amount in range(99):
            events.log(snapshot(amount))
        assert (lines(tmp_path), events.unwritten) == ([], 99)
        events.log(snapshot(99.0))
        assert (len(lines(tmp_path)), events.unwritten) == (100, 0)

    def test_the_batch_is_counted_over_all_files(self, tmp_path: Path, one_of_each: tuple[DomainEvent, ...]) -> None:
        events = logger(tmp_path, batch_events=12)
        for event in one_of_each[:-1]:
            events.log(event)
        assert lines(tmp_path) == []
        events.log(one_of_each[-1])
        assert [len(lines(tmp_path, kind.FILE)) for kind in EVENT_TYPES] == [1] * 12

    def test_a_flush_writes_what_there_is(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path)
        events.log(snapshot(1.0))
        events.flush()
        assert amounts(tmp_path) == [1.0]

    def test_what_waits_for_five_seconds_is_written_when_asked(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        now = [100.0]
        events = logger(tmp_path, monotonic=lambda: now[0])
        events.log(snapshot(1.0))
        now[0] += 4.999
        events.flush_if_due()
        assert amounts(tmp_path) == []
        now[0] += 0.001
        events.flush_if_due()
        assert amounts(tmp_path) == [1.0]
        events.log(snapshot(2.0))
        events.flush_if_due()
        assert amounts(tmp_path) == [1.0]

    async def test_bytes_do_not_depend_on_flushing(self, tmp_path: Path, one_of_each: tuple[DomainEvent, ...]) -> None:
        for name in ("seldom", "often"):
            events = logger(tmp_path / name, clock=fixed_clock)
            for event in one_of_each * 5:
                events.log(event)
                if name == "often":
                    events.flush()
            await events.close()
        for kind in EVENT_TYPES:
            seldom, often = (tmp_path / name / "events" / f"{kind.FILE}.jsonl" for name in ("seldom", "often"))
            assert seldom.read_bytes() == often.read_bytes()

    async def test_closing_writes_the_rest(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path)
        for amount in range(250):
            events.log(snapshot(amount))
        await events.close()
        assert amounts(tmp_path) == list(range(250))


class TestConcurrentWriters:
    def test_a_directory_has_one_writer(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        first = logger(tmp_path)
        with pytest.raises(BasisError, match=r"LOG-003: event file .*jsonl exists already: .* by one writer"):
            logger(tmp_path)
        first.log(snapshot(1.0))
        first.flush()
        assert amounts(tmp_path) == [1.0]

    def test_writers_of_different_runs_do_not_meet(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        def run(number: int) -> None:
            (tmp_path / str(number)).mkdir()
            events = DomainEventLogger(tmp_path / str(number), f"run{number}", number, batch_events=7)
            for amount in range(500):
                events.log(snapshot(amount))
            events.flush()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(run, range(4)))
        for number in range(4):
            written = lines(tmp_path / str(number))
            assert [line["sequence"] for line in written] == list(range(500))
            assert {line["correlation_id"] for line in written} == {f"run{number}"}


class TestErrors:
    def test_what_json_cannot_say_leaves_no_byte_behind(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        logger = DomainEventLogger(tmp_path, "test123", 12345, batch_events=10_000)
        odd = msgspec.structs.replace(snapshot(1.0), metadata={"long": "x" * 700, "odd": object()})
        for number in range(300):
            logger.log(snapshot(float(number)))
            freed = [b"\n" * 1_000 for _ in range(4)]  # memory that a growing buffer may be given next
            del freed
            with pytest.raises(BasisError, match="LOG-004"):
                logger.log(odd)
        logger.flush()
        lines = (tmp_path / "events" / "positions.jsonl").read_bytes().splitlines()
        assert [json.loads(line)["sequence"] for line in lines] == list(range(300))

    def test_what_json_cannot_say_is_named_and_takes_no_number(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path)
        events.log(snapshot(1.0))
        with pytest.raises(BasisError, match=r"LOG-004: PositionSnapshot of 2025-01-15 .* field metadata: .*object"):
            events.log(msgspec.structs.replace(snapshot(2.0), metadata={"x": [1, object()]}))
        events.log(snapshot(3.0))
        events.flush()
        assert [(line["sequence"], line["total_value_usd"]) for line in lines(tmp_path)] == [(0, 1.0), (1, 3.0)]

    def test_a_dictionary_that_contains_itself_is_refused(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        circle: dict[str, Any] = {}
        circle["self"] = circle
        with pytest.raises(BasisError, match="LOG-004"):
            logger(tmp_path).log(msgspec.structs.replace(snapshot(1.0), metadata=circle))

    def test_what_is_no_event_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BasisError, match="LOG-004: str is not a domain event; expected one of PositionSnapshot"):
            logger(tmp_path).log("an event")  # type: ignore[arg-type]

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "events").write_text("not a folder")
        with pytest.raises(BasisError, match=r"LOG-003: event file.* in .*events|LOG-003: event file .*events"):
            logger(tmp_path)

    def test_a_full_disk_is_an_error_and_loses_nothing(
        self, tmp_path: Path, snapshot: MakeSnapshot, put_behind: Callable[[Path, Path], None]
    ) -> None:
        events = logger(tmp_path)
        events.log(snapshot(1.0))
        positions = tmp_path / "events" / "positions.jsonl"
        put_behind(positions, Path("/dev/full"))
        with pytest.raises(BasisError, match=r"LOG-001: .*positions\.jsonl .*No space left.*positions\.jsonl: 1; free"):
            events.flush()
        events.log(snapshot(2.0))
        assert events.unwritten == 2
        with pytest.raises(BasisError, match=r"positions\.jsonl: 2; free"):
            events.flush()

    async def test_closing_on_a_full_disk_is_an_error(
        self, tmp_path: Path, snapshot: MakeSnapshot, put_behind: Callable[[Path, Path], None]
    ) -> None:
        events = logger(tmp_path)
        events.log(snapshot(1.0))
        put_behind(tmp_path / "events" / "positions.jsonl", Path("/dev/full"))
        with pytest.raises(BasisError, match="LOG-001"):
            await events.close()

    def test_a_disk_that_fills_up_in_the_middle_of_a_line_is_written_on_from_there(
        self, tmp_path: Path, snapshot: MakeSnapshot
    ) -> None:
        events = logger(tmp_path, clock=fixed_clock)
        for amount in range(10):
            events.log(snapshot(amount))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(BasisError, match=r"LOG-001: .*File too large"):
                events.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        torn = (tmp_path / "events" / "positions.jsonl").read_bytes()
        assert len(torn) == 1000
        assert not torn.endswith(b"\n")
        assert events.unwritten == 10 - torn.count(b"\n")
        events.flush()
        assert amounts(tmp_path) == list(range(10))
        assert events.unwritten == 0


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.messages.events import PositionSnapshot

moment = datetime(2025, 1, 15, tzinfo=UTC)
run_dir = LogDirectoryManager.create_run_logs("killed", 1, "m", "s", 1.0, Path(sys.argv[1]))
events = DomainEventLogger(run_dir, "killed", 1)
for number in range(250):
    events.log(PositionSnapshot(moment, {"wallet:BaseToken:USDT": float(number)}, None, "simulated", "tick"))
os.kill(os.getpid(), signal.SIGKILL)
"""


class TestKill:
    def test_a_kill_loses_at_most_the_unwritten_batch(self, tmp_path: Path) -> None:
        killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        log = EventLog(tmp_path / "killed" / "1")
        assert [event.sequence for event in log.events(PositionSnapshot)] == list(range(200))
        assert log.torn == ()

    async def test_a_torn_last_line_is_skipped_and_reported(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        run_dir = LogDirectoryManager.create_run_logs("torn", 1, "m", "s", 1.0, tmp_path)
        events = DomainEventLogger(run_dir, "torn", 1)
        for amount in range(3):
            events.log(snapshot(amount))
        await events.close()
        path = run_dir / "events" / "positions.jsonl"
        whole = path.read_bytes()
        ends = [index for index, byte in enumerate(whole) if byte == ord("\n")]
        for cut in (ends[1] + 1, ends[1] + 2, ends[2] - 1, ends[2]):
            path.write_bytes(whole[:cut])
            log = EventLog(run_dir)
            assert [event.total_value_usd for event in log.events(PositionSnapshot)] == [0.0, 1.0]
            torn = cut - (ends[1] + 1)
            assert [(t.path, t.offset, t.length) for t in log.torn] == ([(path, ends[1] + 1, torn)] if torn else [])


def test_the_system_clock_says_utc() -> None:
    assert system_clock().utcoffset() == timedelta(0)
    assert system_clock().tzinfo is UTC
