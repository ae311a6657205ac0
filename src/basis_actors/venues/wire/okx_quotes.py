"""Reads what OKX publishes of its perpetuals, by request and by stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from basis_actors.errors import Transient
from basis_actors.messages.exchange import MarketFilters
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.venues.wire.addresses import stream_address
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.okx_endpoints import FUNDING_HISTORY, MARK, MARK_CANDLES, OLD_MARK_CANDLES, TICKER
from basis_actors.venues.wire.okx_markets import KIND, Markets
from basis_actors.venues.wire.okx_pages import PAGE, pages
from basis_actors.venues.wire.quotes import NS_PER_MS, Candle, Quoted, Subscription, number_or_none, published
from basis_actors.venues.wire.rows import Milliseconds

__all__ = ["OkxQuotes"]

_PING, _PONG = "ping", "pong"
_PING_SECONDS: Final = 20.0
"""OKX ends a connection on which nothing was said for thirty."""
_REFUSED: Final = "error"


class _Quote(msgspec.Struct, rename="camel"):
    """A last price or a mark price."""

    inst_id: str
    ts: Milliseconds
    last: Quoted = None
    mark_px: Quoted = None


class _Settled(msgspec.Struct, rename="camel"):
    funding_time: Milliseconds
    realized_rate: Quoted = None
    """What was settled with; beside it stands what had been foretold."""


class _Message(msgspec.Struct):
    """What a stream says: rows, or what came of a subscription."""

    event: str = ""
    code: str = ""
    msg: str = ""
    data: tuple[_Quote, ...] = ()


class OkxQuotes:
    """As `quotes.Quotes`."""

    def __init__(self, caller: Caller, pairs: Iterable[str], urls: Mapping[str, str]) -> None:
        """`urls` replace the addresses of streams. Raises ConfigError CONFIG-004 for a name of no market."""
        self._caller = caller
        self._markets = Markets(caller, pairs)
        self._pairs = {listing.symbol: listing.pair for listing in self._markets.all}
        self._urls = urls

    @property
    def perpetuals(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self._pairs.values())

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """One connection for everything."""
        topics = [
            {"channel": channel, "instId": symbol} for channel in ("tickers", "mark-price") for symbol in self._pairs
        ]
        request = msgspec.json.encode({"op": "subscribe", "args": topics}).decode()
        url = f"{stream_address('okx', 'stream', self._urls)}/ws/v5/public"
        return (Subscription(url, (request,), self._read, _PING, _PING_SECONDS),)

    async def listed(self) -> dict[str, MarketFilters]:
        """What OKX trades of the pairs."""
        return await self._markets.refresh()

    async def prices(self) -> list[Price]:
        """Last and mark prices."""
        found: list[Price] = []
        for symbol in self._pairs:
            for endpoint, params in ((TICKER, {}), (MARK, {"instType": KIND})):
                rows = await self._caller.ask(endpoint, {**params, "instId": symbol}, tuple[_Quote, ...])
                found += self._prices(rows)
        return found

    async def funding(self, pair: str, since_ms: int, until_ms: int) -> list[FundingStamp]:  # noqa: ARG002 (up to now)
        """Settlements; OKX does not say at which mark price."""
        symbol = self._markets.listing(pair).symbol
        rows = pages(
            self._caller,
            FUNDING_HISTORY,
            {"instId": symbol},
            _Settled,
            name=lambda row: str(row.funding_time),
            after=lambda row: str(row.funding_time),
            enough=lambda row: row.funding_time < since_ms,
        )
        return [
            FundingStamp(
                ns=row.funding_time * NS_PER_MS,
                perp=f"okx:{pair}",
                rate=number_or_none(row.realized_rate),
                mark=None,
            )
            async for row in rows
        ]

    async def mark_candles(self, pair: str, since_ms: int, until_ms: int) -> list[Candle]:  # noqa: ARG002 (up to now)
        """Minutes: those of a day and the one that is not over are listed apart from those before."""
        params = {"instId": self._markets.listing(pair).symbol, "bar": "1m"}
        recent = await self._caller.ask(MARK_CANDLES, params | {"limit": str(PAGE)}, tuple[Candle, ...])
        if not recent or recent[-1].begin_ms < since_ms:
            return list(recent)
        older = pages(
            self._caller,
            OLD_MARK_CANDLES,
            params | {"after": str(recent[-1].begin_ms)},
            Candle,
            name=lambda candle: str(candle.begin_ms),
            after=lambda candle: str(candle.begin_ms),
            enough=lambda candle: candle.begin_ms < since_ms,
        )
        return [*recent, *[candle async for candle in older]]

    def _read(self, text: str) -> list[Price]:
        if text == _PONG:
            return []
        message = msgspec.json.decode(text, type=_Message, strict=False)
        if message.event == _REFUSED:
            raise Transient("VEN-003", f"okx stream: subscription refused: {message.code} {message.msg}")
        return self._prices(message.data)

    def _prices(self, rows: Iterable[_Quote]) -> list[Price]:
        return [
            price
            for row in rows
            if row.inst_id in self._pairs
            for kind, text in ((PriceKind.LAST, row.last), (PriceKind.MARK, row.mark_px))
            for price in published(self._pairs[row.inst_id], kind, text, row.ts)
        ]
