"""Defines how many requests an exchange still takes, and keeps some of them for what reduces risk.

It follows what the exchange says of itself: its limits, and what it has counted. How long it wants to be left alone is
kept in `pauses`, with what its other connections were told.
"""

from __future__ import annotations

from dataclasses import dataclass

from basis_actors.errors import LeftAlone, Transient
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.pauses import EVERYTHING, Pauses
from basis_actors.venues.wire.rolling_rate import RollingRate

__all__ = ["RequestBudget"]


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

    def __init__(self, venue: str, reserved_share: float, pauses: Pauses) -> None:
        self._venue = venue
        self._pauses = pauses
        self._open_share = 1.0 - reserved_share
        self._windows: dict[str, _Window] = {}
        self._rates: dict[str, RollingRate] = {}

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
        VEN-006 for what does not fit, LeftAlone VEN-006 while a host wants to be left alone and VEN-003 while the
        exchange bans us.
        """
        left_alone = self.left_alone(host, elapsed_ns)
        if left_alone is not None:
            raise left_alone
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

    def left_alone(self, host: str, elapsed_ns: int) -> LeftAlone | None:
        """Until when a host is still to be left alone, because it limits or because the exchange bans us."""
        return self._pauses.of(self._venue, host, elapsed_ns)

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
        self._pauses.begin(self._venue, host, elapsed_ns, seconds)

    def ban(self, elapsed_ns: int, seconds: float) -> None:
        """Leave the whole exchange alone from now on for `seconds`."""
        self._pauses.begin(self._venue, EVERYTHING, elapsed_ns, seconds)

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
