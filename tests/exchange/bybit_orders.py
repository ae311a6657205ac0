"""Shows the local exchange's orders and trades as Bybit does, spot and perpetuals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.exchange.account import Account, Refused
from tests.exchange.bybit_words import Refusal, digits, page, refusal_of, span, text
from tests.exchange.market import Fill, Kind, Market, Order

DAY_MS = 86_400_000
KINDS = {"spot": Kind.SPOT, "linear": Kind.LINEAR}
STATES = {"NEW": "New", "PARTIALLY_FILLED": "PartiallyFilled", "FILLED": "Filled"}
MONEY = ("qty", "price")


class BybitDesk:
    """Orders, trades and rules of all markets."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.forgets_ended = False
        """Whether ended orders have left the list of current ones, as after a restart of the exchange."""

    def market(self, params: dict[str, Any]) -> Market:
        """The market that is asked about."""
        found = self.account.markets.get((self._kind(params), params.get("symbol", "")))
        if found is None:
            raise Refusal(10001, "params error: symbol invalid")
        return found

    def rules(self, params: dict[str, Any]) -> Any:
        """GET market/instruments-info: one market, or every one that is not dated."""
        kind = self._kind(params)
        every = [market for market in self.account.markets.values() if market.kind is kind and "-" not in market.symbol]
        markets = [self.market(params)] if "symbol" in params else every
        return {"category": params["category"], "list": [_rules(row) for row in markets], "nextPageCursor": ""}

    def place(self, params: dict[str, Any]) -> Any:
        """POST order/create."""
        market = self.market(params)
        spot, kind, limit = market.kind is Kind.SPOT, params["orderType"], params.get("price")
        tif = params.get("timeInForce", "GTC")
        if kind not in ("Market", "Limit") or tif not in ("GTC", "IOC", "FOK", "PostOnly"):
            raise Refusal(10001, "params error: orderType or timeInForce")
        if params["side"] not in ("Buy", "Sell"):
            raise Refusal(10001, "params error: side")
        if (kind == "Limit") != (limit is not None):
            raise Refusal(10001, "params error: price")
        amount = digits(params["qty"])
        if spot and kind == "Market" and params["side"] == "Buy" and params.get("marketUnit") != "baseCoin":
            amount = (amount / market.price // market.lot) * market.lot
        reduce_only = params.get("reduceOnly", False)
        if not isinstance(reduce_only, bool) or (spot and reduce_only):
            raise Refusal(10001, "params error: reduceOnly")
        index = params.get("positionIdx", 0)
        if not spot and (index != 0) != self.account.two_way[market.kind]:
            raise Refusal(10001, "position idx not match position mode")
        client_id = params.get("orderLinkId", "")
        if not client_id or len(client_id) > 36:
            raise Refusal(10001, "params error: orderLinkId")
        try:
            order = self.account.place(
                market,
                client_id,
                buys=params["side"] == "Buy",
                amount=amount,
                limit=None if limit is None else digits(limit),
                maker_only=tif == "PostOnly",
                immediate=tif == "IOC",
                reduce_only=reduce_only,
            )
        except Refused as refused:
            raise refusal_of(refused, spot=spot) from None
        return {"orderId": str(order.order_id), "orderLinkId": order.client_id}

    def cancel(self, params: dict[str, Any]) -> Any:
        """POST order/cancel."""
        market = self.market(params)
        found = [order for order in self._orders(params) if order.market is market]
        try:
            if not found:
                raise Refused("no such order")
            self.account.cancel(found[0])
        except Refused as refused:
            raise refusal_of(refused, spot=market.kind is Kind.SPOT) from None
        return {"orderId": str(found[0].order_id), "orderLinkId": found[0].client_id}

    def realtime(self, params: dict[str, Any]) -> Any:
        """GET order/realtime: open orders; of one id ended ones as well, while they are remembered."""
        named = "orderLinkId" in params or "orderId" in params
        rows = [order for order in self._orders(params) if order.is_open or (named and not self.forgets_ended)]
        return {"category": params["category"]} | page([_order(row) for row in rows], params, most=50, default=20)

    def history(self, params: dict[str, Any]) -> Any:
        """GET order/history: ended orders; beyond seven days only those that were filled."""
        begin, end = span(params, self.account.clock.ms, 7 * DAY_MS)
        old = self.account.clock.ms - 7 * DAY_MS
        rows = [
            order
            for order in self._orders(params)
            if not order.is_open and begin <= order.time_ms <= end and (order.filled or order.time_ms >= old)
        ]
        return {"category": params["category"]} | page([_order(row) for row in rows], params, most=50, default=20)

    def executions(self, params: dict[str, Any]) -> Any:
        """GET execution/list, the newest first, funding among the trades."""
        market = self.market(params)
        begin, end = span(params, self.account.clock.ms, 7 * DAY_MS)
        rows = [_execution(trade) for trade in self.account.trades if trade.order.market is market]
        rows += [
            _funding(market, row.number, row.amount, row.time_ms)
            for row in self.account.income
            if (row.kind, row.symbol, row.wallet) == ("FUNDING_FEE", market.symbol, market.kind)
        ]
        rows = [row for row in rows if begin <= int(row["execTime"]) <= end]
        rows.sort(key=lambda row: (int(row["execTime"]), int(row["execId"])), reverse=True)
        return {"category": params["category"]} | page(rows, params, most=100, default=50)

    def _kind(self, params: dict[str, Any]) -> Kind:
        if params.get("category") not in KINDS:
            raise Refusal(10001, "params error: category")
        return KINDS[params["category"]]

    def _orders(self, params: dict[str, Any]) -> list[Order]:
        """Orders of a category, the newest first; an id goes before a symbol."""
        kind, name, number = self._kind(params), params.get("orderLinkId"), params.get("orderId")
        rows = [order for order in reversed(self.account.orders) if order.market.kind is kind]
        if number is not None:
            return [order for order in rows if str(order.order_id) == number]
        if name is not None:
            return [order for order in rows if order.client_id == name]
        if "symbol" not in params and (kind is Kind.SPOT or "settleCoin" not in params):
            raise Refusal(10001, "params error: symbol or settleCoin")
        return [order for order in rows if order.market.symbol == params.get("symbol", order.market.symbol)]


def _rules(market: Market) -> dict[str, Any]:
    spot = market.kind is Kind.SPOT
    lots = (
        {
            "basePrecision": f"{market.lot}",
            "quotePrecision": "0.0000001",
            "minOrderQty": f"{market.lot}",
            "maxOrderQty": "9000",
            "minOrderAmt": f"{market.min_notional}",
            "maxLimitOrderQty": "9000",
            "maxMarketOrderQty": f"{market.max_market}",
        }
        if spot
        else {
            "qtyStep": f"{market.lot}",
            "minOrderQty": f"{market.lot}",
            "maxOrderQty": "9000",
            "maxMktOrderQty": f"{market.max_market}",
            "minNotionalValue": f"{market.min_notional}",
        }
    )
    row: dict[str, Any] = {
        "symbol": market.symbol,
        "status": "Trading" if market.trading else "Closed",
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "lotSizeFilter": lots,
        "priceFilter": {"tickSize": f"{market.tick}"},
    }
    if spot:
        return row | {"marginTrading": "utaOnly", "innovation": "0"}
    dated = "-" in market.symbol
    return row | {
        "contractType": "LinearFutures" if dated else "LinearPerpetual",
        "settleCoin": market.margin,
        "deliveryTime": "1735286400000" if dated else "0",
        "launchTime": "1585526400000",
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{market.most_leverage}.00", "leverageStep": "0.01"},
    }


def _order(order: Order) -> dict[str, Any]:
    spot = order.market.kind is Kind.SPOT
    status = STATES.get(order.status)
    if status is None:
        ended = order.status in ("CANCELED", "EXPIRED")
        status = ("PartiallyFilledCanceled" if spot and order.filled else "Cancelled") if ended else order.status
    row: dict[str, Any] = {
        "symbol": order.market.symbol,
        "orderId": str(order.order_id),
        "orderLinkId": order.client_id,
        "side": "Buy" if order.buys else "Sell",
        "orderStatus": status,
        "orderType": "Market" if order.limit is None else "Limit",
        "price": f"{order.limit or 0}",
        "qty": f"{order.amount}",
        "cumExecQty": f"{order.filled}",
        "cumExecValue": f"{order.paid}",
        "leavesQty": f"{order.left if order.is_open else 0}",
        "avgPrice": text(order.average) if order.filled else "",
        "timeInForce": "PostOnly" if order.maker_only else "IOC" if order.immediate or order.limit is None else "GTC",
        "reduceOnly": order.reduce_only,
        "positionIdx": 0,
        "createdTime": str(order.time_ms),
        "updatedTime": str(order.updated_ms),
    }
    # By its absence ccxt knows a spot order.
    return row if spot else row | {"tpslMode": ""}


def _execution(trade: Fill) -> dict[str, Any]:
    order, spot = trade.order, trade.order.market.kind is Kind.SPOT
    by_exchange = order.client_id.startswith(("autoclose", "adl_autoclose"))
    kind = "AdlTrade" if order.client_id.startswith("adl") else "BustTrade"
    return {
        "symbol": order.market.symbol,
        "execId": str(trade.trade_id),
        "orderId": str(order.order_id),
        "orderLinkId": "" if by_exchange else order.client_id,
        "side": "Buy" if order.buys else "Sell",
        "execType": kind if by_exchange else "Trade",
        "orderType": "Market" if order.limit is None else "Limit",
        "execQty": f"{trade.amount}",
        "execPrice": f"{trade.price}",
        "execValue": text(order.market.paid(trade.amount, trade.price)),
        "execFee": f"{trade.fee}",
        "feeCurrency": trade.fee_currency if spot else "",
        "isMaker": trade.maker,
        "execTime": str(trade.time_ms),
    }


def _funding(market: Market, number: int, amount: Decimal, time_ms: int) -> dict[str, Any]:
    """An execution that is none: funding stands among the trades, with the opposite sign."""
    return {
        "symbol": market.symbol,
        "execId": str(number),
        "orderId": f"funding-{number}",
        "orderLinkId": "",
        "side": "Sell",
        "execType": "Funding",
        "orderType": "UNKNOWN",
        "execQty": "0.5",
        "execPrice": f"{market.price}",
        "execFee": f"{-amount}",
        "feeCurrency": "",
        "isMaker": False,
        "execTime": str(time_ms),
    }
