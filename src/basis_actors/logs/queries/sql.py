"""Lets SQL be asked of the event files through DuckDB: one view for each event type, over lines that we read.

Columns have the types of the event structs: times are TIMESTAMPTZ in UTC, structs STRUCT, lists of them STRUCT[],
dictionaries of one type MAP, and dictionaries of anything JSON.

DuckDB is never told of a file. What it may open it could also write, by a COPY that is hidden in a common table
expression, so it gets the lines as Arrow tables and has no access to anything outside.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from threading import Thread
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.queries.blocks import Block, blocks, lines_with, unreadable
from basis_actors.logs.queries.source import RunLog
from basis_actors.messages.events import EVENT_TYPES, DomainEvent

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa  # type: ignore[import-untyped]

__all__ = ["Answer", "ask", "columns_of", "hangs"]

T = TypeVar("T")

_AT_ONCE: Final = 1000
_PATIENCE_SECONDS: Final = 1.0
"""How long a statement that is interrupted has to end."""
_abandoned: list[object] = []
"""Connections whose statement does not end: closing one would wait for it."""
_LINE: Final = "line"
_CONFIG: Final = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
"""No extension is fetched, and no name in SQL means a variable of this program."""
_SHOW_TABLES: Final = re.compile(r"\s*show\s+tables\s*;?\s*", re.IGNORECASE)
_VIEWS: Final = "SELECT view_name AS name FROM duckdb_views() WHERE NOT internal AND NOT temporary ORDER BY name"
"""What SHOW TABLES is taken to mean: the views of events, without the lines that they are made of."""
_PLAIN: Final = {datetime: "TIMESTAMPTZ", bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR", Any: "JSON"}


class Answer:
    """The rows that a statement gives."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        described = cursor.description or ()
        self.columns = _told_apart([name for name, *_ in described])
        self.types = [str(form) for _, form, *_ in described]
        """DuckDB types, by column."""

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows, in order. Raises BasisError LOG-006 for what goes wrong only while they are computed."""
        cursor = self._cursor
        while rows := _guarded(lambda: _interruptibly(cursor, lambda: cursor.fetchmany(_AT_ONCE))):
            yield from rows


class _Lines:
    """The lines of an event file as an Arrow table of one column, read anew for each scan."""

    def __init__(self, folder: Path, kind: type[DomainEvent]) -> None:
        self._folder = folder
        self._kind = kind
        self.failure: BasisError | None = None
        """What kept it from being read."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        schema = pa.schema([(_LINE, pa.large_string())])
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema)).__arrow_c_stream__(requested_schema)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        try:
            for block in blocks(self._folder, self._kind.FILE):
                _require_events(block, self._kind)
                yield pa.record_batch([_column(block)], schema=schema)
        except BasisError as error:
            self.failure = error
            raise


def hangs() -> bool:
    """Whether a statement that was interrupted goes on all the same: then only the end of the process ends it, and
    that must not wait for threads."""
    return bool(_abandoned)


def columns_of(kind: type[msgspec.Struct]) -> dict[str, str]:
    """DuckDB types by column of the view of an event type, or by field of a struct within one."""
    return {field.encode_name: _form(field.type) for field in msgspec.structs.fields(kind)}


