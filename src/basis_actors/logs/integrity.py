"""Checks that an event log is as it was written: every line whole, numbered without gaps, and under its seal."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.seals import SEALS_STEM, FileSeal, Numbers, RunningSum, Seal
from basis_actors.logs.segments import SUFFIX, TornLine, lines, segments
from basis_actors.messages.events import EVENT_TYPES, DomainEvent

__all__ = ["Finding", "LogWalk", "SealCheck", "check_inputs", "check_seals"]

_SHOWN: Final = 120


class Finding(msgspec.Struct, frozen=True):
    """Something in a log that is not as it has to be."""

    check: str
    """`seal`, `line`, `number`, `ledger`, `pnl` or `summary`."""
    where: str
    """File and lines, or the number of the event."""
    what: str
    """What was found, and what was expected."""


class LogWalk:
    """Walks all events of a run in the order of their numbers, and collects what is wrong with lines and numbers.

    A run that was cut off has written its last batch to some files and not to others: from `loose_from` on a gap ends
    the walk. Events of which the log itself says that they are `lost` are no finding; `gap` is called where they were.
    """

    def __init__(
        self,
        folder: Path,
        *,
        loose_from: float = inf,
        lost: Sequence[Numbers] = (),
        gap: Callable[[], object] = lambda: None,
        found: list[Finding] | None = None,
    ) -> None:
        self.findings: list[Finding] = [] if found is None else found
        self.torn: list[TornLine] = []
        self.events = 0
        self.cut_off: int | None = None
        """Number of the first event that is missing from the last batch."""
        self._loose_from = loose_from
        self._folder = folder
        self._lost = dict(lost)
        self._gap = gap

    def __iter__(self) -> Iterator[tuple[int, DomainEvent]]:
        """Number and event; of two lines with one number the second is left out."""
        expected = 0
        for number, event, stem in heapq.merge(*map(self._file, EVENT_TYPES), key=lambda row: row[0]):
            if number < expected:
                self._found("number", f"{stem}{SUFFIX}, event {number}", "has a number that another line has as well")
                continue
            if number > expected and expected in self._lost:
                expected = min(self._lost[expected] + 1, number)
                self._gap()
            if number > expected >= self._loose_from:
                self.cut_off = expected
                return
            if number > expected:
                missing = f"event {expected}" if number == expected + 1 else f"events {expected} to {number - 1}"
                self._found("number", missing, f"missing: no file has a line with that number before event {number}")
            expected = number + 1
            self.events += 1
            yield number, event

    def _file(self, kind: type[DomainEvent]) -> Iterator[tuple[int, DomainEvent, str]]:
        decode = msgspec.json.Decoder(kind).decode
        last = -1
        for count, line in enumerate(self._lines(kind), start=1):
            where = f"{kind.FILE}{SUFFIX}, line {count}"
            try:
                event = decode(line)
            except UNREADABLE as error:
                self._found("line", where, f"cannot be read: {error}: {_shown(line)}")
                continue
            number = event.sequence
            if number is None or number <= last:
                self._found("number", where, f"is event {number} after event {last}; numbers grow within a file")
                continue
            last = number
            yield number, event, kind.FILE

    def _lines(self, kind: type[DomainEvent]) -> Iterator[bytes]:
        try:
            yield from lines(self._folder, kind.FILE, self.torn)
        except BasisError as error:
            self._found("line", f"{kind.FILE}{SUFFIX}", error.message)

    def _found(self, check: str, where: str, what: str) -> None:
        self.findings.append(Finding(check, where, what))


class SealCheck(msgspec.Struct, frozen=True):
    """What the seals of a log say."""

    findings: list[Finding]
    """What was changed since it was sealed, one finding a file at most."""
    unsealed: dict[str, int]
    """Lines after the last seal, by file: of a run that goes on or was killed. Nothing vouches for them."""
    sealed: int
    """Events that were there at the last seal."""
    lost: list[Numbers]
    """Events that were given up while the disk took nothing: first and last of each range, in order."""
    torn: list[TornLine]
    """The end of the file of seals, where it is not a whole line."""
    inputs: dict[str, str]
    """sha256 of what the run began with, by name; empty where the seals do not say it."""


def check_inputs(folder: Path, inputs: Mapping[str, str], prefix: str = "") -> Iterator[Finding]:
    """Compare the files that a run began with, in its directory or result, with their sealed sha256."""
    for name, expected in inputs.items():
        try:
            content = (folder / name).read_bytes()
        except (OSError, ValueError) as error:  # a ValueError for a name in a damaged seal that can be of no file
            yield Finding("seal", prefix + name, f"cannot be read: {error}; the run began with it")
            continue
        if sha256(content).hexdigest() != expected:
            yield Finding("seal", prefix + name, "is not what the run began with: its sha256 is not the sealed one")


def check_seals(folder: Path) -> SealCheck:
    """Compare every file with its seals; a file that cannot be read is a finding as well."""
    findings: list[Finding] = []
    torn: list[TornLine] = []
    by_file: dict[str, list[tuple[int, FileSeal]]] = {kind.FILE: [] for kind in EVENT_TYPES}
    decode = msgspec.json.Decoder(Seal).decode
    sealed = 0
    lost: list[Numbers] = []
    inputs: dict[str, str] = {}
    for count, line in enumerate(lines(folder, SEALS_STEM, torn), start=1):
        try:
            seal = decode(line)
        except UNREADABLE as error:
            findings.append(Finding("seal", f"{SEALS_STEM}{SUFFIX}, line {count}", f"cannot be read: {error}"))
            continue
        sealed = seal.sequence
        lost += seal.lost
        inputs |= seal.inputs
        for stem, part in seal.files.items():
            by_file.setdefault(stem, []).append((seal.sequence, part))
    unsealed: dict[str, int] = {}
    for stem, seals in by_file.items():
        try:
            finding, left = _check_file(folder, stem, seals)
        except BasisError as error:
            finding, left = Finding("seal", f"{stem}{SUFFIX}", error.message), 0
        if finding is not None:
            findings.append(finding)
        if left:
            unsealed[stem] = left
    return SealCheck(findings, unsealed, sealed, lost, torn, inputs)


def _check_file(folder: Path, stem: str, seals: list[tuple[int, FileSeal]]) -> tuple[Finding | None, int]:
    if seals and not segments(folder, stem):
        return Finding("seal", f"{stem}{SUFFIX}", f"is missing; {seals[-1][1].lines} lines of it were sealed"), 0
    reader = lines(folder, stem)
    total, passed = RunningSum(), 0
    for sequence, seal in seals:
        block = b"".join(line for _, line in zip(range(seal.lines - total.lines), reader, strict=False))
        where = f"{stem}{SUFFIX}, lines {total.lines + 1} to {seal.lines}"
        total = total.with_lines(block, block.count(b"\n"))
        span = f"events {passed} to {sequence - 1}"
        if total.lines < seal.lines:
            return Finding("seal", where, f"end at line {total.lines}; up to {seal.lines} were sealed ({span})"), 0
        if total.seal() != seal:
            size = f"; {total.bytes - seal.bytes:+d} bytes" if total.bytes != seal.bytes else ""
            return Finding("seal", where, f"are not what was sealed ({span}{size})"), 0
        passed = sequence
    return None, sum(1 for _ in reader)


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace").strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
