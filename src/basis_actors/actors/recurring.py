"""Defines how often something is said that happens again and again: at once, then at every tenfold of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

__all__ = ["Recurring"]

_FACTOR = 10


class Recurring:
    """Counts what happens, by where it does and what it is."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def note(self, where: str, what: str) -> int | None:
        """It happens once more: how often it has by now where that is to be said, else None."""
        self._counts[where][what] += 1
        count, told = self._counts[where][what], 1
        while told < count:
            told *= _FACTOR
        return count if told == count else None

    def is_over(self, where: str) -> Mapping[str, int]:
        """All of it has come to its end there, and is news when it happens again. How often each had happened."""
        return self._counts.pop(where, Counter[str]())
