"""Finds the series of a data folder: which files there are, which series they hold and at which step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from basis_actors.data.catalogue import KINDS, SeriesKind, file_stem, kind_of, split_stem
from basis_actors.data.stamps import HOUR
from basis_actors.errors import DataError

__all__ = ["ENDINGS", "SeriesFile", "discover", "missing_series", "series_files", "unknown_files"]

ENDINGS: Final = (".csv.gz", ".parquet")


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """One file that holds one series."""

    name: str
    """Logical name of the series."""
    kind: SeriesKind
    path: Path
    relative: str
    """Path inside the data folder, with `/`."""
    step_ns: int | None


def discover(folder: Path) -> dict[str, SeriesFile]:
    """Every series file below `folder`, by logical name, in order of name.

    Raises DataError DATA-003 when the folder does not exist or holds no series, DATA-002 when two files hold the
    same series.
    """
    found: dict[str, SeriesFile] = {}
    for path, relative, stem in _candidates(folder):
        parts = split_stem(stem)
        if parts is None:
            continue
        name, step_ns = parts
        kind = kind_of(name)
        if kind is None:
            continue
        if name in found:
            raise DataError(
                "DATA-002",
                f"series {name} is in two files, {found[name].relative} and {relative}, in {folder}; "
                "expected one file a series, remove one of them",
            )
        found[name] = SeriesFile(name, kind, path, relative, step_ns)
    if not found:
        raise DataError(
            "DATA-003",
            f"no series in {folder}: expected files such as cex/binance/BTCUSDT_spot_1h{ENDINGS[0]} below it; "
            "give the folder that contains cex/, aave_v3/ and so on",
        )
    return dict(sorted(found.items()))


def series_files(folder: Path) -> tuple[str, ...]:
    """Paths inside `folder` of the files that hold a series."""
    return tuple(relative for _, relative, stem in _candidates(folder) if split_stem(stem) is not None)


def unknown_files(folder: Path) -> tuple[str, ...]:
    """Table files below `folder` whose name the layout does not know; they are never read."""
    return tuple(relative for _, relative, stem in _candidates(folder) if split_stem(stem) is None)


def missing_series(folder: Path, names: Iterable[str], found: Iterable[str]) -> DataError:
    """The error for series that are needed and not there: the path looked for and what there is."""
    there = sorted(found)
    wanted = sorted(names)
    parts = []
    for name in wanted:
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.75)
        hint = f", the nearest there is {near[0]}" if near else ""
        looked = " or ".join(f"{_expected_stem(name)}{ending}" for ending in ENDINGS)
        parts.append(f"{name} (looked for {folder}/{looked}{hint})")
    return DataError("DATA-003", f"series missing: {'; '.join(parts)}. The folder has: {', '.join(there) or 'nothing'}")


def _expected_stem(name: str) -> str:
    kind = kind_of(name)
    if kind is None:
        known = ", ".join(kind.pattern.pattern for kind in KINDS)
        raise DataError("DATA-003", f"series {name!r} is not in the data layout; names match one of {known}")
    return file_stem(name, HOUR if kind.step_in_name else kind.default_step_ns)


def _candidates(folder: Path) -> list[tuple[Path, str, str]]:
    if not folder.exists():
        raise DataError("DATA-003", f"data folder {folder} does not exist (working directory {Path.cwd()})")
    if not folder.is_dir():
        raise DataError(
            "DATA-003", f"{folder} is not a folder; expected the folder that holds cex/, aave_v3/ and so on"
        )
    rows = []
    for path in sorted(folder.rglob("*")):
        ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), None)
        if ending is not None and path.is_file():
            relative = path.relative_to(folder).as_posix()
            rows.append((path, relative, relative.removesuffix(ending)))
    return rows
