"""Defines the equity that drift is measured from: that of the last time the position was set."""

from __future__ import annotations

from basis_actors.strategies.base import Situation

__all__ = ["EquityReference"]


class EquityReference:
    """Remembers flow-adjusted equity when the position was last set; a decision that failed sets nothing."""

    def __init__(self) -> None:
        self._set: float | None = None
        self._once_done: float | None = None
        """The same once the orders of the last decision are done."""

    def drift(self, situation: Situation) -> float | None:
        """Change of flow-adjusted equity since then, as a fraction; None before the position was first set."""
        if situation.carried_out:
            self._set = self._once_done
        else:
            self._once_done = self._set
        adjusted = situation.book.equity - situation.book.external_flows
        return None if not self._set else adjusted / self._set - 1.0

    def reset(self, situation: Situation, *, leaves: bool) -> None:
        """Take note of a decision that sets the position anew, or, where it `leaves`, ends it."""
        self._once_done = None if leaves else situation.book.equity - situation.book.external_flows
