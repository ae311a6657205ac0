"""Defines what a run may use of the thread it runs in: an event loop that others use too, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Alone", "Host", "OnLoop"]

T = TypeVar("T")


class Host(Protocol):
    """The surroundings of a run on the Sim runtime."""

    async def pause(self) -> None:
        """Let others go on."""
        ...

    async def aside(self, work: Callable[[], T]) -> T:
        """Do something that may wait for the disk, and give its result."""
        ...


class Alone:
    """No event loop: nobody waits, and nothing here ever suspends."""

    async def pause(self) -> None:
        """Nobody else wants to go on."""

    async def aside(self, work: Callable[[], T]) -> T:
        """Do it here and now."""
        return work()


class OnLoop:
    """An event loop with others on it: the disk is waited for in a thread, and a cancellation waits for the disk."""

    async def pause(self) -> None:
        """Give the loop one turn."""
        from anyio.lowlevel import checkpoint

        await checkpoint()

    async def aside(self, work: Callable[[], T]) -> T:
        """Do it in a thread."""
        from anyio import CancelScope
        from anyio.to_thread import run_sync

        result: list[T] = []
        with CancelScope(shield=True):
            result.append(await run_sync(work))
        return result[0]
