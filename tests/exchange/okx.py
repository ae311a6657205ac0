"""Serves the local exchange in OKX's words: paths, envelopes, signatures, deadlines, rates."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web
from tests.exchange.hand_clock import HandClock
from tests.exchange.journal import Request
from tests.exchange.market import Market
from tests.exchange.okx_account import OkxHouse
from tests.exchange.okx_orders import OkxDesk
from tests.exchange.okx_quotes import OkxQuotes, OkxStreams
from tests.exchange.okx_wallet import OkxWallet
from tests.exchange.okx_words import Refusal
from tests.exchange.server import KEY, PASSPHRASE, SECRET, LocalExchange

OLDEST_MS = 30_000
ABOUT_ORDERS = ("POST /api/v5/trade/order", "POST /api/v5/trade/cancel-order")
"""What says in its row what is wrong."""


class Route(NamedTuple):
    """How a path is served."""

    handle: Callable[[dict[str, Any]], list[Any]]
    rate: int
    """Requests that are taken in any `window_ms`."""
    window_ms: int = 2000
    signed: bool = True


class LocalOkx(LocalExchange):
    """A trading account at OKX, and its funding purse."""

    venue = "okx"
    unified = True
    streams: OkxStreams

    def __init__(self, markets: Iterable[Market], clock: HandClock | None = None) -> None:
        super().__init__(markets, clock)
        self.account.ids_serve_once = False
        self.desk = OkxDesk(self.account)
        self.house = OkxHouse(self.account, self.desk)
        self.wallet = OkxWallet(self.account)
        self.streams = OkxStreams(self.account)
        self._taken: dict[str, list[int]] = defaultdict(list)
        desk, house, wallet = self.desk, self.house, self.wallet
        quotes = OkxQuotes(self.account, desk)
        routes = {
            "GET public/time": Route(self._time, 10, signed=False),
            "GET public/instruments": Route(desk.rules, 20, signed=False),
            "GET public/mark-price": Route(quotes.marks, 10, signed=False),
            "GET public/funding-rate-history": Route(quotes.funding, 10, signed=False),
            "GET market/ticker": Route(quotes.ticker, 20, signed=False),
            "GET market/tickers": Route(quotes.tickers, 20, signed=False),
            "GET market/mark-price-candles": Route(quotes.recent_candles, 20, signed=False),
            "GET market/history-mark-price-candles": Route(quotes.old_candles, 10, signed=False),
            "POST trade/order": Route(desk.place, 60),
            "POST trade/cancel-order": Route(desk.cancel, 60),
            "GET trade/order": Route(desk.find, 60),
            "GET trade/orders-pending": Route(desk.pending, 60),
            "GET trade/fills": Route(desk.fills, 60),
            "GET trade/fills-history": Route(desk.fills_of_months, 10),
            "POST trade/cancel-all-after": Route(house.countdown, 1, 1000),
            "GET account/config": Route(house.config, 5),
            "POST account/set-position-mode": Route(house.set_position_mode, 5),
            "GET account/leverage-info": Route(house.leverage, 20),
            "POST account/set-leverage": Route(house.set_leverage, 20),
            "GET account/balance": Route(house.balance, 10),
            "GET account/positions": Route(house.positions, 10),
            "GET account/account-position-risk": Route(house.risk, 10),
            "GET account/bills": Route(house.bills, 5, 1000),
            "GET account/bills-archive": Route(house.bills_of_months, 5),
            "GET asset/balances": Route(wallet.purse, 6, 1000),
            "GET asset/currencies": Route(wallet.currencies, 6, 1000),
            "GET asset/bills": Route(wallet.bills, 6, 1000),
            "GET asset/bills-history": Route(wallet.bills_of_years, 1, 5000),
            "POST asset/transfer": Route(wallet.transfer, 2, 1000),
            "GET asset/transfer-state": Route(wallet.transfer_state, 10, 1000),
            "POST asset/withdrawal": Route(wallet.withdraw, 6, 1000),
            "GET asset/withdrawal-history": Route(wallet.withdrawals, 6, 1000),
        }
        self._routes = {name.replace(" ", " /api/v5/"): route for name, route in routes.items()}

    @property
    def urls(self) -> dict[str, str]:
        """What stands under `urls` of a venue that is served here."""
        return {"rest": f"http://127.0.0.1:{self.port}", "stream": f"ws://127.0.0.1:{self.port}"}

    @property
    def sockets(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Market streams."""
        return {"/ws/v5/public": self.streams.public}

    async def read(self, http: web.Request) -> tuple[str, dict[str, Any]]:
        """Method, path and query or body; the body is JSON."""
        if http.method == "GET":
            query = http.rel_url.raw_query_string
            shown = f"{http.path}?{query}" if query else http.path
            return f"GET{shown}", dict(parse_qsl(http.query_string, keep_blank_values=True))
        raw = (await http.read()).decode()
        return f"{http.method}{http.path}{raw}", json.loads(raw)

    def answer(self, seen: Request, http: web.Request, signed: str, params: dict[str, Any]) -> web.Response:
        """Do what is asked, or refuse it."""
        route, status = self._routes.get(seen.route), 200
        code, said, rows = 0, "", []
        try:
            if route is None:
                return web.Response(status=404, text='{"msg":"Not Found","code":404}')
            if route.signed:
                self._check(http, signed)
            self._count(seen.route, route)
            self._require_in_time(seen.route, http)
            rows = route.handle(params)
            seen.carried_out = True
        except Refusal as refusal:
            code, said, status = refusal.code, refusal.text, refusal.status
        except KeyError as missing:
            code, said, status = 50014, f"Parameter {missing.args[0]} cannot be empty.", 400
        if code > 51000 - 1 and seen.route in ABOUT_ORDERS:
            rows = [{"ordId": "", "clOrdId": params.get("clOrdId", ""), "sCode": str(code), "sMsg": said}]
            code, said = 1, "All operations failed"
        seen.status = status
        return web.json_response({"code": str(code), "msg": said, "data": rows}, status=status)

    def _time(self, _params: dict[str, Any]) -> list[Any]:
        return [{"ts": str(self.clock.ms)}]

    def _check(self, http: web.Request, signed: str) -> None:
        headers = http.headers
        stamp = headers.get("OK-ACCESS-TIMESTAMP", "")
        if headers.get("OK-ACCESS-KEY") != KEY or self.revoked:
            raise Refusal(50111, "Invalid OK-ACCESS-KEY", 401)
        if headers.get("OK-ACCESS-PASSPHRASE") != PASSPHRASE:
            raise Refusal(50105, "OK-ACCESS-PASSPHRASE incorrect", 401)
        digest = hmac.new(SECRET.encode(), f"{stamp}{signed}".encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(headers.get("OK-ACCESS-SIGN", ""), base64.b64encode(digest).decode()):
            raise Refusal(50113, "Invalid Sign", 401)
        sent_ms = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC).timestamp() * 1000
        if abs(self.clock.ms - sent_ms) > OLDEST_MS:
            raise Refusal(50102, "Timestamp request expired", 401)

    def _require_in_time(self, name: str, http: web.Request) -> None:
        """Only an order itself may say until when it is to be taken."""
        until = http.headers.get("expTime")
        if name == ABOUT_ORDERS[0] and until is not None and int(until) < self.clock.ms:
            raise Refusal(50037, "The request has expired: expTime is earlier than the current system time.")

    def _count(self, name: str, route: Route) -> None:
        now = self.clock.ms
        taken = self._taken[name] = [then for then in self._taken[name] if then > now - route.window_ms]
        if len(taken) >= route.rate:
            raise Refusal(50011, "Too Many Requests", 429)
        taken.append(now)
