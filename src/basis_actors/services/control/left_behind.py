"""Defines what a state directory tells of a process that is gone: where it logged, and what it held when last seen."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import PositionSnapshot
from basis_actors.ports import StateStore
from basis_actors.services.state import FileStore

__all__ = ["LastSeen", "last_seen", "note_run"]

_FILE: Final = "run.json"


class _Run(msgspec.Struct, frozen=True):
    run_dir: str


class LastSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The last process of a state directory, as its log knows it."""

    run_dir: str
    at: datetime | None
    """Of the last snapshot of the ledger, UTC by the clock of the engine; None where there is none."""
    positions: dict[str, float] | None
    """What was held then, by position key; None where nobody knows."""


def note_run(store: StateStore, run_dir: Path) -> None:
    """Remember where a process logs. Raises BasisError ENGINE-004."""
    store.write(_FILE, msgspec.json.encode(_Run(str(run_dir.resolve()))))


def last_seen(path: Path) -> LastSeen | None:
    """What is known of the last process of a state directory; None where no process has said where it logs."""
    try:
        content = FileStore(path).read(_FILE)
        if content is None:
            return None
        run_dir = msgspec.json.decode(content, type=_Run).run_dir
    except (BasisError, msgspec.DecodeError):
        return None
    last: PositionSnapshot | None = None
    with suppress(BasisError):  # a log that is gone tells nothing
        last = EventLog(Path(run_dir)).last(PositionSnapshot)
    if last is None:
        return LastSeen(run_dir=run_dir, at=None, positions=None)
    return LastSeen(run_dir=run_dir, at=last.timestamp, positions=last.positions)
