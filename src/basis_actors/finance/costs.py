"""Defines what it costs to act: trading fees, price impact, gas, and how amounts fit the lots of a market."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Final

__all__ = [
    "SIZE_STEPS_USD",
    "fill_price",
    "from_lots",
    "gas_cost_eth",
    "impact_bps",
    "lots_in",
    "round_down_to_lot",
    "trade_fee",
    "whole_lots",
]

SIZE_STEPS_USD: Final = (10_000.0, 100_000.0)
"""Upper ends of the first two size classes of price impact, in USD; the third class has none."""

_LOT_NOISE: Final = Decimal("1e-6")
"""Fraction of a lot that is taken for rounding noise of floats and not for an amount."""


def trade_fee(notional: float, rate: float) -> float:
    """Fee in quote currency of a trade of `notional` (quote) at a fee `rate` (fraction).

    Raises ValueError for a negative notional or rate: rebates are not modelled.
    """
    if notional < 0.0 or rate < 0.0:
        raise ValueError(f"fee of notional {notional} at rate {rate}; both are 0 or more")
    return notional * rate


def impact_bps(size_usd: float, steps: tuple[float, float, float]) -> float:
    """Price impact in bps, one way, of a trade of `size_usd` (USD): by size up to 10k, up to 100k, larger.

    Source: `data/risk/execution_cost_assumptions.json`, an assumption and not market data.
    """
    if size_usd <= SIZE_STEPS_USD[0]:
        return steps[0]
    if size_usd <= SIZE_STEPS_USD[1]:
        return steps[1]
    return steps[2]


def fill_price(reference: float, bps: float, *, buying: bool) -> float:
    """Price of a fill: the reference price, worse by `bps` for whoever trades."""
    share = bps / 10_000.0
    return reference * (1.0 + share) if buying else reference * (1.0 - share)


def gas_cost_eth(units: float, base_fee_gwei: float, priority_fee_gwei: float, priority_cap_gwei: float) -> float:
    """Cost in ETH of `units` of gas: units x (base fee + capped tip) x 1e-9; fees in gwei per unit (EIP-1559).

    The tip is capped because a block read at one moment is a noisy sample of tips.
    """
    return units * (base_fee_gwei + min(priority_fee_gwei, priority_cap_gwei)) * 1e-9


@lru_cache(maxsize=256)
def _decimal_lot(lot: float) -> Decimal:
    if not lot > 0.0:
        raise ValueError(f"lot is {lot}; a lot is greater than 0")
    return Decimal(repr(lot))


def lots_in(amount: float, lot: float) -> int:
    """How many whole lots `amount` holds (both in base units, amount 0 or more), rounding noise forgiven.

    An amount within a millionth of a lot below a multiple counts as that multiple, so that 0.3 - 0.1 holds two lots
    of 0.1. Raises ValueError for a negative amount or a lot that is not greater than 0.
    """
    lots = Decimal(repr(amount)) / _decimal_lot(lot) + _LOT_NOISE
    if lots < 0:
        raise ValueError(f"amount is {amount}; lots are counted in amounts of 0 or more")
    return int(lots.to_integral_value(rounding=ROUND_FLOOR))


def from_lots(count: int, lot: float) -> float:
    """The float nearest to `count` x `lot`, multiplied exactly: 3 lots of 0.1 are 0.3."""
    return float(count * _decimal_lot(lot))


def round_down_to_lot(amount: float, lot: float) -> float:
    """The largest multiple of `lot` that is not more than `amount`, as the float nearest to it."""
    return from_lots(lots_in(amount, lot), lot)


def whole_lots(amount: float, lot: float) -> int | None:
    """`amount` as a number of lots, or None when it is not a multiple of the lot up to rounding noise."""
    count = lots_in(amount, lot)
    rest = Decimal(repr(amount)) / _decimal_lot(lot) - count
    return count if abs(rest) <= _LOT_NOISE else None
