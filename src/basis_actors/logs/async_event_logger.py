"""Writes domain events in a worker thread: the event loop never waits for a disk, nor for one that takes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import anyio

from basis_actors.errors import BasisError
from basis_actors.logs.domain_event_logger import BATCH_EVENTS, FLUSH_SECONDS, DomainEventLogger
from basis_actors.logs.event_files import SEGMENT_BYTES
from basis_actors.logs.seals import Numbers
from basis_actors.logs.wall_clock import WallClock, system_clock

__all__ = ["AsyncDomainEventLogger"]

UNWRITTEN_LIMIT: Final = 100_000
CLOSE_SECONDS: Final = 8.0
"""Less than what the bus gives an actor to stop, so that what is missing is named here."""


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
        inputs: Mapping[str, str] | None = None,
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
            inputs=inputs,
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
