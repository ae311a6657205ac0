"""Finds where two runs part: file by file, because only the Sim runtime promises an order over all files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.queries.blocks import Line, blocks, lines_with, unreadable
from basis_actors.logs.queries.source import RunLog
from basis_actors.messages.events import EVENT_TYPES

__all__ = ["FileDifference", "Value", "difference", "first_parting"]

Value = str | float | bool | None

_STAMPED: Final = re.compile(
    rb'"sequence":[^,]*,"real_utc_time":[^,]*,"correlation_id":[^,]*,"pid":[^,}]*'
    rb'|"\w*_duration_ms":[^,}]*|"last_message_age_ms":[^,}]*'
)
"""What the event logger and the wall clock fill in, as it stands in a line."""
_VOLATILE: Final = ("sequence", "real_utc_time", "correlation_id", "pid", "last_message_age_ms")
_DURATION: Final = "_duration_ms"


class FileDifference(msgspec.Struct, frozen=True):
    """How one event file of two runs compares."""

    file: str
    """Stem of the event file."""
    same: int
    """Lines that are the same, from the beginning."""
    line: int | None
    """Number of the first line, over all segments, that is not; None when the files are the same."""
    fields: dict[str, tuple[Value, Value]]
    """What differs in that line, by path; empty where one of the files has no such line."""
    a: msgspec.Raw | None
    """That line of the first run; None where it has ended."""
    b: msgspec.Raw | None


def difference(a: RunLog, b: RunLog, *, exact: bool = False, rel: float = 0.0) -> Iterator[FileDifference]:
    """Compare the event files of two runs, each up to its first difference.

    Numbers may differ by `rel` of the larger one. Unless `exact`, what depends on wall clock, process and order over
    files does not count: sequence, real_utc_time, correlation_id, pid, durations and last_message_age_ms.
    Raises BasisError LOG-004 for a line that cannot be read, and LOG-006 for a tolerance that is none.
    """
    if not 0.0 <= rel < 1.0:
        raise BasisError("LOG-006", f"tolerance {rel} is no share of a number; expected 0 or more and less than 1")
    for kind in EVENT_TYPES:
        yield _compared(kind.FILE, a, b, exact=exact, rel=rel)


def first_parting(found: list[FileDifference]) -> FileDifference | None:
    """The difference that came first in time, and of those of one time the one that the first run logged first."""
    parted = [(_moment(entry), position, entry) for position, entry in enumerate(found) if entry.line is not None]
    return min(parted)[2] if parted else None


def _compared(stem: str, a: RunLog, b: RunLog, *, exact: bool, rel: float) -> FileDifference:
    same = 0
    for one, other in zip_longest(_lines(a, stem), _lines(b, stem)):
        if one is None or other is None:
            return FileDifference(stem, same, same + 1, {}, _raw(one), _raw(other))
        if not _equal(one.text, other.text, exact=exact):
            fields = dict(_differing(_decoded(one, exact=exact), _decoded(other, exact=exact), "", rel))
            if fields:
                return FileDifference(stem, same, same + 1, fields, _raw(one), _raw(other))
        same += 1
    return FileDifference(stem, same, None, {}, None, None)


def _lines(log: RunLog, stem: str) -> Iterator[Line]:
    for block in blocks(log.folder, stem):
        yield from lines_with(block, ())


def _equal(one: bytes, other: bytes, *, exact: bool) -> bool:
    """Whether two lines are the same as they stand, which most are."""
    return one == other or (not exact and _STAMPED.sub(b"", one) == _STAMPED.sub(b"", other))


def _decoded(line: Line, *, exact: bool) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(line.text, type=dict[str, Any])
    except UNREADABLE as error:
        raise unreadable(line, error, "event") from error
    if exact:
        return event
    return {name: value for name, value in event.items() if name not in _VOLATILE and not name.endswith(_DURATION)}


def _differing(one: Any, other: Any, path: str, rel: float) -> Iterator[tuple[str, tuple[Value, Value]]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            yield from _differing(one.get(name), other.get(name), f"{path}.{name}" if path else name, rel)
    elif isinstance(one, list) and isinstance(other, list):
        for position, (left, right) in enumerate(zip_longest(one, other)):
            yield from _differing(left, right, f"{path}[{position}]", rel)
    elif _is_number(one) and _is_number(other):
        if abs(one - other) > rel * max(abs(one), abs(other)):
            yield path, (one, other)
    elif one != other:
        yield path, (_shown(one), _shown(other))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> Value:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


class _Place(msgspec.Struct):
    timestamp: str
    sequence: int | None = None


def _raw(line: Line | None) -> msgspec.Raw | None:
    """A line as it stands, once it is known to say when it was logged."""
    if line is None:
        return None
    try:
        msgspec.json.decode(line.text, type=_Place)
    except UNREADABLE as error:
        raise unreadable(line, error, "event") from error
    return msgspec.Raw(line.text.rstrip(b"\n"))


def _moment(entry: FileDifference) -> tuple[str, int]:
    ends = [msgspec.json.decode(line, type=_Place) for line in (entry.a, entry.b) if line is not None]
    return min(place.timestamp for place in ends), ends[0].sequence or 0
