"""Defines how a leg follows the one before it in a group that only takes risk off the book: as far as that one came.

Nothing of such a group is ever undone: what was bought back is not sold again where another leg finds no taker.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from basis_actors.actors.execution_units import MOST_TRADES, TOO_SMALL, Outcome, part_of, rest_id
from basis_actors.actors.tight_loop import TightLoop
from basis_actors.messages.orders import Order

__all__ = ["Followed", "follow"]

_SMALL: Final = 1e-3
"""Fraction of a leg that may be left of it: whole lots of one exchange are not those of another."""


class Followed(NamedTuple):
    """How a leg ended."""

    trades: list[Outcome]
    """At least one."""
    left: float
    """How much of it was not done that should have been, in the unit of its amount; 0 where that is too small."""


async def follow(loop: TightLoop, leg: Order, share: float) -> Followed:
    """Do a `share` of a leg, in as many trades as it takes, and insist: the book is one-sided until it is done."""
    wanted = leg.amount * share
    order = leg if share >= 1.0 else part_of(leg, wanted, leg.operation_id)
    trades: list[Outcome] = []
    while True:
        trades.append(await loop.insist(order))
        left = wanted - sum(each.filled for each in trades if each.handshake.was_successful())
        if left <= _SMALL * leg.amount or trades[-1].error_code == TOO_SMALL:
            return Followed(trades, 0.0)
        if not trades[-1].succeeded or len(trades) == MOST_TRADES:
            return Followed(trades, left)
        order = part_of(leg, left, rest_id(leg.operation_id, len(trades)))
