"""Defines how simulated venues say no: each refusal names the order, the two numbers that were compared, the remedy."""

from __future__ import annotations

from typing import Final

from basis_actors.errors import Rejected
from basis_actors.messages.orders import Order

__all__ = ["ALL_OF_IT", "NO_DUST", "malformed", "not_known", "refused", "take", "unconfigured"]

ALL_OF_IT: Final = 1e-9
"""An amount that exceeds a balance by no more than this fraction means all of it."""
NO_DUST: Final = 1e-12
"""An amount that leaves less than this fraction of a balance means all of it."""


def refused(order: Order, text: str) -> Rejected:
    """EXEC-004: the order is well-formed, but the account or the venue's rules do not allow it."""
    return Rejected("EXEC-004", f"order {order.operation_id!r} ({order.operation} at {order.venue}): {text}")


def malformed(order: Order, text: str) -> Rejected:
    """EXEC-003: the order lacks something that this venue needs to carry it out."""
    return Rejected("EXEC-003", f"order {order.operation_id!r} ({order.operation} at {order.venue}): {text}")


def not_known(order: Order, text: str) -> Rejected:
    """STRAT-006: a price or rate that the order depends on is not known yet, or older than its limit."""
    return Rejected("STRAT-006", f"order {order.operation_id!r} ({order.operation} at {order.venue}): {text}")


def unconfigured(order: Order, text: str) -> Rejected:
    """VEN-004: the order names a venue, market or reserve that the configuration does not have."""
    return Rejected("VEN-004", f"order {order.operation_id!r} ({order.operation} at {order.venue}): {text}")


def take(order: Order, amount: float, held: float, what: str) -> float:
    """How much of `held` an order for `amount` takes: the amount, or all of it when the two differ by rounding.

    Raises Rejected (EXEC-004) for more than there is; the text compares both numbers.
    """
    if amount > held * (1.0 + ALL_OF_IT) or held <= 0.0:
        raise refused(order, f"needs {amount:.12g} {what}, {held:.12g} is there; reduce the amount or fund the account")
    return held if amount >= held * (1.0 - NO_DUST) else amount
