"""Defines which orders lower risk. They are what is left when new risk may not be taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from basis_actors.finance.keys import LST_TOKENS, REWARD_TOKENS, STABLE, parse_key, perp_key
from basis_actors.messages.orders import OperationType, Order, Side

__all__ = ["all_reduce", "reduces", "which_reduce"]

_OPENING: Final = (OperationType.STAKE, OperationType.BORROW)
_ROUNDING: Final = 1e-9
"""Relative."""


def all_reduce(orders: Sequence[Order], positions: Mapping[str, float]) -> bool:
    """Whether none of some orders opens or enlarges a position."""
    return all(which_reduce(orders, positions))


def which_reduce(orders: Sequence[Order], positions: Mapping[str, float]) -> tuple[bool, ...]:
    """Of each order whether it reduces, on the ledger that those before it are expected to leave."""
    ledger = dict(positions)
    found = []
    for order in orders:
        found.append(reduces(order, ledger))
        for delta in order.expected_deltas:
            ledger[delta.position_key] = ledger.get(delta.position_key, 0.0) + delta.delta_amount
    return tuple(found)


def reduces(order: Order, positions: Mapping[str, float]) -> bool:
    """Whether an order cannot open or enlarge a position.

    - A perp is reduced by an order that says so, in the other direction and by no more than is held.
    - A spot sale reduces, a purchase does not; nor does a stake or a loan. A flash loan is over with its transaction.
    - A swap reduces where it goes towards cash: out of staking and reward tokens, or into the stable currency.
    - Supplying reduces where it is collateral of a loan that there is; without one it is an investment.
    - A transfer moves what is owned; what may stand at a venue is a limit of its own.
    """
    operation = order.operation
    if operation is OperationType.PERP_TRADE:
        return order.reduce_only and _shrinks(order, positions)
    if operation is OperationType.SUPPLY:
        return _secures_a_loan(order, positions)
    if operation is OperationType.SWAP:
        return _distance(order.target_token) < _distance(order.source_token)
    return operation not in _OPENING and order.side is not Side.BUY


def _shrinks(order: Order, positions: Mapping[str, float]) -> bool:
    held = positions.get(perp_key(order.venue, order.pair or ""), 0.0)
    if order.side is (Side.LONG if held > 0.0 else Side.SHORT):
        return False
    return order.amount <= abs(held) * (1.0 + _ROUNDING)


def _secures_a_loan(order: Order, positions: Mapping[str, float]) -> bool:
    pools = {info.venue for delta in order.expected_deltas if (info := parse_key(delta.position_key)).kind == "aToken"}
    return any(
        amount > 0.0 and (info := parse_key(key)).kind == "debtToken" and info.venue in pools
        for key, amount in positions.items()
    )


def _distance(token: str) -> int:
    """How many steps a token is away from cash."""
    if token == STABLE:
        return 0
    return 2 if token in LST_TOKENS or token in REWARD_TOKENS else 1
