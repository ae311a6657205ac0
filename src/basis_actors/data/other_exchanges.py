"""Holds a price of one exchange against those that the other exchanges show of the same asset at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from basis_actors.messages.quotes import PriceKind
from basis_actors.times import NS_PER_SECOND

if TYPE_CHECKING:
    from basis_actors.config.market_feed import MarketFeedConfig

__all__ = ["OtherExchanges"]


class _Shown(NamedTuple):
    price: float
    seen_ns: int
    believed: bool


class OtherExchanges:
    """The newest price of every market, believed or not.

    Markets of one base and one quote are compared, spot and perpetuals alike; those of the same exchange prove nothing.
    What is not fresh proves nothing either.
    """

    def __init__(self, config: MarketFeedConfig) -> None:
        self._bound = config.max_departure
        self._fresh_ns = round(config.fresh_seconds * NS_PER_SECOND)
        self._shown: dict[tuple[str, str], dict[tuple[str, str, PriceKind], _Shown]] = {}

    def show(self, venue: str, pair: str, kind: PriceKind, price: float, now_ns: int, *, believed: bool) -> None:
        """Keep a price."""
        self._shown.setdefault(_family(pair), {})[venue, pair, kind] = _Shown(price, now_ns, believed)

    def against(self, venue: str, pair: str, price: float, now_ns: int) -> tuple[str, float] | None:
        """An exchange whose price speaks against this one, and that price; None when any exchange bears it out, or no
        other is there. What is not believed itself may bear out, and speaks against nothing.
        """
        objection = None
        for other, shown in self._others(venue, pair, now_ns):
            if abs(price - shown.price) <= self._bound * shown.price:
                return None
            if shown.believed and objection is None:
                objection = (other, shown.price)
        return objection

    def _others(self, venue: str, pair: str, now_ns: int) -> Iterator[tuple[str, _Shown]]:
        for (other, _, _), shown in self._shown.get(_family(pair), {}).items():
            if other != venue and now_ns - shown.seen_ns <= self._fresh_ns:
                yield other, shown


def _family(pair: str) -> tuple[str, str]:
    """Base and quote: `BTC/USDT` and `BTC-PERP` are in USDT, `BTCUSD-PERP` is in USD."""
    base, slash, quote = pair.partition("/")
    if slash:
        return base, quote
    symbol = pair.removesuffix("-PERP")
    base = symbol.removesuffix("USD")
    return base, "USDT" if base == symbol else "USD"
