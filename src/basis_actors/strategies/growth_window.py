"""Defines the growth of a staking token's rate that a strategy has seen itself, from which it expects its carry."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["GrowthWindow"]

_DAY_NS: Final = 86_400 * 1_000_000_000
_LEAST_DAYS: Final = 7.0
"""Over fewer days one late oracle stamp weighs too much (assumption)."""


class GrowthWindow:
    """Keeps the changes of eth_per_lst over the last `days`."""

    def __init__(self, days: float) -> None:
        self._span = round(days * _DAY_NS)
        self._stamps: deque[tuple[int, float]] = deque()
        self._daily: float | None = None

    def add(self, ns: int, eth_per_lst: float) -> None:
        """Take note of a rate; only changes are kept."""
        stamps, changed = self._stamps, False
        if not stamps or stamps[-1][1] != eth_per_lst:
            stamps.append((ns, eth_per_lst))
            changed = True
        while len(stamps) > 2 and stamps[1][0] <= ns - self._span:
            stamps.popleft()
            changed = True
        if changed:
            self._daily = self._growth()

    def daily(self) -> float | None:
        """Mean growth a day as a fraction, from the first kept change to the last; None over less than a week."""
        return self._daily

    def _growth(self) -> float | None:
        if len(self._stamps) < 2:
            return None
        (first, before), (last, after) = self._stamps[0], self._stamps[-1]
        days = (last - first) / _DAY_NS
        if days < _LEAST_DAYS:
            return None
        return float((after / before) ** (1.0 / days)) - 1.0
