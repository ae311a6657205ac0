"""Creates, finds, closes and removes run directories `logs/{correlation_id}/{pid}/`.

A run directory belongs to its owner alone (directories 0700, files 0600) and is written by one run only. It holds
`metadata.json`, component logs, and one JSONL file for each event type under `events/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Annotated, Any, Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.run_lock import is_running
from basis_actors.logs.wall_clock import WallClock, system_clock
from basis_actors.messages.events import EVENT_SCHEMA_VERSION

__all__ = [
    "EVENTS_FOLDER",
    "METADATA_FILE",
    "RESULT_LOGS",
    "SUMMARY_FILE",
    "LogDirectoryManager",
    "RunKind",
    "RunMetadata",
    "RunStatus",
    "check_correlation_id",
    "described",
    "run_dirs",
    "state_of",
]

EVENTS_FOLDER: Final = "events"
METADATA_FILE: Final = "metadata.json"
SUMMARY_FILE: Final = "summary.json"
RESULT_LOGS: Final = "logs"
"""Folder of a result that holds the directory of its run."""
_PID: Final = re.compile(r"[0-9]+")
_CORRELATION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class RunStatus(StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    """Also what a run leaves behind that was killed; `state_of` tells the two apart."""
    COMPLETED = "completed"
    PARTIAL = "partial"
    """Interrupted; what is there is in order up to that point."""
    FAILED = "failed"


class RunKind(StrEnum):
    """What a run was for; logs of the one are kept longer than logs of the other."""

    BACKTEST = "backtest"
    LIVE = "live"


Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class RunMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Contents of `metadata.json`."""

    event_schema_version: int
    package_version: str
    python_version: str | None = None
    """Numbers may differ between versions in their last digit. None in the log of a package that did not say it."""
    correlation_id: str
    pid: int
    mode: str
    strategy: str
    capital: float
    """In the share class of the mode."""
    currency: str | None = None
    """Of the share class; amounts in the log are counted in it. None when the caller gave none."""
    started_at: Moment
    config_hash: str | None = None
    """sha256 of the effective configuration; None when the caller gave none."""
    data_origin: str | None = None
    """Where the market came from: a folder, `synthetic, seed 7`, a live feed."""
    data_hashes: dict[str, str] = {}
    """sha256 by file of the data set."""
    options: dict[str, Any] = {}
    """How the run was asked for: window, runtime, flows, what was laid over the configuration."""
    kind: RunKind = RunKind.BACKTEST
    keeps_events: bool = True
    """Whether the run writes an event log; where it does not, a log without files is no log that was lost."""
    status: RunStatus = RunStatus.RUNNING
    finished_at: Moment | None = None
    failure: str | None = None
    """What ended the run, when its status is failed or partial."""


class LogDirectoryManager:
    """Everything that happens to a run directory as a whole; it has no state of its own.

    >>> run_dir = LogDirectoryManager.create_run_logs(
    ...     correlation_id="demo", pid=os.getpid(), mode="btc_basis", strategy="basis", capital=100_000.0,
    ...     base_dir=Path("logs"),
    ... )  # doctest: +SKIP
    """

    @staticmethod
    def create_run_logs(
        correlation_id: str,
        pid: int,
        mode: str,
        strategy: str,
        capital: float,
        base_dir: Path,
        *,
        currency: str | None = None,
        config_hash: str | None = None,
        data_origin: str | None = None,
        data_hashes: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
        kind: RunKind = RunKind.BACKTEST,
        keeps_events: bool = True,
        clock: WallClock = system_clock,
    ) -> Path:
        """Make `base_dir/correlation_id/pid/` with `events/` and `metadata.json`, and return it.

        Raises BasisError LOG-003 when the correlation id cannot be a folder name, when pid or capital make no sense,
        when the directory already holds something, or when it cannot be made; nothing half-made is left behind.
        """
        check_correlation_id(correlation_id)
        if pid < 0:
            raise BasisError("LOG-003", f"run {correlation_id!r}: pid must be 0 or more, got {pid}")
        if not capital > 0.0 or capital == float("inf"):
            raise BasisError("LOG-003", f"run {correlation_id!r}: capital must be a positive number, got {capital}")
        metadata = RunMetadata(
            event_schema_version=EVENT_SCHEMA_VERSION,
            package_version=version("basis-actors"),
            python_version=python_version(),
            correlation_id=correlation_id,
            pid=pid,
            mode=mode,
            strategy=strategy,
            capital=capital,
            currency=currency,
            started_at=clock(),
            config_hash=config_hash,
            data_origin=data_origin,
            data_hashes=dict(data_hashes or {}),
            options=dict(options or {}),
            kind=kind,
            keeps_events=keeps_events,
        )
        run_dir = Path(base_dir) / correlation_id / str(pid)
        try:
            _claim(run_dir)
            _furnish(run_dir, metadata)
        except OSError as error:
            raise BasisError(
                "LOG-003",
                f"run directory {run_dir} cannot be made: {error}; choose another log folder or make it writable",
            ) from error
        return run_dir

    @staticmethod
    def read_metadata(run_dir: Path) -> RunMetadata:
        """What `metadata.json` says. Raises BasisError LOG-003 when `run_dir` is not a run directory."""
        path = Path(run_dir) / METADATA_FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=RunMetadata)
        except OSError as error:
            raise BasisError(
                "LOG-003", f"{run_dir} is not a run directory: {error}; expected logs/<correlation id>/<pid>"
            ) from error
        except UNREADABLE as error:
            raise BasisError("LOG-003", f"{path} cannot be read: {error}; expected the metadata of a run") from error

    @staticmethod
    def finish(
        run_dir: Path, status: RunStatus, *, failure: str | None = None, clock: WallClock = system_clock
    ) -> RunMetadata:
        """Write down how the run ended, in one step: a reader sees the old metadata or the new, never a part.

        Raises BasisError LOG-003 when `run_dir` is not a run directory, and LOG-001 when it cannot be written.
        """
        metadata = msgspec.structs.replace(
            LogDirectoryManager.read_metadata(run_dir), status=status, finished_at=clock(), failure=failure
        )
        path = Path(run_dir) / METADATA_FILE
        try:
            _write_atomically(path, metadata)
        except OSError as error:
            raise BasisError("LOG-001", f"{path} cannot be written: {error}; the run ended as {status}") from error
        return metadata

    @staticmethod
    def remove_run_logs(run_dir: Path) -> None:
        """Delete the directory of a run that has ended, and the folder of its correlation id when that is then empty.

        The metadata go last, so that what an interruption leaves is still a run, to be deleted another time. What
        somebody else deletes meanwhile is as good as deleted here. Raises
        BasisError LOG-003 when `run_dir` is not a run directory as runs make them, when a process is writing it, or
        when something cannot be deleted.
        """
        run_dir = Path(run_dir)
        if not _is_run_dir(run_dir):
            raise BasisError(
                "LOG-003",
                f"{run_dir} is not deleted: expected a real directory logs/<correlation id>/<pid>, no link, and no part"
                " of a result",
            )
        LogDirectoryManager.read_metadata(run_dir)
        if is_running(run_dir):
            raise BasisError("LOG-003", f"{run_dir} belongs to a run that goes on; not deleted")
        try:
            _remove(run_dir)
        except OSError as error:
            raise BasisError("LOG-003", f"{run_dir} cannot be deleted completely: {error}") from error
        with suppress(OSError):
            run_dir.parent.rmdir()


