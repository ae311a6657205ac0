"""Serves the local exchange in Binance's words: paths, signatures, weights."""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web
from tests.exchange.binance_futures import FuturesDesk
from tests.exchange.binance_orders import OrderDesk
from tests.exchange.binance_quotes import QuoteDesk
from tests.exchange.binance_stops import StopDesk
from tests.exchange.binance_streams import BinanceStreams
from tests.exchange.binance_wallet import Wallet
from tests.exchange.binance_words import Refusal
from tests.exchange.hand_clock import HandClock
from tests.exchange.journal import Request
from tests.exchange.market import Kind, Market
from tests.exchange.server import KEY, OTHER_KEY, SECRET, LocalExchange

__all__ = ["KEY", "SECRET", "LocalBinance"]

Handler = Callable[[dict[str, str]], Any]


class Route(NamedTuple):
    """How a path is served."""

    handle: Handler
    host: str
    weight: int
    signed: bool
    keyed: bool = False


class LocalBinance(LocalExchange):
    """Binance's spot, USD-M and COIN-M."""

    venue = "binance"
    streams: BinanceStreams

    def __init__(self, markets: Iterable[Market], clock: HandClock | None = None) -> None:
        super().__init__(markets, clock)
        self.limits = {"api": 6000, "fapi": 2400, "dapi": 2400}
        """Weight a minute, as `exchangeInfo` says and as is enforced."""
        self.wallet = Wallet(self.account)
        self.spot = OrderDesk(self.account, Kind.SPOT, self.limits)
        self.linear = FuturesDesk(self.account, Kind.LINEAR, self.limits)
        self.inverse = FuturesDesk(self.account, Kind.INVERSE, self.limits)
        self.streams = BinanceStreams(self.account, self._is_signed)
        self._routes = self._all_routes()
        self._used: dict[tuple[str, int], int] = defaultdict(int)

    @property
    def urls(self) -> dict[str, str]:
        """What stands under `urls` of a venue that is served here."""
        http, ws = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}"
        found = dict.fromkeys(("spot", "wallet", "linear", "inverse"), http)
        found |= dict.fromkeys(("spot_session", "linear_stream", "inverse_stream"), ws)
        return found | {"spot_stream": f"{ws}/stream"}

    @property
    def sockets(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Market streams, account streams and the spot session."""
        market = self.streams.market_stream
        return {
            "/ws-api/v3": self.streams.session,
            "/private/ws": self.streams.private_stream,
            "/ws/{key}": market,
            "/ws": market,
            "/market/ws/{key}": market,
            "/market/ws": market,
            "/stream/ws/{key}": market,
            "/stream/ws": market,
        }

    def _all_routes(self) -> dict[str, Route]:
        wallet, spot = self.wallet, self.spot
        routes = {
            "GET /api/v3/time": Route(wallet.time, "api", 1, signed=False),
            "GET /api/v3/exchangeInfo": Route(spot.rules, "api", 20, signed=False),
            "GET /api/v3/ticker/24hr": Route(QuoteDesk(self.account, Kind.SPOT).tickers, "api", 2, signed=False),
            "GET /api/v3/account": Route(wallet.spot_account, "api", 20, signed=True),
            "POST /api/v3/order": Route(spot.place, "api", 1, signed=True),
            "GET /api/v3/order": Route(spot.find, "api", 4, signed=True),
            "DELETE /api/v3/order": Route(spot.cancel, "api", 1, signed=True),
            "GET /api/v3/openOrders": Route(spot.open_orders, "api", 6, signed=True),
            "DELETE /api/v3/openOrders": Route(spot.cancel_all, "api", 1, signed=True),
            "GET /api/v3/myTrades": Route(spot.trades, "api", 20, signed=True),
        }
        for path, handler in {
            "GET account/apiRestrictions": wallet.key_rights,
            "GET capital/config/getall": wallet.coins,
            "POST asset/transfer": wallet.transfer,
            "GET asset/transfer": wallet.transfers,
            "POST capital/withdraw/apply": wallet.withdraw,
            "GET capital/withdraw/history": wallet.withdrawals,
            "GET capital/deposit/hisrec": wallet.deposits,
        }.items():
            method, _, rest = path.partition(" ")
            routes[f"{method} /sapi/v1/{rest}"] = Route(handler, "sapi", 1, signed=True)
        return routes | self._futures_routes("fapi", self.linear) | self._futures_routes("dapi", self.inverse)

    def _futures_routes(self, host: str, desk: FuturesDesk) -> dict[str, Route]:
        linear, quotes = desk is self.linear, QuoteDesk(self.account, desk.kind)
        stops = StopDesk(self.account, desk.kind, desk)
        signed = {
            "POST v1/order": (desk.place, 1),
            "GET v1/order": (desk.find, 1),
            "DELETE v1/order": (desk.cancel, 1),
            "GET v1/openOrders": (desk.open_orders, 1),
            "DELETE v1/allOpenOrders": (desk.cancel_all, 1),
            "GET v1/userTrades": (desk.trades, 5 if linear else 20),
            "GET v1/income": (desk.income, 30 if linear else 20),
            "GET v1/positionSide/dual": (desk.position_mode, 30),
            "POST v1/positionSide/dual": (desk.set_position_mode, 1),
            "POST v1/marginType": (desk.set_margin_mode, 1),
            "POST v1/leverage": (desk.set_leverage, 1),
            "POST v1/countdownCancelAll": (desk.countdown, 10),
            f"GET {'v1' if linear else 'v2'}/leverageBracket": (desk.brackets, 1),
            f"GET {'v3' if linear else 'v1'}/account": (desk.account_info, 5),
            f"GET {'v3' if linear else 'v1'}/positionRisk": (desk.positions, 5 if linear else 1),
        }
        if linear:
            signed |= {
                "GET v1/accountConfig": (desk.config, 5),
                "GET v1/symbolConfig": (desk.market_config, 5),
                "POST v1/algoOrder": (stops.place, 1),
                "GET v1/algoOrder": (stops.find, 1),
                "DELETE v1/algoOrder": (stops.cancel, 1),
                "GET v1/openAlgoOrders": (stops.open, 1),
            }
        public = {
            "GET v1/time": (self.wallet.time, 1),
            "GET v1/exchangeInfo": (desk.rules, 1),
            "GET v1/ticker/24hr": (quotes.tickers, 1),
            "GET v1/premiumIndex": (quotes.premium, 1 if linear else 10),
            "GET v1/fundingRate": (quotes.funding, 1),
            "GET v1/markPriceKlines": (quotes.mark_candles, 5),
        }

        def new_key(_params: dict[str, str]) -> Any:
            return {"listenKey": self.streams.new_listen_key(desk.kind)}

        def routes(table: dict[str, tuple[Handler, int]], *, signed: bool) -> dict[str, Route]:
            return {
                name.replace(" ", f" /{host}/", 1): Route(handler, host, weight, signed)
                for name, (handler, weight) in table.items()
            }

        keyed = Route(new_key, host, 1, signed=False, keyed=True)
        keys = {f"{method} /{host}/v1/listenKey": keyed for method in ("POST", "PUT", "DELETE")}
        return routes(signed, signed=True) | routes(public, signed=False) | keys

    async def read(self, http: web.Request) -> tuple[str, dict[str, Any]]:
        """Everything that is sent, in the query or in the body."""
        raw = http.query_string if http.method in ("GET", "DELETE") else (await http.read()).decode()
        return raw, dict(parse_qsl(raw, keep_blank_values=True))

    def answer(self, seen: Request, http: web.Request, signed: str, params: dict[str, Any]) -> web.Response:
        """Do what is asked, or refuse it."""
        route, headers = self._routes.get(seen.route), {}
        try:
            if route is None:
                raise Refusal(-5000, f"Path {http.path}, Method {http.method} is invalid", 404)
            headers = self._count(route)
            self._check(route, http, signed, params)
            body = route.handle(params)
            seen.carried_out, seen.status = True, 200
        except Refusal as refusal:
            body, seen.status = {"code": refusal.code, "msg": refusal.text}, refusal.status
            if refusal.status == 429:
                headers["Retry-After"] = str(60 - self.clock.ms // 1000 % 60)
        except KeyError as missing:
            seen.status = 400
            body = {"code": -1102, "msg": f"Mandatory parameter {missing} was not sent, was empty/null, or malformed."}
        return web.json_response(body, status=seen.status, headers=headers)

    def _count(self, route: Route) -> dict[str, str]:
        if route.host == "sapi":
            return {"X-SAPI-USED-IP-WEIGHT-1M": "1"}
        place = (route.host, self.clock.ms // 60_000)
        self._used[place] += route.weight
        used, limit = self._used[place], self.limits[route.host]
        if used > limit:
            text = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE."
            raise Refusal(-1003, text, 429)
        return {"X-MBX-USED-WEIGHT-1M": str(used)}

    def use_weight(self, host: str, weight: int) -> None:
        """Count what others at this address have used."""
        self._used[host, self.clock.ms // 60_000] += weight

    def _check(self, route: Route, http: web.Request, raw: str, params: dict[str, str]) -> None:
        if not (route.signed or route.keyed):
            return
        if http.headers.get("X-MBX-APIKEY") not in (KEY, OTHER_KEY) or self.revoked:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if route.keyed:
            return
        signed, _, signature = raw.rpartition("&signature=")
        if not hmac.compare_digest(signature, _signature(signed)):
            raise Refusal(-1022, "Signature for this request is not valid.")
        stamp, window = int(params["timestamp"]), int(params.get("recvWindow", "5000"))
        if stamp >= self.clock.ms + 1000:
            raise Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if self.clock.ms - stamp > window:
            raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _is_signed(self, params: dict[str, str]) -> bool:
        """A subscription over a socket, signed over its parameters by name."""
        signature = params.pop("signature", "")
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        return params.get("apiKey") == KEY and hmac.compare_digest(signature, _signature(text))


def _signature(text: str) -> str:
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
