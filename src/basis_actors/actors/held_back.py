"""Defines the account of alerts that were not sent one by one, and the one alert that sums them up."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from basis_actors.errors import Severity
from basis_actors.messages.operations import Alert
from basis_actors.times import utc_text

__all__ = ["RISING", "HeldBack"]

RISING: Final = tuple(Severity)
"""From least to most severe."""
_GROUPS_TOLD: Final = 5
"""Kinds of alerts that a summary names; the rest is a number."""


class HeldBack:
    """How many alerts of which kind since when, and the last of the most severe."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._gravest: Alert | None = None
        self._since = datetime.max.replace(tzinfo=UTC)

    def __bool__(self) -> bool:
        return self._gravest is not None

    @property
    def worst(self) -> Severity:
        """The highest severity among them; LOW when there are none."""
        return Severity.LOW if self._gravest is None else self._gravest.severity

    def add(self, alert: Alert) -> None:
        """Count one more."""
        self._counts[alert.severity.value, alert.code or "", alert.component] += 1
        self._consider(alert, alert.time)

    def merge(self, others: HeldBack) -> None:
        """Count what others stands for as well."""
        self._counts.update(others._counts)
        if others._gravest is not None:
            self._consider(others._gravest, others._since)

    def summary(self, name: str, now: datetime) -> Alert:
        """One alert that stands for all of them."""
        gravest = self._gravest
        assert gravest is not None, "there is something to sum up"
        kinds = self._counts.most_common()
        told = [f"{count:,} × {' '.join(part for part in kind if part)}" for kind, count in kinds[:_GROUPS_TOLD]]
        if len(kinds) > _GROUPS_TOLD:
            told.append(f"{len(kinds) - _GROUPS_TOLD} more kinds")
        text = (
            f"{self._counts.total():,} alerts were held back since {utc_text(self._since)}: {', '.join(told)}; the last"
            f" of the most severe, {gravest.component} at {utc_text(gravest.time)}: {gravest.message}"
        )
        return Alert(time=now, severity=self.worst, component=name, code=None, message=text)

    def _consider(self, alert: Alert, since: datetime) -> None:
        if self._gravest is None or RISING.index(alert.severity) >= RISING.index(self._gravest.severity):
            self._gravest = alert
        self._since = min(self._since, since)
