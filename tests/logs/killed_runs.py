"""Runs a mode again and again and kills each run somewhere: `python killed_runs.py FOLDER MODE FIRST COUNT`.

A timer of processor time ends the process on the spot (SIGVTALRM is not caught), wherever it is: in an actor, in a
write, between two files. The moments spread over the whole run, whatever the load of the machine.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, Prepared, prepare


def prepared(folder: Path, mode: str) -> Prepared:
    """A month of a mode, in small segments."""
    return prepare(
        BacktestRequest(
            mode=mode,
            start=datetime(2024, 1, 1, tzinfo=UTC),
            end=datetime(2024, 1, 31, tzinfo=UTC),
            out=folder,
            correlation_id="same",
            fixed_clock=True,
            overrides={"component_config": {"log_keeper": {"segment_bytes": 150_000}}},
        )
    )


def run(ready: Prepared, name: str, seconds: float) -> int:
    """Run it in a child, kill it after `seconds` of processor time (never for 0), and return how the child ended."""
    request = replace(ready.request, out=ready.request.out / name)
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        Backtest(replace(ready, request=request)).run()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def main() -> None:
    """One whole run, then the killed ones: a line each with its name and the signal that ended it."""
    folder, mode, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ready = prepared(folder, mode)
    before = os.times().children_user
    if run(ready, "whole", 0.0) != 0:
        sys.exit("the whole run failed")
    whole = os.times().children_user - before
    for number in range(first, first + count):
        moment = random.Random(number).uniform(0.001, whole)
        sys.stdout.write(f"killed-{number} {os.WTERMSIG(run(ready, f'killed-{number}', moment))}\n")


if __name__ == "__main__":
    main()
