"""Defines the commands `data check` and `data generate`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.terminal import BAD_INPUT, DONE, results

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from basis_actors.data import DataReport

__all__ = ["data"]

_GAPS_SHOWN = 3

data = typer.Typer(no_args_is_help=True, help="Check and generate market data.")


class FormatChoice(StrEnum):
    """How series are written."""

    CSV = "csv.gz"
    PARQUET = "parquet"


@data.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder in the data layout.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as one line of JSON.")] = False,
) -> None:
    """Read every series of a folder and report what it covers, its gaps and what is wrong.

    Exit code 2 when a series cannot be used.
    """
    import json

    from basis_actors.data import check_dataset

    report = check_dataset(folder)
    if as_json:
        typer.echo(json.dumps(report.to_dict()))
    else:
        _show(report, results())
    raise typer.Exit(DONE if report.ok else BAD_INPUT)


@data.command("generate")
def generate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.")],
    *,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="Same seed, same market.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="First stamp; UTC.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Last stamp, 90 days later unless given.")] = None,
    step: Annotated[str, typer.Option(metavar="STEP", help="Of exchange and pool bars: 1m to 1d.")] = "1h",
    fmt: Annotated[FormatChoice, typer.Option("--format", help="File format.")] = FormatChoice.CSV,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the synthetic market that is there; never anything else.")
    ] = False,
) -> None:
    """Write the synthetic market as files in the data layout, into a folder that is new or empty."""
    from rich.text import Text

    from basis_actors.data import SyntheticGenerator, require_room, write_dataset
    from basis_actors.data.stamps import DAY, iso
    from basis_actors.errors import DataError
    from basis_actors.services.inputs import moment_of
    from basis_actors.services.preparation import DEFAULT_SEED, DEMO_DAYS, generate_market
    from basis_actors.times import NS_PER_SECOND, ns_from_utc

    require_room(folder, replace=force)
    generator = SyntheticGenerator(DEFAULT_SEED if seed is None else seed, _step_ns(step) // NS_PER_SECOND)
    first = generator.epoch_ns if start is None else ns_from_utc(moment_of(start, "--start"))
    last = first + DEMO_DAYS * DAY if end is None else ns_from_utc(moment_of(end, "--end"))
    dataset = generate_market(generator, first, last)
    try:
        write_dataset(dataset, folder, fmt.value, replace=force)
    except OSError as error:
        raise DataError("DATA-003", f"{folder} cannot be written: {error}; choose another folder") from error
    rows = sum(series.ns.size for series in dataset.series.values())
    results().print(
        Text.assemble(
            (f"{len(dataset.series)} series, {rows:,} rows", "bold"), f", {iso(first)} to {iso(last)}, {dataset.origin}"
        ),
        Text.assemble(("In ", "dim"), str(folder)),
        sep="\n",
        soft_wrap=True,
    )


def _step_ns(text: str) -> int:
    from basis_actors.data.stamps import step_from_text
    from basis_actors.errors import DataError

    try:
        return step_from_text(text)
    except ValueError as error:
        raise DataError("DATA-002", f"--step: {error}") from None


def _show(report: DataReport, console: Console) -> None:
    from rich.text import Text

    console.print(_table(report))
    for series in report.series:
        if series.problems:
            console.print(Text.assemble("\n", (series.file, "bold red")), soft_wrap=True)
            for problem in series.problems:
                console.print(Text(f"  {problem}"), soft_wrap=True)
    if any(series.gaps for series in report.series):
        console.print(Text("\nGaps", style="bold"), _gaps(report), sep="\n")
    _list(console, "Not as MANIFEST.json says", report.manifest_problems, "red")
    _list(console, "Files that are no series of the layout, and are never read", report.unknown_files, "dim")
    _list(console, "Stand-ins", report.proxies, "")
    wrong = sum(bool(series.problems) for series in report.series) + len(report.manifest_problems)
    state = ("all can be used", "bold green") if report.ok else (f"{wrong} wrong", "bold red")
    console.print(
        Text.assemble("\n", (f"{len(report.series)} series in {report.folder}: ", "bold"), state), soft_wrap=True
    )


def _table(report: DataReport) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("series", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("to", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("missing", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for series in report.series:
        missing = sum(gap.rows for gap in series.gaps)
        table.add_row(
            Text(series.name),
            f"{series.rows:,}",
            (series.first or "")[:10],
            (series.last or "")[:10],
            series.step or "",
            Text(f"{missing:,}", style="yellow") if missing else "",
            Text("✗", style="bold red") if series.problems else Text("✓", style="green"),
        )
    return table


def _gaps(report: DataReport) -> Table:
    """The longest gaps of each series, in order of time."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("series", no_wrap=True)
    table.add_column("first missing", no_wrap=True)
    table.add_column("last missing", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    for series in report.series:
        longest = sorted(series.gaps, key=lambda gap: -gap.rows)[:_GAPS_SHOWN]
        for gap in sorted(longest, key=lambda gap: gap.first_ns):
            table.add_row(Text(series.name), _minute(gap.first_ns), _minute(gap.last_ns), f"{gap.rows:,}")
        others = series.gaps[len(longest) :]
        if others:
            table.add_row("", Text(f"and {len(others)} shorter (--json)", style="dim"))
    return table


def _minute(ns: int) -> str:
    from basis_actors.times import utc_from_ns

    return f"{utc_from_ns(ns):%Y-%m-%d %H:%M}"


def _list(console: Console, title: str, lines: Sequence[str], style: str) -> None:
    from rich.table import Table
    from rich.text import Text

    if not lines:
        return
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="dim", width=1)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row("•", Text(line, style=style))
    console.print(Text(f"\n{title}", style="bold"), table, sep="\n")
