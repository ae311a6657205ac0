"""Defines the command `logs list`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.logs.asking import AsJson, print_rows

if TYPE_CHECKING:
    from basis_actors.logs.queries.runs import ListedRun

__all__ = ["list_runs"]

_STYLE = {
    "running": "bold cyan",
    "completed": "green",
    "partial": "yellow",
    "failed": "bold red",
    "killed": "bold red",
    "unreadable": "bold red",
}


def list_runs(
    *,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder of run directories.")] = Path("logs"),
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Rows of the table; 0 for all.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first: what they were, how they ended, how large they are.

    `--json` prints rows: run_dir, mode, status, started_at, finished_at, bytes, failure, and the scenario of `stress`.
    A run that did not end by itself is `running`, or `killed` when no process writes it any more.
    """
    from basis_actors.logs.queries.runs import runs_in

    found = runs_in(root)
    if as_json:
        print_rows(found)
    elif not found:
        typer.echo(f"No runs in {root}.")
    else:
        _print(found[: limit or None], len(found), root)


def _print(shown: list[ListedRun], total: int, root: Path) -> None:
    from rich.filesize import decimal
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page

    page = Page()
    grid = page.grid(("run", "mode", "failure"), ("started UTC", "ended"), ("status", "size"))
    for run in shown:
        started, ended = ("" if at is None else f"{at:%Y-%m-%d %H:%M}" for at in (run.started_at, run.finished_at))
        grid.row(
            (
                Text(str(Path(run.run_dir).relative_to(root)), style="bold"),
                Text(run.mode if run.scenario is None else f"{run.mode} under {run.scenario}", style="dim"),
                Text(run.failure or "", style="red"),
            ),
            (started, Text(ended, style="dim")),
            (Text(run.status, style=_STYLE[run.status]), Text(decimal(run.bytes), style="dim")),
        )
    page.print(grid)
    if len(shown) < total:
        page.print(Text(f"\n{total:,} runs, the newest {len(shown):,} shown (--limit)", style="dim"))
