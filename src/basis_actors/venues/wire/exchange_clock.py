"""Defines the clock of an exchange as it is known here: what it said once, carried on by a clock that never jumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["ExchangeClock"]

_HALVES: Final = 2


class ExchangeClock:
    """Tells the exchange's time. The computer's calendar plays no part in it: it may be wrong, and it may be set."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._offset_ns: int | None = None
        self._read_at_ns = 0

    @property
    def is_set(self) -> bool:
        """Whether the exchange has been asked for its time."""
        return self._offset_ns is not None

    @property
    def elapsed_ns(self) -> int:
        """The local clock, which counts from anywhere."""
        return self._monotonic_ns()

    def now_ns(self) -> int:
        """The exchange's time. Raises RuntimeError before the first reading."""
        if self._offset_ns is None:
            raise RuntimeError("the exchange has not been asked for its time; read its clock first")
        return self._monotonic_ns() + self._offset_ns

    def age_ns(self) -> int:
        """Time since the last reading."""
        return self._monotonic_ns() - self._read_at_ns

    def set(self, server_ns: int, asked_ns: int, answered_ns: int) -> None:
        """Take a reading: the exchange said `server_ns` at some moment between two local ones, most likely halfway."""
        self._offset_ns = server_ns - (asked_ns + answered_ns) // _HALVES
        self._read_at_ns = answered_ns
