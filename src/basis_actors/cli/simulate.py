"""Defines the command `simulate`: stories of failing exchanges and killed processes, and what held in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from basis_actors.cli.terminal import BAD_INPUT, DONE, FAILED, complain, messages, results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_actors.services.simulation.telling import Report

__all__ = ["simulate"]

_SEEDS: Final = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
"""What a range counts in 64 bits."""


def simulate(
    mode: Annotated[
        str, typer.Argument(metavar="MODE", help="Name of a mode that trades on exchanges, or a mode file.")
    ],
    *,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="NUMBER", help="One story; the first, 0, unless given.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="A..B", help="Every story from A to B, both included.")] = None,
    hours: Annotated[int, typer.Option(metavar="NUMBER", help="Length of a story, a week unless given.")] = 168,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the logs of stories in which anything is wrong here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each story.")] = False,
) -> None:
    """Run the live logic against exchanges that fail, in processes that are killed, all from a seed.

    The same seed tells the same story. Orders are lost, delayed, repeated and filled in part, exchanges cannot be
    reached, processes are killed between any two messages and come again, somebody stops trading and lets it go on;
    then every account is compared with the ledger, every order with the journal and with what might be sent at its
    time, and every log is replayed. Exit code 1 when an invariant does not hold.
    """
    from basis_actors.services.simulation.telling import require_room, setting_of, tell

    if seed is not None and seeds is not None:
        complain("CONFIG-003: --seed and --seeds were both given; one of them was expected")
        raise typer.Exit(BAD_INPUT)
    wanted = range(seed or 0, (seed or 0) + 1) if seeds is None else _range_of(seeds)
    if keep is not None:
        require_room(keep, wanted)
    reports = _watched(tell(setting_of(mode, hours), wanted, keep), len(wanted))
    failed = _print_json(reports) if as_json else _print_text(reports, mode, hours)
    raise typer.Exit(FAILED if failed else DONE)


def _range_of(text: str) -> range:
    found = _SEEDS.fullmatch(text)
    if found is not None:
        first, last = map(int, found.groups())
        if first <= last:
            return range(first, last + 1)
    complain(f"CONFIG-003: --seeds is {text!r}; A..B with whole numbers and A not above B was expected, like 0..99")
    raise typer.Exit(BAD_INPUT)


def _watched(reports: Iterator[Report], count: int) -> Iterator[Report]:
    """The same, with a bar on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = messages()
    columns = (TextColumn("[bold]stories"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, expand=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("stories", total=count)
        for report in reports:
            bar.advance(task)
            yield report


def _print_json(reports: Iterator[Report]) -> int:
    import msgspec

    failed = 0
    for report in reports:
        failed += bool(report.problems)
        typer.echo(msgspec.json.encode(report).decode())
    return failed


def _print_text(reports: Iterator[Report], mode: str, hours: int) -> int:
    from collections import Counter

    from rich.table import Table
    from rich.text import Text

    console, failed, told = results(), 0, 0
    sums, faults = Counter[str](), Counter[str]()
    for report in reports:
        told += 1
        faults.update(report.faults)
        sums.update(processes=report.processes, kills=report.kills, failures=report.failures, orders=report.orders)
        sums["stops"] += report.stops
        if not report.problems:
            continue
        failed += 1
        again = f"basis-actors simulate {mode} --hours {hours} --seed {report.seed}"
        console.print(Text.assemble((f"seed {report.seed}", "bold red"), f"  ({again})"), soft_wrap=True)
        for problem in report.problems:
            console.print(Text(f"  {problem}"), soft_wrap=True)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("stories", f"{told:,} of {hours} hours each")
    table.add_row(
        "processes", f"{sums['processes']:,}: {sums['kills']:,} killed, {sums['failures']:,} ended themselves"
    )
    table.add_row("stops", f"{sums['stops']:,} by the kill switch or an operator")
    table.add_row("intents", f"{sums['orders']:,}")
    table.add_row("faults", ", ".join(f"{count:,} × {name}" for name, count in faults.most_common()) or "none")
    table.add_row("invariants", Text("all hold", "green") if not failed else Text(f"broken in {failed:,}", "bold red"))
    console.print(table)
    return failed
