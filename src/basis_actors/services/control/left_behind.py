"""Defines what a state directory tells of a process that is gone: where it logged, how it ended, and what it held when
last seen.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.directory import LogDirectoryManager, state_of
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import PositionSnapshot
from basis_actors.ports import StateStore
from basis_actors.services.continuity import has_traded
from basis_actors.services.state import FileStore, Holder

__all__ = ["Ending", "LastSeen", "last_process", "last_seen", "note_run", "only_on_paper"]

_FILE: Final = "run.json"

_Place: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[^\\x00]+$")]
"""A path: no file system takes a NUL in one."""


class _Run(msgspec.Struct, frozen=True):
    run_dir: _Place
    before: _Place | None = None
    """Of the last process before it that had a ledger; None where there is none. One on accounts counts before any on
    paper."""
    process: Holder | None = None
    on_paper: bool = False
    before_on_paper: bool = False

    @property
    def places(self) -> tuple[tuple[str, bool], ...]:
        """Where there may be a ledger, the newest first, and whether it is one on paper."""
        here = (self.run_dir, self.on_paper)
        return (here,) if self.before is None else (here, (self.before, self.before_on_paper))


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How the last process of a state directory ended, as its log knows it."""

    run_dir: str
    how: str | None
    """`completed`, `failed`, `partial`, or `killed` where nothing says how it ended; None where the log is gone."""
    at: datetime | None
    """When, UTC; None where nothing says it."""
    failure: str | None
    """What ended it, where it failed."""


class LastSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The last process of a state directory, or the last before it that had a ledger, as its log knows it."""

    run_dir: str
    at: datetime | None
    """Of the last snapshot of the ledger, UTC by the clock of the engine; None where there is none."""
    positions: dict[str, float] | None
    """What was held then, by position key; None where nobody knows."""
    ending: Ending
    """Of the last process itself."""


def note_run(store: StateStore, run_dir: Path, process: Holder | None = None, *, on_paper: bool = False) -> None:
    """Remember a process, where it logs, whether it is on paper, and where the one before it logged that had a ledger:
    this one may end before it has one. Raises BasisError ENGINE-004."""
    last = _read(store)
    places = () if last is None else sorted(last.places, key=lambda place: place[1])
    before, before_on_paper = next((place for place in places if _book_of(place[0]) is not None), (None, False))
    run = _Run(str(run_dir.resolve()), before, process, on_paper, before_on_paper)
    store.write(_FILE, msgspec.json.encode(run))


def last_process(path: Path) -> Holder | None:
    """Who ran last; a start that was refused before it had a log has not. None where nobody has said so."""
    run = _read(FileStore(path))
    return None if run is None else run.process


def only_on_paper(path: Path) -> bool:
    """Whether the last process of a state directory was on paper, and none before it traded on accounts: then nothing
    is open in the world for all that is known here."""
    run = _read(FileStore(path))
    try:
        return run is not None and run.on_paper and not has_traded(FileStore(path))
    except BasisError:
        return False


def last_seen(path: Path, *, on_accounts: bool = False) -> LastSeen | None:
    """What is known of the last process of a state directory; None where no process has said where it logs. A ledger on
    paper is none `on_accounts`."""
    run = _read(FileStore(path))
    if run is None:
        return None
    ending = _ending_of(run.run_dir)
    for run_dir, is_paper in run.places:
        book = None if on_accounts and is_paper else _book_of(run_dir)
        if book is not None:
            return LastSeen(run_dir=run_dir, at=book.timestamp, positions=book.positions, ending=ending)
    return LastSeen(run_dir=run.run_dir, at=None, positions=None, ending=ending)


def _read(store: StateStore) -> _Run | None:
    try:
        content = store.read(_FILE)
        return None if content is None else msgspec.json.decode(content, type=_Run)
    except (BasisError, *UNREADABLE):
        return None


def _ending_of(run_dir: str) -> Ending:
    try:
        said = LogDirectoryManager.read_metadata(Path(run_dir))
    except BasisError:
        return Ending(run_dir=run_dir, how=None, at=None, failure=None)
    return Ending(run_dir=run_dir, how=state_of(Path(run_dir), said), at=said.finished_at, failure=said.failure)


def _book_of(run_dir: str) -> PositionSnapshot | None:
    """The last snapshot that a process has logged."""
    with suppress(BasisError):  # a log that is gone tells nothing
        return EventLog(Path(run_dir)).last(PositionSnapshot)
    return None
