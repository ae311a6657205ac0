"""Defines a limit on requests that counts back from now, as exchanges do that grant so many a second."""

from __future__ import annotations

from collections import deque

__all__ = ["RollingRate"]


class RollingRate:
    """What has been used of `limit` in the last `length_ns`, on a clock that never goes back."""

    def __init__(self, limit: int, length_ns: int) -> None:
        self.limit = limit
        self._length_ns = length_ns
        self._taken: deque[tuple[int, int]] = deque()

    def take(self, weight: int, now_ns: int) -> None:
        """Use `weight` of it now."""
        self._taken.append((now_ns, weight))

    def used(self, now_ns: int) -> int:
        """Weight of the last `length_ns`."""
        while self._taken and self._taken[0][0] <= now_ns - self._length_ns:
            self._taken.popleft()
        return sum(weight for _, weight in self._taken)

    def wait_ns(self, weight: int, limit: int, now_ns: int) -> int:
        """How long it takes until `weight` fits into `limit`, as far as what was used until now stands in its way."""
        too_much, wait = self.used(now_ns) + weight - limit, 0
        for taken_ns, taken in self._taken:
            if too_much <= 0:
                break
            too_much, wait = too_much - taken, taken_ns + self._length_ns - now_ns
        return wait
