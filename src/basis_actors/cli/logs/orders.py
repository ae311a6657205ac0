"""Defines the commands `logs orders`, `logs failed` and `logs slow`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.logs.asking import AsJson, Limit, Run, newest, opened, print_lines, print_rows

if TYPE_CHECKING:
    from basis_actors.logs.queries.orders import SlowReport
    from basis_actors.logs.queries.source import Found
    from basis_actors.messages.events import OperationExecutionEvent

__all__ = ["failed", "orders", "slow"]

_NUMBERS = ("all", "over", "mean ms", "longest ms")
_MANY = 1_000_000_000
"""As good as no limit."""

Venue = Annotated[str | None, typer.Option(metavar="VENUE", help="Only of this venue.")]


def orders(run: Run, *, venue: Venue = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """Orders that were executed or tried, with the ids that `logs trace` takes, and what each came to.

    `--json` prints the events of operation_executions.jsonl as they are.
    """
    from basis_actors.logs.queries.orders import orders as find_orders

    found = find_orders(opened(run), venue=venue)
    if as_json:
        print_lines(one.line for one in found)
        return
    total, kept = newest(found, limit)
    if total:
        _print_orders(list(kept), total)
    else:
        typer.echo("No orders" + _only(None, venue))


def failed(
    run: Run,
    *,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Only with this error code.")] = None,
    venue: Venue = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Orders that failed, were rolled back, or whose outcome is unknown.

    `--json` prints the events of operation_executions.jsonl as they are.
    """
    from basis_actors.errors import REGISTRY
    from basis_actors.logs.queries.orders import failed_orders

    log = opened(run)
    found = failed_orders(log, code=code, venue=venue)
    if as_json:
        print_lines(one.line for one in found)
        return
    codes: Counter[str] = Counter()

    def counted() -> Iterator[Found[OperationExecutionEvent]]:
        for one in found:
            codes[one.event.error_code or "no code"] += 1
            yield one

    total, kept = newest(counted(), limit)
    if not total:
        typer.echo("No order failed" + _only(code, venue))
        return
    _print_orders(list(kept), total)
    for name, count in codes.most_common():
        meaning = REGISTRY[name].meaning if name in REGISTRY else ""
        typer.echo(f"{count:>7,} × {name:<9} {meaning}".rstrip())


def _only(code: str | None, venue: str | None) -> str:
    return (f" at {venue}" if venue else "") + (f" with {code}" if code else "") + "."


def _print_orders(kept: list[Found[OperationExecutionEvent]], total: int) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page, moment
    from basis_actors.logs.queries.orders import FAILED

    page = Page()
    grid = page.grid(("time", "event"), ("order", "operation", "amount", "group", "message"), ("outcome", "code"))
    for one in kept:
        event = one.event
        grid.row(
            (moment(event.timestamp), Text(f"#{event.sequence}", style="dim")),
            (
                Text(event.operation_id, style="bold"),
                _what(event),
                _amount(event),
                f"group {event.atomic_group_id}" if event.atomic_group_id else "",
                event.error_message or "",
            ),
            (Text(event.status.value, style="red" if event.status in FAILED else "green"), event.error_code or ""),
        )
    page.print(grid)
    page.print(Text(f"\n{total:,} orders" + (f", the last {len(kept):,} shown" if len(kept) < total else "")))


def _what(event: OperationExecutionEvent) -> str:
    """What was done where, and of a transfer where to."""
    target = event.operation_details.get("target_key")
    return f"{event.operation_type} at {event.venue}" + (f", to {target}" if target else "")


def _amount(event: OperationExecutionEvent) -> str:
    """What the order was for: the first of the deltas that were expected of it."""
    from basis_actors.cli.logs.tables import signed

    if not event.expected_deltas:
        return ""
    first = event.expected_deltas[0]
    return f"{signed(first.delta_amount)} {first.position_key.split(':')[-1]}"


def slow(
    run: Run,
    *,
    over_ms: Annotated[float, typer.Option(metavar="MS", min=0.0, help="Only what took longer than this.")] = 0.0,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Rows of the table; 0 for all.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Operations, tight loops and groups by their duration (wall time, ms), longest first.

    `--json` prints rows: kind (operation, tight_loop, group), id, timestamp, sequence, duration_ms, what.
    """
    from basis_actors.logs.queries.orders import slow as find_slow

    report = find_slow(opened(run), over_ms, limit or _MANY)
    if as_json:
        print_rows(report.slow)
    elif not report.slow:
        counted = ", ".join(f"{kind.count:,} {kind.kind.replace('_', ' ')}s" for kind in report.kinds)
        typer.echo(f"Nothing took longer than {over_ms:g} ms ({counted}).")
    else:
        _print_slow(report)


def _print_slow(report: SlowReport) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page, duration, moment

    page = Page()
    grid = page.grid(("ms",), ("kind",), ("id", "what"), ("time", "event"), right=("ms",))
    for one in report.slow:
        grid.row(
            (Text(duration(one.duration_ms), style="bold"),),
            (one.kind.replace("_", " "),),
            (one.id, Text(one.what, style="dim")),
            (moment(one.timestamp), Text(f"#{one.sequence}", style="dim")),
        )
    kinds = page.grid(("kind",), ("all",), ("over",), ("mean ms",), ("longest ms",), right=_NUMBERS)
    for kind in report.kinds:
        longest = duration(kind.longest_ms if kind.count else None)
        kinds.row(
            (kind.kind.replace("_", " "),), (f"{kind.count:,}",), (f"{kind.over:,}",), (duration(kind.mean_ms),),
            (longest,),
        )  # fmt: skip
    page.print(grid, "", kinds)
