"""Holds the event files of a run open and appends finished lines to them, seals them, and begins new segments.

What is handed over is written exactly once: bytes leave the queue only when the operating system has taken them, so
a write that fails or is interrupted half-way can be repeated from where it stopped. One thread writes at a time.

CPython raises an interruption (Ctrl-C) only where a function is called; the comments on order below count on that.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.seals import SEALS_STEM, FileSeal, Numbers, RunningSum, Seal
from basis_actors.logs.segments import active, rotated

__all__ = ["SEGMENT_BYTES", "EventFiles"]

SEGMENT_BYTES: Final = 100_000_000
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_MODE: Final = 0o600

Handed = tuple[int, bytes | bytearray, int] | tuple[None, int, tuple[Numbers, ...]] | None
"""Lines for a file and how many they are, or the number of events at which to seal and which of them are lost; None
once it is in the queue."""
Write = tuple[int, bytes | bytearray | None, int]
"""File, what to append to it, and how many lines of events that holds; instead of text None begins a new segment."""


class EventFiles:
    """Append-only files in one folder, created empty by the constructor with mode 0600, and the file of seals.

    A file that has `segment_bytes` is renamed to a numbered segment before its next line. Where segments and seals
    begin follows from the lines alone, never from when they are written.

    Raises BasisError LOG-003 when a file exists already (a run is written once, by one writer) or cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        stems: tuple[str, ...],
        segment_bytes: int = SEGMENT_BYTES,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.lines_written = 0
        """Complete lines of events that the operating system has taken, over all files."""
        self._stems = (*stems, SEALS_STEM)
        self._seals = len(stems)
        self._segment_bytes = segment_bytes
        self._paths = [active(folder, stem) for stem in self._stems]
        self._descriptors: list[int] = []
        self._handed: deque[Handed] = deque()
        self.put: Callable[[Handed], None] = self._handed.append
        """Hand over complete lines for the file with this number, in the order of the stems; nothing is written yet."""
        self._queue: deque[Write] = deque()
        self._sums = [RunningSum() for _ in stems]
        self._sealed: dict[str, FileSeal] = {}
        self._inputs = dict(inputs or {})
        """What the first seal is to name."""
        self._planned = [0] * len(self._stems)
        """Bytes that the newest segment will have when the queue is written."""
        self._taken = [0] * len(self._stems)
        """Bytes that the operating system has taken of the newest segment."""
        self._number = [1] * len(self._stems)
        """Of the newest segment."""
        self._interrupted = False
        self._one_writer = threading.Lock()
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            for path in self._paths:
                self._descriptors.append(os.open(path, _FLAGS | os.O_EXCL, _MODE))
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

    def put_seal(self, sequence: int, lost: tuple[Numbers, ...] = ()) -> None:
        """Seal what was handed over so far, which is all events before `sequence` but those that are `lost`."""
        self.put((None, sequence, lost))

    def write(self) -> None:
        """Write everything that was handed over. Raises BasisError LOG-001, or LOG-005 when a segment cannot be
        renamed; what was not written stays queued."""
        queue = self._queue
        with self._one_writer:
            if self._interrupted:
                self._account_for_interruption()
            self._line_up()
            while queue:
                file, text, lines = queue[0]
                try:
                    if text is None:
                        self._rotate(file)
                    else:
                        taken = os.write(self._descriptors[file], text)
                        self._advance(file, text, lines, taken)
                except OSError as error:
                    raise self._failure(file, error, "LOG-005" if text is None else "LOG-001") from error
                except BaseException:
                    self._interrupted = True
                    raise

    def _line_up(self) -> None:
        """Turn what was handed over into writes, each with its share of the sums and of the size of its segment."""
        handed = self._handed
        while handed:
            item = handed[0]
            if item is None:
                handed.popleft()
            elif item[0] is None:
                self._line_up_seal(item[1], item[2])
            else:
                self._line_up_lines(*item)

    def _line_up_lines(self, file: int, text: bytes | bytearray, lines: int) -> None:
        longer = self._sums[file].with_lines(text, lines)
        planned, writes = self._in_segments(file, text, lines)
        # All or nothing from here: no function is called.
        self._sums[file] = longer
        self._planned[file] = planned
        self._queue += writes
        self._handed[0] = None

    def _line_up_seal(self, sequence: int, lost: tuple[Numbers, ...]) -> None:
        now = {self._stems[file]: total.seal() for file, total in enumerate(self._sums) if total.lines}
        grown = {stem: seal for stem, seal in now.items() if seal != self._sealed.get(stem)}
        line = msgspec.json.encode(Seal(sequence, grown, lost, self._inputs)) + b"\n"
        writes: list[Write] = [(self._seals, line, 0)] if grown or lost else []
        unnamed: dict[str, str] = {} if writes else self._inputs
        # As above.
        self._sealed, self._inputs = now, unnamed
        self._queue += writes
        self._handed[0] = None

    def _in_segments(self, file: int, text: bytes | bytearray, lines: int) -> tuple[int, list[Write]]:
        """Size of the newest segment after these lines, and the writes: a line begins a segment if the last is full."""
        planned, limit = self._planned[file], self._segment_bytes
        writes: list[Write] = []
        while text and planned + len(text) > limit:
            if planned >= limit:
                writes.append((file, None, 0))
                planned = 0
            cut = text.find(b"\n", max(limit - planned - 1, 0)) + 1
            begin = text[:cut]
            writes.append((file, begin, begin.count(b"\n")))
            planned += cut
            text, lines = text[cut:], lines - begin.count(b"\n")
        if text:
            writes.append((file, text, lines))
        return planned + len(text), writes

    def _advance(self, file: int, text: bytes | bytearray, lines: int, taken: int) -> None:
        """Count the first `taken` bytes of the head of the queue as written."""
        left = text[taken:]
        unwritten = left.count(b"\n") if lines else 0
        # All or nothing from here: the only function called is the last, and it is done before it can be interrupted.
        self.lines_written += lines - unwritten
        self._taken[file] += taken
        if left:
            self._queue[0] = (file, left, unwritten)
        else:
            self._queue.popleft()

    def _rotate(self, file: int) -> None:
        """Give the active file its number and begin a new one. Can be repeated from wherever it was interrupted."""
        path, old = self._paths[file], self._descriptors[file]
        segment = rotated(self.folder, self._stems[file], self._number[file])
        os.fsync(old)
        if path.exists() and path.stat().st_ino == os.fstat(old).st_ino:
            path.rename(segment)
        new = os.open(path, _FLAGS, _MODE)
        # All or nothing from here: nothing depends on the functions that are called last.
        self._descriptors[file] = new
        self._taken[file] = 0
        self._number[file] += 1
        self._queue[0] = (file, b"", 0)
        os.close(old)

    def _account_for_interruption(self) -> None:
        """An interruption may have come between writing and counting: the size of the file tells."""
        if self._queue:
            file, text, lines = self._queue[0]
            status = os.fstat(self._descriptors[file])
            grown = status.st_size - self._taken[file]
            if text is not None and stat.S_ISREG(status.st_mode) and grown:
                self._advance(file, text, lines, grown)
        self._interrupted = False

    def sync(self) -> None:
        """Write everything that was handed over, then wait until it is on the disk. Raises as `write`."""
        self.write()
        # All files at once: one after another, each waits for a commit of the file system of its own.
        with self._one_writer, ThreadPoolExecutor(len(self._stems)) as threads:
            waits = [threads.submit(os.fsync, descriptor) for descriptor in self._descriptors]
            for file, wait in enumerate(waits):
                try:
                    wait.result()
                except OSError as error:
                    raise self._failure(file, error) from error

    def close(self) -> None:
        """Close the files without writing what is still queued; closing again changes nothing."""
        with self._one_writer:
            while self._descriptors:
                os.close(self._descriptors.pop())

    def queued(self) -> dict[str, int]:
        """Lines of events that wait to be written, by file name."""
        waiting: dict[str, int] = {}
        for item in (*self._queue, *self._handed):
            if item is not None and item[0] is not None and item[2]:
                name = self._paths[item[0]].name
                waiting[name] = waiting.get(name, 0) + item[2]
        return waiting

    def _failure(self, file: int, error: OSError, code: str = "LOG-001") -> BasisError:
        waiting = ", ".join(f"{name}: {count}" for name, count in self.queued().items())
        failed = "written" if code == "LOG-001" else "rotated"
        return BasisError(
            code,
            f"{self._paths[file]} cannot be {failed}: {error}; not on disk yet, in lines: {waiting or 'nothing'}; "
            "free space, or choose another log folder and run again",
        )
