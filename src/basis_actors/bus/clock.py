"""Defines time as the bus sees it: integer nanoseconds since the epoch, from a clock that is given, never looked up.

``VirtualClock`` belongs to ``SimBus``, which moves it. ``ManualClock`` lets ``LiveBus`` run on time that a test or a
backtest moves. ``WallClock`` is real time, ``ReplayClock`` real time at another pace. Once a bus has been made with a
clock, ``clock.sleep`` is a primitive of that bus: ports may await it at any call depth inside a handler, on both
runtimes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from basis_actors.bus.errors import BusError

SECOND = 1_000_000_000


def nanoseconds(seconds: float) -> int:
    """Seconds as integer nanoseconds."""
    return round(seconds * SECOND)


class Clock(Protocol):
    """What actors and ports may know of time."""

    def now(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        ...


class BusClock:
    """Base of the three clocks: the part that a bus attaches itself to."""

    pace: float = 1.0
    """Seconds of this clock in a second of real time. Deadlines and sleeps are real seconds at any pace."""

    def __init__(self) -> None:
        self._sleep: Callable[[float], Awaitable[None]] | None = None
        self._moved: Callable[[], None] | None = None

    def attach(self, sleep: Callable[[float], Awaitable[None]], moved: Callable[[], None]) -> None:
        """Called once by the bus: how to sleep on it, and whom to tell that time was moved by hand."""
        if self._sleep is not None:
            raise BusError("a clock belongs to one bus; make a new clock for a new bus")
        self._sleep, self._moved = sleep, moved

    def now(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        raise NotImplementedError

    def span(self, seconds: float) -> int:
        """How far this clock goes (ns) in so many seconds of real time."""
        return nanoseconds(seconds * self.pace)

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock; a primitive of the bus that the clock was given to."""
        if self._sleep is None:
            raise BusError("this clock was not given to a bus, so nobody would wake the sleeper")
        await self._sleep(seconds)


class VirtualClock(BusClock):
    """Time that stands still until its bus has nothing else to do."""

    def __init__(self, start_ns: int = 0) -> None:
        super().__init__()
        self.now_ns = start_ns
        """What ``now`` returns, for the bus."""

    def now(self) -> int:
        return self.now_ns

    def move_to(self, now_ns: int) -> None:
        """For the bus: set the time. Never goes back."""
        self.now_ns = max(self.now_ns, now_ns)


class ManualClock(VirtualClock):
    """Virtual time for ``LiveBus``: moved by ``advance``, or, with ``auto=True``, by the bus.

    With ``auto`` the bus jumps to its next timer whenever somebody waits for it (``settled``, ``exhausted``, ``ask``)
    and no actor can go on otherwise. That is how a backtest runs on the live runtime.
    """

    def __init__(self, start_ns: int = 0, *, auto: bool = False) -> None:
        super().__init__(start_ns)
        self.auto = auto

    def advance(self, seconds: float) -> None:
        """Move time forward; timers that have come due fire in order of their time, ties in order of creation.

        ``await bus.advance(seconds)`` does the same but lets the actors run between one timer and the next.
        """
        self.move_to(self.now_ns + nanoseconds(seconds))
        if self._moved is not None:
            self._moved()


class WallClock(BusClock):
    """Real time: the epoch at construction plus what the monotonic clock has counted since, so it never goes back."""

    def __init__(self) -> None:
        super().__init__()
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        return time.monotonic_ns() + self._offset


class ReplayClock(BusClock):
    """Time that begins anywhere and goes ``pace`` times as fast as real time: a recorded market, played back."""

    def __init__(self, start_ns: int, pace: float) -> None:
        super().__init__()
        if not pace > 0.0:
            raise BusError(f"the pace of a clock is {pace}; more than 0 was expected")
        self.pace = pace
        self._start = start_ns
        self._began = time.monotonic_ns()

    def now(self) -> int:
        return self._start + round((time.monotonic_ns() - self._began) * self.pace)
