"""Shows what the local exchange publishes of its markets as Binance does: prices, marks, funding."""

from __future__ import annotations

import json
from typing import Any

from tests.exchange.account import Account
from tests.exchange.binance_orders import text
from tests.exchange.binance_words import Refusal
from tests.exchange.market import Kind, Market

EIGHT_HOURS_MS = 8 * 3_600_000
FULL = {"priceChange", "priceChangePercent", "weightedAvgPrice", "lastQty"}
"""What only a ticker that is not of type MINI has."""
BEST = {"bidPrice", "bidQty", "askPrice", "askQty"}
"""And of those only one of spot."""


class QuoteDesk:
    """What is public of one kind of market."""

    def __init__(self, account: Account, kind: Kind) -> None:
        self.account = account
        self.kind = kind

    def tickers(self, params: dict[str, str]) -> Any:
        """GET ticker/24hr: of the market that is named, of those, or of all."""
        rows = [self._ticker(market, params.get("type", "FULL")) for market in self._asked(params)]
        return rows[0] if "symbol" in params and self.kind is not Kind.INVERSE else rows

    def premium(self, params: dict[str, str]) -> Any:
        """GET premiumIndex."""
        rows = [self._premium(market) for market in self._asked(params)]
        return rows[0] if "symbol" in params and self.kind is Kind.LINEAR else rows

    def funding(self, params: dict[str, str]) -> Any:
        """GET fundingRate, the oldest first. USD-M says at which mark price."""
        (market,) = self._asked(params)
        begin, end = int(params.get("startTime", 0)), int(params.get("endTime", self.account.clock.ms))
        rows = [
            {"symbol": market.symbol, "fundingTime": settled.time_ms, "fundingRate": text(settled.rate)}
            | ({"markPrice": text(settled.mark)} if self.kind is Kind.LINEAR else {})
            for settled in market.settled
            if begin <= settled.time_ms <= end
        ]
        return rows[: _limit(params, 100, 1000)]

    def mark_candles(self, params: dict[str, str]) -> Any:
        """GET markPriceKlines, the oldest first."""
        (market,) = self._asked(params)
        if params["interval"] != "1m":
            raise Refusal(-1120, "Invalid interval.")
        end = min(int(params.get("endTime", self.account.clock.ms)), self.account.clock.ms)
        candles = market.mark_candles(int(params.get("startTime", 0)), end)
        rest = ("0", 60, "0", "0", "0")
        return [
            [candle.begin_ms, *(text(price) for price in candle[1:]), "0", candle.begin_ms + 59_999, *rest]
            for candle in candles[: _limit(params, 500, 1500)]
        ]

    def _asked(self, params: dict[str, str]) -> list[Market]:
        every = {market.symbol: market for (kind, _), market in self.account.markets.items() if kind is self.kind}
        names = (
            json.loads(params["symbols"]) if "symbols" in params else [params["symbol"]] if "symbol" in params else []
        )
        if not all(name in every for name in names):
            raise Refusal(-1121, "Invalid symbol.")
        return [every[name] for name in names or every]

    def _ticker(self, market: Market, kind: str) -> dict[str, Any]:
        now = self.account.clock.ms
        row: dict[str, Any] = {"symbol": market.symbol, "lastPrice": text(market.price)}
        row |= {name: text(market.price) for name in ("openPrice", "highPrice", "lowPrice")} | {"volume": "0"}
        row |= {"openTime": now - 86_400_000, "closeTime": now, "firstId": 1, "lastId": 2, "count": 2}
        if self.kind is Kind.INVERSE:
            return row | {"pair": market.symbol.partition("_")[0], "baseVolume": "0"} | dict.fromkeys(FULL, "0")
        more = (FULL | BEST if self.kind is Kind.SPOT else FULL) if kind == "FULL" else ()
        return row | {"quoteVolume": "0"} | dict.fromkeys(more, "0")

    def _premium(self, market: Market) -> dict[str, Any]:
        now = self.account.clock.ms
        return {
            "symbol": market.symbol,
            "markPrice": text(market.mark_price),
            "indexPrice": text(market.price),
            "estimatedSettlePrice": text(market.mark_price),
            "lastFundingRate": "0.00010000",
            "interestRate": "0.00010000",
            "nextFundingTime": (now // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS,
            "time": now,
        }


def _limit(params: dict[str, str], default: int, most: int) -> int:
    limit = int(params.get("limit", default))
    if not 1 <= limit <= most:
        raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit
