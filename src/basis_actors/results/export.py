"""Writes the events of a log as a CSV and a Parquet file for each type, in memory that does not grow with the log."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import EVENT_TYPES, DomainEvent
from basis_actors.results.columns import Columns

__all__ = ["CSV_FOLDER", "PARQUET_FOLDER", "export_events"]

CSV_FOLDER: Final = "csv"
PARQUET_FOLDER: Final = "parquet"
_BATCH: Final = 8_192
"""Events in memory at a time; a row group of Parquet each."""


def export_events(log: EventLog, folder: Path, written: Callable[[str, int], None]) -> int:
    """Write `csv/<event>.csv` and `parquet/<event>.parquet` into `folder` for every type, and return how many events.

    A type without events has files too, with its columns and no rows. `columns` says what the columns hold. `written`
    is told after each batch which type it was of and how many events it had. Raises OSError, and as `EventLog.events`.
    """
    (folder / CSV_FOLDER).mkdir()
    (folder / PARQUET_FOLDER).mkdir()
    return sum(_export(log, kind, folder, written) for kind in EVENT_TYPES)


def _export(log: EventLog, kind: type[DomainEvent], folder: Path, written: Callable[[str, int], None]) -> int:
    columns = Columns(kind)
    total = 0
    with (
        (folder / CSV_FOLDER / f"{kind.FILE}.csv").open("w", encoding="utf-8", newline="") as text,
        _parquet(folder / PARQUET_FOLDER / f"{kind.FILE}.parquet", columns.schema) as table,
    ):
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(columns.names)
        for events in _batches(log.events(kind)):
            rows.writerows(columns.rows(events))
            table.write_batch(columns.batch(events))
            total += len(events)
            written(kind.FILE, len(events))
    return total


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    with path.open("wb") as sink:
        writer = pq.ParquetWriter(sink, schema, compression="zstd")
        try:
            yield writer
            writer.close()
        finally:
            # A writer that could not be closed tries again when it is forgotten, and complains of that on the terminal.
            writer.is_open = False


def _batches(events: Iterator[DomainEvent]) -> Iterator[list[DomainEvent]]:
    while batch := list(islice(events, _BATCH)):
        yield batch
