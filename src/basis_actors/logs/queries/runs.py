"""Lists the runs in a folder, newest first, from their metadata and the sizes of their files."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.directory import METADATA_FILE, LogDirectoryManager, described, state_of

__all__ = ["ListedRun", "runs_in"]


class ListedRun(msgspec.Struct, frozen=True):
    """One run, or a directory that should be one."""

    run_dir: str
    mode: str
    status: str
    """`running`, `completed`, `partial`, `failed`, `killed`; of metadata that cannot be read `unreadable`."""
    started_at: datetime | None
    finished_at: datetime | None
    bytes: int
    """Of everything in the directory, compressed as it is."""
    failure: str | None
    """What ended the run, or why its metadata cannot be read."""
    scenario: str | None = None
    """What `stress` put the market through; None for a market as it was."""


def runs_in(root: Path) -> list[ListedRun]:
    """The runs under `root`, newest first. Raises BasisError LOG-003 when `root` is no folder."""
    if not root.is_dir():
        raise BasisError("LOG-003", f"{root} is not a folder; name one that holds run directories (--root)")
    found = [_listed(run_dir) for run_dir in described(root)]
    oldest = datetime.min.replace(tzinfo=UTC)
    there = (run for run in found if run is not None)
    return sorted(there, key=lambda run: (run.started_at or oldest, run.run_dir), reverse=True)


def _listed(run_dir: Path) -> ListedRun | None:
    """One run; None for one that somebody deletes meanwhile."""
    size = _size(run_dir)
    try:
        metadata = LogDirectoryManager.read_metadata(run_dir)
    except BasisError as error:
        if not (run_dir / METADATA_FILE).exists():
            return None
        return ListedRun(str(run_dir), "", "unreadable", None, None, size, error.message)
    status = state_of(run_dir, metadata)
    scenario = metadata.options.get("scenario")
    return ListedRun(
        str(run_dir), metadata.mode, status, metadata.started_at, metadata.finished_at, size, metadata.failure,
        None if scenario is None else str(scenario),
    )  # fmt: skip


def _size(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(place, name).stat().st_size
    return size
