"""Shows the local exchange's orders and trades as Binance does, spot and perpetuals."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.exchange.account import Account, Refused
from tests.exchange.binance_words import Refusal, digits, refusal_of
from tests.exchange.market import Fill, Kind, Market, Order

TIF = {"GTC", "IOC", "GTX"}


class OrderDesk:
    """Orders and trades of one kind of market."""

    def __init__(self, account: Account, kind: Kind, limits: dict[str, int]) -> None:
        self.account = account
        self.kind = kind
        self.limits = limits
        self.jumbled = False
        """Whether trades of a span are listed twice, the newest first."""

    def rules(self, params: dict[str, str]) -> Any:
        """GET exchangeInfo."""
        markets = [market for (kind, _), market in self.account.markets.items() if kind is self.kind]
        if "symbols" in params:
            wanted = json.loads(params["symbols"])
            if unknown := set(wanted) - {market.symbol for market in markets}:
                raise Refusal(-1121, f"Invalid symbol. {len(unknown)}")
            markets = [market for market in markets if market.symbol in wanted]
        host = {Kind.SPOT: "api", Kind.LINEAR: "fapi", Kind.INVERSE: "dapi"}[self.kind]
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.limits[host]}
        orders = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100}
        return {
            "timezone": "UTC",
            "serverTime": self.account.clock.ms,
            "rateLimits": [limit, orders],
            "symbols": [self._market(market) for market in markets],
        }

    def place(self, params: dict[str, str]) -> Any:
        """POST order."""
        market = self.market(params)
        kind, limit = params["type"], params.get("price")
        if kind not in ("MARKET", "LIMIT", "LIMIT_MAKER") or (kind == "LIMIT_MAKER" and self.kind is not Kind.SPOT):
            raise Refusal(-1116, "Invalid orderType.")
        if (kind == "MARKET") != (limit is None):
            raise Refusal(-1106, "Parameter 'price' sent when not required.")
        tif = params.get("timeInForce")
        if (kind == "LIMIT") != (tif in TIF) or (tif == "GTX" and self.kind is Kind.SPOT):
            raise Refusal(-1115, "Invalid timeInForce.")
        if params["side"] not in ("BUY", "SELL"):
            raise Refusal(-1117, "Invalid side.")
        if "reduceOnly" in params and self.kind is Kind.SPOT:
            raise Refusal(-1104, "Not all sent parameters were read; read '9' parameter(s) but was sent '10'.")
        client_id = params.get("newClientOrderId", "")
        if not client_id:
            raise Refusal(-1105, "Parameter 'newClientOrderId' was empty.")
        order = self._try(
            lambda: self.account.place(
                market,
                client_id,
                buys=params["side"] == "BUY",
                amount=digits(params["quantity"]),
                limit=None if limit is None else digits(limit),
                maker_only=kind == "LIMIT_MAKER" or tif == "GTX",
                immediate=tif == "IOC",
                reduce_only=params.get("reduceOnly") == "true",
            )
        )
        return self.shown(order, new=True)

    def find(self, params: dict[str, str]) -> Any:
        """GET order."""
        return self.shown(self._named(params, -2013, "Order does not exist."))

    def cancel(self, params: dict[str, str]) -> Any:
        """DELETE order."""
        order = self._named(params, -2011, "Unknown order sent.")
        self._try(lambda: self.account.cancel(order))
        return self.shown(order)

    def cancel_all(self, params: dict[str, str]) -> Any:
        """DELETE allOpenOrders."""
        market = self.market(params)
        for order in self.account.open_orders():
            if order.market is market:
                self.account.cancel(order)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def open_orders(self, params: dict[str, str]) -> Any:
        """GET openOrders."""
        wanted = self.market(params) if "symbol" in params else None
        kind = self.kind
        return [
            self.shown(order)
            for order in self.account.open_orders()
            if order.market.kind is kind and (wanted is None or order.market is wanted)
        ]

    def trades(self, params: dict[str, str]) -> Any:
        """GET myTrades, userTrades."""
        market = self.market(params)
        limit = int(params.get("limit", "500"))
        found = [trade for trade in self.account.trades if trade.order.market is market]
        if "fromId" in params:
            if "startTime" in params or "endTime" in params:
                raise Refusal(-1128, "Combination of optional parameters invalid.")
            found = [trade for trade in found if trade.trade_id >= int(params["fromId"])]
            return [self._trade(trade) for trade in found[:limit]]
        span = 86_400_000 if self.kind is Kind.SPOT else 7 * 86_400_000
        begin = int(params["startTime"])
        end = int(params.get("endTime", begin + span if self.kind is not Kind.SPOT else self.account.clock.ms))
        if end - begin > span and "endTime" in params:
            raise Refusal(-1127, "More than 24 hours between startTime and endTime.")
        found = [trade for trade in found if begin <= trade.time_ms <= end]
        page = [self._trade(trade) for trade in found[:limit]]
        return [*reversed(page), *page] if self.jumbled else page

    def market(self, params: dict[str, str]) -> Market:
        """The market that is asked about."""
        found = self.account.markets.get((self.kind, params.get("symbol", "")))
        if found is None:
            raise Refusal(-1121, "Invalid symbol.")
        return found

    def _named(self, params: dict[str, str], code: int, text: str) -> Order:
        market, name, number = self.market(params), params.get("origClientOrderId"), params.get("orderId")
        for order in reversed(self.account.orders):
            if order.market is market and (order.client_id == name or str(order.order_id) == number):
                return order
        raise Refusal(code, text)

    def _try(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except Refused as refused:
            raise refusal_of(refused, spot=self.kind is Kind.SPOT) from None

    def shown(self, order: Order, *, new: bool = False) -> dict[str, Any]:
        """An order as Binance shows it."""
        row: dict[str, Any] = {
            "symbol": order.market.symbol,
            "orderId": order.order_id,
            "clientOrderId": order.client_id,
            "price": text(order.limit or Decimal(0)),
            "origQty": text(order.amount),
            "executedQty": text(order.filled),
            "status": order.status,
            "timeInForce": "IOC" if order.immediate else "GTC",
            "type": "MARKET" if order.limit is None else "LIMIT",
            "side": "BUY" if order.buys else "SELL",
        }
        if self.kind is Kind.SPOT:
            row["cummulativeQuoteQty"] = text(order.paid)
            if new:
                row["transactTime"] = order.updated_ms
                row["fills"] = [self._spot_fill(trade) for trade in order.trades]
            else:
                row |= {"time": order.time_ms, "updateTime": order.updated_ms, "isWorking": True}
            return row
        row |= {
            "avgPrice": f"{order.average:.5f}",
            "reduceOnly": order.reduce_only,
            "positionSide": "BOTH",
            "time": order.time_ms,
            "updateTime": order.updated_ms,
        }
        row["cumBase" if self.kind is Kind.INVERSE else "cumQuote"] = text(order.paid)
        return row

    def _spot_fill(self, trade: Fill) -> dict[str, Any]:
        return {
            "price": text(trade.price),
            "qty": text(trade.amount),
            "commission": text(trade.fee),
            "commissionAsset": trade.fee_currency,
            "tradeId": trade.trade_id,
        }

    def _trade(self, trade: Fill) -> dict[str, Any]:
        row: dict[str, Any] = {
            "symbol": trade.order.market.symbol,
            "id": trade.trade_id,
            "orderId": trade.order.order_id,
            "price": text(trade.price),
            "qty": text(trade.amount),
            "commission": text(trade.fee),
            "commissionAsset": trade.fee_currency,
            "time": trade.time_ms,
        }
        if self.kind is Kind.SPOT:
            return row | {"isBuyer": trade.order.buys, "isMaker": trade.maker, "isBestMatch": True}
        return row | {
            "side": "BUY" if trade.order.buys else "SELL",
            "buyer": trade.order.buys,
            "maker": trade.maker,
            "realizedPnl": text(trade.realised),
            "positionSide": "BOTH",
        }

    def _market(self, market: Market) -> dict[str, Any]:
        spot = self.kind is Kind.SPOT
        lot = {"minQty": text(market.lot), "stepSize": text(market.lot)}
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": text(market.tick), "tickSize": text(market.tick)},
            {"filterType": "LOT_SIZE", "maxQty": "9000.00000000", **lot},
            # Spot says 0 where it has no step of its own for market orders.
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000" if spot else text(market.lot),
                "maxQty": text(market.max_market),
                "stepSize": "0.00000000" if spot else text(market.lot),
            },
        ]
        row: dict[str, Any] = {
            "symbol": market.symbol,
            "baseAsset": market.base,
            "quoteAsset": market.quote,
            "filters": filters,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"] if spot else ["LIMIT", "MARKET"],
            "timeInForce": ["GTC", "IOC", "GTX"],
        }
        state = "TRADING" if market.trading else "BREAK"
        if spot:
            filters.append({"filterType": "NOTIONAL", "minNotional": text(market.min_notional)})
            return row | {"status": state, "isSpotTradingAllowed": True, "permissionSets": [["SPOT"]]}
        dated = market.pair.endswith("-FUTURE")
        row |= {
            "contractType": "CURRENT_QUARTER" if dated else "PERPETUAL",
            "marginAsset": market.margin,
            "deliveryDate": 1735286400000 if dated else 4133404800000,
        }
        if self.kind is Kind.LINEAR:
            filters.append({"filterType": "MIN_NOTIONAL", "notional": f"{market.min_notional}"})
            return row | {"status": state}
        return row | {"contractStatus": state, "contractSize": int(market.contract)}


def text(value: Decimal) -> str:
    """As Binance writes numbers."""
    return f"{value:.8f}"
