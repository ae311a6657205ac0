"""Defines Bybit's codes for what the local exchange refuses."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from tests.exchange.account import Refused


class Refusal(Exception):
    """An answer with a code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


_CODES = {
    "no such order": (110001, "Order does not exist"),
    "nothing to cancel": (110001, "Order does not exist"),
    "lot": (10001, "Qty invalid"),
    "tick": (10001, "params error: price"),
    "notional": (110094, "Order does not meet minimum order value 5USDT"),
    "market closed": (110066, "Trading is currently not allowed."),
    "no permission": (10005, "Permission denied, please check your API key permissions."),
    "margin": (110007, "Available balance is insufficient"),
    "reduce only": (110017, "Reduce-only rule not satisfied"),
    "duplicate id": (110072, "OrderLinkedID is duplicate"),
    "transfer exceeds balance": (131212, "Insufficient balance"),
    "transfer id used": (131214, "TransferId exist"),
    "withdrawal exceeds balance": (131085, "Withdrawal amount is greater than your availale balance"),
    "withdrawal id used": (131082, "Do not repeat the request"),
}
_ON_SPOT = {
    "no such order": (170213, "Order does not exist."),
    "nothing to cancel": (170213, "Order does not exist."),
    "lot": (170137, "Order volume decimal too long"),
    "tick": (170134, "Order price decimal too long."),
    "notional": (170140, "Transaction amount lower than the minimum."),
    "balance": (170131, "Balance insufficient"),
    "duplicate id": (170141, "Duplicate clientOrderId"),
    "market closed": (170151, "The trading pair is not open yet"),
}


def refusal_of(refused: Refused, *, spot: bool = False) -> Refusal:
    """As Bybit says it."""
    return Refusal(*(_CODES | _ON_SPOT if spot else _CODES)[refused.reason])


def digits(value: Any) -> Decimal:
    """A number as the wire takes it: text of digits and at most one point, no exponent."""
    try:
        if not isinstance(value, str) or "e" in value.lower():
            raise Refusal(10001, f"params error: {value!r}")
        number = Decimal(value)
    except InvalidOperation:
        raise Refusal(10001, f"params error: {value!r}") from None
    if not number.is_finite():
        raise Refusal(10001, f"params error: {value!r}")
    return number


def text(value: Decimal) -> str:
    """As Bybit writes numbers."""
    return f"{value:.8f}"


def page(rows: list[Any], params: dict[str, Any], *, most: int, default: int, name: str = "list") -> dict[str, Any]:
    """Part of a list, and where the next one begins."""
    limit = int(params.get("limit", default))
    if not 1 <= limit <= most:
        raise Refusal(10001, "params error: limit")
    begin = int(params.get("cursor") or 0)
    more = begin + limit < len(rows)
    return {name: rows[begin : begin + limit], "nextPageCursor": str(begin + limit) if more else ""}


def span(params: dict[str, Any], now_ms: int, longest_ms: int) -> tuple[int, int]:
    """Begin and end of what is asked for."""
    end = int(params.get("endTime", now_ms))
    begin = int(params.get("startTime", end - longest_ms))
    if "endTime" not in params and "startTime" in params:
        end = begin + longest_ms
    if end - begin > longest_ms or begin > end:
        raise Refusal(10001, "The time range between startTime and endTime is too long")
    return begin, end
