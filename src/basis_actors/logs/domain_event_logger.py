"""Writes domain events as JSON lines: fills in what all events share, encodes each as it arrives, writes in batches.

`DomainEventLogger` blocks while it writes and serves backtests; `AsyncDomainEventLogger` writes in a worker thread and
serves live trading; `NullEventLogger` writes nothing. What is written never depends on when it is flushed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import anyio
import msgspec
from msgspec.structs import force_setattr

from basis_actors.errors import BasisError
from basis_actors.logs.directory import EVENTS_FOLDER
from basis_actors.logs.event_files import SEGMENT_BYTES, EventFiles
from basis_actors.logs.seals import SEAL_EVENTS, Numbers
from basis_actors.logs.wall_clock import WallClock, system_clock
from basis_actors.messages.events import EVENT_TYPES, DomainEvent

__all__ = ["AsyncDomainEventLogger", "DomainEventLogger", "EventSink", "NullEventLogger"]

BATCH_EVENTS: Final = 100
FLUSH_SECONDS: Final = 5.0
UNWRITTEN_LIMIT: Final = 100_000
CLOSE_SECONDS: Final = 8.0
"""Less than what the bus gives an actor to stop, so that what is missing is named here."""
_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


class EventSink(Protocol):
    """Where the events of one run go."""

    @property
    def unwritten(self) -> int:
        """Events that were taken and are not on disk yet."""
        ...

    def log(self, event: DomainEvent) -> None:
        """Take one event. Raises BasisError LOG-004 when it cannot be written as JSON; it is then not counted."""
        ...

    def flush_if_due(self) -> None:
        """Have everything written if the last flush is `flush_seconds` of wall time ago."""
        ...

    def flush(self) -> None:
        """Have everything written that was taken so far."""
        ...

    async def close(self) -> None:
        """Write everything, wait until it is on the disk, close. Raises BasisError LOG-001 naming what is missing."""
        ...


class NullEventLogger:
    """Takes events and writes none of them."""

    unwritten = 0

    def log(self, event: DomainEvent) -> None:
        """Drop it."""

    def flush_if_due(self) -> None:
        """Nothing waits."""

    def flush(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        """Nothing is open."""


class _Batch:
    """The lines of one file that are not handed over yet."""

    __slots__ = ("lines", "text")

    def __init__(self) -> None:
        self.text = bytearray()
        self.lines = 0


class DomainEventLogger:
    """Writes the events of one run to `log_dir/events/*.jsonl`, blocking whenever a batch is full.

    Creates all event files at once. Each event gets the next `sequence` of the run, over all files and without gaps;
    the wall-clock time at which it arrived; the correlation id; the pid.

    Raises BasisError LOG-003 on construction when the files cannot be made or exist already.
    """

    def __init__(
        self,
        log_dir: Path,
        correlation_id: str,
        pid: int,
        *,
        batch_events: int = BATCH_EVENTS,
        flush_seconds: float = FLUSH_SECONDS,
        segment_bytes: int = SEGMENT_BYTES,
        clock: WallClock = system_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.correlation_id = correlation_id
        self.pid = pid
        self.batch_events = batch_events
        self.flush_seconds = flush_seconds
        self.sequence = 0
        """Events taken so far; number of the next one."""
        stems = tuple(kind.FILE for kind in EVENT_TYPES)
        self._files = EventFiles(Path(log_dir) / EVENTS_FOLDER, stems, segment_bytes)
        self._batches: dict[type[DomainEvent], _Batch] = {kind: _Batch() for kind in EVENT_TYPES}
        self._line = bytearray()
        """What an event is encoded into. It is reused, so it rarely grows."""
        self._flush_at = batch_events
        self._seal_at = SEAL_EVENTS
        self._due_at = min(self._flush_at, self._seal_at)
        self._encode_into = msgspec.json.Encoder().encode_into
        self._clock = clock
        self._monotonic = monotonic
        self._last_flush = monotonic()

    @property
    def unwritten(self) -> int:
        """Events that were taken and are not on disk yet."""
        return self.sequence - self._files.lines_written

    def log(self, event: DomainEvent) -> None:
        """Stamp one event and put its line into the batch; write the batch when it is full.

        Raises BasisError LOG-004 when the event is of an unknown type or holds something JSON has no form for; it then
        takes no sequence number. Raises BasisError LOG-001 when a full batch cannot be written; nothing is lost by
        that, and the next flush goes on where this one stopped.
        """
        batch = self._batches.get(type(event))
        if batch is None:
            raise _unknown_type(event)
        sequence, line = self.sequence, self._line
        try:
            force_setattr(event, "sequence", sequence)
            force_setattr(event, "real_utc_time", self._clock())
            force_setattr(event, "correlation_id", self.correlation_id)
            force_setattr(event, "pid", self.pid)
            self._encode_into(event, line)
        except _UNENCODABLE as error:
            raise _unencodable(event, error) from error
        # All or nothing from here: no function is called.
        batch.text += line
        batch.text += b"\n"
        batch.lines += 1
        self.sequence = sequence = sequence + 1
        if sequence >= self._due_at:
            self._due()

    def flush_if_due(self) -> None:
        """Write what waits if the last flush is `flush_seconds` of wall time ago. Raises as `flush`."""
        if self._monotonic() - self._last_flush >= self.flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write everything that was taken. Raises BasisError LOG-001 naming file, reason and what is missing."""
        self._hand_over()
        self._flushed()
        self._files.write()

    async def close(self) -> None:
        """Write everything, wait until it is on the disk, close the files. Raises BasisError LOG-001."""
        self._seal()
        try:
            self._files.sync()
        finally:
            self._files.close()

    def abandon(self) -> None:
        """Let go of the files as a killed process does: what is not written is lost."""
        self._files.close()

    def _due(self) -> None:
        """A seal, a full batch, or both."""
        if self.sequence >= self._seal_at:
            self._seal()
        if self.sequence >= self._flush_at:
            self._batch_full()
        self._due_at = min(self._flush_at, self._seal_at)

    def _batch_full(self) -> None:
        self.flush()

    def _seal(self) -> None:
        """Have the files sealed as they are with all events taken so far."""
        self._hand_over()
        self._files.put_seal(self.sequence, self._given_up())
        self._seal_at = self.sequence + SEAL_EVENTS

    def _given_up(self) -> tuple[Numbers, ...]:
        """Events that were taken and will never be written, and that no seal has named yet."""
        return ()

    def _hand_over(self) -> None:
        """Give the finished lines to the files, and begin the next batch."""
        put = self._files.put
        for file, batch in enumerate(self._batches.values()):
            if batch.lines:
                empty = bytearray()
                # An interruption comes after `put` has taken the lines, not before.
                handed_over = (file, batch.text, batch.lines)
                batch.text, batch.lines = empty, 0
                put(handed_over)

    def _flushed(self) -> None:
        """Begin to count the next batch."""
        self._flush_at = self.sequence + self.batch_events
        self._due_at = min(self._flush_at, self._seal_at)
        self._last_flush = self._monotonic()


