"""Measures how late an event loop comes round, on its own monotonic time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["LoopLagClock"]


class LoopLagClock:
    """Asks the loop to call back after `interval_seconds`, again and again, and takes what is on top for the delay.

    It is a callback and no task that waits, so it can run beside a bus whose time moves by hand.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds

    async def run(self, measured: Callable[[float], object], wait: Callable[[], Awaitable[None]]) -> None:
        """Call `measured` with each delay, seconds, until `wait` ends."""
        loop = asyncio.get_running_loop()

        pending: asyncio.TimerHandle

        def ask() -> None:
            nonlocal pending
            due = loop.time() + self._interval
            pending = loop.call_at(due, look, due)

        def look(due: float) -> None:
            measured(max(0.0, loop.time() - due))
            ask()

        ask()
        try:
            await wait()
        finally:
            pending.cancel()
