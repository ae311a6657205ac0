"""Loads series from a data folder into memory, strictly: a file that is not what the layout says is an error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from basis_actors.data.agreement import disagreements
from basis_actors.data.dataset import Dataset, Series
from basis_actors.data.files import SeriesFile, discover, missing_series
from basis_actors.data.tables import TableError, read_csv, read_parquet
from basis_actors.data.validation import Problem, problems_of
from basis_actors.errors import DataError

__all__ = ["MANIFEST", "load_dataset", "read_series"]

MANIFEST = "MANIFEST.json"


def load_dataset(folder: str | Path, names: Iterable[str] | None = None, *, optional: Iterable[str] = ()) -> Dataset:
    """Load the series called `names` from `folder`, all there are for None; `optional` ones only if they are there.

    Raises DataError: DATA-003 when the folder or a series is missing (naming the path looked for and what there is),
    DATA-002 for the first thing that is wrong in a file (naming file, row, stamp, column and what was expected) or
    between two.
    """
    root = Path(folder)
    found = discover(root)
    wanted = set(found) if names is None else set(names)
    absent = wanted - set(found)
    if absent:
        raise missing_series(root, absent, found)
    wanted |= set(optional) & set(found)
    series = {}
    hashes = {}
    for name in sorted(wanted):
        file = found[name]
        loaded, digest, problems = read_series(file)
        if problems or loaded is None:
            raise DataError("DATA-002", f"{file.path}: {problems[0]}")
        series[name] = loaded
        hashes[file.relative] = digest
    for name, problem in disagreements(series):
        raise DataError("DATA-002", f"{found[name].path}: {problem}")
    origin, seed = _origin(root)
    return Dataset(series, origin, seed, hashes)


def read_series(file: SeriesFile) -> tuple[Series | None, str, tuple[Problem, ...]]:
    """The series in a file, the sha256 of the file, and everything that is wrong with it.

    The series is None when the file cannot be read as a table at all. Raises DataError DATA-003 when the operating
    system does not give the file.
    """
    try:
        raw = file.path.read_bytes()
    except OSError as problem:
        raise DataError("DATA-003", f"{file.path} cannot be read: {problem}") from problem
    digest = hashlib.sha256(raw).hexdigest()
    read = read_parquet if file.path.suffix == ".parquet" else read_csv
    try:
        table = read(raw, file.kind)
    except TableError as problem:
        return None, digest, (problem.problem,)
    series = Series(file.name, table.ns, table.columns, file.step_ns)
    return series, digest, tuple(problems_of(file.kind, table.ns, table.columns, file.step_ns))


def _origin(root: Path) -> tuple[str, int | None]:
    """What a person is told about the source; a folder of synthetic data says so and names its seed."""
    path = root / MANIFEST
    if not path.is_file():
        return str(root), None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise DataError("DATA-002", f"{path}: not readable as JSON ({problem})") from problem
    seed = manifest.get("seed") if isinstance(manifest, dict) else None
    if not isinstance(seed, int):
        return str(root), None
    return f"{root} ({manifest.get('origin', f'synthetic, seed {seed}')})", seed
