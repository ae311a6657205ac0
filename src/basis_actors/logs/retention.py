"""Keeps the folder of logs small: packs segments that are complete, and deletes runs that ended long ago.

Everything is done in steps of a few milliseconds, so that whoever drives them can do other things in between.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.directory import EVENTS_FOLDER, METADATA_FILE, LogDirectoryManager, RunKind, run_dirs
from basis_actors.logs.line_file import complete_segments, old_segments
from basis_actors.logs.run_lock import is_running
from basis_actors.logs.segments import active, segments
from basis_actors.messages.events import EVENT_TYPES

__all__ = ["OldRun", "Retention", "drop_old_segments", "old_runs", "pack", "pack_rest", "remove_old", "unpacked"]

_STEP_BYTES: Final = 128 * 1024
_LEVEL: Final = 6
_GZIP: Final = 16 + zlib.MAX_WBITS
"""Makes zlib write a gzip header; it carries no time, so the same segment gives the same bytes."""


class Retention(msgspec.Struct, frozen=True):
    """How long logs are kept after their last change."""

    backtests: timedelta
    live: timedelta

    def of(self, kind: RunKind) -> timedelta:
        """For runs of this kind."""
        return self.live if kind is RunKind.LIVE else self.backtests


class OldRun(msgspec.Struct, frozen=True):
    """A run that is kept no longer."""

    run_dir: Path
    kind: RunKind
    ended: datetime
    """When anything in it was last written."""
    bytes: int
    """That deleting it gives back to the disk."""
    held: int = 0
    """Bytes that stay, because files of results are the same ones under a second name."""


def old_runs(
    root: Path, now: datetime, retention: Retention, damaged: list[BasisError] | None = None
) -> Iterator[OldRun | None]:
    """The runs under `root` that may be deleted, by name; None for each that may not, so that a walk can pause.

    A run that a process is writing is never among them, however old. What is no run directory is left alone, and so is
    a run whose metadata cannot be read: nobody knows what it is. Such runs are noted in `damaged`.
    """
    for run_dir in run_dirs(root):
        try:
            kind = LogDirectoryManager.read_metadata(run_dir).kind
            files = [path.lstat() for path in run_dir.rglob("*") if path.is_symlink() or path.is_file()]
        except FileNotFoundError:
            yield None
            continue
        except BasisError as error:
            if damaged is not None:
                damaged.append(error)
            yield None
            continue
        if not files:
            yield None
            continue
        ended = datetime.fromtimestamp(max(status.st_mtime for status in files), now.tzinfo)
        if now - ended < retention.of(kind) or is_running(run_dir):
            yield None
        else:
            held = sum(status.st_size for status in files if status.st_nlink > 1)
            yield OldRun(run_dir, kind, ended, sum(status.st_size for status in files) - held, held)


def remove_old(old: OldRun) -> None:
    """Delete a run that is kept no longer, if it is still there: others may clear the same folder at this moment.

    Raises BasisError LOG-003 as `LogDirectoryManager.remove_run_logs`.
    """
    try:
        LogDirectoryManager.remove_run_logs(old.run_dir)
    except BasisError:
        if (old.run_dir / METADATA_FILE).exists():
            raise


def unpacked(run_dir: Path) -> list[Path]:
    """Complete segments of a run that are not packed yet: of events, then of component logs."""
    folder = run_dir / EVENTS_FOLDER
    events = [
        path
        for kind in EVENT_TYPES
        for path in segments(folder, kind.FILE)
        if path != active(folder, kind.FILE) and path.suffix != ".gz"
    ]
    return [*events, *complete_segments(run_dir)]


def drop_old_segments(run_dir: Path, now: datetime, retention: Retention) -> None:
    """Delete what a run that goes on has kept of its component logs for longer than `retention` keeps whole runs. Its
    events are never deleted: the ledger is their sum.

    Raises BasisError LOG-005 for a segment that cannot be deleted.
    """
    keep = retention.of(LogDirectoryManager.read_metadata(run_dir).kind)
    for segment in old_segments(run_dir, now, keep):
        try:
            segment.unlink()
        except OSError as error:
            raise BasisError(
                "LOG-005", f"old segment {segment} cannot be deleted: {error}; delete it by hand"
            ) from error


def pack_rest(run_dir: Path) -> list[BasisError]:
    """Pack every complete segment of a run that nobody writes any more; what kept any of them from it."""
    problems = []
    for segment in unpacked(run_dir):
        try:
            for _ in pack(segment):
                pass
        except BasisError as error:
            problems.append(error)
    return problems


def pack(segment: Path) -> Iterator[None]:
    """Replace a complete segment by the same packed with gzip; a reader finds the one or the other at any moment.

    Raises BasisError LOG-005 when that is not possible; the segment then stays as it is.
    """
    packed = segment.with_name(segment.name + ".gz")
    draft = packed.with_name(packed.name + ".tmp")
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    try:
        with segment.open("rb") as source, _private(draft) as target:
            while block := source.read(_STEP_BYTES):
                target.write(squeeze.compress(block))
                yield
            target.write(squeeze.flush())
            target.flush()
            os.fsync(target.fileno())
        draft.replace(packed)
        segment.unlink()
    except OSError as error:
        raise BasisError(
            "LOG-005", f"segment {segment} cannot be packed: {error}; it stays as it is: free space, or pack it by hand"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _private(path: Path) -> BinaryIO:
    path.touch(mode=0o600)
    return path.open("wb")
