"""Tells how large an open segment is unpacked, without unpacking it, and where the lines of a plain one end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final

from basis_actors.errors import BasisError

__all__ = ["end_of_whole_lines", "is_packed", "unpacked_size"]

_PACKED: Final = ".gz"
_SMALLEST_GZIP: Final = 18
_AT_ONCE: Final = 1 << 16


def is_packed(path: Path) -> bool:
    """Whether the segment is compressed."""
    return path.suffix == _PACKED


def unpacked_size(path: Path, stream: BinaryIO) -> int:
    """Bytes of a segment that `segments.streams` has opened; the trailer of a compressed one has them.

    Raises BasisError LOG-004 for what is too short to be compressed at all.
    """
    size = os.fstat(stream.fileno()).st_size
    if not is_packed(path):
        return size
    if size < _SMALLEST_GZIP:
        raise BasisError("LOG-004", f"event file {path} has {size} bytes, and is no gzip file: restore it from a copy")
    return int.from_bytes(os.pread(stream.fileno(), 4, size - 4), "little")


def end_of_whole_lines(stream: BinaryIO, end: int) -> int:
    """The offset right after the last line end before byte `end`: there the line begins that the byte is in.

    0 when there is no line end. The stream is left anywhere.
    """
    while end:
        begin = max(end - _AT_ONCE, 0)
        stream.seek(begin)
        at = stream.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0
