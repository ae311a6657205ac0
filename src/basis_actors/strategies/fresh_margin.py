"""Defines what a directional strategy remembers of deposits: margin that arrived beside a position and is to add to it.

Profit raises margin as well and adds nothing, so what has arrived cannot be read off the margin alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from basis_actors.messages.execution import DeltaSource, Settlement

__all__ = ["FreshMargin"]


class FreshMargin:
    """Money that came to the margin account since the open position was last sized, in the margin currency.

    An entry is sized on all that is there, so whatever arrives while nothing is open is not counted.
    """

    def __init__(self, margin_key: str) -> None:
        self._margin_key = margin_key
        self._size = 0.0
        self._ordered = False
        self.amount = 0.0

    def look(self, size: float, settlements: Iterable[Settlement]) -> None:
        """Take note of the position at a tick, signed, and of what was settled since the tick before."""
        before, self._size = self._size, size
        enlarged = self._ordered and abs(size) > abs(before)
        self._ordered = False
        if enlarged or size * before <= 0.0:
            self.amount = 0.0
        if size == 0.0:
            return
        for settlement in settlements:
            if settlement.source is DeltaSource.TRANSFER:
                for delta in settlement.deltas:
                    if delta.position_key == self._margin_key and delta.delta_amount > 0.0:
                        self.amount += delta.delta_amount

    def order(self) -> None:
        """The position is to be enlarged by all of it, which counts once the ledger shows that."""
        self._ordered = True

    def pay(self, amount: float) -> None:
        """Money that leaves again adds to nothing."""
        self.amount = max(0.0, self.amount - amount)