@contextmanager
def ask(log: RunLog, statement: str) -> Iterator[Answer]:
    """Run one SELECT over the views of a log.

    Raises BasisError LOG-006 for SQL that is wrong or does anything but read and when DuckDB is not installed, and
    LOG-004 as reading the events does.
    """
    if not statement.isascii() and statement.encode("utf-8", "replace").decode() != statement:
        raise BasisError("LOG-006", f"SQL: {statement!r} is no UTF-8; write it in UTF-8")
    database = _database()
    with (
        tempfile.TemporaryDirectory(prefix="basis-actors-") as spill,
        _connected(database, spill) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        files = [_make_view(connection, log.folder, kind) for kind in EVENT_TYPES]
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        if _SHOW_TABLES.fullmatch(statement):
            statement = _VIEWS
        try:
            _require_one_select(connection, statement)
            yield Answer(_guarded(lambda: _interruptibly(connection, lambda: connection.execute(statement))))
        except BasisError:
            for lines in files:
                if lines.failure is not None:
                    raise lines.failure from None
            raise


def _database() -> Any:
    try:
        import duckdb
    except ModuleNotFoundError:
        raise BasisError(
            "LOG-006", "SQL needs DuckDB, which is not installed: pip install 'basis-actors[query]'"
        ) from None
    return duckdb


@contextmanager
def _connected(database: Any, spill: str) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = database.connect(":memory:", config={**_CONFIG, "temp_directory": spill})
    try:
        yield connection
    finally:
        if connection not in _abandoned:
            connection.close()


def _make_view(connection: duckdb.DuckDBPyConnection, folder: Path, kind: type[DomainEvent]) -> _Lines:
    lines = _Lines(folder, kind)
    table = f"lines_of_{kind.FILE}"
    connection.register(table, lines)
    form = msgspec.json.encode(columns_of(kind)).decode().replace("'", "''")
    # The names are those of the code, nobody's input.
    connection.execute(f"CREATE VIEW {kind.FILE} AS SELECT UNNEST(from_json({_LINE}, '{form}')) FROM {table}")  # noqa: S608
    return lines


def _column(block: Block) -> pa.Array[Any]:
    """The lines of a block, without copying them; each keeps its line end, which JSON does not mind."""
    import numpy as np
    import pyarrow as pa

    ends = np.flatnonzero(np.frombuffer(block.text, np.uint8) == ord("\n")) + 1
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    return pa.Array.from_buffers(
        pa.large_string(), ends.size, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(block.text)]
    )


def _form(given: Any) -> str:
    """The DuckDB type of an annotation."""
    if given in _PLAIN:
        return _PLAIN[given]
    origin, inner = get_origin(given), get_args(given)
    if origin in (Union, UnionType):
        (only,) = (option for option in inner if option is not NoneType)
        return _form(only)
    if origin is tuple:
        return f"{_form(inner[0])}[]"
    if origin is dict:
        return "JSON" if inner[1] is Any else f"MAP({_form(inner[0])}, {_form(inner[1])})"
    if issubclass(given, Enum):
        return "VARCHAR"
    fields = ", ".join(f'"{name}" {form}' for name, form in columns_of(given).items())
    return f"STRUCT({fields})"


def _require_one_select(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    from duckdb import StatementType

    found = _guarded(lambda: connection.extract_statements(statement))
    if [entry.type for entry in found] == [StatementType.SELECT]:
        return
    kinds = " and ".join(entry.type.name for entry in found) or "nothing"
    raise BasisError("LOG-006", f"SQL: expected one SELECT (or DESCRIBE, SUMMARIZE, SHOW TABLES), got {kinds}")


def _require_events(block: Block, kind: type[DomainEvent]) -> None:
    """Raise for the line that is no event: DuckDB would not say which one it is, and make NULL of a wrong value."""
    decoder = msgspec.json.Decoder(kind)
    try:
        decoder.decode_lines(block.text)
    except UNREADABLE:
        for line in lines_with(block, ()):
            try:
                decoder.decode(line.text)
            except UNREADABLE as error:
                raise unreadable(line, error, kind.__name__) from error
        raise


def _guarded(work: Callable[[], T]) -> T:
    """Do it; what DuckDB complains of becomes one line."""
    from duckdb import Error

    try:
        return work()
    except Error as error:
        raise BasisError("LOG-006", f"SQL: {_one_line(str(error))}") from None


def _interruptibly(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Do it in a thread, so that Ctrl-C reaches us: DuckDB looks for it between its steps, which may take hours."""
    done: Future[T] = Future()

    def carry_out() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            done.set_exception(error)

    try:
        Thread(target=carry_out, name="sql", daemon=True).start()
        return done.result()
    except KeyboardInterrupt:
        connection.interrupt()
        if wait([done], _PATIENCE_SECONDS).not_done:
            _abandoned.append(connection)
        raise


def _one_line(text: str) -> str:
    """The complaint, without the picture of the statement that follows it."""
    message, _, rest = text.partition("\n")
    suggestion = next((line for line in rest.splitlines() if line.startswith(("Did you mean", "Candidate"))), "")
    return " ".join(f"{message} {suggestion}".split())


def _told_apart(names: list[str]) -> list[str]:
    """Names that are each there once: a second `x` becomes `x_2`."""
    count: dict[str, int] = {}
    apart = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        apart.append(name if count[name] == 1 else f"{name}_{count[name]}")
    return apart
