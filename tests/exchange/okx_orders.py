"""Shows the local exchange's orders and trades as OKX does; sizes are contracts."""

from __future__ import annotations

from typing import Any

from tests.exchange.account import Account, Refused
from tests.exchange.market import Fill, Kind, Market, Order
from tests.exchange.okx_words import Refusal, contracts, digits, kind_of, page, parameter, refusal_of, text

DAY_MS = 86_400_000
TYPES = ("market", "limit", "post_only", "ioc", "fok")
STATES = {"NEW": "live", "PARTIALLY_FILLED": "partially_filled", "FILLED": "filled"}
FORGOTTEN_MS = 2 * 3_600_000
"""After which an order that ended with nothing filled is forgotten."""


class OkxDesk:
    """Orders, trades and rules of all markets."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def market(self, params: dict[str, Any]) -> Market:
        """The market that is asked about."""
        found = self.account.markets.get((Kind.LINEAR, params["instId"]))
        if found is None:
            raise Refusal(51001, "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        return found

    def rules(self, params: dict[str, Any]) -> list[Any]:
        """GET public/instruments."""
        kind = params["instType"]
        markets = [self.market(params)] if "instId" in params else list(self.account.markets.values())
        found = [_rules(market) for market in markets if kind_of(market) == kind]
        if not found:
            raise Refusal(51001, "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        return found

    def place(self, params: dict[str, Any]) -> list[Any]:
        """POST trade/order."""
        market, kind, limit = self.market(params), params["ordType"], params.get("px")
        if kind not in TYPES:
            raise parameter("ordType")
        if params["side"] not in ("buy", "sell"):
            raise parameter("side")
        if params["tdMode"] != "cross":
            raise parameter("tdMode")
        if (kind == "market") != (limit is None):
            raise parameter("px")
        reduce_only = params.get("reduceOnly", False)
        if not isinstance(reduce_only, bool):
            raise parameter("reduceOnly")
        if (params.get("posSide", "net") != "net") != self.account.two_way[market.kind]:
            raise parameter("posSide")
        name = params.get("clOrdId", "")
        if not (name.isascii() and name.isalnum() and len(name) <= 32):
            raise parameter("clOrdId")
        try:
            order = self.account.place(
                market,
                name,
                buys=params["side"] == "buy",
                amount=digits(params, "sz") * market.contract,
                limit=None if limit is None else digits(params, "px"),
                maker_only=kind == "post_only",
                immediate=kind == "ioc",
                reduce_only=reduce_only,
            )
        except Refused as refused:
            raise refusal_of(refused) from None
        return [_taken(order)]

    def cancel(self, params: dict[str, Any]) -> list[Any]:
        """POST trade/cancel-order."""
        order = self._one(params)
        try:
            if order is None:
                raise Refused("nothing to cancel")
            self.account.cancel(order)
        except Refused as refused:
            raise refusal_of(refused) from None
        return [_taken(order)]

    def find(self, params: dict[str, Any]) -> list[Any]:
        """GET trade/order."""
        order = self._one(params)
        if order is None or self._forgotten(order):
            raise refusal_of(Refused("no such order"))
        return [_order(order)]

    def pending(self, params: dict[str, Any]) -> list[Any]:
        """GET trade/orders-pending, the newest first."""
        rows = [_order(order) for order in reversed(self.account.open_orders()) if _is_asked_for(order.market, params)]
        return page(rows, params, lambda row: int(row["ordId"]))

    def fills(self, params: dict[str, Any]) -> list[Any]:
        """GET trade/fills: the last three days."""
        return self._fills(params, 3)

    def fills_of_months(self, params: dict[str, Any]) -> list[Any]:
        """GET trade/fills-history: three months."""
        return self._fills(params, 90)

    def _fills(self, params: dict[str, Any], days: int) -> list[Any]:
        begin = max(int(params.get("begin", 0)), self.account.clock.ms - days * DAY_MS)
        rows = [_fill(trade) for trade in reversed(self.account.trades) if _is_asked_for(trade.order.market, params)]
        return page([row for row in rows if int(row["ts"]) > begin], params, lambda row: int(row["billId"]))

    def _one(self, params: dict[str, Any]) -> Order | None:
        """An order by the exchange's number or by its id; of one id the newest."""
        market, number, name = self.market(params), params.get("ordId"), params.get("clOrdId")
        for order in reversed(self.account.orders):
            wanted = str(order.order_id) == number if number is not None else order.client_id == name
            if order.market is market and wanted:
                return order
        return None

    def _forgotten(self, order: Order) -> bool:
        return not (order.is_open or order.filled) and order.updated_ms < self.account.clock.ms - FORGOTTEN_MS


