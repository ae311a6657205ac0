"""Counts sentences that are the same but for their numbers, and shows each kind as one whole sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["Recurring", "kind_of"]

_COUNT: Final = re.compile(r" \((?:[\d,]+ times|first of [\d,]+)\)$")


class Recurring:
    """Sentences of a run as they come; memory grows with their kinds only."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, texts: Iterable[str]) -> None:
        """Count each of `texts`."""
        for text in texts:
            kind = _without_numbers(text)
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._first.setdefault(kind, text)
            self._last[kind] = text

    def clear(self) -> None:
        """Forget everything."""
        for part in (self._counts, self._first, self._last):
            part.clear()

    def lines(self) -> list[str]:
        """Each kind as the first of its sentences, in order of their coming, and how often it came."""
        return [_counted(first, self._counts[kind], self._last[kind]) for kind, first in self._first.items()]

    def most_common(self, kinds: int) -> list[tuple[str, int]]:
        """The last sentence of each of the most frequent kinds, and how often it came."""
        counts = sorted(self._counts.items(), key=lambda counted: -counted[1])
        return [(self._last[kind], times) for kind, times in counts[:kinds]]


def kind_of(line: str) -> str:
    """What a line of `Recurring.lines` has in common with those of other runs that differ in numbers only."""
    return _without_numbers(_COUNT.sub("", line))


def _counted(first: str, times: int, last: str) -> str:
    if times == 1:
        return first
    return f"{first} ({times:,} times)" if first == last else f"{first} (first of {times:,})"


def _without_numbers(text: str) -> str:
    return " ".join(word for word in text.split() if not word[0].isdigit() and word[0] != "-")
