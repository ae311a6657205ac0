"""Reads one file into columns: gzip and CSV or Parquet, nothing but the layout is known here.

The fast path hands the whole text to pyarrow; only when that fails is the file read again, row by row, to say which
row and column it was.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.catalogue import STAMP, Column, Form, SeriesKind
from basis_actors.data.validation import Problem
from basis_actors.times import ns_from_utc

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

__all__ = ["Table", "TableError", "read_csv", "read_parquet", "read_plain_csv"]

_BRIEF: Final = 200
"""Characters of a text that an error shows."""


@dataclass(frozen=True, slots=True)
class Table:
    """Stamps in nanoseconds and columns of numbers; NaN stands for a blank."""

    ns: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]


class TableError(Exception):
    """A file that cannot be read as the table it should be."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_csv(raw: bytes, kind: SeriesKind) -> Table:
    """Read gzipped CSV. Raises TableError naming the row and column that cannot be read."""
    try:
        text = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as problem:
        found = f"not a readable gzip file ({problem}); expected gzipped CSV, fetch or write the file again"
        raise TableError(Problem(None, None, None, found)) from problem
    return read_plain_csv(text, kind)


def read_plain_csv(text: bytes, kind: SeriesKind) -> Table:
    """Read CSV that is not packed. Raises TableError naming the row and column that cannot be read."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = _header(text)
    forms = _check_header(header, kind)
    types = {
        name: pa.timestamp("ns", "UTC") if form is None else pa.string() if form is Form.DATE else pa.float64()
        for name, form in forms.items()
    }
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(text) + 1),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types, null_values=[""], strings_can_be_null=True, timestamp_parsers=[arrow_csv.ISO8601]
            ),
        )
    except pa.ArrowInvalid as problem:
        raise TableError(_diagnose(text, header, kind, str(problem))) from problem
    return _from_arrow(table, kind)


def read_parquet(raw: bytes, kind: SeriesKind) -> Table:
    """Read Parquet with the columns of the layout: `timestamp` with a UTC zone, numbers as doubles, dates as text.

    Raises TableError when it cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(raw), use_threads=False)
    except (pa.ArrowInvalid, OSError) as problem:
        found = f"not a readable Parquet file ({_brief(str(problem))}); fetch or write the file again"
        raise TableError(Problem(None, None, None, found)) from problem
    forms = _check_header(table.column_names, kind)
    if not pa.types.is_timestamp(table.column(STAMP).type) or table.column(STAMP).type.tz != "UTC":
        found = f"the type is {table.column(STAMP).type}; expected a timestamp with zone UTC"
        raise TableError(Problem(None, None, STAMP, found))
    fields = []
    for name, form in forms.items():
        wanted = pa.timestamp("ns", "UTC") if form is None else pa.string() if form is Form.DATE else pa.float64()
        fields.append(pa.field(name, wanted))
    try:
        table = table.select(list(forms)).cast(pa.schema(fields))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise TableError(Problem(None, None, None, f"columns have the wrong types ({problem})")) from problem
    return _from_arrow(table, kind)


def _header(text: bytes) -> list[str]:
    first = text.split(b"\n", 1)[0].decode("utf-8", "replace").lstrip("\ufeff").strip()
    if not first:
        raise TableError(Problem(None, None, None, "the file is empty; expected a header and rows"))
    try:
        return next(csv.reader([first]))
    except csv.Error as problem:
        raise TableError(Problem(None, None, None, f"not readable as CSV: {problem}; expected text")) from problem


def _check_header(header: Sequence[str], kind: SeriesKind) -> dict[str, Form | None]:
    names = [STAMP, *(column.name for column in kind.columns)]
    if len(set(header)) != len(header):
        raise TableError(Problem(None, None, None, f"a column is there twice in {', '.join(header)}"))
    for name in (STAMP, *kind.required):
        if name not in header:
            unused = [there for there in header if there not in names]
            near = difflib.get_close_matches(name, unused, n=1, cutoff=0.5)
            hint = f"the nearest there is {near[0]!r}" if near else f"the file has {', '.join(header)}"
            text = f"the column is missing, {hint}; expected {', '.join((STAMP, *kind.required))}"
            raise TableError(Problem(None, None, name, text))
    for name in header:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f", the nearest that has a meaning is {near[0]!r}" if near else ""
            text = f"not a column of {kind.name}{hint}; expected {', '.join(names)}"
            raise TableError(Problem(None, None, name, text))
    forms: dict[str, Form | None] = {STAMP: None}
    for name in header:
        column = kind.column(name)
        if column is not None:
            forms[name] = column.form
    return {name: forms[name] for name in header}


def _from_arrow(table: pa.Table, kind: SeriesKind) -> Table:
    import pyarrow as pa

    stamps = table.column(STAMP)
    if stamps.null_count:
        row = stamps.is_null().to_pylist().index(True) + 1
        raise TableError(Problem(row, "blank", STAMP, "no stamp; expected UTC, ISO-8601 with Z"))
    columns = {}
    for column in kind.columns:
        if column.name not in table.column_names:
            continue
        values = table.column(column.name)
        if column.form is Form.DATE:
            columns[column.name] = _dates(values.to_pylist(), column)
        else:
            columns[column.name] = values.to_numpy().astype(np.float64, copy=False)
    return Table(stamps.cast(pa.int64()).to_numpy(), columns)


def _dates(texts: list[str | None], column: Column) -> NDArray[np.float64]:
    seconds = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if text is None:
            continue
        try:
            day = date.fromisoformat(text)
        except ValueError as problem:
            found = f"{text!r} is not a date; expected such as 2024-08-15"
            raise TableError(Problem(row + 1, None, column.name, found)) from problem
        seconds[row] = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    return seconds


def _diagnose(text: bytes, header: list[str], kind: SeriesKind, reason: str) -> Problem:
    """Which row and column it was that could not be read."""
    try:
        return _found(text, header, kind, reason)
    except csv.Error as problem:
        return Problem(None, None, None, f"not readable as CSV: {problem}; expected text")


def _found(text: bytes, header: list[str], kind: SeriesKind, reason: str) -> Problem:
    rows = csv.reader(io.StringIO(text.decode("utf-8", "replace").lstrip("\ufeff")))
    next(rows)
    for number, row in enumerate((row for row in rows if row), start=1):
        where = _brief(row[0])
        if len(row) != len(header):
            found = f"{len(row)} fields; expected {len(header)} ({', '.join(header)})"
            return Problem(number, where, None, found)
        for name, value in zip(header, row, strict=True):
            if name == STAMP and not _is_stamp(value):
                return Problem(
                    number, where, name, f"{_brief(value)!r} is not a stamp; expected such as 2024-01-01T00:00:00Z"
                )
            column = kind.column(name)
            if column is None or column.form is Form.DATE or value == "" or _is_number(value):
                continue
            return Problem(number, where, name, f"{_brief(value)!r} is not a number; expected {column.rule}")
    return Problem(None, None, None, f"not readable as CSV: {reason}")


def _brief(text: str) -> str:
    """Enough of a text to find it by: a quote that is not closed takes the rest of the file with it."""
    first, _, rest = text.partition("\n")
    return first if not rest and len(first) <= _BRIEF else f"{first[:_BRIEF]}…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _is_stamp(text: str) -> bool:
    try:
        ns_from_utc(datetime.fromisoformat(text))
    except ValueError:
        return False
    return True
