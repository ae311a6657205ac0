"""Defines how each local exchange is spoken to, for what is the same at all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.exchange.server import LocalExchange
from tests.exchange.worlds import funded_bybit

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

SPEECHES = {speech.venue: speech for speech in (BYBIT,)}
