"""Reads what Binance publishes of its markets: by request and by stream, of spot, USD-M and COIN-M."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec

from basis_actors.errors import Transient
from basis_actors.messages.exchange import MarketFilters, Wallet
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.venues.wire.addresses import stream_address
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.binance_endpoints import SPOT, Family
from basis_actors.venues.wire.binance_markets import Listing, Markets
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

__all__ = ["BinanceQuotes"]

T = TypeVar("T")
_CANDLES: Final = 1000
"""Of one answer; more would cost twice as much."""
_STAMPS: Final = 1000
"""Most settlements of one answer."""


class _Public(NamedTuple):
    """What is public of one family."""

    ticker: Endpoint
    premium: Endpoint
    funding: Endpoint
    candles: Endpoint
    lists: bool
    """Whether it answers with a list when it is asked about one market."""
    stream: str
    """Name of its address."""
    path: str


def _perpetuals(prefix: str, stream: str, path: str, *, premium: int, lists: bool) -> _Public:
    def endpoint(name: str, weight: int) -> Endpoint:
        return Endpoint(f"{prefix}PublicGet{name}", prefix, weight, signed=False)

    return _Public(
        endpoint("Ticker24hr", 1),
        endpoint("PremiumIndex", premium),
        endpoint("FundingRate", 1),
        endpoint("MarkPriceKlines", 5),
        lists,
        stream,
        path,
    )


_SPOT_TICKER: Final = Endpoint("publicGetTicker24hr", "api", 2, signed=False)
_PERPETUALS: Final = {
    Wallet.LINEAR: _perpetuals("fapi", "linear_stream", "/market/ws", premium=1, lists=False),
    Wallet.INVERSE: _perpetuals("dapi", "inverse_stream", "/ws", premium=10, lists=True),
}
_KINDS: Final = {"24hrMiniTicker": PriceKind.LAST, "markPriceUpdate": PriceKind.MARK}
"""By event."""


class _Ticker(Row):
    symbol: str
    close_time: Milliseconds
    last_price: Quoted = None


class _Premium(Row):
    symbol: str
    time: Milliseconds
    mark_price: Quoted = None


class _Settled(Row):
    funding_time: Milliseconds
    funding_rate: Quoted = None
    mark_price: Quoted = None


class _Problem(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Event(msgspec.Struct):
    """What a stream says: an event, or what came of a subscription."""

    kind: str = msgspec.field(name="e", default="")
    time_ms: Milliseconds = msgspec.field(name="E", default=0)
    symbol: str = msgspec.field(name="s", default="")
    last: Quoted = msgspec.field(name="c", default=None)
    mark: Quoted = msgspec.field(name="p", default=None)
    error: _Problem | None = None


class BinanceQuotes:
    """As `quotes.Quotes`."""

    def __init__(self, caller: Caller, pairs: Iterable[str], urls: Mapping[str, str]) -> None:
        """`urls` replace the addresses of streams. Raises ConfigError CONFIG-004 for a name of no market."""
        self._caller = caller
        self._markets = Markets(caller, pairs)
        self._urls = urls

    @property
    def perpetuals(self) -> frozenset[str]:
        """Those of the pairs that have a mark price and funding."""
        return frozenset(listing.pair for family, _ in self._futures() for listing in self._markets.of(family))

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """One connection a family."""
        return tuple(self._subscription(family) for family in self._markets.families)

    async def listed(self) -> dict[str, MarketFilters]:
        """What Binance trades of the pairs."""
        return await self._markets.refresh()

    async def prices(self) -> list[Price]:
        """Last and mark prices."""
        found: list[Price] = []
        spot = [listing.symbol for listing in self._markets.of(SPOT)]
        if spot:
            params = {"symbols": msgspec.json.encode(spot).decode(), "type": "MINI"}
            for row in await self._caller.ask(_SPOT_TICKER, params, tuple[_Ticker, ...]):
                pair = self._markets.pair_of(SPOT, row.symbol)
                found += published(pair, PriceKind.LAST, row.last_price, row.close_time)
        for family, public in self._futures():
            for listing in self._markets.of(family):
                found += await self._prices_of(listing, public)
        return found

    async def funding(self, pair: str, since_ms: int, until_ms: int) -> list[FundingStamp]:
        """Settlements; Binance begins with the oldest."""
        listing, public = self._perpetual(pair)
        found: list[FundingStamp] = []
        begin_ms = since_ms
        while True:
            span = {"startTime": str(begin_ms), "endTime": str(until_ms), "limit": str(_STAMPS)}
            rows = await self._caller.ask(public.funding, {"symbol": listing.symbol} | span, tuple[_Settled, ...])
            found += (
                FundingStamp(
                    ns=row.funding_time * NS_PER_MS,
                    perp=f"binance:{pair}",
                    rate=number_or_none(row.funding_rate),
                    mark=number_or_none(row.mark_price),
                )
                for row in rows
            )
            if len(rows) < _STAMPS:
                return found
            newest_ms = max(row.funding_time for row in rows)
            if newest_ms < begin_ms:
                raise self._caller.unreadable(public.funding, f"settlements from {begin_ms} ms on were asked for")
            begin_ms = newest_ms + 1

    async def mark_candles(self, pair: str, since_ms: int, until_ms: int) -> list[Candle]:
        """Minutes; COIN-M serves a begin only with an end."""
        listing, public = self._perpetual(pair)
        found: list[Candle] = []
        for begin_ms in range(since_ms, until_ms + 1, _CANDLES * MINUTE_MS):
            span = {"startTime": str(begin_ms), "endTime": str(begin_ms + _CANDLES * MINUTE_MS - 1)}
            params = {"symbol": listing.symbol, "interval": "1m", "limit": str(_CANDLES)} | span
            found += await self._caller.ask(public.candles, params, tuple[Candle, ...])
        return found

    def _futures(self) -> Iterator[tuple[Family, _Public]]:
        return ((family, _PERPETUALS[family.wallet]) for family in self._markets.families if family is not SPOT)

    def _perpetual(self, pair: str) -> tuple[Listing, _Public]:
        listing = self._markets.listing(pair)
        return listing, _PERPETUALS[listing.family.wallet]

    async def _prices_of(self, listing: Listing, public: _Public) -> list[Price]:
        found: list[Price] = []
        for ticker in await self._rows(public.ticker, listing, public, _Ticker):
            found += published(listing.pair, PriceKind.LAST, ticker.last_price, ticker.close_time)
        for premium in await self._rows(public.premium, listing, public, _Premium):
            found += published(listing.pair, PriceKind.MARK, premium.mark_price, premium.time)
        return found

    async def _rows(self, endpoint: Endpoint, listing: Listing, public: _Public, shape: type[T]) -> tuple[T, ...]:
        named = {"symbol": listing.symbol}
        if not public.lists:
            return (await self._caller.ask(endpoint, named, shape),)
        rows: tuple[T, ...] = await self._caller.ask(endpoint, named, tuple[shape, ...])  # type: ignore[valid-type]
        return rows

    def _subscription(self, family: Family) -> Subscription:
        pairs = {listing.symbol: listing.pair for listing in self._markets.of(family)}
        topics = [f"{symbol.lower()}@miniTicker" for symbol in pairs]
        stream, path = "spot_stream", "/ws"
        if family is not SPOT:
            public = _PERPETUALS[family.wallet]
            topics += [f"{symbol.lower()}@markPrice@1s" for symbol in pairs]
            stream, path = public.stream, public.path

        def read(text: str) -> tuple[Price, ...]:
            event = msgspec.json.decode(text, type=_Event)
            if event.error is not None:
                problem = event.error
                raise Transient("VEN-003", f"binance {stream}: subscription refused: {problem.code} {problem.msg}")
            pair = pairs.get(event.symbol)
            if pair is None or event.kind not in _KINDS:
                return ()
            kind = _KINDS[event.kind]
            return published(pair, kind, event.last if kind is PriceKind.LAST else event.mark, event.time_ms)

        request = msgspec.json.encode({"method": "SUBSCRIBE", "params": topics, "id": 1}).decode()
        return Subscription(stream_address("binance", stream, self._urls) + path, (request,), read)
