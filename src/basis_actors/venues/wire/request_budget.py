"""Defines how many requests an exchange still takes, and keeps some of them for what reduces risk.

It follows what the exchange says of itself: its limits, what it has counted, and how long it wants to be left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from basis_actors.errors import Transient
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.rolling_rate import RollingRate

__all__ = ["EVERYTHING", "RequestBudget"]

EVERYTHING: Final = ""
"""Stands for all hosts of an exchange together."""


@dataclass
class _Window:
    """What has been used of one limit."""

    limit: int
    length_ns: int
    number: int = -1
    """Which window since the epoch."""
    used: int = 0


class RequestBudget:
    """Budgets of one exchange, by host. It never waits: what does not fit is refused, and nothing is sent."""

    def __init__(self, venue: str, reserved_share: float) -> None:
        self._venue = venue
        self._open_share = 1.0 - reserved_share
        self._windows: dict[str, _Window] = {}
        self._rates: dict[str, RollingRate] = {}
        self._paused: dict[str, tuple[int, float]] = {}
        """Until when each host is left alone, and for how many seconds it is in all."""
        self._banned_until: int | None = None
        self._ban_seconds = 0.0

    def set_limit(self, host: str, weight: int, length_ns: int) -> None:
        """What the exchange grants a host in each window of `length_ns`, counted from whole multiples of it."""
        known = self._windows.get(host)
        if known is None or (known.limit, known.length_ns) != (weight, length_ns):
            self._windows[host] = _Window(weight, length_ns)

    def set_rate(self, host: str, weight: int, length_ns: int) -> None:
        """What the exchange grants a host, or `EVERYTHING`, in any `length_ns` that follow each other."""
        self._rates[host] = RollingRate(weight, length_ns)

    def take(self, host: str, weight: int, *, exchange_ns: int | None, elapsed_ns: int, urgent: bool) -> None:
        """Use `weight` of a host's budget. Raises as `require`."""
        self.require(host, weight, exchange_ns=exchange_ns, elapsed_ns=elapsed_ns, urgent=urgent)
        window = self._current(host, exchange_ns)
        if window is not None:
            window.used += weight
        for rate in self._rates_of(host):
            rate.take(weight, elapsed_ns)

    def require(self, host: str, weight: int, *, exchange_ns: int | None, elapsed_ns: int, urgent: bool) -> None:
        """Whether `weight` fits into a host's budget; only what is `urgent` may use the last of it.

        `exchange_ns` is the exchange's time, None while it is not known, `elapsed_ns` the local clock. Raises Transient
        VEN-006 for what does not fit and while a host wants to be left alone, VEN-003 while the exchange bans us.
        """
        if self._banned_until is not None and elapsed_ns < self._banned_until:
            # The same words for as long as it lasts: whoever repeats them to a person does so once.
            text = f"{self._venue} bans this address for {self._ban_seconds:g} s; nothing is sent until that is over"
            raise Transient("VEN-003", text, (self._banned_until - elapsed_ns) / NS_PER_SECOND)
        until, seconds = self._paused.get(host, (elapsed_ns, 0.0))
        if elapsed_ns < until:
            text = f"{self._venue} ({host}) takes no request for {seconds:g} s; nothing is sent until that is over"
            raise Transient("VEN-006", text, (until - elapsed_ns) / NS_PER_SECOND)
        if weight == 0:
            return
        window = self._current(host, exchange_ns)
        if window is not None and exchange_ns is not None:
            left = window.length_ns - exchange_ns % window.length_ns
            self._require(host, weight, window.used, self._share(window.limit, urgent=urgent), left)
        for rate in self._rates_of(host):
            limit = self._share(rate.limit, urgent=urgent)
            left = rate.wait_ns(weight, limit, elapsed_ns)
            self._require(host, weight, rate.used(elapsed_ns), limit, left)

    def left_alone_seconds(self, host: str, elapsed_ns: int) -> float:
        """How long a host is still to be left alone, because it limits or because the exchange bans us."""
        until, _ = self._paused.get(host, (elapsed_ns, 0.0))
        until = max(until, self._banned_until or elapsed_ns)
        return max(until - elapsed_ns, 0) / NS_PER_SECOND

    def wait_ns(self, host: str, weight: int, elapsed_ns: int, *, urgent: bool) -> int:
        """How long it takes until `weight` fits into what is granted over any time; 0 when it does now."""
        return max(
            (rate.wait_ns(weight, self._share(rate.limit, urgent=urgent), elapsed_ns) for rate in self._rates_of(host)),
            default=0,
        )

    def used(self, host: str, weight: int, exchange_ns: int | None) -> None:
        """Take note of what the exchange has counted, of others at this address as well."""
        window = self._current(host, exchange_ns)
        if window is not None:
            window.used = max(window.used, weight)

    def pause(self, host: str, elapsed_ns: int, seconds: float) -> None:
        """Leave a host alone from now on for `seconds`."""
        pause = (elapsed_ns + int(seconds * NS_PER_SECOND), seconds)
        self._paused[host] = max(self._paused.get(host, pause), pause)

    def ban(self, elapsed_ns: int, seconds: float) -> None:
        """Leave the whole exchange alone from now on for `seconds`."""
        until = elapsed_ns + int(seconds * NS_PER_SECOND)
        if self._banned_until is None or until > self._banned_until:
            self._banned_until, self._ban_seconds = until, seconds

    def _rates_of(self, host: str) -> list[RollingRate]:
        return [self._rates[name] for name in (host, EVERYTHING) if name in self._rates]

    def _share(self, limit: int, *, urgent: bool) -> int:
        return limit if urgent else max(1, int(limit * self._open_share))

    def _require(self, host: str, weight: int, used: int, limit: int, left_ns: int) -> None:
        if used + weight > limit:
            text = f"{used} of {limit} in this window are used and {weight} were asked for; nothing was sent"
            raise Transient("VEN-006", f"{self._venue} ({host}) budget: {text}", left_ns / NS_PER_SECOND)

    def _current(self, host: str, exchange_ns: int | None) -> _Window | None:
        window = self._windows.get(host)
        if window is None or exchange_ns is None:
            return None
        number = exchange_ns // window.length_ns
        if number != window.number:
            window.number, window.used = number, 0
        return window
