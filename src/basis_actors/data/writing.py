"""Writes a data set as a folder in the data layout. Reading it back gives the same numbers to the last bit.

The same data set gives the same bytes. Files appear whole or not at all: each is written beside its place and moved.
History that somebody has collected is never replaced: only a synthetic market is, and only on request.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.catalogue import STAMP, Column, Form, SeriesKind, file_stem, kind_of
from basis_actors.data.dataset import Dataset, Series
from basis_actors.data.files import series_files
from basis_actors.data.loading import MANIFEST
from basis_actors.data.stamps import iso, step_text
from basis_actors.data.validation import problems_of
from basis_actors.errors import DataError

__all__ = ["require_room", "write_dataset"]

Format = Literal["csv.gz", "parquet"]
_NAMED: Final = 2
"""Files that an error names before it counts the rest."""


def write_dataset(
    dataset: Dataset, folder: str | Path, fmt: Format = "csv.gz", *, replace: bool = False
) -> dict[str, str]:
    """Write every series of `dataset` and a MANIFEST.json below `folder`; returns the sha256 of each series file.

    `replace` allows the files of a synthetic market to be replaced by files of the same names. Raises DataError
    DATA-002 when a series is not what the layout says, or when `folder` holds other series, which would mix two data
    sets, and DATA-003 as `require_room` does. Nothing is written then.
    """
    if fmt not in _ENCODERS:
        raise DataError("DATA-002", f"format {fmt!r} is not known; expected one of {', '.join(_ENCODERS)}")
    root = Path(folder)
    require_room(root, replace=replace)
    files = {f"{_stem(series)}.{fmt}": series for series in dataset.series.values()}
    others = [relative for relative in _series_in(root) if relative not in files]
    if others:
        raise DataError(
            "DATA-002",
            f"{root} holds other series ({_some(others)}), and two markets in one folder would be mixed; choose an"
            " empty folder",
        )
    hashes = {}
    entries = {}
    for relative, series in sorted(files.items()):
        content = _ENCODERS[fmt](series, _kind(series))
        _write(root / relative, content)
        hashes[relative] = hashlib.sha256(content).hexdigest()
        entries[relative] = _entry(series, content, hashes[relative])
    manifest = {"origin": dataset.origin, "seed": dataset.seed, "files": entries}
    _write(root / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return hashes


def require_room(folder: str | Path, *, replace: bool = False) -> None:
    """Raise DataError DATA-003 unless `folder` is empty or new; or holds a synthetic market and `replace` is true.

    A folder is a synthetic market when its MANIFEST.json says so and every series in it is what was generated.
    """
    root = Path(folder)
    try:
        there = sorted(path.name for path in root.iterdir()) if root.exists() else []
    except OSError as problem:
        raise DataError("DATA-003", f"{root} cannot be written to: {problem}; choose another folder") from problem
    if not there:
        return
    found, generated = _series_in(root), _generated(root)
    if generated is None:
        what = f"{len(found)} series ({_some(found)})" if found else _some(there)
        raise DataError(
            "DATA-003",
            f"{root} is not empty and not a synthetic market: it holds {what}; nothing in it was touched, choose an"
            " empty folder",
        )
    changed = [name for name in found if generated.get(name) != _digest(root / name)]
    if changed:
        raise DataError(
            "DATA-003",
            f"{root} holds series beside or instead of those of the synthetic market that its {MANIFEST} lists"
            f" ({_some(changed)}); nothing in it was touched, choose an empty folder",
        )
    if not replace:
        raise DataError(
            "DATA-003",
            f"{root} holds a synthetic market of {len(found)} series already; nothing in it was touched, choose an"
            " empty folder, or replace it with --force",
        )


def _series_in(root: Path) -> tuple[str, ...]:
    return series_files(root) if root.exists() else ()


def _generated(root: Path) -> dict[str, str] | None:
    """sha256 by file of the synthetic market in `root`; None when it holds none."""
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest["seed"], int):
            return None
        return {name: entry["sha256"] for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise DataError("DATA-003", f"{path} cannot be read: {problem}") from problem


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _kind(series: Series) -> SeriesKind:
    kind = kind_of(series.name)
    if kind is None:
        raise DataError("DATA-002", f"series {series.name!r} is not in the data layout and cannot be written")
    return kind


def _stem(series: Series) -> str:
    kind = _kind(series)
    if kind.step_in_name and series.step_ns is None:
        raise DataError("DATA-002", f"series {series.name} has no step; its file name needs one")
    missing = [name for name in kind.required if name not in series.columns]
    if missing:
        raise DataError("DATA-002", f"series {series.name} lacks column {', '.join(missing)}")
    for problem in problems_of(kind, series.ns, series.columns, series.step_ns):
        raise DataError("DATA-002", f"series {series.name} cannot be written: {problem}")
    return file_stem(series.name, series.step_ns)


def _csv(series: Series, kind: SeriesKind) -> bytes:
    columns = [column for column in kind.columns if column.name in series.columns]
    texts = [_stamp_texts(series.ns), *(_texts(series.columns[column.name], column) for column in columns)]
    lines = [",".join((STAMP, *(column.name for column in columns))), *map(",".join, zip(*texts, strict=True)), ""]
    packed = io.BytesIO()
    # No file name and no time of writing in the gzip header: they would change the bytes.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as stream:
        stream.write("\n".join(lines).encode("ascii"))
    return packed.getvalue()


def _parquet(series: Series, kind: SeriesKind) -> bytes:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    arrays = {STAMP: pa.array(series.ns, pa.timestamp("ns", "UTC"))}
    for column in kind.columns:
        if column.name not in series.columns:
            continue
        values = series.columns[column.name]
        if column.form is Form.DATE:
            arrays[column.name] = pa.array([text or None for text in _texts(values, column)], pa.string())
        else:
            arrays[column.name] = pa.array(values, pa.float64(), from_pandas=True)
    packed = io.BytesIO()
    parquet.write_table(pa.table(arrays), packed, compression="zstd")
    return packed.getvalue()


_ENCODERS: Final[dict[str, Callable[[Series, SeriesKind], bytes]]] = {"csv.gz": _csv, "parquet": _parquet}


def _stamp_texts(ns: NDArray[np.int64]) -> list[str]:
    seconds = np.datetime_as_string(ns.astype("datetime64[ns]").astype("datetime64[s]"))
    return [f"{text}Z" for text in seconds.tolist()]


def _texts(values: NDArray[np.float64], column: Column) -> list[str]:
    if column.form is Form.DATE:
        texts = [datetime.fromtimestamp(value, UTC).date().isoformat() if value == value else "" for value in values]
    elif column.form is Form.INTEGER and bool(np.all(np.isnan(values) | (values == np.floor(values)))):
        texts = [str(int(value)) if value == value else "" for value in values.tolist()]
    else:
        texts = list(map(repr, values.tolist()))
    if np.isnan(values).any():
        texts = ["" if blank else text for text, blank in zip(texts, np.isnan(values).tolist(), strict=True)]
    return texts


def _entry(series: Series, content: bytes, digest: str) -> dict[str, object]:
    kind = _kind(series)
    rows = int(series.ns.size)
    units = {column.name: column.unit for column in kind.columns if column.name in series.columns}
    return {
        "rows": rows,
        "first_timestamp": iso(series.ns[0]) if rows else None,
        "last_timestamp": iso(series.ns[-1]) if rows else None,
        "frequency": "irregular" if series.step_ns is None else step_text(series.step_ns),
        "columns": {STAMP: "UTC ISO-8601", **units},
        "bytes": len(content),
        "sha256": digest,
    }


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with beside.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as problem:
        raise DataError("DATA-003", f"{path} cannot be written: {problem}") from problem
