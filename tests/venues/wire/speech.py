"""Defines how each local exchange is spoken to, for what is the same at all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.exchange.server import LocalExchange
from tests.exchange.worlds import funded_bybit, funded_okx

Answer = tuple[int, Any]
"""HTTP status and body: text, or what becomes JSON."""


class Speech(NamedTuple):
    """One exchange: routes, and what it says when something is wrong."""

    venue: str
    funded: Callable[[], LocalExchange]
    sizes: dict[str, str]
    """Amounts of orders that nothing is wrong with, by pair."""
    lots: dict[str, tuple[str, str]]
    """Lot and tick, by pair."""
    place: str
    find: str
    cancel: str
    leverage: str
    transfer: str
    withdraw: str
    positions: str
    clock: str
    id_name: str
    """Of an order, in what is sent."""
    amount_name: str
    price_name: str
    coded: Callable[[int, str], Answer]
    """How it says a code."""
    absent: Answer
    """That it knows no such order."""
    unknown: tuple[Answer, ...]
    passing: tuple[int, ...]
    limited: tuple[int, ...]
    banned: tuple[Answer, ...]
    refusals: tuple[int, ...]
    unauthorised: tuple[Answer, ...]
    late: int
    window_seconds: float
    """How old a request may be when it arrives."""
    countdown: str = ""
    units: Mapping[str, str] = MappingProxyType({})
    """What an amount of 1 on the wire is, by pair, where it is something else."""


def _bybit(code: int, text: str = "") -> Answer:
    return 200, {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": 1714521600000}


PAGES: tuple[Answer, ...] = (
    (500, "<html><body>500</body></html>"),
    (502, "<html><body>502 Bad Gateway</body></html>"),
    (503, "<html><body>503 Service Unavailable</body></html>"),
    (504, ""),
    (520, "<html>a gateway's own number</html>"),
    (200, "<html>a gateway's idea of success</html>"),
    (200, ""),
    (200, '{"result": 1'),
    (400, "<html>malformed</html>"),
    (404, "404 page not found"),
)
"""What stands between us and an exchange may say."""

BYBIT = Speech(
    venue="bybit",
    funded=funded_bybit,
    sizes={"BTC/USDT": "0.1", "BTC-PERP": "0.5"},
    lots={"BTC/USDT": ("0.00001", "0.01"), "BTC-PERP": ("0.001", "0.1")},
    place="POST /v5/order/create",
    find="GET /v5/order/realtime",
    cancel="POST /v5/order/cancel",
    leverage="POST /v5/position/set-leverage",
    transfer="POST /v5/asset/transfer/inter-transfer",
    withdraw="POST /v5/asset/withdraw/create",
    positions="GET /v5/position/list",
    clock="GET /v5/market/time",
    id_name="orderLinkId",
    amount_name="qty",
    price_name="price",
    coded=_bybit,
    absent=(200, _bybit(0, "OK")[1] | {"result": {"list": [], "nextPageCursor": ""}}),
    unknown=(
        *PAGES,
        (200, {"retCode": 0, "retMsg": "OK", "result": {"orderId": 1}}),
        (200, {"retCode": 0, "retMsg": "OK", "result": None}),
        (500, _bybit(10001, "a code with a status that says otherwise")[1]),
        _bybit(10000, "Server Timeout"),
        _bybit(10014, "Invalid duplicate request."),
        _bybit(10016, "Server error."),
        _bybit(110072, "OrderLinkedID is duplicate"),
        _bybit(170007, "Timeout waiting for response from backend server."),
        _bybit(170141, "Duplicate clientOrderId"),
        _bybit(170146, "Order creation timeout"),
        _bybit(170149, "Create order failed"),
        _bybit(999999, "something new: internal error"),
    ),
    passing=(429, 10019, 110063),
    limited=(10006, 10429, 170222),
    banned=((403, "access too frequent"), (403, _bybit(0)[1]), _bybit(10018), _bybit(10009)),
    refusals=(10001, 110003, 110007, 110017, 170131, 170140, 999999),
    unauthorised=(
        (401, "<html>who are you</html>"),
        _bybit(10003, "API key is invalid."),
        _bybit(10004, "Error sign, please check your signature generation algorithm."),
        _bybit(10005, "Permission denied, please check your API key permissions."),
        _bybit(10010, "Unmatched IP, please check your API key's bound IP addresses."),
        _bybit(33004, "Your api key has expired"),
    ),
    late=10002,
    window_seconds=5.0,
)


def _okx(code: int, text: str = "") -> Answer:
    status = 401 if 50100 <= code < 50200 else 429 if code == 50011 else 200
    return status, {"code": str(code), "msg": text, "data": []}


def _okx_order(code: int, text: str = "") -> Answer:
    """What is wrong with an order stands in its row."""
    row = {"ordId": "", "clOrdId": "order1", "sCode": str(code), "sMsg": text}
    return 200, {"code": "1", "msg": "All operations failed", "data": [row]}


OKX = Speech(
    venue="okx",
    funded=funded_okx,
    sizes={"BTC-PERP": "0.5", "ETH-PERP": "2"},
    lots={"BTC-PERP": ("0.0001", "0.1"), "ETH-PERP": ("0.01", "0.01")},
    place="POST /api/v5/trade/order",
    find="GET /api/v5/trade/order",
    cancel="POST /api/v5/trade/cancel-order",
    leverage="POST /api/v5/account/set-leverage",
    transfer="POST /api/v5/asset/transfer",
    withdraw="POST /api/v5/asset/withdrawal",
    positions="GET /api/v5/account/positions",
    clock="GET /api/v5/public/time",
    id_name="clOrdId",
    amount_name="sz",
    price_name="px",
    coded=_okx,
    absent=_okx(51603, "Order does not exist"),
    unknown=(
        *PAGES,
        (200, {"code": "0", "msg": "", "data": None}),
        (200, {"code": "0", "msg": "", "data": [{"ordId": "1", "clOrdId": "another", "sCode": "0", "sMsg": ""}]}),
        (200, {"code": "0", "msg": "", "data": [{"ordId": 1, "clOrdId": "order1", "sCode": "0", "sMsg": ""}]}),
        (500, _okx(51000, "a code with a status that says otherwise")[1]),
        (200, {"code": "1", "msg": "All operations failed", "data": []}),
        _okx(50004, "Endpoint request timeout (does not mean that the request was successful or failed)"),
        _okx(50026, "System error. Try again later"),
        _okx_order(51016, "Client order ID already exists"),
        _okx_order(51054, "Request timed out. Please try again."),
        _okx_order(51149, "Order timed out. Please try again later."),
        _okx(999999, "something new: system error"),
    ),
    passing=(50001, 50005, 50013, 51030),
    limited=(50011, 50040, 50061),
    banned=(),
    refusals=(50014, 51000, 51001, 51008, 51121, 51169, 999999),
    unauthorised=(
        (401, "<html>who are you</html>"),
        _okx(50105, "OK-ACCESS-PASSPHRASE incorrect"),
        _okx(50110, "Your IP is not included in your API key's IP allowlist."),
        _okx(50111, "Invalid OK-ACCESS-KEY"),
        _okx(50113, "Invalid Sign"),
        _okx(50119, "API key doesn't exist"),
        _okx(50120, "This API key doesn't have permission to use this function"),
        _okx_order(51024, "Unable to place order. Your account is suspended."),
    ),
    late=50102,
    window_seconds=5.0,
    countdown="POST /api/v5/trade/cancel-all-after",
    units={"BTC-PERP": "0.01", "ETH-PERP": "0.1"},
)

SPEECHES = {speech.venue: speech for speech in (BYBIT, OKX)}
