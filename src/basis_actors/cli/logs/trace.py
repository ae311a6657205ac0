"""Defines the command `logs trace`: the whole story of one operation or one group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_actors.cli.logs.asking import AsJson, Run, opened, print_rows

if TYPE_CHECKING:
    from basis_actors.logs.queries.story import Story
    from basis_actors.messages.events import (
        AtomicOperationGroupEvent,
        DomainEvent,
        ExecutionDeltaEvent,
        OperationExecutionEvent,
        ReconciliationEvent,
        StrategyDecision,
        SystemErrorEvent,
        TightLoopExecutionEvent,
    )

__all__ = ["trace"]


def trace(
    run: Run,
    operation_id: Annotated[str, typer.Argument(metavar="OPERATION_ID", help="Of an operation or of a group.")],
    *,
    as_json: AsJson = False,
) -> None:
    """The whole story of one operation or group: every event that has to do with it, in order, with durations.

    `--json` prints rows: file (stem of the event file) and event (as it is in the log).
    """
    import msgspec

    from basis_actors.logs.queries.story import story

    told = story(opened(run), operation_id)
    if as_json:
        print_rows({"file": one.event.FILE, "event": msgspec.Raw(one.line.rstrip(b"\n"))} for one in told.events)
    else:
        _print(told)


def _print(told: Story) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page, duration, moment

    page = Page()
    grid = page.grid(("event",), ("+ms",), ("what",), ("",), right=("event", "+ms"))
    begin: datetime | None = None
    for found in told.events:
        event = found.event
        begin = begin or event.real_utc_time
        passed = None if begin is None or event.real_utc_time is None else (event.real_utc_time - begin).total_seconds()
        title, describe = _tellers()[type(event)]
        lines = list(describe(event))
        grid.row(
            (f"{event.sequence:,}",),
            (duration(None if passed is None else passed * 1000.0),),
            (Text(title, style="bold"),),
            (("\n" if page.narrow else "; ").join(lines),),
        )
    first = next((one.event for one in told.events if one.event.FILE != "strategy_decisions"), told.events[0].event)
    about = "" if told.operations in ([told.given], []) else f": {', '.join(told.operations)}"
    page.print(Text.assemble((told.given, "bold"), f"{about}, {moment(first.timestamp)} UTC\n"), grid)


def _tellers() -> dict[type[DomainEvent], tuple[str, Callable[[Any], Iterator[str]]]]:
    from basis_actors.messages import events

    return {
        events.StrategyDecision: ("decision", _decision),
        events.OperationExecutionEvent: ("operation", _operation),
        events.ExecutionDeltaEvent: ("delta", _delta),
        events.ReconciliationEvent: ("reconciliation", _reconciliation),
        events.TightLoopExecutionEvent: ("tight loop", _loop),
        events.AtomicOperationGroupEvent: ("group", _group),
        events.SystemErrorEvent: ("error", _error),
    }


def _decision(event: StrategyDecision) -> Iterator[str]:
    yield f"{event.decision_type} ({event.action_taken}), {event.orders_generated} orders, risk {event.risk_level}"
    yield event.reasoning


def _operation(event: OperationExecutionEvent) -> Iterator[str]:
    from basis_actors.cli.logs.tables import duration, number, signed

    yield f"{event.operation_id} {event.operation_type} at {event.venue}: {event.status}"
    between = event.operation_details  # of a transfer: its tokens are the same
    source, target = between.get("source_key", event.source_token), between.get("target_key", event.target_token)
    fee = f", fee {number(event.fee_amount)} {event.fee_currency}" if event.fee_amount else ""
    yield f"{source} → {target} in {duration(event.execution_duration_ms)} ms{fee}"
    if event.error_code or event.error_message:
        yield f"{event.error_code}: {event.error_message}"
    expected = {delta.position_key: delta.delta_amount for delta in event.expected_deltas}
    for key in {**expected, **event.actual_deltas}:
        actual = event.actual_deltas.get(key)
        wanted = expected.get(key)
        shown = "nothing" if actual is None else signed(actual)
        asked = "nothing" if wanted is None else signed(wanted)
        note = ", as expected" if wanted == actual else f", expected {asked}"
        yield f"{key} {shown}{note}"


def _delta(event: ExecutionDeltaEvent) -> Iterator[str]:
    from basis_actors.cli.logs.tables import number, signed

    yield f"{event.source} of {event.operation_id}, {event.domain} #{event.domain_sequence}"
    for delta in event.deltas:
        price = f" at {number(delta.price)}" if delta.price is not None else ""
        index = f", index {number(delta.index)}" if delta.index is not None else ""
        yield f"{delta.position_key} {signed(delta.delta_amount)}{price}{index}"


def _reconciliation(event: ReconciliationEvent) -> Iterator[str]:
    from basis_actors.cli.logs.tables import number

    yield f"{event.reconciliation_type}: " + ("as expected" if event.success else "MISMATCH")
    for miss in event.mismatches:
        yield (
            f"{miss.position_key} {number(miss.actual)}, expected {number(miss.expected)}: off by"
            f" {number(miss.difference)}, tolerance {number(miss.tolerance)}"
        )


def _loop(event: TightLoopExecutionEvent) -> Iterator[str]:
    from basis_actors.cli.logs.tables import duration

    total, execution = duration(event.total_duration_ms), duration(event.execution_duration_ms)
    yield f"{total} ms: execution {execution}, reconciliation {duration(event.reconciliation_duration_ms)}"
    executed = "executed" if event.execution_success else "NOT executed"
    reconciled = "reconciled" if event.reconciliation_success else "NOT reconciled"
    yield f"{executed}, {reconciled}, {event.retry_count} retries"
    if event.failure_reason:
        yield event.failure_reason


def _group(event: AtomicOperationGroupEvent) -> Iterator[str]:
    from basis_actors.cli.logs.tables import duration, number

    yield f"{event.atomic_group_id} ({event.mode}): {event.group_status} in {duration(event.total_duration_ms)} ms"
    yield f"{len(event.operation_ids)} operations, gas {number(event.total_gas_fees)}"
    if event.rollback_reason:
        yield event.rollback_reason


def _error(event: SystemErrorEvent) -> Iterator[str]:
    yield f"{event.severity} {event.error_code} of {event.component}"
    yield event.message
