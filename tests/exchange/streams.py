"""Serves the streams of the local exchange as Binance does, and what goes wrong with streams.

Market streams take SUBSCRIBE, the spot account's stream a signed subscription, those of perpetuals a listen key.
"""

from __future__ import annotations

from asyncio import Condition
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from tests.exchange.account import Account
from tests.exchange.binance_orders import text
from tests.exchange.market import Kind, Market, Order, Trade


@dataclass
class Listener:
    """One open connection."""

    socket: web.WebSocketResponse
    topics: set[str] = field(default_factory=set)
    account: Kind | None = None
    """The account stream that it carries."""
    listen_key: str = ""


class Streams:
    """All open connections. Events go out when `flush` is awaited: a test says when."""

    def __init__(self, account: Account, verify: Callable[[dict[str, str]], bool]) -> None:
        self.account = account
        self.listeners: list[Listener] = []
        self.listen_keys: dict[str, Kind] = {}
        self.silent = False
        """Whether connections stay open and say nothing."""
        self.lose = 0
        """How many of the next events are lost."""
        self.twice = False
        """Whether events are sent two times."""
        self.changed = Condition()
        """Told of every connection, subscription and end."""
        self._verify = verify
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        account.on_event = self._note

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

    async def disconnect(self) -> None:
        """Close every connection, as after twenty-four hours."""
        for listener in list(self.listeners):
            await listener.socket.close()

    async def until(self, holds: Callable[[Listener], bool]) -> None:
        """Wait for a connection of which something holds."""
        async with self.changed:
            await self.changed.wait_for(lambda: any(holds(listener) for listener in self.listeners))

    async def flush(self, *, reverse: bool = False) -> None:
        """Send what has happened, in order or the other way round."""
        waiting, self._waiting = self._waiting, []
        for topic, event in reversed(waiting) if reverse else waiting:
            if self.silent:
                continue
            if self.lose:
                self.lose -= 1
                continue
            for listener in list(self.listeners):
                for _ in range(2 if self.twice else 1):
                    await self._send(listener, topic, event)

    async def market_stream(self, request: web.Request) -> web.StreamResponse:
        """`/ws/...` and `/stream`: public data by subscription."""
        key = request.match_info.get("key", "")
        if key in self.listen_keys:
            return await self._serve(request, Listener(web.WebSocketResponse(), set(), self.listen_keys[key], key))
        return await self._serve(request, Listener(web.WebSocketResponse(), {key} if "@" in key else set()))

    async def private_stream(self, request: web.Request) -> web.StreamResponse:
        """`/private/ws?listenKey=`: account stream of perpetuals."""
        key = request.query.get("listenKey", "")
        if key not in self.listen_keys:
            raise web.HTTPBadRequest(text="listen key does not exist")
        return await self._serve(request, Listener(web.WebSocketResponse(), set(), self.listen_keys[key], key))

    async def session(self, request: web.Request) -> web.StreamResponse:
        """`/ws-api/v3`: the spot account's stream, after a signed subscription."""
        return await self._serve(request, Listener(web.WebSocketResponse()))

    async def _serve(self, request: web.Request, listener: Listener) -> web.StreamResponse:
        socket = listener.socket
        await socket.prepare(request)
        self.listeners.append(listener)
        await self._tell()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_json(self._answer(listener, message.json()))
                    await self._tell()
        finally:
            self.listeners.remove(listener)
            await self._tell()
        return socket

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _answer(self, listener: Listener, asked: dict[str, Any]) -> dict[str, Any]:
        method, params = asked["method"], asked.get("params")
        if method == "SUBSCRIBE":
            listener.topics |= set(params)
            return {"result": None, "id": asked["id"]}
        if method == "userDataStream.subscribe.signature":
            if not self._verify({name: str(value) for name, value in params.items()}):
                problem = {"code": -1022, "msg": "Signature for this request is not valid."}
                return {"id": asked["id"], "status": 400, "error": problem}
            listener.account = Kind.SPOT
            return {"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}}
        return {"id": asked["id"], "status": 400, "error": {"code": -1, "msg": f"unknown method {method}"}}

    async def _send(self, listener: Listener, topic: str, event: dict[str, Any]) -> None:
        if listener.account == topic:
            spot = listener.account is Kind.SPOT
            await listener.socket.send_json({"subscriptionId": 0, "event": event} if spot else event)
        elif topic in listener.topics:
            await listener.socket.send_json(event)

    def _note(self, kind: str, what: Any) -> None:
        if isinstance(what, Market):
            self._price(what)
        elif isinstance(what, Order):
            self._order(what, None)
        elif isinstance(what, Trade):
            self._order(what.order, what)

    def _price(self, market: Market) -> None:
        name, now = market.symbol.lower(), self.account.clock.ms
        ticker = {"e": "24hrMiniTicker", "E": now, "s": market.symbol, "c": text(market.price)}
        ticker |= {side: text(market.price) for side in "ohl"} | {"v": "0", "q": "0"}
        self._waiting.append((f"{name}@miniTicker", ticker))
        if market.kind is not Kind.SPOT:
            mark = {"e": "markPriceUpdate", "E": now, "s": market.symbol, "p": text(market.price), "r": "0.00010000"}
            self._waiting += [(f"{name}@markPrice{pace}", mark) for pace in ("", "@1s")]

    def _order(self, order: Order, trade: Trade | None) -> None:
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
            self._waiting.append((Kind.SPOT, {"e": "executionReport", "E": now, **row, "Z": text(order.paid)}))
            return
        row |= {"ap": text(order.average), "R": order.reduce_only, "ps": "BOTH"}
        self._waiting.append((order.market.kind, {"e": "ORDER_TRADE_UPDATE", "E": now, "T": now, "o": row}))
        if trade:
            self._waiting.append((order.market.kind, self._account_update(order.market)))

    def _account_update(self, market: Market) -> dict[str, Any]:
        position, now = self.account.positions[market.pair], self.account.clock.ms
        held = {"s": market.symbol, "pa": text(position.size), "ep": text(position.entry), "ps": "BOTH"}
        purse = [
            {"a": token, "wb": text(total), "cw": text(total)}
            for token, total in self.account.purses[market.kind].items()
        ]
        return {"e": "ACCOUNT_UPDATE", "E": now, "T": now, "a": {"m": "ORDER", "B": purse, "P": [held]}}
