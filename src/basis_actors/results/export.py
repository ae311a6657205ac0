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

__all__ = ["export_events"]

_BATCH: Final = 8_192
"""Events in memory at a time; a row group of Parquet each."""


def export_events(log: EventLog, csv_folder: Path, parquet_folder: Path, written: Callable[[str, int], None]) -> None:
    """Write `<event>.csv` and `<event>.parquet` for every type into two new folders.

    A type without events has files too, with its columns and no rows. `columns` says what the columns hold. `written`
    is told after each batch which type it was of and how many events it had. Raises OSError, and as `EventLog.events`.
    """
    csv_folder.mkdir()
    parquet_folder.mkdir()
    for kind in EVENT_TYPES:
        columns = Columns(kind)
        with (
            (csv_folder / f"{kind.FILE}.csv").open("w", encoding="utf-8", newline="") as text,
            _parquet(parquet_folder / f"{kind.FILE}.parquet", columns.schema) as table,
        ):
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(columns.names)
            for events in _batches(log.events(kind)):
                rows.writerows(columns.rows(events))
                table.write_batch(columns.batch(events))
                written(kind.FILE, len(events))


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
