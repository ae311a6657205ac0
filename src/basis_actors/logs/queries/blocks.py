"""Reads an event file in large blocks of whole lines, over all its segments, in memory that does not grow with it.

Looking for a few bytes in a block is much faster than looking at each line; what is not looked at is still checked to
be lines of JSON objects, by their first and last bytes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.queries.sizes import is_packed
from basis_actors.logs.segments import TornLine, active, streams

__all__ = ["Block", "Line", "blocks", "lines_with", "unreadable"]

_AT_ONCE: Final = 1 << 20
_END_SHOWN: Final = 40


class Block(msgspec.Struct, frozen=True):
    """Some whole lines of one segment."""

    path: Path
    offset: int
    """Where it begins, in bytes of the unpacked segment."""
    text: bytes


class Line(msgspec.Struct, frozen=True):
    """One line, and where it was read."""

    path: Path
    offset: int
    """Where it begins, in bytes of the unpacked segment."""
    text: bytes
    """With its line end."""


def blocks(folder: Path, stem: str, torn: list[TornLine] | None = None) -> Iterator[Block]:
    """All whole lines of an event file in order. An end of the active file that is no whole line is noted in `torn`.

    Raises BasisError LOG-004 for a segment that is missing or cannot be unpacked, and for a line that is no object.
    """
    for path, stream in streams(folder, stem):
        rest: list[bytes] = []  # joined once a line ends: of a very long one each read would copy all before it
        offset = 0
        while True:
            try:
                read = stream.read(_AT_ONCE)
            except (EOFError, zlib.error, OSError) as error:
                raise BasisError(
                    "LOG-004",
                    f"event file {path} cannot be read after byte {offset:,}: {error}; restore it from a copy",
                ) from error
            if not read:
                break
            end = read.rfind(b"\n") + 1
            if not end:
                rest.append(read)
                continue
            block = Block(path, offset, b"".join((*rest, read[:end])))
            rest = [read[end:]]
            _require_objects(block)
            offset += len(block.text)
            yield block
        if left := sum(map(len, rest)):
            if path != active(folder, stem):
                raise unreadable(Line(path, offset, b"".join(rest)), "the segment ends within this line", "event")
            if torn is not None:
                torn.append(TornLine(path, offset, left))


def lines_with(block: Block, needles: Sequence[bytes]) -> Iterator[Line]:
    """The lines of a block that contain any of `needles`, in order; every line where there are none."""
    text = block.text
    if not needles:
        offset = block.offset
        for line in text.splitlines(keepends=True):
            yield Line(block.path, offset, line)
            offset += len(line)
        return
    begins: set[int] = set()
    for needle in needles:
        at = text.find(needle)
        while at >= 0:
            begins.add(text.rfind(b"\n", 0, at) + 1)
            at = text.find(needle, text.find(b"\n", at))
    for begin in sorted(begins):
        yield Line(block.path, block.offset + begin, text[begin : text.find(b"\n", begin) + 1])


def unreadable(line: Line, reason: object, expected: str) -> BasisError:
    """The error for a line that is not what it should be; it names the number of the line in its segment."""
    return BasisError("LOG-004", f"{line.path}, {_place(line)}: {reason}; expected one {expected} as JSON")


def _place(line: Line) -> str:
    """The number of a line, for which the lines before it are counted now."""
    packed = line.path if is_packed(line.path) else line.path.with_name(line.path.name + ".gz")
    with gzip.open(packed) if packed.exists() else line.path.open("rb") as stream:
        number, left = 1, line.offset
        while left and (text := stream.read(min(_AT_ONCE, left))):
            number += text.count(b"\n")
            left -= len(text)
    return f"line {number:,}"


def _require_objects(block: Block) -> None:
    """Raise for a line that does not begin and end as an object does; blanks around it do not matter, as in JSON."""
    text = block.text
    if text.count(b"}\n{") == text.count(b"\n") - 1 and text.startswith(b"{") and text.endswith(b"}\n"):
        return
    for line in lines_with(block, ()):
        text = line.text.strip()
        if not (text.startswith(b"{") and text.endswith(b"}")):
            raise unreadable(line, f"{_shown(text)} does not begin and end as an object does", "event")


def _shown(text: bytes) -> str:
    """A line as a person can read it: its beginning and its end."""
    if not text:
        return "an empty line"
    decoded = text.decode("utf-8", "backslashreplace")
    readable = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in decoded)
    return readable if len(readable) <= 2 * _END_SHOWN else f"{readable[:_END_SHOWN]} … {readable[-_END_SHOWN:]}"
