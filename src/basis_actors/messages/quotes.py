"""Defines a price as an exchange publishes it between ticks, and what is said when something is wrong with that."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["FeedTrouble", "Price", "PriceKind"]


class PriceKind(StrEnum):
    """Which price of a market it is."""

    LAST = "last"
    """Of the last trade."""
    MARK = "mark"
    """What perpetuals are valued and liquidated at."""


class Price(msgspec.Struct, frozen=True, gc=False):
    """One price of one market at one moment, as it was published: nobody has looked yet whether it makes sense."""

    pair: str
    """`BTC/USDT`, `BTC-PERP`, `BTCUSD-PERP`."""
    kind: PriceKind
    price: float
    """USDT per unit; of coin-margined perpetuals USD."""
    time_ns: int
    """When it held, by the exchange's clock."""


class FeedTrouble(msgspec.Struct, frozen=True, gc=False):
    """What is wrong with the market that an exchange publishes, or that it is over."""

    venue: str
    code: str | None
    """Of what is wrong; None for the end of a trouble."""
    text: str
