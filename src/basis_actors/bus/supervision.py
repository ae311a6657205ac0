"""Defines the rows of the supervision table: what becomes of the bus when a handler of an actor raises."""

from __future__ import annotations

from collections import deque

import msgspec


class Escalate(msgspec.Struct, frozen=True):
    """The failure ends the run: sources stop, the bus drains in stop order, and ``BusFailed`` is raised."""


class Restart(msgspec.Struct, frozen=True):
    """The actor starts afresh (``pre_restart``, then ``pre_start``); its inbox is kept, the poison message is not.

    More than ``max_restarts`` failures within ``within_seconds`` (of the bus's clock) escalate.
    """

    max_restarts: int
    within_seconds: float


Supervision = Escalate | Restart


class RestartHistory:
    """Remembers when an actor was restarted, to apply the limit of its row."""

    def __init__(self, row: Supervision) -> None:
        self._row = row
        self._restarts: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._restarts)

    def allows_restart(self, now: int) -> bool:
        """Whether one more restart at ``now`` (ns) is within the row's limit; if so it is counted."""
        if isinstance(self._row, Escalate):
            return False
        horizon = now - round(self._row.within_seconds * 1e9)
        while self._restarts and self._restarts[0] <= horizon:
            self._restarts.popleft()
        if len(self._restarts) >= self._row.max_restarts:
            return False
        self._restarts.append(now)
        return True
