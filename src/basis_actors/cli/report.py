"""Defines the command `report`: a finished run as a page for a browser."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer

from basis_actors.cli.terminal import complain, messages

__all__ = ["report"]

_PAGE: Final = b"<!doctype html>"


def _require_own(target: Path, home: Path) -> None:
    """Raise for a page that would take the place of a file of the run or of its result, or of what is no page."""
    from basis_actors.errors import BasisError
    from basis_actors.results.report import REPORT_FILE

    place = target.resolve()
    if place.name == REPORT_FILE or not place.exists():
        return
    if place.is_relative_to(home.resolve()):
        raise BasisError("LOG-001", f"{target} is a file of the run; choose a file outside {home}, or {REPORT_FILE}")
    if place.is_file() and not _is_page(place):
        raise BasisError("LOG-001", f"{target} is there already and is no page; choose another file, or delete it")


def _is_page(path: Path) -> bool:
    """Whether a file may be replaced by a report: it is a page, or empty."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_PAGE))
    except OSError:
        return False
    return not begins or begins.lower() == _PAGE


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory, a result, or the name of one.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write it; report.html in the result or run directory if left out."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Write the report of a run: one HTML file with everything inside, to look at, send or print.

    A run that failed, was interrupted or was killed has one too. Prints where the page is.
    """
    from basis_actors.logs.locate import RESULT_LOGS, find_run
    from basis_actors.results.report import REPORT_FILE, write_report

    run_dir = find_run(run)
    home = run_dir.parent if run_dir.name == RESULT_LOGS else run_dir
    target = home / REPORT_FILE if out is None else out
    _require_own(target, home)
    progress = messages()
    with progress.status(f"reading {run_dir}") if progress.is_terminal else nullcontext():
        damage = write_report(run_dir, target)
    for notice in damage:
        complain(notice, "Note")
    sys.stdout.write(f"{target}\n")
    if open_page and not webbrowser.open(target.resolve().as_uri()):
        complain(f"no browser could be started; open {target} in one", "Not opened")
