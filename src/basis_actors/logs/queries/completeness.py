"""Says whether events are missing from a log without reading it: by the sizes of its files, what the last seals say of
them, and the numbers of the few events after the last seal. Whether events were changed is left to the replay.
"""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.queries.blocks import blocks
from basis_actors.logs.queries.sizes import unpacked_size
from basis_actors.logs.seals import SEALS_STEM, FileSeal, Seal
from basis_actors.logs.segments import active, reading, streams
from basis_actors.messages.events import EVENT_TYPES

__all__ = ["notices", "sealed_events"]

_SEQUENCE: Final = re.compile(rb'"sequence":(\d+),"real_utc_time"')
_STEMS: Final = tuple(kind.FILE for kind in EVENT_TYPES)


class _Tail(msgspec.Struct):
    """What a file has beyond its last seal."""

    size: int = 0
    """Bytes of the whole file, over all segments and unpacked."""
    events: int = 0
    last: int = -1
    """Highest number of an event."""
    torn: int = 0
    """Bytes of an end that is no whole line."""


def notices(folder: Path, *, running: bool) -> list[str]:
    """One sentence for each torn end, and for what is missing from the event files in `folder`.

    Of a run that is `running` the last batch may be in some files and not in others yet.

    Raises BasisError LOG-004 for a file of seals that cannot be read and a segment that is missing.
    """
    if not active(folder, SEALS_STEM).exists():
        ends = ((stem, _tail(folder, stem, 0).torn) for stem in _STEMS)
        return [
            f"{folder} has no {SEALS_STEM}.jsonl: whether events are missing cannot be told",
            *(_torn(folder, stem, torn) for stem, torn in ends if torn),
        ]
    sequence, sealed = _last_seals(folder)
    said: list[str] = []
    last, events = sequence - 1, 0
    for stem in _STEMS:
        tail = _tail(folder, stem, sealed.get(stem, 0))
        short = sealed.get(stem, 0) - tail.size
        if short > 0:
            said.append(f"{active(folder, stem)} has {short:,} bytes less than were written: events are missing")
        if tail.torn:
            said.append(_torn(folder, stem, tail.torn))
        last = max(last, tail.last)
        events += tail.events
    missing = last + 1 - sequence - events
    if missing > 0:
        when = "not written yet" if running else "missing"
        said.append(f"{missing:,} of the events {sequence:,} to {last:,} are {when}")
    return said


def sealed_events(folder: Path) -> float:
    """Number of the first event that is not sealed: all before it are on disk. Infinite for a log without seals."""
    return _last_seals(folder)[0] if active(folder, SEALS_STEM).exists() else inf


def _last_seals(folder: Path) -> tuple[int, dict[str, int]]:
    """Number of events that are sealed, and the sealed bytes of each file."""
    last = b""
    found: dict[str, bytes] = {}
    for block in blocks(folder, SEALS_STEM):
        text = block.text
        last = text[text.rfind(b"\n", 0, -1) + 1 :]
        # A file that does not grow is in few seals, so the last one does not do.
        for stem in _STEMS:
            at = text.rfind(f'"{stem}":['.encode())
            if at >= 0:
                found[stem] = text[at + len(stem) + 3 : text.find(b"]", at) + 1]
    try:
        sequence = msgspec.json.decode(last, type=Seal).sequence if last else 0
        return sequence, {stem: msgspec.json.decode(text, type=FileSeal).bytes for stem, text in found.items()}
    except UNREADABLE as error:
        raise BasisError(
            "LOG-004", f"{active(folder, SEALS_STEM)}: {error}; expected a seal a line: restore it from a copy"
        ) from error


def _torn(folder: Path, stem: str, length: int) -> str:
    return f"{active(folder, stem)} ends within a line, which is left out ({length:,} bytes)"


def _tail(folder: Path, stem: str, begin: int) -> _Tail:
    """Count what is in the file from byte `begin` on."""
    tail = _Tail()
    for path, stream in streams(folder, stem):
        skipped, tail.size = tail.size, tail.size + unpacked_size(path, stream)
        if tail.size <= begin:
            continue
        with reading(path):
            stream.seek(max(begin - skipped, 0))
            for line in stream:
                if not line.endswith(b"\n"):
                    tail.torn = len(line)
                    break
                tail.events += 1
                match = _SEQUENCE.search(line)
                if match:
                    tail.last = max(tail.last, int(match[1]))
    return tail
