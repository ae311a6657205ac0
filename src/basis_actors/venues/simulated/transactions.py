"""Defines what makes orders one transaction: one whole group, and flash loans that are repaid when it ends."""

from __future__ import annotations

from collections.abc import Iterable

from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.venues.simulated.flash import FlashLender
from basis_actors.venues.simulated.refusals import refused

__all__ = ["require_one_group", "require_repaid"]


def require_one_group(orders: tuple[Order, ...]) -> None:
    """Raises Rejected EXEC-004 for orders of several groups (groups do not nest) and for a gap in their sequence."""
    name = orders[0].atomic_group_id
    for place, order in enumerate(orders):
        if order.execution_mode is not ExecutionMode.ATOMIC or order.atomic_group_id != name:
            raise refused(
                order,
                f"is of {order.execution_mode} group {order.atomic_group_id!r}, inside atomic group {name!r}; groups do"
                " not nest: send each by itself",
            )
        if order.sequence_in_group != place:
            raise refused(
                order, f"is number {order.sequence_in_group} of group {name!r}, number {place} was expected: no gaps"
            )


def require_repaid(last: Order, lenders: Iterable[FlashLender]) -> None:
    """Raises Rejected EXEC-004 when a transaction would end with flash debt; the text compares both numbers."""
    for lender in lenders:
        for key, loan in lender.open_loans.items():
            raise refused(
                last,
                f"its group borrowed {loan.borrowed:.12g} at {key} and repaid {loan.borrowed - loan.owed:.12g}; a flash"
                " loan is repaid in full within its group",
            )
