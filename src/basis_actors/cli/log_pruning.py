"""Defines the command `logs prune`: deletes runs that ended long ago."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.terminal import DONE, FAILED, complain, results

if TYPE_CHECKING:
    from rich.table import Table

    from basis_actors.logs.retention import OldRun

__all__ = ["prune"]


def prune(
    *,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder of run directories.")] = Path("logs"),
    backtest_days: Annotated[int, typer.Option(min=0, help="Days that backtests are kept after their end.")] = 7,
    live_days: Annotated[int, typer.Option(min=0, help="Days that live runs are kept after their end.")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each run.")] = False,
) -> None:
    """Delete the directories of runs that ended long ago; never one in progress, and nothing that is no run.

    Exit code 1 when something could not be deleted.
    """
    from datetime import timedelta

    import msgspec

    from basis_actors.errors import BasisError
    from basis_actors.logs.directory import LogDirectoryManager
    from basis_actors.logs.retention import Retention, old_runs
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
                LogDirectoryManager.remove_run_logs(old.run_dir)
            gone.append(old)
        except BasisError as error:
            problems.append(error)
    if as_json:
        sys.stdout.writelines(msgspec.json.encode(old, enc_hook=str).decode() + "\n" for old in gone)
    elif gone:
        results().print(_table(gone, dry_run=dry_run))
    elif not problems:
        typer.echo(f"{root}: nothing is older than {backtest_days} days (live runs: {live_days})")
    for problem in problems:
        complain(str(problem))
    for problem in damaged:
        complain(f"{problem}; it is left alone", "Note")
    raise typer.Exit(FAILED if problems else DONE)


def _table(gone: list[OldRun], *, dry_run: bool) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    total = sum(old.bytes for old in gone)
    verb = "would be deleted" if dry_run else "deleted"
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", show_footer=True, footer_style="bold"
    )
    table.add_column("run", Text(f"{len(gone)} {verb}"), overflow="fold")
    table.add_column("kind", no_wrap=True)
    table.add_column("ended", no_wrap=True)
    table.add_column("size", decimal(total), justify="right", no_wrap=True)
    for old in gone:
        table.add_row(Text(str(old.run_dir)), old.kind.value, f"{old.ended:%Y-%m-%d %H:%M}", decimal(old.bytes))
    return table
