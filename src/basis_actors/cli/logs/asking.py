"""Defines what the commands share that ask a log: their arguments, how a log is opened, and lines for programs."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from basis_actors.cli.terminal import complain

if TYPE_CHECKING:
    from basis_actors.logs.queries.source import RunLog

__all__ = ["AsJson", "Limit", "Run", "newest", "opened", "print_lines", "print_rows", "room_for"]

T = TypeVar("T")

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run directory, the name of a run under `logs/`, or a result.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print lines of JSON.")]
Limit = Annotated[
    int, typer.Option(metavar="NUMBER", min=0, help="Rows of the table, the newest; 0 for all. No limit with --json.")
]


def opened(given: str) -> RunLog:
    """The log of the run that was named. What a reader has to know of it is said on standard error.

    Raises BasisError LOG-003 and LOG-004 as `find_run` and `RunLog` do.
    """
    from basis_actors.logs.locate import find_run
    from basis_actors.logs.queries.source import RunLog

    log = RunLog(find_run(given))
    for notice in log.notices():
        complain(notice, "Note")
    return log


def print_lines(lines: Iterable[bytes]) -> None:
    """Print events as they are in the log."""
    sys.stdout.writelines(line.decode() for line in lines)


def print_rows(rows: Iterable[Any]) -> None:
    """Print structs or dictionaries as lines of JSON."""
    import msgspec

    for row in rows:
        sys.stdout.write(msgspec.json.encode(row, enc_hook=str).decode() + "\n")


def newest(rows: Iterator[T], limit: int) -> tuple[int, Iterable[T]]:
    """How many rows there are, and the last `limit` of them (all for 0), in memory for as many."""
    kept: deque[T] = deque(maxlen=room_for(limit))
    count = 0
    for row in rows:
        kept.append(row)
        count += 1
    return count, kept


def room_for(limit: int) -> int | None:
    """`maxlen` of a deque that keeps the last `limit` rows, all for 0 and for more than it can count."""
    return limit if 0 < limit <= sys.maxsize else None
