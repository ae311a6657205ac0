"""Defines how events become columns: Arrow types that follow from the event's type alone, and plain text for CSV.

Arrow, and so Parquet: a mapping whose values have one type (positions, attribution, marks, checks) is a MAP. DuckDB
reads one of its values as `marks['S:BTC']`; pandas gives lists of pairs, and `frame["marks"].map(dict)` dictionaries.
Sequences are LISTs, structs STRUCTs, enumerations text, times UTC timestamps of microseconds. A mapping that holds
anything (market_conditions, operation_details, metadata) is JSON text: `market_conditions->>'spot'` in DuckDB,
`.map(json.loads)` in pandas. CSV: whatever is not a single value is JSON text, times are ISO-8601 with `Z`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from typing import Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
from msgspec import inspect

from basis_actors.messages.events import DomainEvent

__all__ = ["Columns"]

_SCALARS: Final[Mapping[type[inspect.Type], pa.DataType]] = {
    inspect.StrType: pa.string(),
    inspect.EnumType: pa.string(),
    inspect.IntType: pa.int64(),
    inspect.FloatType: pa.float64(),
    inspect.BoolType: pa.bool_(),
    inspect.DateTimeType: pa.timestamp("us", tz="UTC"),
}
_SEQUENCES: Final = (inspect.VarTupleType, inspect.ListType)

Build = Callable[[Sequence[Any]], pa.Array]
"""Makes an Arrow array of the values of one field."""
Text = Callable[[Any], Any]
"""Makes what `csv` writes of one value that is not None."""


class Columns:
    """The columns of one event type: its fields, in their order."""

    def __init__(self, kind: type[DomainEvent]) -> None:
        described = inspect.type_info(kind)
        assert isinstance(described, inspect.StructType), "events are structs"
        self.names: tuple[str, ...] = tuple(field.name for field in described.fields)
        made = [_column(field.type) for field in described.fields]
        self.schema: pa.Schema = pa.schema([(name, kind) for name, (kind, _) in zip(self.names, made, strict=True)])
        """The same for every log, also for one without such events."""
        self._builds = [build for _, build in made]
        self._texts = [_text(field.type) for field in described.fields]

    def batch(self, events: Sequence[DomainEvent]) -> pa.RecordBatch:
        """These events as Arrow columns."""
        arrays = [build([getattr(event, name) for event in events]) for name, build in self._named(self._builds)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def rows(self, events: Sequence[DomainEvent]) -> Iterable[tuple[Any, ...]]:
        """These events as rows for `csv`; None is an empty field."""
        texts = []
        for name, text in self._named(self._texts):
            values = [getattr(event, name) for event in events]
            texts.append(values if text is None else [None if value is None else text(value) for value in values])
        return zip(*texts, strict=True)

    def _named(self, things: Sequence[Any]) -> Iterable[tuple[str, Any]]:
        return zip(self.names, things, strict=True)


def _column(described: inspect.Type) -> tuple[pa.DataType, Build]:
    """The Arrow type of a field, and what makes arrays of it."""
    scalar = _SCALARS.get(type(_without_null(described)))
    if scalar is not None:
        return scalar, lambda values: pa.array(values, scalar)
    if isinstance(described, inspect.DictType) and not isinstance(described.value_type, inspect.AnyType):
        return _map(described)
    if isinstance(described, _SEQUENCES):
        return _list(described.item_type)
    if isinstance(described, inspect.StructType):
        return _struct(described)
    return pa.string(), lambda values: pa.array(map(_json, values), pa.string())


def _map(described: inspect.DictType) -> tuple[pa.DataType, Build]:
    key, build_keys = _column(described.key_type)
    item, build_items = _column(described.value_type)

    def build(values: Sequence[Any]) -> pa.Array:
        keys = build_keys(list(chain.from_iterable(values)))
        items = build_items(list(chain.from_iterable(map(dict.values, values))))
        return pa.MapArray.from_arrays(_offsets(values), keys, items)

    return pa.map_(key, item), build


def _list(described: inspect.Type) -> tuple[pa.DataType, Build]:
    item, build_items = _column(described)

    def build(values: Sequence[Any]) -> pa.Array:
        return pa.ListArray.from_arrays(_offsets(values), build_items(list(chain.from_iterable(values))))

    return pa.list_(item), build


def _struct(described: inspect.StructType) -> tuple[pa.DataType, Build]:
    names = [field.name for field in described.fields]
    made = [_column(field.type) for field in described.fields]
    fields = [pa.field(name, kind) for name, (kind, _) in zip(names, made, strict=True)]

    def build(values: Sequence[Any]) -> pa.Array:
        parts = [make([getattr(value, name) for value in values]) for name, (_, make) in zip(names, made, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=fields)

    return pa.struct(fields), build


def _offsets(values: Sequence[Any]) -> pa.Array:
    return pa.array(accumulate(map(len, values), initial=0), pa.int32())


def _text(described: inspect.Type) -> Text | None:
    """How CSV shows a field; None where `csv` does that by itself."""
    kind = type(_without_null(described))
    if kind is inspect.DateTimeType:
        return _moment
    if kind is inspect.BoolType:
        return _truth
    return None if kind in _SCALARS else _json


def _without_null(described: inspect.Type) -> inspect.Type:
    """The type of a field that may also be None."""
    if isinstance(described, inspect.UnionType):
        others = [kind for kind in described.types if not isinstance(kind, inspect.NoneType)]
        if len(others) == 1:
            return others[0]
    return described


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _moment(value: datetime) -> str:
    return value.isoformat().removesuffix("+00:00") + "Z"


def _truth(value: bool) -> str:  # noqa: FBT001 - it is the value of a field
    return "true" if value else "false"
