"""Defines the stopwatch that durations in the log come from. Nothing is ever decided by it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Stopwatch"]


class Stopwatch:
    """Reads seconds from the source it is given; a fixed one makes the durations of two runs the same."""

    def __init__(self, source: Callable[[], float]) -> None:
        self._source = source

    def __call__(self) -> float:
        """The present reading, in seconds."""
        return self._source()

    def ms_since(self, reading: float) -> float:
        """Milliseconds since an earlier reading."""
        return (self._source() - reading) * 1e3
