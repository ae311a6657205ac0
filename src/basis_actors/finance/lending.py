"""Defines the arithmetic of a pooled lending protocol with scaled balances: Aave v3.

Balances grow because an index grows. What the user holds is a scaled balance that never accrues by itself; what the
protocol shows is that balance times the index of the moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final, NamedTuple

__all__ = [
    "LiquidationCall",
    "health_factor",
    "index_ratio",
    "liquidation_call",
    "liquidation_incentive",
    "loan_to_value",
    "pool_room",
    "scaled_amount",
    "shown_amount",
    "withdrawn_beyond",
]

_LIQUIDATION_CURSOR: Final = 0.3
_HIGHEST_INCENTIVE: Final = 1.15


class LiquidationCall(NamedTuple):
    """One liquidation of one debt against one collateral, in units of value (USD)."""

    repaid: float
    """Debt that the liquidator pays back."""
    seized: float
    """Collateral that the liquidator takes for it, bonus included."""


def scaled_amount(amount: float, index: float) -> float:
    """Scaled units of `amount` underlying units at `index` (Aave v3 technical paper, scaled balance: amount / index).

    Raises ValueError for an index that is not greater than 0.
    """
    if not index > 0.0:
        raise ValueError(f"index is {index}; an index is greater than 0")
    return amount / index


def shown_amount(scaled: float, index: float) -> float:
    """Underlying units that `balanceOf` shows for a scaled balance, interest included (Aave v3: scaled x index)."""
    return scaled * index


def index_ratio(before: float, after: float) -> float:
    """Growth factor of a balance held from index `before` to index `after`; 1.0 is no interest.

    Raises ValueError for an index that is not greater than 0.
    """
    if not (before > 0.0 and after > 0.0):
        raise ValueError(f"indices are {before} and {after}; an index is greater than 0")
    return after / before


def pool_room(available: float, *, owed: float, withdrawn: float) -> float:
    """How much one account may still take out of a reserve of which `available` lies free in history, 0 or more.

    History does not know of the account, so what it owes and what it has `withdrawn` beyond its own supply are gone
    from there. What it supplied is not added: it earns the rate because others have borrowed it. Underlying units.
    """
    return max(0.0, available - owed - withdrawn)


def withdrawn_beyond(withdrawn: float, change: float) -> float:
    """`withdrawn` after the account's supply has changed by `change` underlying units through an order of its own.

    What is taken out counts until as much has been supplied again; what was supplied before counts for nothing.
    """
    return max(0.0, withdrawn - change)


def health_factor(collateral: Iterable[tuple[float, float]], debt: float) -> float:
    """Sum of collateral value x liquidation threshold, over debt value; infinite without debt.

    `collateral` holds (value, threshold) pairs; values and `debt` are in one currency (USD at oracle prices),
    thresholds are fractions. Below 1 the account may be liquidated. Source: Aave v3 technical paper.
    """
    if debt <= 0.0:
        return inf
    weighted = 0.0
    for value, threshold in collateral:
        weighted += value * threshold
    return weighted / debt


def loan_to_value(collateral: float, debt: float) -> float:
    """Debt value over collateral value, a fraction; 0 without debt, infinite for a debt without collateral."""
    if debt <= 0.0:
        return 0.0
    return debt / collateral if collateral > 0.0 else inf


def liquidation_call(
    debt: float, collateral: float, *, health: float, bonus: float, close_factor: float, full_below: float
) -> LiquidationCall:
    """What a liquidator may take at a health factor below 1.

    `debt` and `collateral` are the values (USD) of the debt that is repaid and of the collateral that is taken.
    The share of debt is `close_factor` (0.5), or all of it when `health` is below `full_below` (0.95); the collateral
    taken is repaid x (1 + bonus), never more than there is. Source: Aave v3 LiquidationLogic.
    Raises ValueError at a health factor of 1 or more.
    """
    if not health < 1.0:
        raise ValueError(f"health factor is {health}; a liquidation needs one below 1")
    repaid = debt if health < full_below else debt * close_factor
    seized = repaid * (1.0 + bonus)
    if seized > collateral:
        seized = collateral
        repaid = collateral / (1.0 + bonus)
    return LiquidationCall(repaid, seized)


def liquidation_incentive(lltv: float) -> float:
    """Collateral that a liquidator takes per debt repaid at an isolated market: min(1.15, 1 / (1 - 0.3 (1 - LLTV))).

    `lltv` is the liquidation loan to value, a fraction. Source: Morpho Blue, liquidation incentive factor.
    """
    return min(_HIGHEST_INCENTIVE, 1.0 / (1.0 - _LIQUIDATION_CURSOR * (1.0 - lltv)))