def state_of(run_dir: Path, metadata: RunMetadata) -> str:
    """How far a run has come, as people are told: its status, or `killed` when no process writes it any more."""
    if metadata.status is RunStatus.RUNNING and not is_running(run_dir):
        return "killed"
    return metadata.status.value


def run_dirs(root: Path) -> Iterator[Path]:
    """The run directories in a folder of logs, by name: real `<correlation id>/<pid>`, with metadata.

    A link is none, nor is anything in a result: what lies elsewhere, or belongs to a result, is not the log folder's.
    """
    return (place for place in described(root) if _is_run_dir(place))


def described(root: Path) -> Iterator[Path]:
    """Everything two folders down that has metadata, by name: run directories, and those in results. What is closed to
    us is not there."""
    for folder in _children(Path(root)):
        yield from (place for place in _children(folder) if _has_metadata(place))


def _has_metadata(place: Path) -> bool:
    try:
        return (place / METADATA_FILE).exists()
    except PermissionError:
        return False


def _children(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing in what is none, is closed to us or is being deleted by somebody else."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, its metadata last. Raises OSError."""
    with suppress(FileNotFoundError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        for child in sorted(path.iterdir(), key=lambda child: (child.name == METADATA_FILE, child.name)):
            _remove(child)
        path.rmdir()


def _is_run_dir(path: Path) -> bool:
    path = path.absolute()
    linked = any(part.is_symlink() for part in (path, path.parent, path / METADATA_FILE))
    in_result = (path.parent / RESULT_LOGS / METADATA_FILE).is_file()
    return path.is_dir() and _PID.fullmatch(path.name) is not None and not linked and not in_result


def check_correlation_id(correlation_id: str) -> None:
    """Raise BasisError LOG-003 for a name of a run that cannot be that of a folder."""
    if _CORRELATION_ID.fullmatch(correlation_id) is None or ".." in correlation_id:
        raise BasisError(
            "LOG-003",
            f"correlation id {correlation_id[:200]!r} cannot name a folder: use 1 to 128 letters, digits, '.', '_' or "
            "'-', starting with a letter or digit and without '..'",
        )


def _claim(run_dir: Path) -> None:
    run_dir.parent.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        run_dir.parent.mkdir(mode=0o700)
    try:
        run_dir.mkdir(mode=0o700)
    except FileExistsError:
        if run_dir.is_symlink() or not run_dir.is_dir() or any(run_dir.iterdir()):
            raise BasisError(
                "LOG-003",
                f"run directory {run_dir} already holds something; a run writes into a fresh one: choose another "
                "correlation id (--correlation-id) or log folder, or delete it",
            ) from None
        run_dir.chmod(0o700)


def _furnish(run_dir: Path, metadata: RunMetadata) -> None:
    events, description = run_dir / EVENTS_FOLDER, run_dir / METADATA_FILE
    try:
        events.mkdir(mode=0o700)
        _write_atomically(description, metadata)
    except OSError:
        description.unlink(missing_ok=True)
        for folder in (events, run_dir, run_dir.parent):
            with suppress(OSError):
                folder.rmdir()
        raise


def _write_atomically(path: Path, metadata: RunMetadata) -> None:
    text = msgspec.json.format(msgspec.json.encode(metadata), indent=2) + b"\n"
    draft = path.with_name(path.name + ".tmp")
    try:
        draft.touch(mode=0o600)
        with draft.open("wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
