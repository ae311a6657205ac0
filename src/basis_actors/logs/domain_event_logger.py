"""Writes domain events as JSON lines: fills in what all events share, encodes each as it arrives, writes in batches.

`DomainEventLogger` blocks while it writes and serves backtests, `AsyncDomainEventLogger` serves live trading,
`NullEventLogger` writes nothing. What is written never depends on when it is flushed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec.structs import force_setattr

from basis_actors.errors import BasisError
from basis_actors.logs.directory import EVENTS_FOLDER
from basis_actors.logs.event_files import SEGMENT_BYTES, EventFiles
from basis_actors.logs.seals import SEAL_EVENTS, Numbers
from basis_actors.logs.wall_clock import WallClock, system_clock
from basis_actors.messages.events import EVENT_TYPES, DomainEvent

__all__ = ["BATCH_EVENTS", "FLUSH_SECONDS", "DomainEventLogger", "EventSink", "NullEventLogger"]

BATCH_EVENTS: Final = 100
FLUSH_SECONDS: Final = 5.0
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
    the wall-clock time at which it arrived; the correlation id; the pid. `inputs` is sealed with the events: sha256 of
    what the run began with, by name of the file in `log_dir`.

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
        inputs: Mapping[str, str] | None = None,
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
        self._files = EventFiles(Path(log_dir) / EVENTS_FOLDER, stems, segment_bytes, inputs)
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
        try:
            batch = self._batches[type(event)]
        except KeyError:
            raise _unknown_type(event) from None
        sequence, line, text = self.sequence, self._line, batch.text
        # In local names: to call an attribute that is no method is slow.
        clock, encode_into = self._clock, self._encode_into
        try:
            force_setattr(event, "sequence", sequence)
            force_setattr(event, "real_utc_time", clock())
            force_setattr(event, "correlation_id", self.correlation_id)
            force_setattr(event, "pid", self.pid)
            encode_into(event, line)
        except _UNENCODABLE as error:
            raise _unencodable(event, error) from error
        # All or nothing from here: no function is called.
        text += line
        text += b"\n"
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
