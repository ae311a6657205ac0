"""Defines the commands `logs errors` and `logs reconciliation`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.logs.asking import AsJson, Limit, Run, newest, opened, print_lines, room_for

if TYPE_CHECKING:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Grid
    from basis_actors.logs.queries.problems import Comparisons, Errors
    from basis_actors.logs.queries.source import Found
    from basis_actors.messages.events import ReconciliationEvent, SystemErrorEvent

__all__ = ["errors", "reconciliation"]


def errors(
    run: Run,
    *,
    severity: Annotated[
        str, typer.Option(metavar="SEVERITY", help="This one and graver: LOW, MEDIUM, HIGH or CRITICAL.")
    ] = "LOW",
    component: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this component.")] = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Only with this code.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Errors that components logged, with counts by code, what the codes mean, and what to do.

    `--json` prints the events of system_errors.jsonl as they are.
    """
    from basis_actors.logs.queries.problems import errors as find_errors
    from basis_actors.logs.queries.problems import severity_named

    least = severity_named(severity)
    counts: dict[str, Errors] = {}
    found = find_errors(opened(run), counts, severity=least, component=component, code=code)
    if as_json:
        print_lines(one.line for one in found)
        return
    total, kept = newest(found, limit)
    if not total:
        at_least = "" if severity.upper() == "LOW" else f" of severity {least} or graver"
        typer.echo(f"No errors{at_least}{f' of {component}' if component else ''}{f' with {code}' if code else ''}.")
        return
    _print_errors(list(kept), total, counts)


def _print_errors(kept: list[Found[SystemErrorEvent]], total: int, counts: dict[str, Errors]) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import SEVERITY_STYLE, Page, moment
    from basis_actors.error_guide import GUIDE

    page = Page()
    grid = page.grid(("time", "event"), ("code", "severity"), ("component", "operation", "message"))
    for one in kept:
        event = one.event
        grid.row(
            (moment(event.timestamp), Text(f"#{event.sequence}", style="dim")),
            (event.error_code, Text(event.severity, style=SEVERITY_STYLE[event.severity])),
            (Text(event.component, style="dim"), Text(event.operation_id or "", style="dim"), event.message),
        )
    codes = page.grid(("code",), ("severity",), ("count",), ("meaning", "what is left to you"), right=("count",))
    for entry in sorted(counts.values(), key=lambda entry: -entry.count):
        codes.row(
            (entry.code,),
            (Text(entry.severity, style=SEVERITY_STYLE[entry.severity]),),
            (f"{entry.count:,}",),
            (entry.meaning, Text(GUIDE[entry.code].remedy if entry.code in GUIDE else "", style="dim")),
        )
    shown = f", the last {len(kept):,} shown" if len(kept) < total else ""
    page.print(grid, Text(f"\nErrors: {total:,}{shown}\n"), codes)


def reconciliation(
    run: Run,
    *,
    only_mismatches: Annotated[bool, typer.Option("--mismatches", help="Leave out what agreed.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Comparisons of the ledger with what was expected and what venues report: mismatches first, counts by type.

    `--json` prints the events of reconciliation.jsonl as they are, in the order of the log.
    """
    from basis_actors.logs.queries.problems import comparisons

    counts: dict[str, Comparisons] = {}
    found = comparisons(opened(run), counts)
    if as_json:
        print_lines(one.line for one in found if not (only_mismatches and one.event.success))
        return
    wrong: deque[Found[ReconciliationEvent]] = deque(maxlen=room_for(limit))
    right: deque[Found[ReconciliationEvent]] = deque(maxlen=0 if only_mismatches else room_for(limit))
    for one in found:
        (right if one.event.success else wrong).append(one)
    if not counts:
        typer.echo("No comparisons.")
        return
    room = len(right) if not limit else max(limit - len(wrong), 0)
    _print_comparisons(list(wrong), list(right)[len(right) - min(room, len(right)) :], counts)


def _print_comparisons(
    wrong: list[Found[ReconciliationEvent]], right: list[Found[ReconciliationEvent]], counts: dict[str, Comparisons]
) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page, number

    page = Page()
    numbers = ("expected", "actual", "difference", "tolerance")
    if wrong:
        grid = page.grid(
            ("time", "type"), ("position", "operation"), ("expected", "actual"), ("difference", "tolerance"),
            right=numbers,
        )  # fmt: skip
        for one in wrong:
            for miss in one.event.mismatches:
                grid.row(
                    _when(one.event),
                    (Text(miss.position_key, style="red"), one.event.operation_id or ""),
                    (number(miss.expected), number(miss.actual)),
                    (Text(number(miss.difference), style="red"), f"± {number(miss.tolerance)}"),
                )
            if not one.event.mismatches:
                grid.row(
                    _when(one.event), (Text("failed", style="red"), one.event.operation_id or ""), ("",) * 2, ("",) * 2
                )
        page.print(Text("Mismatches", style="bold red"), grid, "")
    if right:
        agreed = page.grid(("time", "type"), ("operation",), ("positions",), ("event",), right=("positions", "event"))
        for one in right:
            event = one.event
            compared = f"{len({**event.expected, **event.actual}):,}"
            agreed.row(
                _when(event), (event.operation_id or event.trigger_source,), (compared,), (f"#{event.sequence}",)
            )
        page.print(Text("Agreed", style="bold"), agreed, "")
    page.print(
        _counted(page.grid(("type",), ("comparisons",), ("mismatches",), right=("comparisons", "mismatches")), counts)
    )


def _when(event: ReconciliationEvent) -> tuple[str, Text]:
    from rich.text import Text

    from basis_actors.cli.logs.tables import moment

    return moment(event.timestamp), Text(event.reconciliation_type, style="dim")


def _counted(grid: Grid, counts: dict[str, Comparisons]) -> Grid:
    from rich.text import Text

    for entry in counts.values():
        style = "red" if entry.mismatched else "green"
        grid.row((entry.kind,), (f"{entry.count:,}",), (Text(f"{entry.mismatched:,}", style=style),))
    return grid
