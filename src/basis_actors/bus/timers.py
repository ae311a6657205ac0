"""Defines the queue of everything that waits for a time: ``after`` timers, sleeps and ask deadlines."""

from __future__ import annotations

import heapq
from collections.abc import Callable

_COMPACT_ABOVE = 256


class Timer:
    """Something that will happen at ``when`` (ns) unless it is cancelled first."""

    __slots__ = ("fire", "owner", "when")

    def __init__(self, when: int, fire: Callable[[], object], owner: object) -> None:
        self.when = when
        self.fire: Callable[[], object] | None = fire
        self.owner = owner

    @property
    def pending(self) -> bool:
        """Whether the timer can still fire."""
        return self.fire is not None

    def cancel(self) -> None:
        """Do not fire. Harmless when the timer has fired or was cancelled already."""
        self.fire = None


class TimerQueue:
    """Timers in order of time, ties in order of creation.

    A timer with an owner is an ordinary one, made by ``Actor.after``; sleeps and ask deadlines have none.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._created = 0
        self._compact_above = _COMPACT_ABOVE

    def add(self, when: int, fire: Callable[[], object], owner: object = None) -> Timer:
        """Create a timer."""
        timer = Timer(when, fire, owner)
        self._created += 1
        heapq.heappush(self._heap, (when, self._created, timer))
        if len(self._heap) > self._compact_above:
            self._compact()
        return timer

    def next_time(self) -> int | None:
        """When the earliest pending timer is due, None when there is none."""
        heap = self._heap
        while heap and heap[0][2].fire is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def fire_next(self) -> None:
        """Fire the earliest pending timer, whatever the time is."""
        heap = self._heap
        while heap:
            timer = heapq.heappop(heap)[2]
            fire, timer.fire = timer.fire, None
            if fire is not None:
                fire()
                return

    def cancel_ordinary(self, owner: object = None) -> None:
        """Cancel the ordinary timers of one owner, or of all."""
        for _, _, timer in self._heap:
            if timer.owner is not None and (owner is None or timer.owner is owner):
                timer.cancel()

    def clear(self) -> None:
        """Cancel everything."""
        for _, _, timer in self._heap:
            timer.cancel()
        self._heap.clear()

    def _compact(self) -> None:
        """Forget cancelled timers (most ask deadlines end so), at a cost that is constant per timer created."""
        self._heap = [entry for entry in self._heap if entry[2].fire is not None]
        heapq.heapify(self._heap)
        self._compact_above = max(_COMPACT_ABOVE, 2 * len(self._heap))
