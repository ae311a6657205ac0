"""Defines OKX's codes for what the local exchange refuses, and how it writes numbers and lists."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.exchange.account import Refused
from tests.exchange.market import Market


class Refusal(Exception):
    """An answer with a code; one about an order has it in its row."""

    def __init__(self, code: int, text: str, status: int = 200) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


_CODES = {
    "no such order": (51603, "Order does not exist"),
    "nothing to cancel": (
        51400,
        "Order cancellation failed as the order has been filled, canceled or does not exist.",
    ),
    "lot": (51121, "Order quantity must be a multiple of the lot size."),
    "tick": (51000, "Parameter px error"),
    "market closed": (51022, "Contract suspended."),
    "no permission": (50120, "This API key doesn't have permission to use this function", 401),
    "margin": (51008, "Order failed. Insufficient USDT margin in account"),
    "reduce only": (
        51169,
        "Order failed because you don't have any positions in this direction for this contract to reduce or close.",
    ),
    "duplicate id": (51016, "Client order ID already exists"),
    "transfer exceeds balance": (58350, "Insufficient balance"),
    "transfer id used": (58124, "Your transfer is in progress, please check the status of the transfer."),
    "withdrawal exceeds balance": (58350, "Insufficient balance"),
    "withdrawal id used": (51000, "Parameter clientId error"),
}


def refusal_of(refused: Refused) -> Refusal:
    """As OKX says it."""
    return Refusal(*_CODES[refused.reason])  # type: ignore[arg-type]


def parameter(name: str) -> Refusal:
    """That a parameter is wrong."""
    return Refusal(51000, f"Parameter {name} error")


def digits(params: dict[str, Any], name: str) -> Decimal:
    """A number as the wire takes it: text of digits and at most one point, no exponent."""
    value = params[name]
    try:
        if not isinstance(value, str) or "e" in value.lower():
            raise parameter(name)
        number = Decimal(value)
    except InvalidOperation:
        raise parameter(name) from None
    if not number.is_finite():
        raise parameter(name)
    return number


def text(value: Decimal) -> str:
    """As OKX writes what it has reckoned."""
    return f"{value:.12f}"


def contracts(market: Market, amount: Decimal) -> str:
    """An amount of base units as contracts."""
    return f"{amount / market.contract:f}"


def kind_of(market: Market) -> str:
    """SWAP, or FUTURES for what is dated."""
    return "SWAP" if market.symbol.endswith("SWAP") else "FUTURES"


def page(rows: list[dict[str, Any]], params: dict[str, Any], of: Callable[[dict[str, Any]], int]) -> list[Any]:
    """The newest rows, or those that come after what `of` calls `after`, which are older."""
    limit = int(params.get("limit", 100))
    if not 1 <= limit <= 100:
        raise parameter("limit")
    after = params.get("after")
    return [row for row in rows if after is None or of(row) < int(after)][:limit]