def _is_asked_for(market: Market, params: dict[str, Any]) -> bool:
    kind = kind_of(market)
    asked: tuple[str, str] = params.get("instType", kind), params.get("instId", market.symbol)
    return asked == (kind, market.symbol)


def _taken(order: Order) -> dict[str, Any]:
    row = {"ordId": str(order.order_id), "clOrdId": order.client_id, "tag": "", "ts": str(order.updated_ms)}
    return row | {"sCode": "0", "sMsg": ""}


def _rules(market: Market) -> dict[str, Any]:
    dated = kind_of(market) == "FUTURES"
    underlying = f"{market.base}-{market.quote}"
    return {
        "instType": kind_of(market),
        "instId": market.symbol,
        "uly": underlying,
        "instFamily": underlying,
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": market.margin,
        "ctVal": f"{market.contract}",
        "ctMult": "1",
        "ctValCcy": market.base,
        "ctType": "linear",
        "lever": f"{market.most_leverage}",
        "tickSz": f"{market.tick}",
        "lotSz": contracts(market, market.lot),
        "minSz": contracts(market, market.lot),
        "maxMktSz": contracts(market, market.max_market),
        "maxLmtSz": "100000000",
        "state": "live" if market.trading else "suspend",
        "listTime": "1611916828000",
        "expTime": "1735286400000" if dated else "",
        "alias": "quarter" if dated else "",
    }


def _order(order: Order) -> dict[str, Any]:
    last = order.trades[-1] if order.trades else None
    waits = "market" if order.limit is None else "ioc" if order.immediate else "limit"
    return {
        "instType": kind_of(order.market),
        "instId": order.market.symbol,
        "ordId": str(order.order_id),
        "clOrdId": _name(order),
        "side": "buy" if order.buys else "sell",
        "posSide": "net",
        "tdMode": "cross",
        "ordType": "post_only" if order.maker_only else waits,
        "state": STATES.get(order.status, "canceled"),
        "px": "" if order.limit is None else f"{order.limit}",
        "sz": contracts(order.market, order.amount),
        "accFillSz": contracts(order.market, order.filled),
        "avgPx": text(order.average) if order.filled else "",
        "fillPx": f"{last.price}" if last else "",
        "fillSz": contracts(order.market, last.amount) if last else "0",
        "tradeId": str(last.trade_id) if last else "",
        "lever": f"{order.market.leverage}",
        "fee": f"{-sum(trade.fee for trade in order.trades)}",
        "feeCcy": order.market.margin,
        "reduceOnly": str(order.reduce_only).lower(),
        "cTime": str(order.time_ms),
        "uTime": str(order.updated_ms),
    }


def _fill(trade: Fill) -> dict[str, Any]:
    """What the exchange did of itself has a number below 0."""
    order = trade.order
    by_exchange = _name(order) != order.client_id
    return {
        "instType": kind_of(order.market),
        "instId": order.market.symbol,
        "tradeId": str(-trade.trade_id if by_exchange else trade.trade_id),
        "ordId": str(order.order_id),
        "clOrdId": _name(order),
        "billId": str(trade.trade_id),
        "side": "buy" if order.buys else "sell",
        "posSide": "net",
        "execType": "M" if trade.maker else "T",
        "fillSz": contracts(order.market, trade.amount),
        "fillPx": f"{trade.price}",
        "fillPnl": f"{trade.realised}",
        "fee": f"{-trade.fee}",
        "feeCcy": trade.fee_currency,
        "ts": str(trade.time_ms),
        "fillTime": str(trade.time_ms),
    }


def _name(order: Order) -> str:
    return "" if order.client_id.startswith(("autoclose", "adl_autoclose")) else order.client_id
