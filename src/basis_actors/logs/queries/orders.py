"""Answers which orders there were, which did not come off, and which operations, tight loops and groups took long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import nlargest
from typing import Final

import msgspec

from basis_actors.logs.queries.source import Found, RunLog
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    DomainEvent,
    OperationExecutionEvent,
    TightLoopExecutionEvent,
)
from basis_actors.messages.execution import ExecutionStatus

__all__ = ["FAILED", "Slow", "SlowReport", "Timed", "failed_orders", "orders", "slow"]

FAILED: Final = (ExecutionStatus.FAILED, ExecutionStatus.ROLLED_BACK, ExecutionStatus.UNKNOWN)
"""Where something did not come off, or nobody knows whether it did."""


def orders(log: RunLog, *, venue: str | None = None) -> Iterator[Found[OperationExecutionEvent]]:
    """All orders that came to an end, in the order of the log."""
    for found in log.find(OperationExecutionEvent):
        if venue is None or found.event.venue == venue:
            yield found


def failed_orders(
    log: RunLog, *, code: str | None = None, venue: str | None = None
) -> Iterator[Found[OperationExecutionEvent]]:
    """Orders that failed, were rolled back or whose outcome is unknown, in the order of the log."""
    needles = [f'"status":"{status}"'.encode() for status in FAILED]
    for found in log.find(OperationExecutionEvent, *needles):
        event = found.event
        if (
            event.status in FAILED
            and (code is None or event.error_code == code)
            and (venue is None or event.venue == venue)
        ):
            yield found


class Slow(msgspec.Struct, frozen=True):
    """Something that took long."""

    kind: str
    """`operation`, `tight_loop` or `group`."""
    id: str
    """Operation or group id."""
    timestamp: datetime
    sequence: int | None
    duration_ms: float
    what: str
    """Operation and venue, `execution + reconciliation` of a loop in ms, or mode and number of orders of a group."""


class Timed(msgspec.Struct):
    """All of one kind."""

    kind: str
    count: int = 0
    over: int = 0
    """How many took longer than was asked for."""
    total_ms: float = 0.0
    longest_ms: float = 0.0

    @property
    def mean_ms(self) -> float | None:
        """None where there is none."""
        return self.total_ms / self.count if self.count else None


class SlowReport(msgspec.Struct, frozen=True):
    """What took long, longest first, and how that compares with all there is."""

    slow: list[Slow]
    kinds: list[Timed]


def slow(log: RunLog, over_ms: float, limit: int) -> SlowReport:
    """The `limit` longest operations, tight loops and groups of more than `over_ms` of wall time."""
    kinds = {kind: Timed(kind) for kind in ("operation", "tight_loop", "group")}

    def over() -> Iterator[Slow]:
        for entry in _timed(log):
            timed = kinds[entry.kind]
            timed.count += 1
            timed.total_ms += entry.duration_ms
            timed.longest_ms = max(timed.longest_ms, entry.duration_ms)
            if entry.duration_ms > over_ms:
                timed.over += 1
                yield entry

    longest = nlargest(limit, over(), key=lambda entry: entry.duration_ms)
    return SlowReport(longest, list(kinds.values()))


def _timed(log: RunLog) -> Iterator[Slow]:
    for operation in log.find(OperationExecutionEvent):
        event = operation.event
        what = f"{event.operation_type} {event.venue}"
        yield _slow("operation", event.operation_id, event, event.execution_duration_ms, what)
    for loop in log.find(TightLoopExecutionEvent):
        pass_ = loop.event
        what = f"{pass_.execution_duration_ms:.3f} + {pass_.reconciliation_duration_ms:.3f} ms"
        yield _slow("tight_loop", pass_.operation_id, pass_, pass_.total_duration_ms, what)
    for group in log.find(AtomicOperationGroupEvent):
        orders = group.event
        what = f"{orders.mode}, {len(orders.operation_ids)} orders"
        yield _slow("group", orders.atomic_group_id, orders, orders.total_duration_ms, what)


def _slow(kind: str, name: str, event: DomainEvent, duration_ms: float, what: str) -> Slow:
    return Slow(kind, name, event.timestamp, event.sequence, duration_ms, what)
