"""Defines how an actor reports an error, whose code says how severe it is, and how it words what disagrees."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from basis_actors.errors import Severity, severity_of
from basis_actors.messages.events import Mismatch, SystemErrorEvent

__all__ = ["DOUBT_CODE", "HALTED_CODE", "ORDER_JOURNAL", "STATE_CODE", "STOPPED_CODE", "error_event", "say_mismatches"]

STATE_CODE: Final = "ENGINE-006"
"""Of what has to be on disk before an order is sent, and cannot be written."""

ORDER_JOURNAL: Final = "order journal"
"""Name of what refuses each order by itself as long as it cannot be written."""

DOUBT_CODE: Final = "VEN-009"
"""Of what is not sent to an account that shows what nothing explains."""
HALTED_CODE: Final = "VEN-008"
"""Of what is not sent to a venue that does not take our key."""
STOPPED_CODE: Final = "RISK-008"
"""Of what the kill switch does, and does not let through."""


def error_event(
    timestamp: datetime,
    component: str,
    error_code: str,
    message: str,
    operation_id: str | None = None,
    *,
    passes: bool = False,
    severity: Severity | None = None,
) -> SystemErrorEvent:
    """The event for an error with a registered code; KeyError for another.

    One that `passes` did nothing that could be wrong and may be tried again: it is never worse than MEDIUM. `severity`
    is for what is more or less severe than its code because of why it was done.
    """
    registered = severity_of(error_code)
    severity = registered if severity is None else severity
    if passes and severity is not Severity.LOW:
        severity = Severity.MEDIUM
    return SystemErrorEvent(
        timestamp=timestamp,
        component=component,
        error_code=error_code,
        severity=severity.value,
        message=message,
        operation_id=operation_id,
    )


def say_mismatches(mismatches: Iterable[Mismatch]) -> str:
    """Positions that are not what was expected, each with both numbers."""
    return "; ".join(
        f"{one.position_key} is {one.actual:.12g} where {one.expected:.12g} was expected (difference"
        f" {one.difference:.6g}, tolerance {one.tolerance:.3g})"
        for one in mismatches
    )
