"""Defines how much of a lending pool there is for one run: what history leaves free, less what the run has taken."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from basis_actors.finance.lending import pool_room, withdrawn_beyond
from basis_actors.messages.market import ReserveState
from basis_actors.messages.orders import Order
from basis_actors.venues.simulated.refusals import refused

__all__ = ["PoolRoom"]


class PoolRoom:
    """What the run has withdrawn of each reserve of one pool beyond its own supply, underlying units by token.

    `lent` names the reserves that are lent on; of any other all that was supplied is there.
    """

    __slots__ = ("_lent", "_withdrawn")

    def __init__(self, lent: Collection[str]) -> None:
        self._lent = lent
        self._withdrawn: dict[str, float] = {}

    def copy(self) -> Self:
        """An independent account of the same."""
        twin = type(self)(self._lent)
        twin._withdrawn = self._withdrawn.copy()
        return twin

    def require(self, order: Order, token: str, amount: float, reserve: ReserveState, *, owed: float) -> None:
        """Raise Rejected EXEC-004 when an order takes more out of a reserve than there is, naming both numbers.

        A reserve whose size the data do not have refuses nothing; the data report of the run names it.
        """
        if token not in self._lent or reserve.available is None:
            return
        withdrawn = self._withdrawn.get(token, 0.0)
        room = pool_room(reserve.available, owed=owed, withdrawn=withdrawn)
        if amount > room:
            taken = f"{reserve.available:.12g} beside the {owed + withdrawn:.12g} that this run has taken out"
            raise refused(
                order,
                f"asks for {amount:.12g} {token}, {room:.12g} is available in the pool, which has {taken}; ask for less"
                " or wait",
            )

    def note(self, token: str, change: float) -> None:
        """Take note that the run's supply of a reserve has changed through an order, underlying units, signed."""
        withdrawn = withdrawn_beyond(self._withdrawn.get(token, 0.0), change)
        if withdrawn > 0.0:
            self._withdrawn[token] = withdrawn
        else:
            self._withdrawn.pop(token, None)
