"""Answers which comparisons of the ledger failed and which errors the components logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from basis_actors.errors import REGISTRY, BasisError, Severity
from basis_actors.logs.queries.source import Found, RunLog
from basis_actors.messages.events import ReconciliationEvent, SystemErrorEvent

__all__ = ["Comparisons", "Errors", "comparisons", "errors", "severity_named"]

_ORDER: Final = tuple(Severity)


class Comparisons(msgspec.Struct):
    """Reconciliations of one type, as far as they were read."""

    kind: str
    count: int = 0
    mismatched: int = 0


class Errors(msgspec.Struct):
    """Errors with one code, as far as they were read."""

    code: str
    severity: str
    """The gravest that one of them has."""
    meaning: str
    count: int = 0


def comparisons(log: RunLog, counts: dict[str, Comparisons]) -> Iterator[Found[ReconciliationEvent]]:
    """Every comparison in the order of the log; `counts` is filled in by type on the way."""
    for found in log.find(ReconciliationEvent):
        kind = found.event.reconciliation_type
        entry = counts.setdefault(kind, Comparisons(kind))
        entry.count += 1
        entry.mismatched += not found.event.success
        yield found


def errors(
    log: RunLog,
    counts: dict[str, Errors],
    *,
    severity: Severity = Severity.LOW,
    component: str | None = None,
    code: str | None = None,
) -> Iterator[Found[SystemErrorEvent]]:
    """Errors of `severity` or graver, in the order of the log; `counts` is filled in by code on the way."""
    least = _ORDER.index(severity)
    for found in log.find(SystemErrorEvent):
        event = found.event
        grade = _ORDER.index(Severity(event.severity))
        if grade < least or component not in (None, event.component) or code not in (None, event.error_code):
            continue
        entry = counts.setdefault(event.error_code, Errors(event.error_code, event.severity, _meaning(event)))
        entry.count += 1
        if grade > _ORDER.index(Severity(entry.severity)):
            entry.severity = event.severity
        yield found


def severity_named(word: str) -> Severity:
    """The severity with this name. Raises BasisError LOG-006 when there is none."""
    try:
        return Severity(word.upper())
    except ValueError:
        raise BasisError("LOG-006", f"severity {word!r} is none of {', '.join(_ORDER)}") from None


def _meaning(event: SystemErrorEvent) -> str:
    entry = REGISTRY.get(event.error_code)
    return "" if entry is None else entry.meaning
