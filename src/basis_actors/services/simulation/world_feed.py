"""Defines the market of a world as one process sees it, from the moment at which it begins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from basis_actors.data import between_ticks
from basis_actors.messages.market import MarketState
from basis_actors.services.simulation.world import World

__all__ = ["WorldFeed"]


class WorldFeed:
    """The ticks after a moment. Whatever is asked of it lets the world live up to then."""

    def __init__(self, world: World, states: Sequence[MarketState], after_ns: int) -> None:
        self._world = world
        self._states = states
        self._times = [state.ns for state in states]
        self._first = bisect_right(self._times, after_ns)

    def next_tick(self, after_ns: int | None) -> int | None:
        """The next tick of the market that is left."""
        place = self._first if after_ns is None else max(self._first, bisect_right(self._times, after_ns))
        return self._times[place] if place < len(self._times) else None

    async def take(self, ns: int) -> MarketState:
        """The market at a tick."""
        await self._world.live_until(ns)
        return self._states[bisect_right(self._times, ns) - 1]

    async def between(self, ns: int) -> MarketState | None:
        """What was known at the last tick, which may be one before this process."""
        await self._world.live_until(ns)
        place = bisect_right(self._times, ns)
        return between_ticks(self._states[place - 1], ns) if place else None
