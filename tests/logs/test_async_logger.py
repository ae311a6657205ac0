"""The live writer: cancelled flushes, disks that fail or hang, and limits."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.async_event_logger import AsyncDomainEventLogger
from basis_actors.logs.integrity import check_seals
from basis_actors.messages.events import PositionSnapshot

MakeSnapshot = Callable[[float], PositionSnapshot]
FullDisk = Callable[[Path], Callable[[], None]]
PutBehind = Callable[[Path, Path], None]


def logger(log_dir: Path, **options: Any) -> AsyncDomainEventLogger:
    return AsyncDomainEventLogger(log_dir, "live", 7, **options)


def positions(log_dir: Path) -> Path:
    return log_dir / "events" / "positions.jsonl"


def amounts(text: bytes) -> list[float]:
    return [json.loads(line)["total_value_usd"] for line in text.splitlines()]


class StalledDisk:
    """A pipe that nobody reads: whoever writes more than it holds hangs in the operating system."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._filling = 0
        while True:
            try:
                self._filling += os.write(self._end, b"." * 4096)
            except BlockingIOError:
                break

    def recover(self) -> bytes:
        """Take out what the pipe was filled with, then all that has been written since; let later writes pass."""
        taken = b""
        while len(taken) < self._filling:
            taken += os.read(self._end, self._filling - len(taken))
        return taken.lstrip(b".")

    def read(self) -> bytes:
        """What has been written since it was last read."""
        taken = b""
        while True:
            try:
                taken += os.read(self._end, 65_536)
            except BlockingIOError:
                return taken

    def close(self) -> None:
        self.read()
        os.close(self._end)


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[StalledDisk]:
    disk = StalledDisk(tmp_path / "stalled")
    yield disk
    disk.close()


class TestFlush:
    async def test_flushes_are_carried_out_by_run(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path, batch_events=10)
        flushed = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(events.run, flushed.set)
            for amount in range(10):
                events.log(snapshot(amount))
            assert events.unwritten == 10
            with anyio.fail_after(60):
                await flushed.wait()
            assert events.unwritten == 0
            await events.close()
        assert amounts(positions(tmp_path).read_bytes()) == list(range(10))

    async def test_many_tasks_may_log_while_it_writes(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path, batch_events=10)

        async def log_many(first: int) -> None:
            for amount in range(first, first + 100):
                events.log(snapshot(amount))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(events.run)
            async with anyio.create_task_group() as writers:
                for number in range(8):
                    writers.start_soon(log_many, number * 100)
                    writers.start_soon(events.flush_now)
            await events.close()
        written = [json.loads(line) for line in positions(tmp_path).read_bytes().splitlines()]
        assert [line["sequence"] for line in written] == list(range(800))
        assert sorted(line["total_value_usd"] for line in written) == list(range(800))

    async def test_closing_twice_changes_nothing(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        events = logger(tmp_path)
        events.log(snapshot(1.0))
        await events.close()
        await events.flush_now()
        await events.run()
        assert amounts(positions(tmp_path).read_bytes()) == [1.0]


class TestCancellation:
    async def test_a_flush_that_is_cancelled_before_it_begins_loses_nothing(
        self, tmp_path: Path, snapshot: MakeSnapshot
    ) -> None:
        events = logger(tmp_path)
        events.log(snapshot(1.0))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await events.flush_now()
        assert scope.cancelled_caught
        events.log(snapshot(2.0))
        await events.close()
        assert amounts(positions(tmp_path).read_bytes()) == [1.0, 2.0]

    async def test_a_flush_that_is_cancelled_while_the_disk_stalls_is_finished_first(
        self, tmp_path: Path, snapshot: MakeSnapshot, stalled: StalledDisk, put_behind: PutBehind
    ) -> None:
        events = logger(tmp_path)
        put_behind(positions(tmp_path), stalled.path)
        events.log(snapshot(1.0))
        scope = anyio.CancelScope()
        written: list[bytes] = []

        async def flush() -> None:
            with scope:
                await events.flush_now()
                written.append(b"flushed")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flush)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert events.unwritten == 1
            written.append(stalled.recover())
        assert events.unwritten == 0
        assert amounts(b"".join(part for part in written if part != b"flushed") + stalled.read()) == [1.0]
        await close_on_a_pipe(events)

    async def test_a_flush_whose_task_asyncio_cancels_loses_nothing(
        self, tmp_path: Path, snapshot: MakeSnapshot, stalled: StalledDisk, put_behind: PutBehind
    ) -> None:
        events = logger(tmp_path)
        put_behind(positions(tmp_path), stalled.path)
        events.log(snapshot(1.0))
        first = asyncio.ensure_future(events.flush_now())
        await anyio.wait_all_tasks_blocked()
        events.log(snapshot(2.0))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.ensure_future(events.flush_now())
        await anyio.wait_all_tasks_blocked()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        events.log(snapshot(3.0))
        text = stalled.recover()
        await events.flush_now()
        assert amounts(text + stalled.read()) == [1.0, 2.0, 3.0]
        assert events.unwritten == 0
        await close_on_a_pipe(events)


