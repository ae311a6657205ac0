"""Defines how often something may happen: at once while there are tokens, in the long run as fast as they grow."""

from __future__ import annotations

from basis_actors.times import NS_PER_SECOND

__all__ = ["TokenBucket"]

_MINUTE_NS = 60 * NS_PER_SECOND


class TokenBucket:
    """Holds `burst` tokens when it is full, as it is at first, and grows by `per_minute`. Times are nanoseconds.

    A token is counted as the time it takes to grow, so that waiting as long as `wait_ns` says is always enough.
    """

    def __init__(self, burst: int, per_minute: float, now_ns: int) -> None:
        self._token_ns = max(1, round(_MINUTE_NS / per_minute))
        self._full_ns = burst * self._token_ns
        self._held_ns = self._full_ns
        self._as_of_ns = now_ns

    def take(self, now_ns: int, leave: int = 0) -> bool:
        """Take one token if that leaves at least `leave`; whether it did."""
        if self.wait_ns(now_ns, leave):
            return False
        self._held_ns -= self._token_ns
        return True

    def wait_ns(self, now_ns: int, leave: int = 0) -> int:
        """Until `take` with the same `leave` will do; 0 when it does now."""
        self._held_ns = min(self._full_ns, self._held_ns + max(0, now_ns - self._as_of_ns))
        self._as_of_ns = max(now_ns, self._as_of_ns)
        return max(0, (1 + leave) * self._token_ns - self._held_ns)
