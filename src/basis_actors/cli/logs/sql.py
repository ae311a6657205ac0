"""Defines the command `logs sql`."""

from __future__ import annotations

import csv
import os
import sys
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_actors.cli.logs.asking import AsJson, Run, opened, print_rows
from basis_actors.cli.terminal import INTERRUPTED

if TYPE_CHECKING:
    from rich.table import Table

    from basis_actors.cli.logs.tables import Grid, Page
    from basis_actors.logs.queries.sql import Answer

__all__ = ["sql"]

_SHOWN = 100


def sql(
    run: Run,
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT; also DESCRIBE, SUMMARIZE, SHOW.")],
    *,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
) -> None:
    """Ask the log with SQL (DuckDB): a view for each event type, named as its file.

    `DESCRIBE positions` shows the columns: times are TIMESTAMPTZ in UTC, `positions['wallet:BaseToken:USDT']` reads a
    dictionary, `UNNEST(deltas)` a list, `operation_details->>'executed_price'` what may hold anything. The SQL can
    read these views and nothing else, and change nothing. The table shows 100 rows, one
    field a line where it has no room; `--json` and `--csv` have all.
    """
    from basis_actors.errors import BasisError
    from basis_actors.logs.queries.sql import ask, hangs

    if as_json and as_csv:
        raise BasisError("LOG-006", "--json and --csv are two forms of one answer; leave one out")
    try:
        with ask(opened(run), statement) as answer:
            if as_json:
                forms = answer.types
                print_rows(dict(zip(answer.columns, map(_json, row, forms), strict=True)) for row in answer.rows())
            elif as_csv:
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(answer.columns)
                writer.writerows(map(_text, row) for row in answer.rows())
            else:
                _print(answer)
    except KeyboardInterrupt:
        if hangs():
            sys.stdout.flush()
            os._exit(INTERRUPTED)
        raise


def _print(answer: Answer) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page

    rows = answer.rows()
    shown = list(islice(rows, _SHOWN))
    if not shown:
        typer.echo("No rows.")
        return
    page = Page()
    cells = [[_text(value) for value in row] for row in shown]
    if page.fits([answer.columns, *cells]):
        page.print(_grid(page, answer, shown, cells))
    else:
        for count, row in enumerate(cells, start=1):
            page.print(Text(f"row {count}", style="bold"), _fields(answer.columns, row))
    more = sum(1 for _ in rows)
    if more:
        page.print(Text(f"\nand {more:,} rows more (--json, --csv, or LIMIT)", style="dim"))


def _grid(page: Page, answer: Answer, shown: list[tuple[Any, ...]], cells: list[list[str]]) -> Grid:
    numbers = [
        title
        for position, title in enumerate(answer.columns)
        if all(isinstance(row[position], int | float | None) for row in shown)
    ]
    grid = page.grid(*([title] for title in answer.columns), right=numbers)
    for row in cells:
        grid.row(*([cell] for cell in row))
    return grid


def _fields(columns: list[str], row: list[str]) -> Table:
    """A row whose columns have no room beside each other: one field a line."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for name, cell in zip(columns, row, strict=True):
        table.add_row(Text(name), Text(cell))
    return table


def _json(value: Any, form: str) -> Any:
    """A value for a line of JSON; what was JSON in the log stays as it was."""
    import msgspec

    if form == "JSON" and isinstance(value, str):
        return msgspec.Raw(value.encode())
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def _text(value: Any) -> str:
    """A value for a cell."""
    import msgspec

    if value is None:
        return ""
    if isinstance(value, datetime):
        zone = "Z" if value.tzinfo else ""
        return value.replace(tzinfo=None).isoformat() + zone
    if isinstance(value, dict | list | tuple | bool):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)
