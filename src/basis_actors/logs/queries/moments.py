"""Finds the lines around a moment in an event file, which is in order of time, by halving instead of reading.

Segments that are not compressed are halved by byte offset; of compressed ones the one that matters is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from basis_actors.errors import UNREADABLE
from basis_actors.logs.queries.blocks import Line, unreadable
from basis_actors.logs.queries.sizes import end_of_whole_lines, is_packed, unpacked_size
from basis_actors.logs.segments import reading, streams

__all__ = ["Around", "around", "first_line", "last_line"]


class _Stamp(msgspec.Struct):
    timestamp: datetime


class Around(msgspec.Struct, frozen=True):
    """The lines on both sides of a moment."""

    before: Line | None
    """The last line of that time or earlier; None when all are later."""
    after: Line | None
    """The line that follows it, or the first of all; None at the end of the file."""


class _Segment:
    """One open segment; offsets are bytes of it unpacked, and an end that is no whole line is not part of it."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.stream = stream
        size = unpacked_size(path, stream)
        # A compressed segment was complete when it was packed.
        self.size = size if is_packed(path) else end_of_whole_lines(stream, size)

    def line_at(self, offset: int) -> Line | None:
        """The line that byte `offset` is in; None at the end."""
        if offset >= self.size:
            return None
        with reading(self.path):
            begin = end_of_whole_lines(self.stream, offset)
            self.stream.seek(begin)
            return Line(self.path, begin, self.stream.readline())

    def around(self, moment: datetime) -> Around:
        """The lines of this segment on both sides of a moment."""
        return self._read_through(moment) if is_packed(self.path) else self._halve(moment)

    def _halve(self, moment: datetime) -> Around:
        before: Line | None = None
        after: Line | None = None
        low, high = 0, self.size
        # Lines that begin before `low` are up to the moment; those that begin at `high` or later are not.
        while low < high:
            line = self.line_at((low + high) // 2)
            assert line is not None, "within the segment"
            if _stamp(line) <= moment:
                before, low = line, line.offset + len(line.text)
            else:
                after, high = line, line.offset
        return Around(before, after)

    def _read_through(self, moment: datetime) -> Around:
        before: Line | None = None
        offset = 0
        with reading(self.path):
            for text in self.stream:
                line = Line(self.path, offset, text)
                if _stamp(line) > moment:
                    return Around(before, line)
                before = line
                offset += len(text)
        return Around(before, None)


def around(folder: Path, stem: str, moment: datetime) -> Around:
    """The lines on both sides of `moment` in the event file `stem`.

    Raises BasisError LOG-004 for a line that has no time and for a segment that is missing.
    """
    number = 0
    for position, segment in enumerate(_segments(folder, stem)):
        begin = segment.line_at(0)
        if begin is not None and _stamp(begin) > moment:
            break
        if begin is not None:
            number = position
    found = Around(None, None)
    for position, segment in enumerate(_segments(folder, stem)):
        if position == number:
            found = segment.around(moment)
        elif position > number:
            found = Around(found.before, segment.line_at(0))
        if found.after is not None:
            break
    return found


def first_line(folder: Path, stem: str) -> Line | None:
    """The first whole line of an event file; None while it has none."""
    return next((segment.line_at(0) for segment in _segments(folder, stem) if segment.size), None)


def last_line(folder: Path, stem: str) -> Line | None:
    """The last whole line of an event file; None while it has none."""
    last = max((position for position, segment in enumerate(_segments(folder, stem)) if segment.size), default=None)
    for position, segment in enumerate(_segments(folder, stem)):
        if position == last:
            return segment.line_at(segment.size - 1)
    return None


def _segments(folder: Path, stem: str) -> Iterator[_Segment]:
    for path, stream in streams(folder, stem):
        yield _Segment(path, stream)


def _stamp(line: Line) -> datetime:
    try:
        return msgspec.json.decode(line.text, type=_Stamp).timestamp
    except UNREADABLE as error:
        raise unreadable(line, error, "event") from error
