"""Holds the event files of a run open and appends finished lines to them.

What is handed over is written exactly once: bytes leave the queue only when the operating system has taken them, so
a write that fails or is interrupted half-way can be repeated from where it stopped. One thread writes at a time.

CPython raises an interruption (Ctrl-C) only where a function is called; the comments on order below count on that.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from basis_actors.errors import BasisError

__all__ = ["EventFiles"]


class EventFiles:
    """Append-only files in one folder, created empty by the constructor with mode 0600.

    Raises BasisError LOG-003 when a file exists already (a run is written once, by one writer) or cannot be made.
    """

    def __init__(self, folder: Path, stems: tuple[str, ...]) -> None:
        self.folder = folder
        self.lines_written = 0
        """Complete lines that the operating system has taken, over all files."""
        self._paths = [folder / f"{stem}.jsonl" for stem in stems]
        self._descriptors: list[int] = []
        self._queue: deque[tuple[int, bytes]] = deque()
        self.put: Callable[[tuple[int, bytes]], None] = self._queue.append
        """Queue complete lines for the file with this number, in the order of the stems; nothing is written yet."""
        self._taken = [0] * len(stems)
        self._interrupted = False
        self._one_writer = threading.Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            for path in self._paths:
                self._descriptors.append(os.open(path, flags, 0o600))
        except FileExistsError as error:
            self.close()
            raise BasisError(
                "LOG-003",
                f"event file {error.filename} exists already: a run directory is written once and by one writer; "
                "choose another run directory",
            ) from error
        except OSError as error:
            self.close()
            raise BasisError(
                "LOG-003", f"event files in {folder} cannot be made: {error}; make the folder writable"
            ) from error

    def write(self) -> None:
        """Write everything that is queued. Raises BasisError LOG-001; what was not written stays queued."""
        queue = self._queue
        with self._one_writer:
            if self._interrupted:
                self._account_for_interruption()
            while queue:
                file, lines = queue[0]
                try:
                    taken = os.write(self._descriptors[file], lines)
                    self._advance(file, lines, taken)
                except OSError as error:
                    raise self._failure(file, error) from error
                except BaseException:
                    self._interrupted = True
                    raise

    def _advance(self, file: int, lines: bytes, taken: int) -> None:
        """Count the first `taken` bytes of the head of the queue as written."""
        complete = lines.count(b"\n", 0, taken)
        left = lines[taken:]
        # All or nothing from here: the only function called is the last, and it is done before it can be interrupted.
        self.lines_written += complete
        self._taken[file] += taken
        if left:
            self._queue[0] = (file, left)
        else:
            self._queue.popleft()

    def _account_for_interruption(self) -> None:
        """An interruption may have come between writing and counting: the size of the file tells."""
        if self._queue:
            file, lines = self._queue[0]
            status = os.fstat(self._descriptors[file])
            grown = status.st_size - self._taken[file]
            if stat.S_ISREG(status.st_mode) and grown:
                self._advance(file, lines, grown)
        self._interrupted = False

    def sync(self) -> None:
        """Write everything that is queued, then wait until it is on the disk. Raises BasisError LOG-001."""
        self.write()
        with self._one_writer:
            for file, descriptor in enumerate(self._descriptors):
                try:
                    os.fsync(descriptor)
                except OSError as error:
                    raise self._failure(file, error) from error

    def close(self) -> None:
        """Close the files without writing what is still queued; closing again changes nothing."""
        with self._one_writer:
            while self._descriptors:
                os.close(self._descriptors.pop())

    def queued(self) -> dict[str, int]:
        """Lines that wait to be written, by file name."""
        waiting: dict[str, int] = {}
        for file, lines in tuple(self._queue):
            name = self._paths[file].name
            waiting[name] = waiting.get(name, 0) + lines.count(b"\n")
        return waiting

    def _failure(self, file: int, error: OSError) -> BasisError:
        waiting = ", ".join(f"{name}: {count}" for name, count in self.queued().items())
        return BasisError(
            "LOG-001",
            f"{self._paths[file]} cannot be written: {error}; not on disk yet, in lines: {waiting or 'nothing'}; "
            "free space or choose another log folder, then run again",
        )
