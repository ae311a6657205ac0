"""Defines the arithmetic of perpetual futures: profit, average entry, funding. Sizes are signed, short is negative.

Linear contracts are counted in base units and pay in the quote currency; inverse ones are counted in USD notional and
pay in the base currency.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Filled", "apply_fill", "funding_payment", "inverse_funding_payment", "inverse_upnl", "linear_upnl"]


class Filled(NamedTuple):
    """A position after a fill."""

    size: float
    entry: float
    """Average entry price; 0.0 when nothing is left."""
    realised: float
    """Profit of the part that the fill closed, in the currency of the margin; 0.0 for a fill that only adds."""


def linear_upnl(size: float, entry: float, mark: float) -> float:
    """Unrealised profit in quote currency: size x (mark - entry); size in base units, prices in quote per base."""
    return size * (mark - entry)


def inverse_upnl(notional: float, entry: float, mark: float) -> float:
    """Unrealised profit in base currency of an inverse perp of signed USD notional N: N x (1/entry - 1/mark).

    Source: Binance COIN-M contract specification. Raises ZeroDivisionError for a price of 0.
    """
    return notional * (1.0 / entry - 1.0 / mark)


def apply_fill(size: float, entry: float, quantity: float, price: float, *, inverse: bool = False) -> Filled:
    """A position of `size` at average `entry` (0.0 while flat) after a signed `quantity` was filled at `price`.

    Adding averages the entry; reducing keeps it and realises the closed part; a fill that goes through zero realises
    the whole old position and enters the rest at `price`. Linear: quantities in base units, entry averaged by
    quantity, profit size x (price - entry) in quote currency. Inverse: quantities in USD notional, entry averaged
    harmonically (notional / notional in base units), profit N x (1/entry - 1/price) in base currency. Source:
    average-cost accounting of USD-M and COIN-M perpetuals.
    Raises ValueError for a quantity of 0, a price that is not greater than 0, or an open position without entry.
    """
    if quantity == 0.0 or not price > 0.0:
        raise ValueError(f"fill of {quantity} at {price}; a fill has a quantity and a price greater than 0")
    after = size + quantity
    if size == 0.0:
        return Filled(after, price, 0.0)
    if not entry > 0.0:
        raise ValueError(f"position of {size} has entry price {entry}; an open position was entered at a price above 0")
    if (size > 0.0) == (quantity > 0.0):
        if inverse:
            return Filled(after, after / (size / entry + quantity / price), 0.0)
        return Filled(after, (size * entry + quantity * price) / after, 0.0)
    through = after != 0.0 and (after > 0.0) != (size > 0.0)
    closed = size if through or after == 0.0 else -quantity
    realised = inverse_upnl(closed, entry, price) if inverse else linear_upnl(closed, entry, price)
    if after == 0.0:
        return Filled(0.0, 0.0, realised)
    return Filled(after, price if through else entry, realised)


def funding_payment(size: float, mark: float, rate: float) -> float:
    """What one funding stamp adds to the margin cash, in quote currency: -size x mark x rate.

    `rate` is the fraction of notional for the interval, paid by longs to shorts: a short receives a positive rate.
    """
    return -size * mark * rate


def inverse_funding_payment(notional: float, mark: float, rate: float) -> float:
    """What one funding stamp adds to the margin of an inverse perp, in base currency: -N / mark x rate."""
    return -notional / mark * rate
