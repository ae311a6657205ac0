"""Defines what a run may use of the thread it runs in: an event loop that others use too, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["Alone", "Host", "OnLoop"]

T = TypeVar("T")


class Host(Protocol):
    """The surroundings of a run on the Sim runtime."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Within it the run goes on, after it others do."""
        ...

    async def aside(self, work: Callable[[], T]) -> T:
        """Do something that may wait for the disk, and give its result."""
        ...


class Alone:
    """No event loop: nobody waits, and nothing here ever suspends."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Nobody else wants to go on."""
        return nullcontext()

    async def aside(self, work: Callable[[], T]) -> T:
        """Do it here and now."""
        return work()


class OnLoop:
    """An asyncio event loop with others on it. Of the runs that share one of these, one goes on between two polls."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turns of other runs, and give the loop one after it. A cancellation strikes in either."""
        async with self._lock:
            yield
            # Still under the lock: another run would take its turn before the loop has had one.
            await checkpoint()

    async def aside(self, work: Callable[[], T]) -> T:
        """Do it in a thread. A cancellation waits until it is done, and strikes at the next `turn`."""
        done = asyncio.get_running_loop().run_in_executor(None, work)
        task = asyncio.current_task()
        cancelled = False
        with anyio.CancelScope(shield=True):
            while not done.done():
                try:
                    await asyncio.wait([done])
                except asyncio.CancelledError:
                    # A scope is held off by the shield; this is `Task.cancel`, which knows no shields.
                    cancelled = True
        if cancelled and task is not None:
            task.uncancel()
            task.cancel()
        return done.result()
