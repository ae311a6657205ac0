"""Defines a clock that only moves when a test moves it: the exchange's calendar and the client's counter in one."""

from __future__ import annotations

from datetime import UTC, datetime

from basis_actors.times import NS_PER_SECOND, ns_from_utc

START = datetime(2024, 5, 1, tzinfo=UTC)


class HandClock:
    """Time at the exchange, and at a client whose counter started somewhere else."""

    def __init__(self) -> None:
        self._ns = ns_from_utc(START)
        self._drift_ns = 0

    @property
    def ns(self) -> int:
        """The exchange's time."""
        return self._ns

    @property
    def ms(self) -> int:
        """The same in milliseconds."""
        return self._ns // 1_000_000

    def monotonic_ns(self) -> int:
        """The client's counter."""
        return self._ns - ns_from_utc(START) + 7 * NS_PER_SECOND + self._drift_ns

    def drift(self, seconds: float) -> None:
        """Let the client's counter run ahead of the exchange, or with a minus behind it."""
        self._drift_ns += round(seconds * NS_PER_SECOND)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ns += round(seconds * NS_PER_SECOND)

    def jump_to(self, ns: int) -> None:
        """Let time pass up to a moment."""
        assert ns >= self._ns
        self._ns = ns
