"""Defines the command `logs prune`: deletes runs that ended long ago."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.terminal import DONE, FAILED, complain

if TYPE_CHECKING:
    from basis_actors.logs.retention import OldRun

__all__ = ["prune"]

_PATH = 52
"""Columns that the path of a run may take before its process id goes to the next line."""


def prune(
    *,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder of run directories.")] = Path("logs"),
    backtest_days: Annotated[int, typer.Option(min=0, help="Days that backtests are kept after their end.")] = 7,
    live_days: Annotated[int, typer.Option(min=0, help="Days that live runs are kept after their end.")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each run.")] = False,
) -> None:
    """Delete the directories of runs that ended long ago; never one in progress, and nothing that is no run.

    Results keep the logs of their runs: what a result holds as well is no space that is freed (`held` with --json).
    Exit code 1 when something could not be deleted.
    """
    from datetime import timedelta

    import msgspec

    from basis_actors.errors import BasisError
    from basis_actors.logs.retention import Retention, old_runs, remove_old
    from basis_actors.logs.wall_clock import system_clock

    if not root.is_dir():
        raise BasisError("LOG-003", f"{root} is not a folder; name one that holds run directories (--root)")
    retention = Retention(timedelta(days=backtest_days), timedelta(days=live_days))
    gone: list[OldRun] = []
    problems: list[BasisError] = []
    damaged: list[BasisError] = []
    for old in old_runs(root, system_clock(), retention, damaged):
        if old is None:
            continue
        try:
            if not dry_run:
                remove_old(old)
            gone.append(old)
        except BasisError as error:
            problems.append(error)
    if as_json:
        sys.stdout.writelines(msgspec.json.encode(old, enc_hook=str).decode() + "\n" for old in gone)
    elif gone:
        _print(gone, dry_run=dry_run)
    elif not problems:
        typer.echo(f"{root}: nothing is older than {backtest_days} days (live runs: {live_days})")
    for problem in problems:
        complain(str(problem))
    for problem in damaged:
        complain(f"{problem}; it is left alone", "Note")
    raise typer.Exit(FAILED if problems else DONE)


def _print(gone: list[OldRun], *, dry_run: bool) -> None:
    from rich.filesize import decimal
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page

    page = Page()
    grid = page.grid(("run",), ("kind", "ended"), ("frees",), right=("frees",))
    for old in gone:
        path = str(old.run_dir)
        if page.narrow and len(path) > _PATH:
            path = f"{old.run_dir.parent}/\n{old.run_dir.name}"
        grid.row((path,), (old.kind.value, f"{old.ended:%Y-%m-%d %H:%M}"), (decimal(old.bytes),))
    page.print(grid)
    freed, held = (decimal(sum(sizes)) for sizes in ([old.bytes for old in gone], [old.held for old in gone]))
    verb, frees = ("would be deleted", "which frees") if dry_run else ("deleted", "which freed")
    said = f"\n{len(gone)} {verb}, {frees} {freed}"
    page.print(Text(said, style="bold"))
    if any(old.held for old in gone):
        page.print(Text(f"{held} more are files that results hold as well: those stay until `results delete`"))
