"""Shows what the local exchange publishes of its markets as OKX does: prices, marks, funding, and their stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from tests.exchange.account import Account
from tests.exchange.market import Kind, Market
from tests.exchange.okx_orders import OkxDesk
from tests.exchange.okx_words import kind_of, page, parameter, text
from tests.exchange.streams import Listener, Streams

RECENT_CANDLES = 1440
"""How many minutes the list of recent candles reaches back."""
CHANNELS = ("tickers", "mark-price")


class OkxQuotes:
    """What is public of all markets. Lists begin with the newest."""

    def __init__(self, account: Account, desk: OkxDesk) -> None:
        self.account = account
        self.desk = desk

    def ticker(self, params: dict[str, Any]) -> list[Any]:
        """GET market/ticker."""
        return [ticker(self.desk.market(params), self.account.clock.ms)]

    def tickers(self, params: dict[str, Any]) -> list[Any]:
        """GET market/tickers."""
        return [ticker(market, self.account.clock.ms) for market in self._of(params["instType"])]

    def marks(self, params: dict[str, Any]) -> list[Any]:
        """GET public/mark-price."""
        wanted = [self.desk.market(params)] if "instId" in params else self._of(params["instType"])
        return [mark(market, self.account.clock.ms) for market in wanted]

    def funding(self, params: dict[str, Any]) -> list[Any]:
        """GET public/funding-rate-history: what was foretold, and what it came to."""
        market = self.desk.market(params)
        rows = [
            {
                "instType": "SWAP",
                "instId": market.symbol,
                "fundingRate": text(settled.rate * 2),
                "realizedRate": text(settled.rate),
                "fundingTime": str(settled.time_ms),
                "method": "current_period",
                "formulaType": "noRate",
            }
            for settled in reversed(market.settled)
        ]
        return page(rows, params, lambda row: int(row["fundingTime"]))

    def recent_candles(self, params: dict[str, Any]) -> list[Any]:
        """GET market/mark-price-candles."""
        return self._candles(params)[:RECENT_CANDLES]

    def old_candles(self, params: dict[str, Any]) -> list[Any]:
        """GET market/history-mark-price-candles: only minutes that are over."""
        return [candle for candle in self._candles(params) if candle[-1] == "1"]

    def _candles(self, params: dict[str, Any]) -> list[Any]:
        market, now = self.desk.market(params), self.account.clock.ms
        limit, after = int(params.get("limit", "100")), int(params.get("after", now + 1))
        if params.get("bar", "1m") != "1m":
            raise parameter("bar")
        if not 1 <= limit <= 100:
            raise parameter("limit")
        return [
            [str(candle.begin_ms), *(text(price) for price in candle[1:]), str(int(candle.begin_ms + 60_000 <= now))]
            for candle in reversed(market.mark_candles(0, now))
            if candle.begin_ms < after
        ][:limit]

    def _of(self, kind: str) -> list[Market]:
        return [market for market in self.account.markets.values() if kind_of(market) == kind]


class OkxStreams(Streams):
    """Market data, all of it over one connection."""

    async def public(self, request: web.Request) -> web.StreamResponse:
        """`/ws/v5/public`."""
        return await self.serve(request, Listener(web.WebSocketResponse()))

    def answers(self, listener: Listener, text: str) -> Iterator[str | dict[str, Any]]:
        """Each subscription is confirmed or refused, and what it is about told."""
        if text == "ping":
            yield "pong"
            return
        asked = json.loads(text)
        for wanted in asked["args"]:
            channel, symbol = wanted["channel"], wanted["instId"]
            market = self.account.markets.get((Kind.LINEAR, symbol))
            if market is None or channel not in CHANNELS:
                said = f"Wrong URL or channel:{channel},instId:{symbol} doesn't exist. Please use the correct URL."
                yield {"event": "error", "code": "60018", "msg": said, "connId": "local"}
                continue
            listener.topics.add(f"{channel}/{symbol}")
            yield {"event": "subscribe", "arg": wanted, "connId": "local"}
            if not self.silent:
                yield self._message(channel, market)

    def note(self, kind: str, what: Any) -> None:
        """Called with everything that happens."""
        if isinstance(what, Market):
            channel = "tickers" if kind == "price" else "mark-price"
            self.waiting.append((f"{channel}/{what.symbol}", self._message(channel, what)))

    def _message(self, channel: str, market: Market) -> dict[str, Any]:
        shown = ticker if channel == "tickers" else mark
        row = shown(market, self.account.clock.ms)
        return {"arg": {"channel": channel, "instId": market.symbol}, "data": [row]}


def ticker(market: Market, now_ms: int) -> dict[str, str]:
    """A row of a ticker."""
    price = text(market.price)
    row = {"instType": kind_of(market), "instId": market.symbol, "last": price, "lastSz": "1", "ts": str(now_ms)}
    row |= {"askPx": price, "askSz": "1", "bidPx": price, "bidSz": "1"}
    return row | dict.fromkeys(("open24h", "high24h", "low24h", "sodUtc0", "sodUtc8"), price) | {"vol24h": "0"}


def mark(market: Market, now_ms: int) -> dict[str, str]:
    """A row of a mark price."""
    shown = {"instType": kind_of(market), "instId": market.symbol}
    return shown | {"markPx": text(market.mark_price), "ts": str(now_ms)}
