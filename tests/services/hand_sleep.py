"""A sleep that ends when a test moves the time."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint


class HandSleep:
    """Seconds that pass by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sleepers: list[tuple[float, anyio.Event]] = []

    async def __call__(self, seconds: float) -> None:
        """Wait until the time has come."""
        sleeper = (self.seconds + seconds, anyio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    @property
    def asleep(self) -> int:
        """How many wait."""
        return len(self._sleepers)

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, waking whoever wakes in it in order, and let them go on."""
        end = self.seconds + seconds
        await rest()
        while due := [at for at, _ in self._sleepers if at <= end]:
            self.seconds = min(due)
            for at, event in self._sleepers:
                if at <= self.seconds:
                    event.set()
            await rest()
        self.seconds = end


async def rest() -> None:
    """Let everybody go on who can without time passing."""
    for _ in range(50):
        await checkpoint()
