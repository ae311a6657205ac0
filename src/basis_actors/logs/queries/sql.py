"""Lets SQL be asked of the event files, as they are on disk, through DuckDB: one view for each event type.

Columns have the types of the event structs: times are TIMESTAMPTZ in UTC, structs STRUCT, lists of them STRUCT[],
dictionaries of numbers MAP, and dictionaries of anything JSON. The SQL can read the views and nothing else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.queries.blocks import blocks
from basis_actors.logs.queries.sizes import end_of_whole_lines
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.run_lock import is_running
from basis_actors.logs.segments import active, segments
from basis_actors.messages.events import EVENT_TYPES, DomainEvent

if TYPE_CHECKING:
    import duckdb

__all__ = ["Answer", "ask", "columns_of"]

_AT_ONCE: Final = 1000
_MALFORMED: Final = "Malformed JSON"
_LOCKS: Final = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
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
        while rows := _guarded(lambda: self._cursor.fetchmany(_AT_ONCE)):
            yield from rows


def _told_apart(names: list[str]) -> list[str]:
    """Names that are each there once: a second `x` becomes `x_2`."""
    count: dict[str, int] = {}
    apart = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        apart.append(name if count[name] == 1 else f"{name}_{count[name]}")
    return apart


def columns_of(kind: type[msgspec.Struct]) -> dict[str, str]:
    """DuckDB types by column of the view of an event type, or by field of a struct within one."""
    return {field.encode_name: _form(field.type) for field in msgspec.structs.fields(kind)}


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


@contextmanager
def ask(log: RunLog, statement: str) -> Iterator[Answer]:
    """Run one SELECT over the views of a log.

    Raises BasisError LOG-006 for SQL that is wrong or does anything but read, and when DuckDB is not installed.
    """
    database = _database()
    with tempfile.TemporaryDirectory(prefix="basis-actors-") as folder:
        spill = Path(folder)
        with database.connect(":memory:", config={**_LOCKS, "temp_directory": folder}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET python_enable_replacements = false")
            running = is_running(log.run_dir)
            read: list[str] = []
            for kind in EVENT_TYPES:
                # Only files that are asked for are opened: others may be many, and are renamed while a run goes on.
                files = _files(log, kind, spill, growing=running) if kind.FILE in statement.lower() else None
                _make_view(connection, kind, files)
                read += files or []
            # These files can still be read, and by COPY be written: that is ruled out by the kind of the statement.
            connection.execute(f"SET allowed_paths = {_literal(read)}")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            _require_one_select(connection, statement)
            try:
                yield Answer(_guarded(lambda: connection.execute(statement)))
            except BasisError as error:
                if _MALFORMED in error.message:
                    _require_objects(log, statement)
                raise


def _require_objects(log: RunLog, statement: str) -> None:
    """Raise for the line that is no JSON object: DuckDB counts them from another begin than people do."""
    for kind in EVENT_TYPES:
        if kind.FILE in statement.lower():
            for _ in blocks(log.folder, kind.FILE):
                pass


def _database() -> Any:
    try:
        import duckdb
    except ModuleNotFoundError:
        raise BasisError(
            "LOG-006", "SQL needs DuckDB, which is not installed: pip install 'basis-actors[query]'"
        ) from None
    return duckdb


def _require_one_select(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    from duckdb import StatementType

    found = _guarded(lambda: connection.extract_statements(statement))
    if [entry.type for entry in found] != [StatementType.SELECT]:
        raise BasisError(
            "LOG-006", f"SQL: expected one SELECT (or DESCRIBE, SUMMARIZE, SHOW TABLES), got {_described(found)}"
        )


def _described(found: list[Any]) -> str:
    if not found:
        return "no statement"
    return f"{len(found)} statements" if len(found) > 1 else f"a statement of the kind {found[0].type.name}"


def _guarded(work: Any) -> Any:
    """Do it; what DuckDB complains of becomes one line."""
    from duckdb import Error

    try:
        return work()
    except Error as error:
        raise BasisError("LOG-006", f"SQL: {_one_line(str(error))}") from None


def _one_line(text: str) -> str:
    """The complaint without the picture of the statement that follows it."""
    message, _, hint = text.partition("\n")
    suggestion = next((line for line in hint.splitlines() if line.startswith(("Did you mean", "Candidate"))), "")
    return " ".join(f"{message} {suggestion}".split())


def _make_view(connection: duckdb.DuckDBPyConnection, kind: type[DomainEvent], files: list[str] | None) -> None:
    """Make the view over these files; where they are None it has its columns, and complains when it is read."""
    columns = columns_of(kind)
    if files:
        source = f"read_json({_literal(files)}, format = 'newline_delimited', columns = {_literal(columns)})"
        connection.execute(f"CREATE VIEW {kind.FILE} AS SELECT * FROM {source}")  # noqa: S608 - names of the code
        return
    nothing = ", ".join(f'NULL::{form} AS "{name}"' for name, form in columns.items())
    complaint = _literal(f"{kind.FILE} has to be named in the statement as it is")
    condition = f"error({complaint})" if files is None else "false"
    connection.execute(f"CREATE VIEW {kind.FILE} AS SELECT {nothing} WHERE {condition}")


def _files(log: RunLog, kind: type[DomainEvent], spill: Path, *, growing: bool) -> list[str]:
    """The segments of an event file. Of one that is growing or torn there are links, and a copy of its whole lines."""
    last = active(log.folder, kind.FILE)
    while True:
        try:
            paths = segments(log.folder, kind.FILE)
            if not growing and _is_whole(last):
                return [str(path) for path in paths if path.stat().st_size]
            return [str(_held(path, spill / path.name, copy=path == last)) for path in paths if path.stat().st_size]
        except FileNotFoundError:
            # It was renamed or compressed meanwhile.
            for held in spill.glob(f"{kind.FILE}.*"):
                held.unlink()


def _is_whole(path: Path) -> bool:
    """Whether the file does not end within a line."""
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def _held(path: Path, held: Path, *, copy: bool) -> Path:
    """Another name of a segment, which stays when the first one goes; or a copy of its whole lines."""
    if copy:
        with path.open("rb") as source, held.open("wb") as target:
            shutil.copyfileobj(source, target)
        with held.open("rb+") as target:
            target.truncate(end_of_whole_lines(target, target.seek(0, os.SEEK_END)))
        return held
    try:
        held.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:
        # Temporary files are on another disk.
        return path
    return held


def _literal(value: Any) -> str:
    """A Python value as SQL."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(name)}: {_literal(one)}" for name, one in value.items()) + "}"
    return "[" + ", ".join(map(_literal, value)) + "]"
