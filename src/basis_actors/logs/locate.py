"""Finds the directory of a run from what a person types: a path, the name of a run, or the folder of a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from basis_actors.errors import BasisError
from basis_actors.logs.directory import METADATA_FILE, RESULT_LOGS, LogDirectoryManager

__all__ = ["LOGS_ROOT", "RESULTS_ROOT", "RESULT_LOGS", "find_run"]

LOGS_ROOT: Final = Path("logs")
"""Where runs write their directories unless told otherwise."""
RESULTS_ROOT: Final = Path("results")
"""Where results are kept unless told otherwise."""


def find_run(given: str | Path, roots: Sequence[Path] = (LOGS_ROOT, RESULTS_ROOT)) -> Path:
    """The run directory that `given` means: a run directory, `logs/<name>` with one run in it, `results/<id>`, or the
    last part of either, looked for in `roots`. Of several runs of one name the last, if it is the one with the result.

    Raises BasisError LOG-003 when there is none, naming the nearest, when there are several, and for folders that may
    not be looked into.
    """
    try:
        return _found(given, roots)
    except OSError as error:
        raise BasisError("LOG-003", f"no look at run {str(given)!r}: {error}; ask as a user who may read it") from error


def _found(given: str | Path, roots: Sequence[Path]) -> Path:
    places = (Path(given), *(root / given for root in roots))
    for number, place in enumerate(places):
        runs = _runs_in(place)
        if len(runs) > 1:
            results = [run for later in places[number + 1 :] for run in _runs_in(later) if run.name == RESULT_LOGS]
            if results and _began(results[0]) == max(map(_began, runs)):
                return results[0]
            raise BasisError(
                "LOG-003",
                f"{place} holds {len(runs)} runs: {', '.join(map(str, runs))}; name one of them",
            )
        if runs:
            return runs[0]
    path = Path(given)
    there = [place for place in dict.fromkeys(places) if _is_there(place)]
    if there and str(given):
        raise BasisError(
            "LOG-003",
            f"{_either(there)} is not a run directory: no {METADATA_FILE} in it or in a folder below; restore it from a"
            " copy, or name another run",
        )
    known = sorted({child.name for root in roots for child in _folders(root)})
    near = get_close_matches(path.name, known, n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else f"there are {len(known)} names there"
    raise BasisError(
        "LOG-003",
        f"run {str(given)[:200]!r} is neither a path nor a name in {_listed(roots)}; {hint}: give one of those",
    )


def _runs_in(place: Path) -> list[Path]:
    """Run directories that `place` stands for: itself, that of a result, or those of one correlation id."""
    if not _is_there(place):
        return []
    for candidate in (place, place / RESULT_LOGS):
        if (candidate / METADATA_FILE).is_file():
            return [candidate]
    return sorted(child for child in _folders(place) if child.name.isdigit() and (child / METADATA_FILE).is_file())


def _began(run_dir: Path) -> datetime:
    return LogDirectoryManager.read_metadata(run_dir).started_at


def _is_there(path: Path) -> bool:
    """Also of what no file can be called: names that are too long, or have a null in them."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _folders(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (child for child in place.iterdir() if child.is_dir())


def _either(places: Iterable[Path | str]) -> str:
    return " or ".join(map(str, places))


def _listed(roots: Iterable[Path]) -> str:
    return _either(f"{root}/" for root in roots)