class AsyncDomainEventLogger(DomainEventLogger):
    """Writes like `DomainEventLogger`, but in a worker thread, so that the event loop never waits for the disk.

    `log` and `flush` only ask for a flush; `run` carries them out and has to be kept running in a task. One flush
    happens at a time and is shielded from cancellation. Lines leave memory only once they are written, so a task that
    is cancelled nevertheless (by asyncio itself) loses nothing: the next flush writes them.

    `log` raises BasisError LOG-002 once more than `unwritten_limit` events wait for a disk that does not keep up. While
    the disk refuses them, so many are kept and what comes then is given up; seals name the numbers of those.
    """

    def __init__(
        self,
        log_dir: Path,
        correlation_id: str,
        pid: int,
        *,
        batch_events: int = BATCH_EVENTS,
        flush_seconds: float = FLUSH_SECONDS,
        segment_bytes: int = SEGMENT_BYTES,
        unwritten_limit: int = UNWRITTEN_LIMIT,
        close_seconds: float = CLOSE_SECONDS,
        clock: WallClock = system_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            log_dir,
            correlation_id,
            pid,
            batch_events=batch_events,
            flush_seconds=flush_seconds,
            segment_bytes=segment_bytes,
            clock=clock,
            monotonic=monotonic,
        )
        from aiofiles.os import wrap

        self.unwritten_limit = unwritten_limit
        self.close_seconds = close_seconds
        # A thread of its own: a disk that hangs must not use up the threads of the event loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="event-log")
        self._write = wrap(self._files.write)
        self._sync = wrap(self._files.sync)
        self._flushing = anyio.Lock()
        self._wanted = anyio.Event()
        self._closed = False
        self._failing = False
        self._handed_over = self._lost = self._named = 0
        self.lost: list[Numbers] = []
        """Numbers of the events that were given up: first and last of each range."""

    @property
    def unwritten(self) -> int:
        """Events that were taken, were not given up, and are not on disk yet."""
        return self.sequence - self._lost - self._files.lines_written

    async def run(
        self, written: Callable[[], object] = lambda: None, tell: Callable[[str | None], object] = lambda _: None
    ) -> None:
        """Carry out flushes as they are asked for, until closed or cancelled, and call `written` after each.

        `tell` is told each time why the disk has taken nothing, and None once it has taken all again.
        """
        while not self._closed:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            try:
                await self.flush_now()
            except BasisError as error:
                self._failing = True
                tell(error.message)
            else:
                if self._failing:
                    self._failing = False
                    self._seal()
                    self.flush()
                    tell(None)
            written()

    def flush(self) -> None:
        """Ask `run` to write everything that was taken so far."""
        self._flushed()
        self._wanted.set()

    async def flush_now(self) -> None:
        """Write everything that was taken so far, and come back when it is written. Raises BasisError LOG-001."""
        async with self._flushing:
            if self._closed:
                return
            self._give_up_what_is_too_much()
            self._hand_over()
            self._flushed()
            with anyio.CancelScope(shield=True):
                await self._write(executor=self._thread)

    async def close(self) -> None:
        """Write everything, wait until it is on the disk, close the files.

        Raises BasisError LOG-001 when the disk refuses, and LOG-002 when it takes longer than `close_seconds`; the
        worker thread may then hang in the operating system for as long as the disk does.
        """
        try:
            with anyio.move_on_after(self.close_seconds, shield=True) as deadline:
                async with self._flushing:
                    self._failing = False
                    self._seal()
                    try:
                        await self._sync(executor=self._thread)
                    finally:
                        # A thread that hangs still holds them; only then are they left to the end of the process.
                        if not deadline.cancel_called:
                            self._files.close()
        finally:
            self._closed = True
            self._wanted.set()
            self._thread.shutdown(wait=False)
        if deadline.cancelled_caught:
            raise self._overflow(f"the disk did not take them within {self.close_seconds:g} s")

    def _due(self) -> None:
        if self._failing:
            self._give_up_what_is_too_much()
            self._hand_over()
        super()._due()

    def _hand_over(self) -> None:
        super()._hand_over()
        self._handed_over = self.sequence

    def _give_up_what_is_too_much(self) -> None:
        """Let go of the newest events, which nobody has handed over yet, once memory holds enough for a disk that
        takes none; and of all that follow them until it does, so that an outage leaves one gap."""
        first, last = self._handed_over, self.sequence - 1
        gap = len(self.lost) > self._named
        if not self._failing or first > last or not (gap or self.unwritten > self.unwritten_limit):
            return
        for batch in self._batches.values():
            batch.text, batch.lines = bytearray(), 0
        if gap:
            self.lost[-1] = (self.lost[-1][0], last)
        else:
            self.lost.append((first, last))
        self._lost += last - first + 1
        self._handed_over = self.sequence

    def _given_up(self) -> tuple[Numbers, ...]:
        """Named by the first seal for which there is room again."""
        if self._failing:
            return ()
        unnamed = tuple(self.lost[self._named :])
        self._named = len(self.lost)
        return unnamed

    def _batch_full(self) -> None:
        if self.unwritten > self.unwritten_limit and not self._failing:
            raise self._overflow(f"the limit is {self.unwritten_limit}")
        self.flush()

    def _overflow(self, reason: str) -> BasisError:
        waiting = self._files.queued()
        for kind, batch in self._batches.items():
            if batch.lines:
                name = f"{kind.FILE}.jsonl"
                waiting[name] = waiting.get(name, 0) + batch.lines
        missing = ", ".join(f"{name}: {count}" for name, count in waiting.items())
        return BasisError(
            "LOG-002",
            f"{self.unwritten} events of run {self.correlation_id!r} are not on disk in {self._files.folder}: {reason};"
            f" missing, in lines: {missing}; use a disk that keeps up",
        )


def _unknown_type(event: object) -> BasisError:
    known = ", ".join(kind.__name__ for kind in EVENT_TYPES)
    return BasisError("LOG-004", f"{type(event).__name__} is not a domain event; expected one of {known}")


def _unencodable(event: DomainEvent, error: Exception) -> BasisError:
    for field in event.__struct_fields__:
        try:
            msgspec.json.encode(getattr(event, field))
        except _UNENCODABLE as reason:
            return BasisError(
                "LOG-004",
                f"{type(event).__name__} of {event.timestamp} cannot be written as JSON: field {field}: {reason}; "
                "use numbers, text, times, lists and dictionaries",
            )
    return BasisError("LOG-004", f"{type(event).__name__} of {event.timestamp} cannot be written as JSON: {error}")
