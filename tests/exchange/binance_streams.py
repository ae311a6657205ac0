"""Serves the streams of the local exchange as Binance does.

Market streams take SUBSCRIBE, the spot account's stream a signed subscription, those of perpetuals a listen key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web
from tests.exchange.account import Account
from tests.exchange.binance_orders import text
from tests.exchange.market import Fill, Kind, Market, Order
from tests.exchange.streams import Listener, Streams

SPOT = "spot/"
"""Before the topics of spot markets, which are called as those of USD-M."""


class BinanceStreams(Streams):
    """Market data and account streams."""

    def __init__(self, account: Account, verify: Callable[[dict[str, str]], bool]) -> None:
        super().__init__(account)
        self.listen_keys: dict[str, Kind] = {}
        self._verify = verify

    def new_listen_key(self, kind: Kind) -> str:
        """One for an account stream of perpetuals."""
        key = f"listen{self.account.number():08d}{kind}"
        self.listen_keys[key] = kind
        return key

    async def expire_listen_keys(self) -> None:
        """Let every listen key end."""
        for listener in self.listeners:
            if listener.listen_key:
                await listener.socket.send_json(
                    {"e": "listenKeyExpired", "E": self.account.clock.ms, "listenKey": listener.listen_key}
                )
        self.listen_keys.clear()

    async def market_stream(self, request: web.Request) -> web.StreamResponse:
        """`/ws`, of USD-M `/market/ws`, of spot what stands under `/stream`: public data by subscription."""
        key, spot = request.match_info.get("key", ""), request.path.startswith("/stream")
        if key in self.listen_keys:
            return await self.serve(request, Listener(web.WebSocketResponse(), set(), self.listen_keys[key], key))
        topics = {_topic(key, spot=spot)} if "@" in key else set()
        return await self.serve(request, Listener(web.WebSocketResponse(), topics, spot=spot))

    async def private_stream(self, request: web.Request) -> web.StreamResponse:
        """`/private/ws?listenKey=`: account stream of perpetuals."""
        key = request.query.get("listenKey", "")
        if key not in self.listen_keys:
            raise web.HTTPBadRequest(text="listen key does not exist")
        return await self.serve(request, Listener(web.WebSocketResponse(), set(), self.listen_keys[key], key))

    async def session(self, request: web.Request) -> web.StreamResponse:
        """`/ws-api/v3`: the spot account's stream, after a signed subscription."""
        return await self.serve(request, Listener(web.WebSocketResponse()))

    def answers(self, listener: Listener, text: str) -> Iterator[dict[str, Any]]:
        """A subscription is confirmed, of whatever it is: Binance does not say that there is no such market."""
        asked = json.loads(text)
        method, params = asked["method"], asked.get("params")
        if method == "SUBSCRIBE":
            listener.topics |= {_topic(name, spot=listener.spot) for name in params}
            yield {"result": None, "id": asked["id"]}
        elif method != "userDataStream.subscribe.signature":
            yield {"error": {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}, "id": asked["id"]}
        elif self._verify({name: str(value) for name, value in params.items()}):
            listener.account = Kind.SPOT
            yield {"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}}
        else:
            problem = {"code": -1022, "msg": "Signature for this request is not valid."}
            yield {"id": asked["id"], "status": 400, "error": problem}

    async def send(self, listener: Listener, topic: str, event: dict[str, Any]) -> None:
        """An account stream gets what is of its account."""
        if listener.account == topic:
            spot = listener.account is Kind.SPOT
            await listener.socket.send_json({"subscriptionId": 0, "event": event} if spot else event)
        else:
            await super().send(listener, topic, event)

    def note(self, kind: str, what: Any) -> None:
        """Called with everything that happens."""
        if kind == "price":
            self._price(what)
        elif kind == "mark":
            self._mark(what)
        elif isinstance(what, Order):
            self._order(what, None)
        elif isinstance(what, Fill):
            self._order(what.order, what)

    def _price(self, market: Market) -> None:
        ticker = {"e": "24hrMiniTicker", "E": self.account.clock.ms, "s": market.symbol, "c": text(market.price)}
        ticker |= {side: text(market.price) for side in "ohl"} | {"v": "0", "q": "0"}
        if market.kind is Kind.INVERSE:
            ticker["ps"] = market.symbol.partition("_")[0]
        name = f"{market.symbol.lower()}@miniTicker"
        self.waiting.append((_topic(name, spot=market.kind is Kind.SPOT), ticker))

    def _mark(self, market: Market) -> None:
        now, eight_hours = self.account.clock.ms, 8 * 3_600_000
        mark = {"e": "markPriceUpdate", "E": now, "s": market.symbol, "p": text(market.mark_price)}
        mark |= {"P": text(market.mark_price), "i": text(market.price), "r": "0.00010000"}
        mark |= {"T": (now // eight_hours + 1) * eight_hours}
        self.waiting += [(f"{market.symbol.lower()}@markPrice{pace}", mark) for pace in ("", "@1s")]

    def _order(self, order: Order, trade: Fill | None) -> None:
        spot = order.market.kind is Kind.SPOT
        row: dict[str, Any] = {
            "s": order.market.symbol,
            "c": order.client_id,
            "S": "BUY" if order.buys else "SELL",
            "o": "MARKET" if order.limit is None else "LIMIT",
            "q": text(order.amount),
            "x": "TRADE" if trade else order.status,
            "X": order.status,
            "i": order.order_id,
            "z": text(order.filled),
            "l": text(trade.amount) if trade else "0",
            "L": text(trade.price) if trade else "0",
            "t": trade.trade_id if trade else -1,
            "n": text(trade.fee) if trade else "0",
            "N": trade.fee_currency if trade else None,
            "T": order.updated_ms,
        }
        now = self.account.clock.ms
        if spot:
            self.waiting.append((Kind.SPOT, {"e": "executionReport", "E": now, **row, "Z": text(order.paid)}))
            return
        row |= {"ap": text(order.average), "R": order.reduce_only, "ps": "BOTH"}
        self.waiting.append((order.market.kind, {"e": "ORDER_TRADE_UPDATE", "E": now, "T": now, "o": row}))
        if trade:
            self.waiting.append((order.market.kind, self._account_update(order.market)))

    def _account_update(self, market: Market) -> dict[str, Any]:
        position, now = self.account.positions[market.pair], self.account.clock.ms
        held = {"s": market.symbol, "pa": text(position.size), "ep": text(position.entry), "ps": "BOTH"}
        purse = [
            {"a": token, "wb": text(total), "cw": text(total)}
            for token, total in self.account.purses[market.kind].items()
        ]
        return {"e": "ACCOUNT_UPDATE", "E": now, "T": now, "a": {"m": "ORDER", "B": purse, "P": [held]}}


def _topic(name: str, *, spot: bool) -> str:
    return f"{SPOT}{name}" if spot else name
