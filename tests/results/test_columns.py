"""Tables of events: types that follow from the event, values that are those of the log."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import (
    EVENT_TYPES,
    DomainEvent,
    ExecutionDeltaEvent,
    HealthStatusEvent,
    PnLCalculation,
    PositionSnapshot,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.results.columns import Columns
from basis_actors.results.store import ResultStore

UTC_STAMP = pa.timestamp("us", tz="UTC")
AMOUNTS = pa.map_(pa.string(), pa.float64())


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_type_has_a_column_for_each_field_with_a_type_that_no_content_changes(
    kind: type[DomainEvent], store: ResultStore
) -> None:
    schema = Columns(kind).schema
    assert tuple(schema.names) == kind.__struct_fields__
    path = store.root / "first" / "parquet" / f"{kind.FILE}.parquet"
    assert pq.read_schema(path) == schema
    assert schema.field("timestamp").type == schema.field("real_utc_time").type == UTC_STAMP
    assert schema.field("metadata").type == pa.string()
    assert Columns(kind).batch([]).schema == schema


def test_mappings_of_one_type_are_maps_and_those_of_anything_are_text() -> None:
    def type_of(kind: type[DomainEvent], field: str) -> pa.DataType:
        return Columns(kind).schema.field(field).type

    assert type_of(PnLCalculation, "marks") == AMOUNTS
    assert type_of(PnLCalculation, "sequence") == pa.int64()
    assert type_of(PositionSnapshot, "positions") == AMOUNTS
    assert type_of(HealthStatusEvent, "checks") == pa.map_(pa.string(), pa.bool_())
    assert type_of(StrategyDecision, "market_conditions") == pa.string()
    assert type_of(StrategyDecision, "constraints_violated") == pa.list_(pa.string())
    assert type_of(ExecutionDeltaEvent, "source") == pa.string()
    assert type_of(ExecutionDeltaEvent, "deltas") == pa.list_(
        pa.struct(
            [
                ("position_key", pa.string()),
                ("delta_amount", pa.float64()),
                ("price", pa.float64()),
                ("index", pa.float64()),
            ]
        )
    )


def plain(value: Any) -> Any:
    """A value of Parquet as the log has it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_parquet_and_csv_hold_every_value_of_the_log(kind: type[DomainEvent], store: ResultStore) -> None:
    folder = store.root / "first"
    events = list(EventLog(folder / "logs").events(kind))
    table = pq.read_table(folder / "parquet" / f"{kind.FILE}.parquet").to_pylist(maps_as_pydicts="strict")
    with (folder / "csv" / f"{kind.FILE}.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(events) == len(table) == len(rows)
    for event, parquet, line in zip(events, table, rows, strict=True):
        logged = msgspec.to_builtins(event, builtin_types=(datetime,))
        for field, value in logged.items():
            shown = line[field]
            given = plain(parquet[field])
            if isinstance(value, datetime):
                assert given == value
                assert datetime.fromisoformat(shown) == value
                assert shown.endswith("Z")
            elif isinstance(value, dict | list | tuple):
                assert json.loads(shown) == json.loads(json.dumps(value))
                assert without_nulls(json.loads(given) if isinstance(given, str) else given) == without_nulls(value)
            elif value is None:
                assert given is None
                assert shown == ""
            elif isinstance(value, bool):
                assert given is value
                assert shown == str(value).lower()
            else:
                assert given == value
                assert type(value)(shown) == value


def without_nulls(value: Any) -> Any:
    """Optional fields of structs are left out in the log and null in Parquet."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list | tuple) else value


def test_text_of_several_lines_is_one_field_of_csv() -> None:
    trace = 'Traceback:\n  File "a.py", line 1\nValueError: a, b'
    event = SystemErrorEvent(
        timestamp=datetime(2024, 1, 1, 0, 0, 0, 5, tzinfo=UTC),
        component="engine",
        error_code="ENGINE-002",
        severity="HIGH",
        message="broke",
        stack_trace=trace,
        metadata={"a": [1, {"b": None}]},
    )
    columns = Columns(SystemErrorEvent)
    (row,) = columns.rows([event])
    named = dict(zip(columns.names, row, strict=True))
    assert named["timestamp"] == "2024-01-01T00:00:00.000005Z"
    assert named["stack_trace"] == trace
    assert named["metadata"] == '{"a":[1,{"b":null}]}'
    assert named["operation_id"] is None
    (given,) = columns.batch([event]).to_pylist()
    assert given["stack_trace"] == trace
    assert given["metadata"] == named["metadata"]


def test_a_log_longer_than_a_batch_is_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from basis_actors.results import export

    monkeypatch.setattr(export, "_BATCH", 3)
    snapshots = [
        PositionSnapshot(datetime(2024, 1, 1, hour, tzinfo=UTC), {"a": float(hour)}, None, "simulated", "tick")
        for hour in range(8)
    ]

    class Log(EventLog):
        def __init__(self) -> None:
            pass

        def events(self, kind: type[Any]) -> Any:
            return iter(snapshots if kind is PositionSnapshot else [])

    told: list[tuple[str, int]] = []
    export.export_events(Log(), tmp_path / "csv", tmp_path / "parquet", lambda *batch: told.append(batch))
    assert told == [("positions", 3), ("positions", 3), ("positions", 2)]
    file = pq.ParquetFile(tmp_path / "parquet" / "positions.parquet")
    assert file.num_row_groups == 3
    assert file.read().column("positions").to_pylist() == [[("a", float(hour))] for hour in range(8)]
    assert len((tmp_path / "csv" / "positions.csv").read_text().splitlines()) == 9
