"""Shows results to people in tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from basis_actors.cli.logs.tables import Page
from basis_actors.logs.directory import EVENTS_FOLDER, RunStatus
from basis_actors.logs.locate import RESULT_LOGS
from basis_actors.messages.events import EVENT_TYPES
from basis_actors.results.building import CSV_FOLDER, PARQUET_FOLDER
from basis_actors.results.comparison import COUNTS, RATIOS, SHARES, Comparison, Difference, NumberPair
from basis_actors.results.render import format_amount
from basis_actors.results.store import ResultFile, StoredResult
from basis_actors.results.summary import too_short_to_annualise

__all__ = ["print_comparison", "print_files", "print_list"]

_STATUS = {
    RunStatus.COMPLETED: "green",
    RunStatus.PARTIAL: "yellow",
    RunStatus.FAILED: "bold red",
}
_NAMES = {"max_drawdown": "max drawdown, daily", "max_drawdown_intraday": "max drawdown, intraday"}
_DECIMALS = 6
_SHA256 = 64
"""Digits of a hash, and how many of them are shown."""
_HASH = 12
_PATH = 44
"""Columns that the name of a key may take before it is broken."""


def print_list(found: Iterable[StoredResult]) -> None:
    """A row a result: of two lines on 80 columns, of one on a wide screen and in a pipe."""
    page = Page()
    grid = page.grid(
        ("result", "mode"), ("first tick", "last tick"), ("return", "Sharpe"), ("drawdown daily", "intraday"),
        ("status", "size"), right=("return", "Sharpe", "drawdown daily", "intraday"),
    )  # fmt: skip
    for result in found:
        summary, status = result.summary, result.metadata.status
        grid.row(
            (Text(result.id, style="bold"), Text(summary.mode, style="cyan")),
            (_day(summary.start), _day(summary.end)),
            (
                _return(summary.total_return),
                Text("–", style="dim") if summary.sharpe is None else f"{summary.sharpe:.2f}",
            ),
            (f"{summary.max_drawdown:.2%}", f"{summary.max_drawdown_intraday:.2%}"),
            (Text(status.value, style=_STATUS.get(status, "")), Text(decimal(result.bytes), style="dim")),
        )
    page.print(grid)


def print_files(files: Sequence[ResultFile], console: Console) -> None:
    """The event types with the sizes of their files, then the other files."""
    sizes = {file.name: file.bytes for file in files}
    events = _table()
    events.add_column("events", no_wrap=True)
    for title in ("log", "csv", "parquet"):
        events.add_column(title, justify="right", no_wrap=True)
    for kind in EVENT_TYPES:
        folders = (f"{RESULT_LOGS}/{EVENTS_FOLDER}", CSV_FOLDER, PARQUET_FOLDER)
        named = [[name for name in sizes if name.startswith(f"{folder}/{kind.FILE}.")] for folder in folders]
        events.add_row(kind.FILE, *(decimal(sum(sizes.pop(name) for name in names)) for names in named))
    others = _table()
    others.add_column("other files", overflow="fold")
    others.add_column("size", justify="right", no_wrap=True)
    for name in sorted(sizes, key=lambda name: (name.count("/"), name)):
        others.add_row(name, decimal(sizes[name]))
    console.print(events, "", others, sep="\n")


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Numbers, attribution, configuration and data, each as far as there is something to say."""
    for letter, side in (("A", comparison.first), ("B", comparison.second)):
        console.print(Text.assemble((letter, "bold cyan"), f" {side.id}"), soft_wrap=True)
        status = (side.status.value, _STATUS.get(side.status, ""))
        console.print(Text.assemble(f"  {side.mode}, {_day(side.start)} → {_day(side.end)}, ", status), soft_wrap=True)
    one, other = comparison.first.currency, comparison.second.currency
    amounts = f"amounts in {one}" if one == other else f"amounts in {one} and {other}, which have no difference"
    _print_pairs(f"Numbers, {amounts}", comparison.numbers, console)
    for letter, side in (("A", comparison.first), ("B", comparison.second)):
        if (short := too_short_to_annualise(side.start, side.end)) is not None:
            console.print(Text(f"annualised return of {letter}: {short}", style="dim"))
    _print_pairs("Attribution", comparison.attribution, console)
    _print_differences("Configuration", comparison.config, console)
    _print_differences("Data, by sha256", [_short(row) for row in comparison.data], console)


def _print_pairs(title: str, pairs: Sequence[NumberPair], console: Console) -> None:
    table = _table()
    table.add_column("", no_wrap=True)
    for column in ("A", "B", "B − A"):
        table.add_column(column, justify="right", no_wrap=True)
    for pair in pairs:
        known = [value for value in (pair.first, pair.second) if value is not None]
        if not any(known):
            continue
        scale = max(map(abs, known))
        values = (pair.first, pair.second)
        table.add_row(
            _NAMES.get(pair.name) or pair.name.replace("_", " "),
            *(_shown(pair.name, value, scale) for value in values),
            _shown(pair.name, pair.difference, scale),
        )
    console.print(Text(f"\n{title}", style="bold"), table, sep="\n")


def _print_differences(title: str, rows: Sequence[Difference], console: Console) -> None:
    console.print(Text(f"\n{title}", style="bold"))
    if not rows:
        console.print(Text("the same", style="dim"))
        return
    table = _table()
    path = min(max(len(row.name) for row in rows), _PATH)
    side = min(max(len(_written(value)) for row in rows for value in (row.first, row.second)), console.width - path)
    table.add_column("", overflow="fold", width=path)
    for column in ("A", "B"):
        table.add_column(column, overflow="fold", width=min(side, (console.width - path - 2) // 2))
    for row in rows:
        table.add_row(row.name, Text(_written(row.first)), Text(_written(row.second)))
    console.print(table)


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def _short(row: Difference) -> Difference:
    return Difference(row.name, *(text[:_HASH] if len(text) == _SHA256 else text for text in (row.first, row.second)))


def _written(value: object) -> str:
    if isinstance(value, dict):
        return f"{len(value)} keys"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shown(name: str, value: float | None, scale: float) -> str:
    """A number as its field is read."""
    if value is None:
        return "–"
    if name in SHARES:
        return f"{value:.2%}"
    if name in RATIOS:
        return f"{value:,.3f}"
    return f"{value:,.0f}" if name in COUNTS else format_amount(value, _DECIMALS, scale=scale)


def _day(moment: datetime | None) -> str:
    return "no tick" if moment is None else f"{moment:%Y-%m-%d}"


def _return(value: float | None) -> Text:
    if value is None:
        return Text("–", style="dim")
    text = f"{value:+.2%}"
    return Text("0.00%") if text in ("+0.00%", "-0.00%") else Text(text, style="green" if value > 0.0 else "red")
