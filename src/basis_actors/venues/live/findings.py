"""Defines what an account finds out beside what it was asked, kept until somebody logs and books it."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.errors import Severity, severity_of
from basis_actors.messages.book import Trigger
from basis_actors.messages.events import DomainEvent, Mismatch, ReconciliationEvent, SystemErrorEvent
from basis_actors.messages.execution import Settlement
from basis_actors.times import utc_from_ns

__all__ = ["Findings"]


class Findings:
    """Events for the log, and settlements for the ledger, which applies each once however often it is shown one."""

    def __init__(self, component: str) -> None:
        self._component = component
        self._events: list[DomainEvent] = []
        self.settlements: list[Settlement] = []
        """What the ledger may not have seen yet, oldest first."""

    def note(self, event: DomainEvent) -> None:
        """Something for the log."""
        self._events.append(event)

    def error(
        self, now_ns: int, code: str, text: str, operation_id: str | None = None, *, passes: bool = False
    ) -> None:
        """An error with a registered code; one that `passes` is never worse than MEDIUM."""
        severity = severity_of(code)
        if passes and severity is not Severity.LOW:
            severity = Severity.MEDIUM
        self.note(
            SystemErrorEvent(
                timestamp=utc_from_ns(now_ns),
                component=self._component,
                error_code=code,
                severity=severity.value,
                message=text,
                operation_id=operation_id,
            )
        )

    def disagree(self, now_ns: int, domain: str, found: Mapping[str, tuple[float, float]], tolerance: float) -> None:
        """What is booked and what the exchange shows, by key, that no trade and no payment explains."""
        booked = {key: ours for key, (ours, _) in found.items()}
        self.note(
            ReconciliationEvent(
                timestamp=utc_from_ns(now_ns),
                reconciliation_type="venue_wins",
                success=False,
                expected=booked,
                actual=booked,
                venue_reported={key: shown for key, (_, shown) in found.items()},
                mismatches=tuple(
                    Mismatch(key, ours, shown, shown - ours, tolerance * max(abs(ours), abs(shown), 1.0))
                    for key, (ours, shown) in found.items()
                ),
                trigger_source=Trigger.TICK,
            )
        )
        what = "; ".join(f"{key} is {shown:.12g}, {ours:.12g} is booked" for key, (ours, shown) in found.items())
        text = f"{domain} shows what no trade and no payment explains: {what}; the exchange is believed"
        self.error(now_ns, "VEN-007", text)

    def take_events(self) -> tuple[DomainEvent, ...]:
        """What was noted since the last time."""
        events, self._events = tuple(self._events), []
        return events
