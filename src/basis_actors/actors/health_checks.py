"""Defines what a look at a component consists of, and how long what has happened counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["STATUSES", "Check", "RecentTimes", "problems_of", "status_of"]

STATUSES: Final = ("healthy", "degraded", "unhealthy")
"""From best to worst."""
_ENOUGH: Final = 10_000
"""Errors of one component that are remembered; more of them say nothing new."""


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    passed: bool
    problem: str
    """What is wrong when it is not passed."""
    grave: bool = False
    """Whether that is unhealthy rather than degraded."""


def status_of(checks: Sequence[Check]) -> str:
    """`healthy`, `degraded` or `unhealthy`."""
    failed = [check for check in checks if not check.passed]
    if any(check.grave for check in failed):
        return "unhealthy"
    return "degraded" if failed else "healthy"


def problems_of(checks: Sequence[Check]) -> tuple[str, ...]:
    """What is wrong, each problem once: what makes unhealthy by one check makes degraded by another."""
    return tuple(dict.fromkeys(check.problem for check in checks if not check.passed))


class RecentTimes:
    """When something happened, as far as that is still of interest."""

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=_ENOUGH)

    def add(self, ns: int) -> None:
        """It has happened; times never go back."""
        self._times.append(ns)

    def since(self, ns: int) -> int:
        """How often it has happened after `ns`; what was before is forgotten."""
        times = self._times
        while times and times[0] <= ns:
            times.popleft()
        return len(times)
