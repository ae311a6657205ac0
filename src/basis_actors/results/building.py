"""Fills the folder of a result from the directory of its run. Where it lies and how it gets its name is `store`'s."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.directory import EVENTS_FOLDER, LogDirectoryManager, RunMetadata, RunStatus
from basis_actors.logs.locate import RESULT_LOGS
from basis_actors.logs.reader import EventLog
from basis_actors.logs.run_lock import LOCK_FILE, is_running
from basis_actors.messages.events import EVENT_TYPES
from basis_actors.results.equity import EQUITY_FILE, write_equity
from basis_actors.results.run_files import (
    CONFIG_FILE,
    DATA_REPORT_FILE,
    SUMMARY_FILE,
    pretty_json,
    read_summary,
    require_file,
)
from basis_actors.results.summary import RunSummary

__all__ = ["CSV_FOLDER", "PARQUET_FOLDER", "ResultProgress", "fill_result", "missing_files", "require_ended"]

CSV_FOLDER: Final = "csv"
PARQUET_FOLDER: Final = "parquet"
_NO_LINKS: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What the system says where a file cannot have a second name: another file system, or one without hard links."""

_COPIED: Final = (CONFIG_FILE, DATA_REPORT_FILE)


@dataclass(frozen=True, slots=True)
class ResultProgress:
    """How far a result has come."""

    doing: str
    """The event type whose tables were just added to, such as `positions`."""
    events: int
    total: int


def require_ended(run_dir: Path) -> RunMetadata:
    """The metadata of a run that a result can be made of.

    Raises BasisError LOG-003 when `run_dir` is not a run directory, when the run goes on or was killed, and when it
    wrote no events.
    """
    metadata = LogDirectoryManager.read_metadata(run_dir)
    if metadata.status is RunStatus.RUNNING:
        state = "goes on" if is_running(run_dir) else "was killed, so that its numbers are not known"
        raise BasisError(
            "LOG-003", f"{run_dir} belongs to a run that {state}; a result is made of a run that has ended"
        )
    events = run_dir / EVENTS_FOLDER
    if not events.is_dir() or not any(events.iterdir()):
        raise BasisError("LOG-003", f"{events} holds no event files; a result is made of a run that writes its events")
    return metadata


def fill_result(run_dir: Path, folder: Path, progress: Callable[[ResultProgress], None]) -> None:
    """Make everything that a result consists of in the empty `folder`.

    The run directory is linked or copied first, and everything else is made from that, so that it does not matter what
    becomes of `run_dir` meanwhile. Raises OSError, and BasisError LOG-003 or LOG-004 for a log that is not whole.
    """
    from basis_actors.results.export import export_events
    from basis_actors.results.report import REPORT_FILE, report_html

    logs = folder / RESULT_LOGS
    _duplicate(run_dir, logs)
    summary = read_summary(logs)
    for name in _COPIED:
        require_file(logs / name)
    log = EventLog(logs)
    events = 0

    def written(kind: str, count: int) -> None:
        nonlocal events
        events += count
        progress(ResultProgress(kind, events, summary.events))

    export_events(log, folder / CSV_FOLDER, folder / PARQUET_FOLDER, written)
    _require_whole(log, events, summary, run_dir)
    write_equity(log, folder / EQUITY_FILE)
    for name in _COPIED:
        _link(logs / name, folder / name)
    here = msgspec.structs.replace(summary, run_dir=RESULT_LOGS, result_dir=".")
    (folder / SUMMARY_FILE).write_bytes(pretty_json(here))
    (folder / REPORT_FILE).write_bytes(report_html(logs))


def missing_files(folder: Path) -> tuple[str, ...]:
    """What `fill_result` has made in this folder and is not there any more, but for the log, which `replay` checks."""
    from basis_actors.results.report import REPORT_FILE

    tables = (f"{kind}/{event.FILE}.{kind}" for kind in (CSV_FOLDER, PARQUET_FOLDER) for event in EVENT_TYPES)
    made = (*_COPIED, EQUITY_FILE, REPORT_FILE, *tables, SUMMARY_FILE)
    return tuple(name for name in made if not (folder / name).is_file())


def _duplicate(source: Path, target: Path) -> None:
    """Give every file of a folder a second name under `target`, or copy it where that is not possible.

    The lock stays with the run: by a second name of it the result would seem to be written too.
    """
    target.mkdir(mode=0o700)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            _duplicate(entry, target / entry.name)
        elif entry.name != LOCK_FILE:
            _link(entry, target / entry.name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target)


def _require_whole(log: EventLog, events: int, summary: RunSummary, run_dir: Path) -> None:
    """A run that did not fail has written every event that its summary counts."""
    if summary.failure is None and events != summary.events:
        torn = "".join(f"; {line.path.name} ends in a torn line" for line in log.torn)
        raise BasisError(
            "LOG-004",
            f"{run_dir}: {events:,} events are in the log and its {SUMMARY_FILE} counts {summary.events:,}{torn}; the"
            " log has been changed or damaged since the run: run it again",
        )
