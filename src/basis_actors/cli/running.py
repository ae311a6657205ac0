"""Carries out a backtest for the command line: progress, interruptions, the summary in the form asked for, the exit
code."""

from __future__ import annotations

import sys
from enum import Enum, auto
from typing import TYPE_CHECKING

from basis_actors.cli.interruption import Interruption
from basis_actors.cli.progress import progress_display
from basis_actors.cli.terminal import DONE, FAILED, INTERRUPTED, complain, results
from basis_actors.results.render import print_summary, summary_json
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

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


def run(request: BacktestRequest, shown: Shown, *, progress: bool) -> int:
    """Run it and return the exit code. Raises BasisError for what cannot be run."""
    with Interruption() as interruption:
        try:
            with progress_display(str(request.mode), wanted=progress) as display:
                display.loading()
                prepared = prepare(request)
                interruption.hold()
                backtest = Backtest(prepared)
                interruption.cancels(backtest.cancel)
                summary = backtest.run(display.update)
        except KeyboardInterrupt:
            complain("nothing was run", "Interrupted")
            return INTERRUPTED
    _show(summary, shown)
    return _verdict(summary)


def _show(summary: RunSummary, shown: Shown) -> None:
    if shown is Shown.SUMMARY:
        print_summary(summary, results())
    else:
        line = summary_json(summary).decode() if shown is Shown.JSON else str(summary.run_dir)
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _verdict(summary: RunSummary) -> int:
    if summary.failure is not None:
        complain(f"{summary.failure}; the log is in {summary.run_dir}", "Failed")
        return FAILED
    if summary.partial:
        complain(f"ended after {summary.ticks:,} ticks; the log up to there is in {summary.run_dir}", "Interrupted")
        return INTERRUPTED
    return DONE
