"""Defines the two kinds of perpetual contract behind one interface, so that accounts need not tell them apart.

A contract has a quote currency, in which prices and margin tables are, and a margin currency, in which it pays. They
are the same for a linear contract (USDT); an inverse one is quoted in USD and pays in its base asset.
"""

from __future__ import annotations

from typing import Final, Protocol

from basis_actors.finance.perps import (
    Filled,
    apply_fill,
    funding_payment,
    inverse_funding_payment,
    inverse_upnl,
)

__all__ = ["INVERSE", "LINEAR", "Contract"]


class Contract(Protocol):
    """What a perpetual pays. Sizes are signed: base units of a linear contract, USD notional of an inverse one."""

    def notional(self, size: float, price: float) -> float:
        """Size of a position in the quote currency, 0 or more; what margin tables and minimum orders count in."""
        ...

    def per_quote(self, price: float) -> float:
        """Units of the margin currency for one unit of the quote currency."""
        ...

    def exposure(self, size: float, mark: float) -> float:
        """Base units that the position is long (> 0) or short (< 0) of: size, or USD notional / mark."""
        ...

    def upnl(self, size: float, entry: float, mark: float) -> float:
        """Unrealised profit, margin currency."""
        ...

    def exit_price(self, size: float, entry: float, profit: float) -> float:
        """Price at which closing `size` brings `profit` (margin currency)."""
        ...

    def fill(self, size: float, entry: float, quantity: float, price: float) -> Filled:
        """The position after a fill; what it realises is in the margin currency."""
        ...

    def funding(self, size: float, mark: float, rate: float) -> float:
        """What one funding stamp pays, margin currency."""
        ...

    def between(self, start: float, end: float, way: float) -> float:
        """The price at which profit has gone the share `way` (0 to 1) of its way from `start` to `end`."""
        ...

    def way_to(self, price: float, start: float, end: float) -> float:
        """The share of the way from `start` to `end` at which `price` is reached; the reverse of `between`."""
        ...


class _Linear(Contract):
    """Counted in base units, pays in the quote currency."""

    def notional(self, size: float, price: float) -> float:
        return abs(size) * price

    def per_quote(self, price: float) -> float:  # noqa: ARG002 (the same at any price)
        return 1.0

    def exposure(self, size: float, mark: float) -> float:  # noqa: ARG002 (the same at any price)
        return size

    def upnl(self, size: float, entry: float, mark: float) -> float:
        return size * (mark - entry)

    def exit_price(self, size: float, entry: float, profit: float) -> float:
        return entry + profit / size

    def fill(self, size: float, entry: float, quantity: float, price: float) -> Filled:
        return apply_fill(size, entry, quantity, price)

    def funding(self, size: float, mark: float, rate: float) -> float:
        return funding_payment(size, mark, rate)

    def between(self, start: float, end: float, way: float) -> float:
        return start + (end - start) * way

    def way_to(self, price: float, start: float, end: float) -> float:
        return (price - start) / (end - start)


class _Inverse(Contract):
    """Counted in USD notional, pays in the base asset: profit is linear in 1 / price."""

    def notional(self, size: float, price: float) -> float:  # noqa: ARG002 (the same at any price)
        return abs(size)

    def per_quote(self, price: float) -> float:
        return 1.0 / price

    def exposure(self, size: float, mark: float) -> float:
        return size / mark

    def upnl(self, size: float, entry: float, mark: float) -> float:
        return inverse_upnl(size, entry, mark)

    def exit_price(self, size: float, entry: float, profit: float) -> float:
        return 1.0 / (1.0 / entry - profit / size)

    def fill(self, size: float, entry: float, quantity: float, price: float) -> Filled:
        return apply_fill(size, entry, quantity, price, inverse=True)

    def funding(self, size: float, mark: float, rate: float) -> float:
        return inverse_funding_payment(size, mark, rate)

    def between(self, start: float, end: float, way: float) -> float:
        return 1.0 / (1.0 / start + (1.0 / end - 1.0 / start) * way)

    def way_to(self, price: float, start: float, end: float) -> float:
        return (1.0 / price - 1.0 / start) / (1.0 / end - 1.0 / start)


LINEAR: Final[Contract] = _Linear()
"""USD-M perpetuals: counted in base units, margined in USDT."""
INVERSE: Final[Contract] = _Inverse()
"""COIN-M perpetuals: counted in USD, margined in the base asset."""
