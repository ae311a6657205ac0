"""Reads the events of a run back: typed, one type or all in order, or as pandas tables.

A run that was killed may have torn the last line of a file and lost events that were never written. Both are skipped,
and said: `EventLog.torn` and `EventLog.missing`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.directory import EVENTS_FOLDER, METADATA_FILE, LogDirectoryManager, RunMetadata
from basis_actors.logs.run_lock import is_running
from basis_actors.logs.segments import TornLine, active, last_lines, lines, reading, segments, streams
from basis_actors.messages.events import EVENT_SCHEMA_VERSION, EVENT_TYPES, DomainEvent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EventLog", "MissingEvents", "TornLine", "require_event_files"]

E = TypeVar("E", bound=DomainEvent)


class MissingEvents(msgspec.Struct, frozen=True):
    """Sequence numbers that no file has, both ends included."""

    first: int
    last: int


def require_event_files(run_dir: Path, metadata: RunMetadata) -> None:
    """Raise BasisError LOG-003 for a run without an event log, about which nothing can be asked."""
    folder = Path(run_dir) / EVENTS_FOLDER
    if any(segments(folder, kind.FILE) for kind in EVENT_TYPES):
        return
    if not metadata.keeps_events:
        reason = "the run kept no log (--no-events, `stress`); run the mode again with one"
    elif is_running(run_dir):
        reason = "the run has just begun; ask again later"
    else:
        reason = "the run ended before it wrote one, or they were removed; run the mode again"
    raise BasisError("LOG-003", f"{folder} has no event files: {reason}")


class EventLog:
    """The events of one run, read from its directory.

    Raises BasisError LOG-003 when `run_dir` is not a run directory, and LOG-004 when its events were written by a newer
    version of this package than the one that reads.

    >>> log = EventLog(Path("logs/demo/4711"))  # doctest: +SKIP
    >>> [event.message for event in log.events(SystemErrorEvent)]  # doctest: +SKIP
    >>> log.series(PnLCalculation, "equity").plot()  # doctest: +SKIP
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = Path(run_dir)
        self.metadata = LogDirectoryManager.read_metadata(self.run_dir)
        self._events = self.run_dir / EVENTS_FOLDER
        self._torn: dict[Path, TornLine] = {}
        self._missing: list[MissingEvents] = []
        written = self.metadata.event_schema_version
        if not 1 <= written <= EVENT_SCHEMA_VERSION:
            raise BasisError(
                "LOG-004",
                f"{self.run_dir / METADATA_FILE}: event_schema_version is {written} (written by basis-actors "
                f"{self.metadata.package_version}); this version reads 1 to {EVENT_SCHEMA_VERSION}: use a newer one",
            )

    @property
    def torn(self) -> tuple[TornLine, ...]:
        """Torn ends found by what was read so far, one a file at most."""
        return tuple(self._torn.values())

    @property
    def missing(self) -> tuple[MissingEvents, ...]:
        """Gaps in the numbering, found by the last complete pass of `all`."""
        return tuple(self._missing)

    def events(self, kind: type[E]) -> Iterator[E]:
        """Every event of one type, in the order of their numbers, in memory that does not grow with the file.

        Raises BasisError LOG-004 naming file and line when a line inside the file cannot be read.
        """
        decode = msgspec.json.Decoder(kind).decode
        for number, line in enumerate(self._lines(kind), start=1):
            try:
                yield decode(line)
            except UNREADABLE as error:
                raise _unreadable(self._active(kind), number, kind, error) from error

    def last(self, kind: type[E]) -> E | None:
        """The last event of one type that can be read, from the end of its file alone; None where there is none.

        Raises BasisError LOG-004 for a file that cannot be read.
        """
        decode = msgspec.json.Decoder(kind).decode
        for line in last_lines(self._events, kind.FILE):
            with suppress(*UNREADABLE):
                return decode(line)
        return None

    def all(self) -> Iterator[DomainEvent]:
        """Every event of the run in the order in which they were logged, over all files."""
        self._missing = []
        expected = 0
        for event in heapq.merge(*map(self.events, EVENT_TYPES), key=_sequence):
            sequence = _sequence(event)
            if sequence > expected:
                self._missing.append(MissingEvents(expected, sequence - 1))
            expected = sequence + 1
            yield event

    def frame(self, kind: type[DomainEvent]) -> pd.DataFrame:
        """One row an event, one column a field, by engine time; fields that hold more than one value stay objects."""
        import pandas as pd

        events = self._decode_all(kind, kind)
        columns = {name: [_plain(getattr(event, name)) for event in events] for name in kind.__struct_fields__}
        times = columns.pop("timestamp")
        return pd.DataFrame(columns, index=pd.DatetimeIndex(times, name="timestamp", tz="UTC"))

    def series(self, kind: type[DomainEvent], field: str, *, trigger: str | None = None) -> pd.Series[Any]:
        """One field by engine time, reading nothing else of each line.

        `trigger` keeps only events with that trigger_source; several events of one tick share a time otherwise.
        Raises BasisError LOG-004 when the event has no such field.
        """
        import pandas as pd

        rows = self._project(kind, field, trigger)
        times = pd.DatetimeIndex([row.timestamp for row in rows], name="timestamp", tz="UTC")
        return pd.Series([_plain(row.value) for row in rows], index=times, name=field)

    def table(self, kind: type[DomainEvent], field: str, *, trigger: str | None = None) -> pd.DataFrame:
        """A field that is a dictionary, by engine time: a column for each key, missing values where a key is absent.

        `trigger` and errors as in `series`.
        """
        import pandas as pd

        rows = self._project(kind, field, trigger)
        times = pd.DatetimeIndex([row.timestamp for row in rows], name="timestamp", tz="UTC")
        return pd.DataFrame.from_records([row.value for row in rows], index=times)

    def _active(self, kind: type[DomainEvent]) -> Path:
        return active(self._events, kind.FILE)

    def _lines(self, kind: type[DomainEvent]) -> Iterator[bytes]:
        """Whole lines of one type; none when the file was never made. What is torn is noted."""
        torn: list[TornLine] = []
        yield from lines(self._events, kind.FILE, torn)
        self._torn.update((line.path, line) for line in torn)

    def _decode_all(self, kind: type[DomainEvent], form: type[Any]) -> list[Any]:
        """All lines of one type at once, decoded to `form`."""
        decoder = msgspec.json.Decoder(form)
        rows: list[Any] = []
        for path, stream in streams(self._events, kind.FILE):
            with reading(path):
                text = stream.read()
            end = text.rfind(b"\n") + 1
            if end < len(text):
                self._torn[path] = TornLine(path, end, len(text) - end)
            try:
                rows += decoder.decode_lines(text[:end])
            except UNREADABLE as error:
                raise _first_unreadable(path, text[:end], decoder, kind, error) from error
        return rows

    def _project(self, kind: type[DomainEvent], field: str, trigger: str | None) -> list[Any]:
        types = {info.name: info.type for info in msgspec.structs.fields(kind)}
        wanted = (field,) if trigger is None else (field, "trigger_source")
        for name in wanted:
            if name not in types:
                raise BasisError(
                    "LOG-004", f"{kind.__name__} has no field {name!r}; it has {', '.join(kind.__struct_fields__)}"
                )
        fields: list[tuple[str, Any, Any]] = [
            ("timestamp", datetime, msgspec.field()),
            ("value", types[field], msgspec.field(name=field)),
        ]
        if trigger is not None:
            fields.append(("trigger", str, msgspec.field(name="trigger_source")))
        rows = self._decode_all(kind, msgspec.defstruct(f"{kind.__name__}Part", fields, gc=False))
        return rows if trigger is None else [row for row in rows if row.trigger == trigger]


def _sequence(event: DomainEvent) -> int:
    if event.sequence is None:
        raise BasisError("LOG-004", f"{type(event).__name__} of {event.timestamp} in the log has no sequence number")
    return event.sequence


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _unreadable(path: Path, number: int, kind: type[DomainEvent], error: Exception) -> BasisError:
    return BasisError("LOG-004", f"{path}, line {number}: {error}; expected one {kind.__name__} as JSON")


def _first_unreadable(
    path: Path, text: bytes, decoder: msgspec.json.Decoder[Any], kind: type[DomainEvent], error: Exception
) -> BasisError:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            decoder.decode(line)
        except UNREADABLE as reason:
            return _unreadable(path, number, kind, reason)
    return _unreadable(path, 0, kind, error)
