"""A run packs its own segments and deletes runs that ended long ago, without a word in its other events."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from basis_actors.actors.log_keeper import LogKeeper
from basis_actors.bus import Actor, SimBus, VirtualClock, complete, on
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.locate import find_run
from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.logs.retention import Retention, unpacked
from basis_actors.logs.run_lock import RunLock
from basis_actors.messages.events import PositionSnapshot, SystemErrorEvent
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, Runtime, prepare

DAY_SECONDS = 86_400


def backtest(out: Path, segment_bytes: int = 30_000, **more: Any) -> Backtest:
    """Six days of lending."""
    return Backtest(
        prepare(
            BacktestRequest(
                mode="pure_lending_usdt",
                start=datetime(2024, 1, 1, tzinfo=UTC),
                end=datetime(2024, 1, 7, tzinfo=UTC),
                out=out,
                correlation_id="this",
                fixed_clock=True,
                overrides={"component_config": {"log_keeper": {"segment_bytes": segment_bytes}}},
                **more,
            )
        )
    )


def ended(out: Path, name: str, days: int) -> Path:
    """A run that ended so many days ago."""
    run_dir = LogDirectoryManager.create_run_logs(name, 1, "btc_basis", "basis", 1.0, out)
    LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED)
    then = time.time() - days * DAY_SECONDS
    for path in run_dir.rglob("*"):
        os.utime(path, (then, then))
    return run_dir


@pytest.mark.parametrize("runtime", ["sim", "live"])
def test_segments_are_packed_and_the_log_is_whole(tmp_path: Path, runtime: Runtime) -> None:
    run = backtest(tmp_path, runtime=runtime)
    assert run.run().failure is None
    assert unpacked(run.run_dir) == []
    assert len(list((run.run_dir / "events").glob("*.jsonl.gz"))) > 6
    found = replay(run.run_dir)
    assert found.findings == []
    assert found.notes == []
    log = EventLog(run.run_dir)
    assert len(log.frame(PositionSnapshot)) == found.snapshots
    assert sum(1 for _ in log.all()) == found.events
    assert log.missing == ()


def test_how_large_segments_are_changes_no_line(tmp_path: Path) -> None:
    small, large = backtest(tmp_path / "small"), backtest(tmp_path / "large", 10_000_000)
    small.run()
    large.run()
    assert list(EventLog(small.run_dir).all()) == list(EventLog(large.run_dir).all())


def test_old_runs_are_deleted_and_those_in_progress_are_not(tmp_path: Path) -> None:
    old, young, busy = ended(tmp_path, "old", 8), ended(tmp_path, "young", 6), ended(tmp_path, "busy", 8)
    lock = RunLock(busy)
    then = time.time() - 8 * DAY_SECONDS
    os.utime(busy / "run.lock", (then, then))
    assert backtest(tmp_path).run().failure is None
    lock.release()
    assert not old.parent.exists()
    assert young.exists()
    assert busy.exists()
    assert find_run("this", (tmp_path,)).exists()


def test_what_cannot_be_packed_is_said_and_left(tmp_path: Path) -> None:
    run = backtest(tmp_path)
    (run.run_dir / "events" / "positions.000001.jsonl.gz.tmp").mkdir()
    summary = run.run()
    assert summary.failure is None
    assert any("LOG-005" in warning and "positions.000001.jsonl" in warning for warning in summary.warnings)
    assert [path.name for path in unpacked(run.run_dir)] == ["positions.000001.jsonl"]


class Sink(Actor):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__("event_logger")
        self.errors: list[SystemErrorEvent] = []

    @on(SystemErrorEvent)
    def take(self, event: SystemErrorEvent) -> None:
        self.errors.append(event)


@pytest.mark.parametrize(
    ("wall_day", "packed"),
    [
        (timedelta(days=1), [0, 1, 2, 3, 4]),
        (timedelta(hours=13), [0, 1, 2, 3, 4]),
        (timedelta(hours=7), [0, 0, 2, 2, 4]),
    ],
)
def test_it_looks_again_when_a_day_has_passed_for_the_engine_and_on_the_wall(
    tmp_path: Path, wall_day: timedelta, packed: list[int]
) -> None:
    run_dir = LogDirectoryManager.create_run_logs("this", 1, "btc_basis", "basis", 1.0, tmp_path)
    events = run_dir / "events"
    now = datetime(2024, 1, 8, tzinfo=UTC)
    sink, found = Sink(), []

    async def live() -> None:
        nonlocal now
        bus = SimBus(VirtualClock(0), log_sink=sink.name)
        bus.add(sink)
        bus.add(LogKeeper(run_dir, tmp_path, Retention(timedelta(days=7), timedelta(days=30)), lambda: now))
        async with bus:
            (events / "positions.000001.jsonl.gz.tmp").mkdir()
            for day in range(5):
                (events / f"positions.{day + 1:06d}.jsonl").write_text("{}\n")
                now += wall_day
                await bus.advance(DAY_SECONDS)
                found.append(len(list(events.glob("*.gz"))))

    complete(live())
    assert found == packed
    (error,) = sink.errors
    assert error.error_code == "LOG-005"
    assert error.severity == "MEDIUM"
    assert "positions.000001.jsonl" in error.message
