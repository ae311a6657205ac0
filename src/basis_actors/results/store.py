"""Keeps the results of runs: one folder each, complete or not there, named by the correlation id of its run.

`building` says what is in such a folder, `drafts` how it comes into being in one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from basis_actors.errors import BasisError
from basis_actors.logs.directory import METADATA_FILE, LogDirectoryManager, RunMetadata
from basis_actors.logs.locate import RESULT_LOGS, RESULTS_ROOT
from basis_actors.results.building import ResultProgress, fill_result, missing_files, require_ended
from basis_actors.results.drafts import clear_leftovers, draft, publish
from basis_actors.results.run_files import SUMMARY_FILE, read_summary
from basis_actors.results.summary import RunSummary

if TYPE_CHECKING:
    from basis_actors.results.comparison import Comparison
    from basis_actors.results.loaded import LoadedResult

__all__ = ["ResultFile", "ResultStore", "StoredResult"]


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result and what its run came to."""

    id: str
    """Correlation id of the run."""
    path: Path
    metadata: RunMetadata
    summary: RunSummary
    bytes: int
    """Of all its files, whether or not the run directory still shares them."""
    missing: tuple[str, ...]
    """Files that it was made with and that are not there, by their path inside it; it can be read as far as it goes."""

    @property
    def run_dir(self) -> Path:
        """The log, for `EventLog` and `RunFrames`."""
        return self.path / RESULT_LOGS


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a result."""

    name: str
    """Path inside the result."""
    bytes: int


class ResultStore:
    """The results in the folder `root`, which is made with the first of them.

        store = ResultStore(Path("results"))
        made = store.make(Path("logs/btc_basis-20240101T000000-ab12/4711"))
        for result in store.list():
            print(result.id, result.summary.total_return)
        store.load(made.id).equity["index"].plot()

    Wherever a result is named, its id is meant, or its folder. Raises BasisError LOG-003, with the nearest ids, when
    there is no such result.
    """

    def __init__(self, root: Path = RESULTS_ROOT) -> None:
        self.root = Path(root)
        self._damaged: list[BasisError] = []

    @property
    def damaged(self) -> tuple[BasisError, ...]:
        """What is wrong with folders that look like results and cannot be read; found by the last `list`."""
        return tuple(self._damaged)

    def make(self, run_dir: Path, progress: Callable[[ResultProgress], None] = lambda _: None) -> StoredResult:
        """Make the result of a run that has ended, whether it was completed, failed or was interrupted.

        `progress` is called every few thousand events. A result is there as a whole or not at all, whatever happens.
        Raises BasisError LOG-003 when `run_dir` is not the directory of such a run, when the run has a result already,
        or when the folder of results cannot be used; LOG-001 when something cannot be written; LOG-004 when the log
        cannot be read or is not whole.
        """
        run_dir = Path(run_dir)
        name = require_ended(run_dir).correlation_id
        self.require_free(name)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            clear_leftovers(self.root)
            with draft(self.root, name) as folder:
                fill_result(run_dir, folder, progress)
                self._publish(folder, name)
        except OSError as error:
            self._refuse(run_dir, name, error)
        return self._read(name)

    def require_free(self, name: str) -> None:
        """Raise BasisError LOG-003 when a run of this name has a result already."""
        path = self.root / name
        if path.exists() or path.is_symlink():
            raise BasisError(
                "LOG-003",
                f"{path} exists already: a run has one result; choose another correlation id (--correlation-id) or"
                f" another folder (--results), or delete it with `basis-actors results delete {name}`"
                " (the log of its run stays)",
            )

    def list(self) -> tuple[StoredResult, ...]:
        """All results, those of the newest runs last. Never one that is not complete.

        Folders that look like results and cannot be read are left out, and said in `damaged`. Raises BasisError LOG-003
        when the folder of results cannot be read.
        """
        self._damaged = []
        found = []
        for name in self._names():
            try:
                found.append(self._read(name))
            except BasisError as error:
                if (self.root / name).exists():  # else somebody has deleted it meanwhile
                    self._damaged.append(error)
        return tuple(sorted(found, key=lambda result: (result.metadata.started_at, result.id)))

    def show(self, name: str) -> tuple[StoredResult, tuple[ResultFile, ...]]:
        """A result, and its files by name."""
        result = self._read(self._find(name))
        return result, tuple(
            ResultFile(path.relative_to(result.path).as_posix(), path.stat().st_size) for path in _files(result.path)
        )

    def locate(self, name: str) -> tuple[Path, int]:
        """The folder of a result and the bytes of its files, whether or not it can be read."""
        path = self.root / self._find(name)
        return path, sum(file.stat().st_size for file in _files(path))

    def load(self, name: str) -> LoadedResult:
        """A result with everything in it, as pandas objects where it is tables."""
        from basis_actors.results.loaded import LoadedResult

        return LoadedResult(self._read(self._find(name)))

    def compare(self, name: str, other: str) -> Comparison:
        """Two results side by side."""
        from basis_actors.results.comparison import compare

        return compare(self.load(name), self.load(other))

    def delete(self, name: str) -> None:
        """Delete a result. The run directory it was made of stays. Raises BasisError LOG-003 when it cannot be done."""
        name = self._find(name)
        try:
            with draft(self.root, name) as folder:
                (self.root / name).rename(folder / name)
        except OSError as error:
            raise BasisError("LOG-003", f"{self.root / name} cannot be deleted: {error}") from error

    def _publish(self, folder: Path, name: str) -> None:
        """Give a result its name. Whoever had the same run in hand and was faster has taken it."""
        try:
            publish(folder, self.root / name)
        except OSError:
            if folder.exists():
                self.require_free(name)
            raise

    def _refuse(self, run_dir: Path, name: str, error: OSError) -> NoReturn:
        """Say why there is no result, and what to do about it."""
        path = self.root / name
        nothing = f"nothing was left there, and the log of the run is in {run_dir}"
        if not (run_dir / METADATA_FILE).is_file():
            raise BasisError(
                "LOG-003", f"{run_dir} vanished while its result was made: {error}; give the directory of a run"
            ) from error
        if not self.root.is_dir():
            raise BasisError(
                "LOG-003", f"folder of results {self.root} cannot be made: {error}; {nothing}: choose another folder"
            ) from error
        raise BasisError(
            "LOG-001",
            f"result {path} cannot be written: {error}; {nothing}: free space or make {self.root} writable, then"
            f" `basis-actors results make {run_dir} --root {self.root}`",
        ) from error

    def _names(self) -> tuple[str, ...]:
        """Names of all folders that look like results. Leftovers of a crash are cleared away."""
        if not self.root.exists():
            return ()
        try:
            clear_leftovers(self.root)
            return tuple(sorted(path.name for path in self.root.iterdir() if _is_result(path)))
        except OSError as error:
            raise BasisError(
                "LOG-003", f"folder of results {self.root} cannot be read: {error}; give a folder of results"
            ) from error

    def _find(self, given: str) -> str:
        """The id that `given` stands for."""
        names = self._names()
        path = Path(given)
        if given in names:
            return given
        if path.name in names and path.resolve().parent == self.root.resolve():
            return path.name
        near = get_close_matches(path.name, names, n=3, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else f"there are {len(names)}"
        raise BasisError("LOG-003", f"there is no result {given!r} in {self.root}; {hint}: give one of those")

    def _read(self, name: str) -> StoredResult:
        path = self.root / name
        metadata, summary = LogDirectoryManager.read_metadata(path / RESULT_LOGS), read_summary(path)
        try:
            size, missing = sum(file.stat().st_size for file in _files(path)), missing_files(path)
            if SUMMARY_FILE in missing:  # which was read a moment ago
                raise FileNotFoundError(ENOENT, "No such file or directory", str(path))
        except FileNotFoundError as error:
            raise BasisError(
                "LOG-003", f"{path} vanished while it was read: {error}; look with `results list` what is there"
            ) from error
        return StoredResult(name, path, metadata, summary, size, missing)


def _is_result(path: Path) -> bool:
    with suppress(PermissionError):
        marks = (path / SUMMARY_FILE, path / RESULT_LOGS / METADATA_FILE)
        return not path.name.startswith(".") and any(mark.is_file() for mark in marks)
    return False


def _files(folder: Path) -> Iterator[Path]:
    return iter(sorted(path for path in folder.rglob("*") if path.is_file()))
