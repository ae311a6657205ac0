"""Carries out a backtest for the command line: progress, interruptions, the summary in the form asked for, its result,
the exit code."""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from basis_actors.cli.interruption import Interruption
from basis_actors.cli.output import output_may_fail
from basis_actors.cli.progress import progress_display, result_display
from basis_actors.cli.terminal import DONE, FAILED, INTERRUPTED, complain, results
from basis_actors.errors import BasisError
from basis_actors.results.render import print_place, print_summary, summary_json
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.results import require_results

if TYPE_CHECKING:
    from basis_actors.results.summary import RunSummary

__all__ = ["Shown", "run"]


class Shown(Enum):
    """What standard output gets."""

    SUMMARY = auto()
    """For people."""
    JSON = auto()
    """One line."""
    PLACE = auto()
    """The run directory."""


def run(request: BacktestRequest, shown: Shown, *, store: Path | None, progress: bool) -> int:
    """Run it, make its result in the folder `store` unless that is None, and return the exit code.

    Raises BasisError for what cannot be run.
    """
    require_results(store, request)
    with ExitStack() as held:
        with Interruption() as interruption:
            try:
                with progress_display(str(request.mode), wanted=progress) as display:
                    display.loading()
                    prepared = prepare(request)
                    interruption.hold()
                    backtest = Backtest(prepared)
                    held.enter_context(backtest.held())
                    interruption.cancels(backtest.cancel)
                    summary = backtest.run(display.update)
            except KeyboardInterrupt:
                complain("nothing was run", "Interrupted")
                return INTERRUPTED
        if shown is Shown.SUMMARY:
            with output_may_fail():
                print_summary(summary, results())
        kept: Path | BasisError | None = None
        try:
            kept = None if store is None else _keep(backtest.run_dir, store, progress=progress)
        except KeyboardInterrupt:
            complain(f"no result was made in {store}; the log is in {summary.run_dir}", "Interrupted")
            return INTERRUPTED
        finally:
            # Whatever becomes of the result, what the run came to is told.
            with output_may_fail():
                _show(summary, shown, kept)
    return _verdict(summary, kept)


def _keep(run_dir: Path, store: Path, *, progress: bool) -> Path | BasisError:
    """Make the result of a run. Gives where it is, or what kept it from being made."""
    from basis_actors.results.store import ResultStore

    try:
        with result_display(wanted=progress) as update:
            return ResultStore(store).make(run_dir, update).path
    except BasisError as error:
        return error


def _show(summary: RunSummary, shown: Shown, kept: Path | BasisError | None) -> None:
    """Say what is not said yet: for people where the result is, else the one line that was asked for."""
    place = str(kept) if isinstance(kept, Path) else None
    if shown is Shown.SUMMARY:
        if place is not None:
            print_place("Result", place, results())
        return
    summary = msgspec.structs.replace(summary, result_dir=place)
    # JSON as bytes: it is UTF-8 whatever the terminal shows.
    typer.echo(summary_json(summary) if shown is Shown.JSON else str(summary.run_dir))


def _verdict(summary: RunSummary, kept: Path | BasisError | None) -> int:
    code = DONE
    if summary.failure is not None:
        complain(f"{summary.failure}; the log is in {summary.run_dir}", "Failed")
        code = FAILED
    elif summary.partial:
        complain(f"ended after {summary.ticks:,} ticks; the log up to there is in {summary.run_dir}", "Interrupted")
        code = INTERRUPTED
    if isinstance(kept, BasisError):
        complain(str(kept))
        code = FAILED
    return code
