"""Serves the local exchange in Bybit's words: paths, envelopes, signatures, rates."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web
from tests.exchange.bybit_account import BybitHouse
from tests.exchange.bybit_orders import BybitDesk
from tests.exchange.bybit_quotes import BybitQuotes, BybitStreams
from tests.exchange.bybit_wallet import BybitWallet
from tests.exchange.bybit_words import Refusal
from tests.exchange.hand_clock import HandClock
from tests.exchange.journal import Request
from tests.exchange.market import Market
from tests.exchange.server import KEY, SECRET, LocalExchange


class Route(NamedTuple):
    """How a path is served."""

    handle: Callable[[dict[str, Any]], Any]
    rate: int
    """Requests that are taken in any second; 0 where none are counted."""
    signed: bool = True


class LocalBybit(LocalExchange):
    """A unified account at Bybit."""

    venue = "bybit"
    unified = True
    streams: BybitStreams

    def __init__(self, markets: Iterable[Market], clock: HandClock | None = None) -> None:
        super().__init__(markets, clock)
        self.desk = BybitDesk(self.account)
        self.house = BybitHouse(self.account, self.desk, KEY)
        self.wallet = BybitWallet(self.account)
        self.streams = BybitStreams(self.account)
        self._taken: dict[str, list[int]] = defaultdict(list)
        desk, house, wallet = self.desk, self.house, self.wallet
        quotes = BybitQuotes(self.account, desk)
        self._routes = {
            "GET /v5/market/time": Route(self._time, 0, signed=False),
            "GET /v5/market/instruments-info": Route(desk.rules, 0, signed=False),
            "GET /v5/market/tickers": Route(quotes.tickers, 0, signed=False),
            "GET /v5/market/funding/history": Route(quotes.funding, 0, signed=False),
            "GET /v5/market/mark-price-kline": Route(quotes.mark_candles, 0, signed=False),
            "POST /v5/order/create": Route(desk.place, 10),
            "POST /v5/order/cancel": Route(desk.cancel, 10),
            "GET /v5/order/realtime": Route(desk.realtime, 50),
            "GET /v5/order/history": Route(desk.history, 50),
            "GET /v5/execution/list": Route(desk.executions, 50),
            "GET /v5/user/query-api": Route(house.key_info, 10),
            "GET /v5/account/info": Route(house.info, 0),
            "POST /v5/account/set-margin-mode": Route(house.set_margin_mode, 0),
            "POST /v5/position/switch-mode": Route(house.set_position_mode, 0),
            "POST /v5/position/set-leverage": Route(house.set_leverage, 10),
            "GET /v5/account/wallet-balance": Route(house.wallet, 50),
            "GET /v5/position/list": Route(house.positions, 50),
            "GET /v5/account/transaction-log": Route(house.log, 30),
            "GET /v5/asset/transfer/query-account-coins-balance": Route(house.purse, 5),
            "POST /v5/asset/transfer/inter-transfer": Route(wallet.transfer, 20),
            "GET /v5/asset/transfer/query-inter-transfer-list": Route(wallet.transfers, 60),
            "POST /v5/asset/withdraw/create": Route(wallet.withdraw, 5),
            "GET /v5/asset/withdraw/query-record": Route(wallet.withdrawals, 300),
            "GET /v5/asset/deposit/query-record": Route(wallet.deposits, 100),
            "GET /v5/asset/coin/query-info": Route(wallet.coins, 5),
        }

    @property
    def urls(self) -> dict[str, str]:
        """What stands under `urls` of a venue that is served here."""
        return {"rest": f"http://127.0.0.1:{self.port}", "public_stream": f"ws://127.0.0.1:{self.port}"}

    @property
    def sockets(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Market streams."""
        return dict.fromkeys(("/v5/public/spot", "/v5/public/linear"), self.streams.public)

    async def read(self, http: web.Request) -> tuple[str, dict[str, Any]]:
        """The query as it was written, or the body, which is JSON."""
        if http.method == "GET":
            return http.rel_url.raw_query_string, dict(parse_qsl(http.query_string, keep_blank_values=True))
        raw = (await http.read()).decode()
        return raw, json.loads(raw)

    def answer(self, seen: Request, http: web.Request, signed: str, params: dict[str, Any]) -> web.Response:
        """Do what is asked, or refuse it; the status is 200 either way."""
        route, headers = self._routes.get(seen.route), {}
        code, said, result = 0, "OK", {}
        seen.status = 200
        try:
            if route is None:
                return web.Response(status=404, text="404 page not found")
            if route.signed:
                self._check(http, signed)
            headers = self._count(seen.route, route.rate)
            result = route.handle(params)
            seen.carried_out = True
        except Refusal as refusal:
            code, said = refusal.code, refusal.text
        except KeyError as missing:
            code, said = 10001, f"params error: {missing}"
        body = {"retCode": code, "retMsg": said, "result": result, "retExtInfo": {}, "time": self.clock.ms}
        return web.json_response(body, headers=headers)

    def _time(self, _params: dict[str, Any]) -> Any:
        return {"timeSecond": str(self.clock.ns // 10**9), "timeNano": str(self.clock.ns)}

    def _check(self, http: web.Request, signed: str) -> None:
        headers = http.headers
        stamp, window = headers.get("X-BAPI-TIMESTAMP", ""), headers.get("X-BAPI-RECV-WINDOW", "5000")
        if headers.get("X-BAPI-API-KEY") != KEY or self.revoked:
            raise Refusal(10003, "API key is invalid.")
        expected = hmac.new(SECRET.encode(), f"{stamp}{KEY}{window}{signed}".encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("X-BAPI-SIGN", ""), expected):
            raise Refusal(10004, "Error sign, please check your signature generation algorithm.")
        if not self.clock.ms - int(window) <= int(stamp) < self.clock.ms + 1000:
            raise Refusal(10002, "invalid request, please check your server timestamp or recv_window param.")

    def _count(self, name: str, rate: int) -> dict[str, str]:
        if not rate:
            return {}
        now = self.clock.ms
        taken = self._taken[name] = [then for then in self._taken[name] if then > now - 1000]
        if len(taken) >= rate:
            raise Refusal(10006, "Too many visits!")
        taken.append(now)
        return {"X-Bapi-Limit": str(rate), "X-Bapi-Limit-Status": str(rate - len(taken))}