class TestBadDisks:
    async def test_a_disk_that_stays_full_is_told_and_named_at_the_end(
        self, tmp_path: Path, snapshot: MakeSnapshot, put_behind: PutBehind
    ) -> None:
        events = logger(tmp_path, batch_events=1)
        put_behind(positions(tmp_path), Path("/dev/full"))
        async with writing(events) as told:
            events.log(snapshot(1.0))
            (problem,) = await told(1)
            assert problem is not None
            assert "No space left" in problem
            assert events.unwritten == 1
        with pytest.raises(BasisError, match=r"LOG-001: .*positions\.jsonl: 1; free space"):
            await events.close()

    async def test_what_waits_while_the_disk_is_full_is_written_once_there_is_room(
        self, tmp_path: Path, snapshot: MakeSnapshot, full_disk: FullDisk
    ) -> None:
        events = logger(tmp_path, batch_events=10)
        free = full_disk(positions(tmp_path))
        async with writing(events) as told:
            for amount in range(25):
                events.log(snapshot(amount))
            await told(1)
            free()
            events.flush()
            assert (await told(2))[-1] is None
            await events.close()
        assert amounts(positions(tmp_path).read_bytes()) == list(range(25))
        assert (events.lost, events.unwritten) == ([], 0)
        check = check_seals(tmp_path / "events")
        assert (check.findings, check.lost, check.unsealed) == ([], [], {})

    async def test_what_memory_may_not_hold_is_given_up_and_named_by_a_seal(
        self, tmp_path: Path, snapshot: MakeSnapshot, full_disk: FullDisk
    ) -> None:
        events = logger(tmp_path, batch_events=10, unwritten_limit=50)
        async with writing(events) as told:
            for outage in (1, 2):
                free = full_disk(positions(tmp_path))
                events.log(snapshot(events.sequence))
                events.flush()
                await told(2 * outage - 1)
                for _ in range(1200):
                    events.log(snapshot(events.sequence))
                    assert events.unwritten <= 60
                free()
                events.flush()
                await told(2 * outage)
            events.log(snapshot(events.sequence))
            await events.close()
        first, second = events.lost
        assert (first, second) == ((41, 1200), (1242, 2401))
        written = [json.loads(line)["sequence"] for line in positions(tmp_path).read_bytes().splitlines()]
        assert written == [*range(41), *range(1201, 1242), 2402]
        check = check_seals(tmp_path / "events")
        assert (check.findings, check.lost, check.unsealed) == ([], [first, second], {})

    async def test_a_stalled_disk_does_not_stop_the_loop_and_ends_at_the_limit(
        self, tmp_path: Path, snapshot: MakeSnapshot, stalled: StalledDisk, put_behind: PutBehind
    ) -> None:
        events = logger(tmp_path, batch_events=10, unwritten_limit=50)
        put_behind(positions(tmp_path), stalled.path)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(events.run)
            with pytest.raises(BasisError, match=r"LOG-002: 51 events .*limit is 50; missing, in lines: pos.*: 51"):  # noqa: PT012
                for amount in range(1000):
                    events.log(snapshot(amount))
                    await anyio.lowlevel.checkpoint()
            text = stalled.recover()
            await events.flush_now()
            tasks.cancel_scope.cancel()
        assert amounts(text + stalled.read()) == list(range(51))
        await close_on_a_pipe(events)

    async def test_a_disk_that_hangs_at_the_end_is_given_up_and_what_is_missing_is_named(
        self, tmp_path: Path, snapshot: MakeSnapshot, stalled: StalledDisk, put_behind: PutBehind
    ) -> None:
        events = logger(tmp_path, close_seconds=0.0)
        put_behind(positions(tmp_path), stalled.path)
        for amount in range(3):
            events.log(snapshot(amount))
        with pytest.raises(BasisError, match=r"LOG-002: 3 events .* within 0 s; missing, in lines: positions.jsonl: 3"):
            await events.close()
        stalled.recover()


@asynccontextmanager
async def writing(events: AsyncDomainEventLogger) -> AsyncIterator[Callable[[int], Awaitable[list[str | None]]]]:
    """While it is entered flushes are carried out. Gives what waits until so many changes of the disk were told."""
    changes: list[str | None] = []

    async def until(count: int) -> list[str | None]:
        with anyio.fail_after(60):
            while len(changes) < count:
                await anyio.lowlevel.checkpoint()
        return changes

    def note(problem: str | None) -> None:
        if not changes or (changes[-1] is None) != (problem is None):
            changes.append(problem)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(events.run, lambda: None, note)
        yield until
        tasks.cancel_scope.cancel()


async def close_on_a_pipe(events: AsyncDomainEventLogger) -> None:
    """A pipe takes what is written but cannot be synced, and says so."""
    with pytest.raises(BasisError, match=r"LOG-001: .* Invalid argument"):
        await events.close()
