"""Shows what the local exchange publishes of its markets as Bybit does: prices, marks, funding, and their stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from tests.exchange.account import Account
from tests.exchange.bybit_orders import BybitDesk
from tests.exchange.bybit_words import Refusal, text
from tests.exchange.market import Kind, Market
from tests.exchange.streams import Listener, Streams

EIGHT_HOURS_MS = 8 * 3_600_000
MOST_TOPICS = 10
"""Of one subscription to spot markets."""


class BybitQuotes:
    """What is public of all markets. Lists begin with the newest."""

    def __init__(self, account: Account, desk: BybitDesk) -> None:
        self.account = account
        self.desk = desk

    def tickers(self, params: dict[str, Any]) -> Any:
        """GET market/tickers: no row says of when it is."""
        every = [market for market in self.account.markets.values() if market.kind == params["category"]]
        markets = [self.desk.market(params)] if "symbol" in params else every
        rows = [ticker(market, self.account.clock.ms) for market in markets]
        return {"category": params["category"], "list": rows}

    def funding(self, params: dict[str, Any]) -> Any:
        """GET market/funding/history."""
        market = self._perpetual(params)
        if "startTime" in params and "endTime" not in params:
            raise Refusal(10001, "params error: endTime is required with startTime")
        begin, end = int(params.get("startTime", 0)), int(params.get("endTime", self.account.clock.ms))
        rows = [
            {
                "symbol": market.symbol,
                "fundingRate": text(settled.rate),
                "fundingRateTimestamp": str(settled.time_ms),
            }
            for settled in reversed(market.settled)
            if begin <= settled.time_ms <= end
        ]
        return {"category": params["category"], "list": rows[: _limit(params, 200)]}

    def mark_candles(self, params: dict[str, Any]) -> Any:
        """GET market/mark-price-kline."""
        market = self._perpetual(params)
        if params["interval"] != "1":
            raise Refusal(10001, "params error: interval")
        end = min(int(params.get("end", self.account.clock.ms)), self.account.clock.ms)
        candles = reversed(market.mark_candles(int(params.get("start", 0)), end))
        rows = [[str(candle.begin_ms), *(text(price) for price in candle[1:])] for candle in candles]
        shown = {"category": params["category"], "symbol": market.symbol}
        return shown | {"list": rows[: _limit(params, 1000)]}

    def _perpetual(self, params: dict[str, Any]) -> Market:
        market = self.desk.market(params)
        if market.kind is Kind.SPOT:
            raise Refusal(10001, "Category is invalid")
        return market


class BybitStreams(Streams):
    """Market data. Spot tells everything each time, perpetuals after the first time only what has changed."""

    async def public(self, request: web.Request) -> web.StreamResponse:
        """`/v5/public/spot` and `/v5/public/linear`."""
        return await self.serve(request, Listener(web.WebSocketResponse(), spot=request.path.endswith("spot")))

    def answers(self, listener: Listener, text: str) -> Iterator[dict[str, Any]]:
        """A subscription is confirmed, and what it is about told."""
        asked = json.loads(text)
        about = {"conn_id": "local", "req_id": asked.get("req_id", ""), "op": asked["op"]}
        if asked["op"] == "ping":
            yield {"success": True, "ret_msg": "pong"} | about
            return
        names = asked["args"]
        kind = Kind.SPOT if listener.spot else Kind.LINEAR
        found = [self.account.markets.get((kind, name.removeprefix("tickers."))) for name in names]
        if listener.spot and len(names) > MOST_TOPICS:
            yield {"success": False, "ret_msg": "args size >10"} | about
        elif unknown := [name for name, market in zip(names, found, strict=True) if market is None]:
            yield {"success": False, "ret_msg": f"error:handler not found,topic:{unknown[0]}"} | about
        else:
            listener.topics |= {f"{kind}/{name}" for name in names}
            yield {"success": True, "ret_msg": "subscribe"} | about
            if not self.silent:
                yield from (self._message("snapshot", market, self._whole(market)) for market in found if market)

    def note(self, kind: str, what: Any) -> None:
        """Called with everything that happens."""
        if not isinstance(what, Market):
            return
        data, form = self._whole(what), "snapshot"
        if what.kind is not Kind.SPOT:
            form, name = "delta", "lastPrice" if kind == "price" else "markPrice"
            data = {"symbol": what.symbol, name: data[name]}
        self.waiting.append((f"{what.kind}/tickers.{what.symbol}", self._message(form, what, data)))

    def _whole(self, market: Market) -> dict[str, str]:
        row = ticker(market, self.account.clock.ms)
        return {name: row[name] for name in row if not name.startswith(("bid", "ask"))} if row else row

    def _message(self, form: str, market: Market, data: dict[str, str]) -> dict[str, Any]:
        return {
            "topic": f"tickers.{market.symbol}",
            "type": form,
            "data": data,
            "cs": self.account.number(),
            "ts": self.account.clock.ms,
        }


def ticker(market: Market, now_ms: int) -> dict[str, str]:
    """A row of a ticker."""
    price = text(market.price)
    row = {"symbol": market.symbol, "lastPrice": price, "prevPrice24h": price, "price24hPcnt": "0"}
    row |= {"highPrice24h": price, "lowPrice24h": price, "turnover24h": "0", "volume24h": "0"}
    row |= {"bid1Price": price, "bid1Size": "1", "ask1Price": price, "ask1Size": "1"}
    if market.kind is Kind.SPOT:
        return row | {"usdIndexPrice": price}
    return row | {
        "markPrice": text(market.mark_price),
        "indexPrice": price,
        "openInterest": "1",
        "openInterestValue": price,
        "fundingRate": "0.0001",
        "nextFundingTime": str((now_ms // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS),
    }


def _limit(params: dict[str, Any], most: int) -> int:
    limit = int(params.get("limit", 200))
    if not 1 <= limit <= most:
        raise Refusal(10001, "params error: limit")
    return limit
