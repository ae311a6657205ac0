"""Names the pieces of an event file and reads them as one: older segments, compressed or not, then the active file.

Reading is safe beside the process that writes: a file may grow, be renamed or be compressed meanwhile.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from basis_actors.errors import BasisError

__all__ = [
    "SUFFIX",
    "TornLine",
    "active",
    "last_lines",
    "lines",
    "reading",
    "rotated",
    "segments",
    "streams",
]

SUFFIX: Final = ".jsonl"
_PACKED: Final = ".gz"
_TAIL_BYTES: Final = 1_000_000
_ROTATED: Final = re.compile(r"\.(\d{6,})\.jsonl(?:\.gz)?")


class TornLine(msgspec.Struct, frozen=True):
    """The end of a file that is not a whole line."""

    path: Path
    offset: int
    """Where it begins, in bytes of the segment before compression."""
    length: int
    """Bytes."""


def active(folder: Path, stem: str) -> Path:
    """The file that is, or was last, appended to."""
    return folder / f"{stem}{SUFFIX}"


def rotated(folder: Path, stem: str, number: int, *, packed: bool = False) -> Path:
    """Segment `number`, counted from 1, as it is named once a newer one has been begun."""
    return folder / f"{stem}.{number:06d}{SUFFIX}{_PACKED if packed else ''}"


def segments(folder: Path, stem: str) -> list[Path]:
    """Every segment that is there now, oldest first, the active file last. A segment being compressed is there once.

    Raises BasisError LOG-004 for a folder that may not be looked into.
    """
    found: dict[int, Path] = {}
    for path in folder.glob(f"{stem}.*{SUFFIX}*"):
        match = _ROTATED.fullmatch(path.name.removeprefix(stem))
        if match and (path.suffix == _PACKED or int(match[1]) not in found):
            found[int(match[1])] = path
    last = active(folder, stem)
    with reading(last):
        is_there = last.exists()
    return [*(found[number] for number in sorted(found)), *([last] if is_there else [])]


def streams(folder: Path, stem: str) -> Iterator[tuple[Path, BinaryIO]]:
    """Every segment opened for reading and unpacked, oldest first; it is closed when the next one is asked for.

    Raises BasisError LOG-004 where an older segment is missing, or one cannot be opened.
    """
    number = 1
    while True:
        path, stream = _open(folder, stem, number)
        if stream is None:
            return
        with stream:
            yield path, stream
        if path == active(folder, stem):
            return
        number += 1


def lines(folder: Path, stem: str, torn: list[TornLine] | None = None) -> Iterator[bytes]:
    """Whole lines of all segments in order, each with its line end; none where no file was ever made.

    An end of the active file that is no whole line is left out, and noted in `torn`. Raises BasisError LOG-004 where an
    older segment is missing, ends within a line or cannot be unpacked.
    """
    for path, stream in streams(folder, stem):
        offset = 0
        try:
            for line in stream:
                if not line.endswith(b"\n"):
                    if path != active(folder, stem):
                        raise _damaged(path, f"ends within a line at byte {offset:,}")
                    if torn is not None:
                        torn.append(TornLine(path, offset, len(line)))
                    return
                offset += len(line)
                yield line
        except (EOFError, zlib.error, OSError) as error:
            raise _damaged(path, f"cannot be read after byte {offset:,}: {error}") from error


def last_lines(folder: Path, stem: str) -> Iterator[bytes]:
    """Whole lines from the end of the newest segment that has one, the last first, as far as a megabyte reaches.

    However long a log is, this reads little of it; a packed segment is unpacked as a whole. Raises BasisError LOG-004.
    """
    for path in reversed(segments(folder, stem)):
        with reading(path):
            begin, text = _tail(path)
        whole = text[: text.rfind(b"\n") + 1].splitlines(keepends=True)
        if begin:
            whole = whole[1:]
        yield from reversed(whole)
        if whole:
            return


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise BasisError LOG-004 for what goes wrong while bytes of a segment are read or unpacked."""
    try:
        yield
    except (EOFError, zlib.error, OSError) as error:
        raise _damaged(path, f"cannot be read: {error}") from error


def _tail(path: Path) -> tuple[int, bytes]:
    """The last megabyte of a segment, and where it begins."""
    if path.suffix == _PACKED:
        text = gzip.decompress(path.read_bytes())
        begin = max(0, len(text) - _TAIL_BYTES)
        return begin, text[begin:]
    with path.open("rb") as file:
        begin = file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return begin, file.read()


def _open(folder: Path, stem: str, number: int) -> tuple[Path, BinaryIO | None]:
    """Segment `number`, or the active file if there is no such segment; no stream where there is neither."""
    last = active(folder, stem)
    while True:
        for packed in (True, False):
            path = rotated(folder, stem, number, packed=packed)
            try:
                return path, cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _damaged(path, f"cannot be opened: {error}") from error
        try:
            stream: BinaryIO | None = last.open("rb")
        except FileNotFoundError:
            stream = None
        except OSError as error:
            raise _damaged(last, f"cannot be opened: {error}") from error
        # Between the two looks the active file may have become the segment that was looked for.
        later = [path for path in segments(folder, stem) if path != last and _number(path, stem) >= number]
        if not later:
            return last, stream
        if stream is not None:
            stream.close()
        if _number(later[0], stem) > number:
            raise _damaged(rotated(folder, stem, number), f"is missing, and {later[0].name} is there")


def _number(path: Path, stem: str) -> int:
    match = _ROTATED.fullmatch(path.name.removeprefix(stem))
    assert match is not None, "listed by `segments`"
    return int(match[1])


def _damaged(path: Path, what: str) -> BasisError:
    return BasisError("LOG-004", f"event file {path} {what}; expected whole lines: restore it from a copy")
