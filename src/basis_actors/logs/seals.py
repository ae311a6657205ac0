"""Defines the seals of an event log: running sha256 sums by which a reader can tell that nothing was changed since.

`events/seals.jsonl` has a line for each `SEAL_EVENTS` events of the run and one for its end. A line names every file
that grew since the line before: how many lines and bytes it had, over all segments, and the sha256 of those bytes. It
also names events that were given up, because the disk took nothing and memory held enough of them. The first line has
the sums of what the run began with: its configuration and its data report.
`head -c BYTES positions.jsonl | sha256sum` gives the same.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

__all__ = ["SEALS_STEM", "SEAL_EVENTS", "FileSeal", "Numbers", "RunningSum", "Seal"]

SEALS_STEM: Final = "seals"
SEAL_EVENTS: Final = 500
"""A change is located to the events between two seals."""


Numbers = tuple[int, int]
"""First and last number of a range of events."""


class FileSeal(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One event file up to a seal."""

    lines: int
    bytes: int
    sha256: str


class Seal(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the file of seals."""

    sequence: int
    """Events of the run up to here; the number of the next one."""
    files: dict[str, FileSeal]
    """By stem; files that did not grow since the seal before are left out."""
    lost: tuple[Numbers, ...] = ()
    """Events that have a number and are in no file, and that no seal before has named."""
    inputs: dict[str, str] = {}
    """In the first seal: sha256 of what the run wrote down before its first event, by name in its directory."""


class RunningSum:
    """The sum of one file so far. Treat it as a value: `with_lines` gives a new one."""

    __slots__ = ("_hash", "bytes", "lines")

    def __init__(self) -> None:
        self.lines = 0
        self.bytes = 0
        self._hash = hashlib.sha256()

    def with_lines(self, text: bytes | bytearray, lines: int) -> RunningSum:
        """The sum after so many whole lines more."""
        longer = RunningSum.__new__(RunningSum)
        longer.lines = self.lines + lines
        longer.bytes = self.bytes + len(text)
        longer._hash = self._hash.copy()
        longer._hash.update(text)
        return longer

    def seal(self) -> FileSeal:
        """What is written down of it."""
        return FileSeal(self.lines, self.bytes, self._hash.hexdigest())
