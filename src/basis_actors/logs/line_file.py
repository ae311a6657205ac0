"""Appends the lines of one component log, begins a new segment when one is full, and knows the segments of all of them.

`risk_monitor.log` is appended to; `risk_monitor.000001.log` is its first complete segment, later packed to `.log.gz`.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from basis_actors.errors import BasisError

__all__ = ["LineFile", "complete_segments", "old_segments"]

_COMPLETE: Final = re.compile(r"(?P<stem>[\w-]+)\.(?P<number>\d{6,})\.log(?P<packed>\.gz)?")


class LineFile:
    """Appends each line to a file at once.

    Raises BasisError LOG-003 when the file cannot be made, and on a line LOG-001 when it cannot be written.
    """

    def __init__(self, folder: Path, stem: str, segment_bytes: int) -> None:
        self._path = folder / f"{stem}.log"
        self._segment_bytes = segment_bytes
        self._torn = False
        """Whether the last line is there in part only."""
        try:
            numbers = [int(match["number"]) for _, match in _segments(folder) if match["stem"] == stem]
            self._next = max(numbers, default=0) + 1
            self._open()
        except OSError as error:
            raise BasisError("LOG-003", f"component log {self._path} cannot be made: {error}") from error

    def msg(self, line: bytes) -> None:
        """Append one line, line end included."""
        try:
            if self._size and self._size + len(line) > self._segment_bytes:
                self._rotate()
            if self._torn:
                line = b"\n" + line
            while line:
                taken = os.write(self._descriptor, line)
                self._size += taken
                line = line[taken:]
                self._torn = bool(line)
        except OSError as error:
            raise BasisError("LOG-001", f"component log {self._path} cannot be written: {error}") from error

    def close(self) -> None:
        """Append no more."""
        os.close(self._descriptor)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        """Give the full file its number and begin a new one; the old one stays in use until there is another."""
        full = self._descriptor
        self._path.rename(self._path.with_name(f"{self._path.stem}.{self._next:06d}.log"))
        self._next += 1
        self._open()
        os.close(full)


def complete_segments(run_dir: Path) -> list[Path]:
    """Segments of component logs that nobody appends to any more and that are not packed yet, by name."""
    return [run_dir / name for name, match in _segments(run_dir) if match["packed"] is None]


def old_segments(run_dir: Path, now: datetime, keep: timedelta) -> list[Path]:
    """Complete segments of component logs, packed or not, whose last change is `keep` ago, by name."""
    paths = [run_dir / name for name, _ in _segments(run_dir)]
    return [path for path in paths if now - datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo) >= keep]


def _segments(folder: Path) -> list[tuple[str, re.Match[str]]]:
    """Names of complete segments in order, each taken apart."""
    # Names are enough, and a backtest asks for them once a day of its market.
    names = sorted(name for name in os.listdir(folder) if ".log" in name)  # noqa: PTH208
    matches = ((name, _COMPLETE.fullmatch(name)) for name in names)
    return [(name, match) for name, match in matches if match is not None]
