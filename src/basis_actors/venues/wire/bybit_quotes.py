"""Reads what Bybit publishes of its markets: by request and by stream, of spot and of linear perpetuals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from basis_actors.errors import Transient
from basis_actors.messages.exchange import MarketFilters
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.venues.wire.addresses import stream_address
from basis_actors.venues.wire.bybit_endpoints import FUNDING_HISTORY, MARK_CANDLES, TICKER
from basis_actors.venues.wire.bybit_markets import Category, Markets
from basis_actors.venues.wire.bybit_pages import spans
from basis_actors.venues.wire.bybit_rows import Page
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.quotes import (
    MINUTE_MS,
    NS_PER_MS,
    Candle,
    Quoted,
    Subscription,
    number_or_none,
    published,
)
from basis_actors.venues.wire.rows import Milliseconds, Row

__all__ = ["BybitQuotes"]

_CANDLES: Final = 1000
"""Most of one answer."""
_STAMPS: Final = 200
"""Most settlements of one answer."""
_SHORTEST_INTERVAL_MS: Final = 3_600_000
"""Between two of them."""
_TOPICS: Final = 10
"""Most of one subscription."""
_PING: Final = '{"op":"ping"}'
_PING_SECONDS: Final = 20.0
"""As its documentation recommends."""


class _Ticker(Row):
    symbol: str
    last_price: Quoted = None
    mark_price: Quoted = None


class _Tickers(Row):
    """With the envelope, which alone says of when it is."""

    time: Milliseconds
    result: Page[_Ticker]


class _Settled(Row):
    funding_rate_timestamp: Milliseconds
    funding_rate: Quoted = None


class _Message(msgspec.Struct):
    """What a stream says: of perpetuals, after the first time, only what has changed."""

    topic: str = ""
    ts: Milliseconds = 0
    data: _Ticker | None = None
    success: bool = True
    ret_msg: str = ""


class BybitQuotes:
    """As `quotes.Quotes`."""

    def __init__(self, caller: Caller, pairs: Iterable[str], urls: Mapping[str, str]) -> None:
        """`urls` replace the addresses of streams. Raises ConfigError CONFIG-004 for a name of no market."""
        self._caller = caller
        self._markets = Markets(caller, pairs)
        self._urls = urls

    @property
    def perpetuals(self) -> frozenset[str]:
        """Those of the pairs that have a mark price and funding."""
        return frozenset(listing.pair for listing in self._markets.of(Category.LINEAR))

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """One connection a category."""
        return tuple(self._subscription(category) for category in Category if self._markets.of(category))

    async def listed(self) -> dict[str, MarketFilters]:
        """What Bybit trades of the pairs."""
        return await self._markets.refresh()

    async def prices(self) -> list[Price]:
        """Last and mark prices."""
        found: list[Price] = []
        for listing in self._markets.all:
            answer = await self._caller.ask(TICKER, listing.named, _Tickers)
            for row in answer.result.list:
                found += _prices(listing.pair, row, answer.time)
        return found

    async def funding(self, pair: str, since_ms: int, until_ms: int) -> list[FundingStamp]:
        """Settlements; Bybit does not say at which mark price."""
        named = self._markets.listing(pair).named
        found: list[FundingStamp] = []
        for span in spans(since_ms, until_ms, _STAMPS * _SHORTEST_INTERVAL_MS):
            page = await self._caller.ask(FUNDING_HISTORY, named | span | {"limit": str(_STAMPS)}, Page[_Settled])
            found += (
                FundingStamp(
                    ns=row.funding_rate_timestamp * NS_PER_MS,
                    perp=f"bybit:{pair}",
                    rate=number_or_none(row.funding_rate),
                    mark=None,
                )
                for row in page.list
            )
        return found

    async def mark_candles(self, pair: str, since_ms: int, until_ms: int) -> list[Candle]:
        """Minutes."""
        named = self._markets.listing(pair).named
        found: list[Candle] = []
        for span in spans(since_ms, until_ms, _CANDLES * MINUTE_MS):
            params = {"interval": "1", "start": span["startTime"], "end": span["endTime"], "limit": str(_CANDLES)}
            found += (await self._caller.ask(MARK_CANDLES, named | params, Page[Candle])).list
        return found

    def _subscription(self, category: Category) -> Subscription:
        pairs = {f"tickers.{listing.symbol}": listing.pair for listing in self._markets.of(category)}
        topics = list(pairs)
        requests = [
            msgspec.json.encode({"op": "subscribe", "args": topics[first : first + _TOPICS]}).decode()
            for first in range(0, len(topics), _TOPICS)
        ]

        def read(text: str) -> list[Price]:
            message = msgspec.json.decode(text, type=_Message)
            if not message.success:
                raise Transient("VEN-003", f"bybit {category} stream: subscription refused: {message.ret_msg}")
            pair = pairs.get(message.topic)
            return [] if pair is None or message.data is None else _prices(pair, message.data, message.ts)

        url = f"{stream_address('bybit', 'public_stream', self._urls)}/v5/public/{category}"
        return Subscription(url, tuple(requests), read, _PING, _PING_SECONDS)


def _prices(pair: str, row: _Ticker, time_ms: int) -> list[Price]:
    return [
        *published(pair, PriceKind.LAST, row.last_price, time_ms),
        *published(pair, PriceKind.MARK, row.mark_price, time_ms),
    ]
