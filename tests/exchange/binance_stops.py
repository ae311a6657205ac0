"""Shows the local exchange's stops as Binance does: conditional orders of its algo service, apart from all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.exchange.account import Account, Refused
from tests.exchange.binance_orders import OrderDesk, text
from tests.exchange.binance_words import Refusal, digits, refusal_of
from tests.exchange.market import Kind, Stop

TYPES = {"STOP_MARKET": False, "TAKE_PROFIT_MARKET": True}
"""Whether each takes a profit."""


class StopDesk:
    """Stops of USD-M or of COIN-M."""

    def __init__(self, account: Account, kind: Kind, orders: OrderDesk) -> None:
        self.account = account
        self.kind = kind
        self.orders = orders

    def place(self, params: dict[str, str]) -> Any:
        """POST algoOrder, as far as it closes a whole position."""
        market = self.orders.market(params)
        if params["algoType"] != "CONDITIONAL" or params["type"] not in TYPES:
            raise Refusal(-4500, "Unsupported algo order type.")
        if params["side"] not in ("BUY", "SELL"):
            raise Refusal(-1117, "Invalid side.")
        if params["closePosition"] != "true" or {"quantity", "reduceOnly"} & params.keys():
            raise Refusal(-4137, "Quantity must be zero with closePosition equals true")
        if params.get("workingType", "CONTRACT_PRICE") != "MARK_PRICE":
            raise Refusal(-4500, "The local exchange watches mark prices only.")
        client_id = params.get("clientAlgoId", "")
        if not client_id:
            raise Refusal(-1105, "Parameter 'clientAlgoId' was empty.")
        return self._shown(
            self._try(
                lambda: self.account.place_stop(
                    market,
                    client_id,
                    buys=params["side"] == "BUY",
                    trigger=digits(params["triggerPrice"]),
                    takes_profit=TYPES[params["type"]],
                )
            )
        )

    def find(self, params: dict[str, str]) -> Any:
        """GET algoOrder."""
        return self._shown(self._named(params, -2013, "Order does not exist."))

    def cancel(self, params: dict[str, str]) -> Any:
        """DELETE algoOrder."""
        stop = self._named(params, -2011, "Unknown order sent.")
        self._try(lambda: self.account.cancel_stop(stop))
        return {"algoId": stop.stop_id, "clientAlgoId": stop.client_id, "code": "200", "msg": "success"}

    def open(self, params: dict[str, str]) -> Any:
        """GET openAlgoOrders."""
        market = self.orders.market(params)
        return [self._shown(stop) for stop in self.account.stops if stop.market is market and stop.waits]

    def _named(self, params: dict[str, str], code: int, words: str) -> Stop:
        name = params["clientAlgoId"]
        for stop in reversed(self.account.stops):
            if stop.market.kind is self.kind and stop.client_id == name:
                return stop
        raise Refusal(code, words)

    def _try(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except Refused as refused:
            raise refusal_of(refused, spot=False) from None

    def _shown(self, stop: Stop) -> dict[str, Any]:
        return {
            "algoId": stop.stop_id,
            "clientAlgoId": stop.client_id,
            "algoType": "CONDITIONAL",
            "orderType": "TAKE_PROFIT_MARKET" if stop.takes_profit else "STOP_MARKET",
            "symbol": stop.market.symbol,
            "side": "BUY" if stop.buys else "SELL",
            "positionSide": "BOTH",
            "timeInForce": "GTC",
            "quantity": "0",
            "algoStatus": stop.status,
            "actualOrderId": "" if stop.order is None else str(stop.order.order_id),
            "triggerPrice": text(stop.trigger),
            "price": "0.00",
            "workingType": "MARK_PRICE",
            "closePosition": True,
            "priceProtect": False,
            "reduceOnly": False,
            "createTime": stop.time_ms,
            "updateTime": stop.time_ms,
            "triggerTime": 0,
        }
