"""Defines what the public market data of all exchanges have in common, as rows of their answers and as a protocol.

Prices are passed on as they are published, 0, below it or not finite: whether they make sense is for others to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from basis_actors.messages.exchange import MarketFilters
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.venues.wire.rows import Milliseconds, Number

__all__ = ["MINUTE_MS", "NS_PER_MS", "Candle", "Quoted", "Quotes", "Subscription", "number_or_none", "published"]

MINUTE_MS: Final = 60_000
NS_PER_MS: Final = 1_000_000

Quoted: TypeAlias = (
    Annotated[str, msgspec.Meta(pattern=r"(?i)^(-?([0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?|nan|inf(inity)?))?$")] | None
)
"""A number as text, even one that is not finite; nothing at all where there is none."""


class Candle(msgspec.Struct, array_like=True):
    """Mark prices of one minute; the minute that is not over has one as well."""

    begin_ms: Milliseconds
    open: Number
    high: Number
    low: Number
    close: Number


class Subscription(NamedTuple):
    """One connection, and what is asked for over it."""

    url: str
    requests: tuple[str, ...]
    read: Callable[[str], Iterable[Price]]
    """What a message says. Raises Transient for a refusal, msgspec.DecodeError for what cannot be read."""
    ping: str = ""
    """What keeps it open, where the exchange does not see to that itself."""
    ping_seconds: float = 0.0


class Quotes(Protocol):
    """What one exchange publishes of the configured markets, in its own words. Times are milliseconds."""

    @property
    def perpetuals(self) -> frozenset[str]:
        """Those of the pairs that have a mark price and funding."""
        ...

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The streams of all pairs."""
        ...

    async def listed(self) -> dict[str, MarketFilters]:
        """What the exchange trades of the pairs."""
        ...

    async def prices(self) -> list[Price]:
        """Last price of every pair, mark price of every perpetual, as far as they are published."""
        ...

    async def funding(self, pair: str, since_ms: int, until_ms: int) -> list[FundingStamp]:
        """Settlements of a perpetual, both ends included, in any order."""
        ...

    async def mark_candles(self, pair: str, since_ms: int, until_ms: int) -> list[Candle]:
        """Minutes that began at or after `since_ms`, and perhaps some before, in any order."""
        ...


def published(pair: str, kind: PriceKind, text: Quoted, time_ms: int) -> tuple[Price, ...]:
    """The price that a text says; none where it says nothing."""
    return (Price(pair, kind, float(text), time_ms * NS_PER_MS),) if text else ()


def number_or_none(text: Quoted) -> float | None:
    """What a text says; None where it says nothing."""
    return float(text) if text else None
