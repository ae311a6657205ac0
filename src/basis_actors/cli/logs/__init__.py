"""Puts the commands of `basis-actors logs` together: questions to the log of a run, and housekeeping."""

from __future__ import annotations

import typer

from basis_actors.cli.log_pruning import prune
from basis_actors.cli.logs.book import at, positions
from basis_actors.cli.logs.comparison import diff
from basis_actors.cli.logs.orders import failed, orders, slow
from basis_actors.cli.logs.problems import errors, reconciliation
from basis_actors.cli.logs.runs import list_runs
from basis_actors.cli.logs.sql import sql
from basis_actors.cli.logs.trace import trace

__all__ = ["logs"]

logs = typer.Typer(
    no_args_is_help=True,
    help="""Ask the logs of runs, and keep them small.

RUN is a run directory, its name under `logs/`, or a result. Answers are tables; `--json` prints a line of JSON for each
event or row instead. What is torn or missing is said on standard error. Exit codes: 0 answered, also when nothing was
found; 1 two runs differ; 2 bad input.""",
)
logs.command("list")(list_runs)
logs.command("errors")(errors)
logs.command("orders")(orders)
logs.command("failed")(failed)
logs.command("trace")(trace)
logs.command("at")(at)
logs.command("positions")(positions)
logs.command("reconciliation")(reconciliation)
logs.command("slow")(slow)
logs.command("diff")(diff)
logs.command("sql")(sql)
logs.command("prune")(prune)
