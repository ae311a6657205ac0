"""Defines how a leg is undone that another one does not follow: by the opposite trade, insisted on."""

from __future__ import annotations

from basis_actors.actors.execution_units import MOST_TRADES, TOO_SMALL, Outcome, opposite, undoing, unwind_id
from basis_actors.actors.tight_loop import TightLoop

__all__ = ["is_undone", "undo"]


async def undo(loop: TightLoop, outcome: Outcome) -> list[Outcome]:
    """Undo one leg, in as many trades as it takes: each may be filled in part only."""
    leg, undone = outcome.order, list[Outcome]()
    order = opposite(leg, outcome.handshake)
    while True:
        unwound = await loop.insist(order)
        undone.append(unwound)
        number = len(undone) + 1
        if not unwound.handshake.was_successful() or not unwound.fell_short or number > MOST_TRADES:
            return undone
        left = outcome.filled - sum(each.filled for each in undone)
        order = undoing(leg, left, unwind_id(leg.operation_id, number))


def is_undone(last: Outcome) -> bool:
    """Whether the last of these trades left nothing. What is too small to be traded is too small to matter; the
    strategy sees it in the book."""
    if last.handshake.was_successful():
        return not last.fell_short
    return last.error_code == TOO_SMALL
