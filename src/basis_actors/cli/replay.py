"""Defines the command `replay`: holds a run against its own log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Final

import typer

from basis_actors.cli.terminal import DONE, FAILED, complain, messages, results

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from basis_actors.logs.replay import Replay

__all__ = ["replay"]

_CHECKS: Final = (
    ("line", "lines", "{events:,} events, each a whole line of its type"),
    ("number", "numbers", "from 0 without a gap"),
    ("seal", "seals", "every file is what was sealed"),
    ("ledger", "ledger", "{snapshots:,} snapshots are the sum of {deltas:,} deltas, to the last bit"),
    ("pnl", "PnL", "{calculations:,} calculations follow from ledger and marks"),
    ("summary", "summary", "says what the log ends with"),
)


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory, a result, or the name of one.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Rebuild the ledger of a run from its deltas alone, and check every snapshot, every PnL and every seal against it.

    Exit code 0 for a log that can be trusted, 1 for one that cannot: each finding names file and lines, or the event.
    """
    import msgspec

    from basis_actors.logs.locate import find_run
    from basis_actors.logs.replay import replay as check

    run_dir = find_run(run)
    progress = messages()
    with progress.status(f"replaying {run_dir}") if progress.is_terminal else nullcontext():
        found = check(run_dir)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _show(found, results())
    if found.findings:
        count = len(found.findings) + sum(found.more.values())
        complain(f"{count:,} findings: the log in {found.run_dir} is not what its run wrote", "Not verified")
        raise typer.Exit(FAILED)
    raise typer.Exit(DONE)


def _show(found: Replay, console: Console) -> None:
    from rich.text import Text

    console.print(Text.assemble((found.run_dir, "bold"), "  ", (found.status.value, "dim")), soft_wrap=True)
    console.print(_verdicts(found))
    for finding in found.findings:
        console.print(
            Text.assemble((f"{finding.check}: ", "red"), (finding.where, "bold"), f": {finding.what}"), soft_wrap=True
        )
    for check, count in found.more.items():
        console.print(Text(f"{check}: and {count:,} more", style="red"))
    for note in found.notes:
        console.print(Text(f"Note: {note}", style="yellow"), soft_wrap=True)
    if found.positions:
        console.print(_ledger(found))


def _verdicts(found: Replay) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for mark, name, text in _rows(found):
        table.add_row(Text(mark, style={"✓": "green", "✗": "bold red"}.get(mark, "dim")), name, text)
    return table


def _rows(found: Replay) -> Iterator[tuple[str, str, str]]:
    numbers = {name: getattr(found, name) for name in ("events", "deltas", "snapshots", "calculations")}
    for check, name, text in _CHECKS:
        count = sum(finding.check == check for finding in found.findings) + found.more.get(check, 0)
        if count:
            yield "✗", name, f"{count:,} findings"
        elif check == "summary" and not found.has_summary:
            yield "–", name, "there is none"
        else:
            yield "✓", name, text.format(**numbers)


def _ledger(found: Replay) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("ledger after the last delta", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    for key, amount in sorted(found.positions.items()):
        table.add_row(Text(key), f"{amount:,.12g}")
    return table
