"""Defines Binance's codes for what the local exchange refuses."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from tests.exchange.account import Refused


class Refusal(Exception):
    """An answer with a code."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


_CODES = {
    "no such order": (-2013, "Order does not exist."),
    "nothing to cancel": (-2011, "Unknown order sent."),
    "lot": (-1013, "Filter failure: LOT_SIZE"),
    "tick": (-1013, "Filter failure: PRICE_FILTER"),
    "notional": (-1013, "Filter failure: NOTIONAL"),
    "market closed": (-1013, "Market is closed."),
    "balance": (-2010, "Account has insufficient balance for requested action."),
    "would take": (-2010, "Order would immediately match and take."),
    "no permission": (-2010, "This action is disabled on this account."),
    "duplicate id": (-2010, "Duplicate order sent."),
    "transfer exceeds balance": (-5013, "Asset transfer failed: insufficient balance."),
    "withdrawal exceeds balance": (-4026, "User has insufficient balance."),
    "withdrawal id used": (-4028, "Duplicate withdrawOrderId."),
}
_ON_PERPETUALS = {
    "lot": (-1111, "Precision is over the maximum defined for this asset."),
    "tick": (-4014, "Price not increased by tick size."),
    "notional": (-4164, "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
    "margin": (-2019, "Margin is insufficient."),
    "would trigger": (-2021, "Order would immediately trigger."),
    "stop exists": (
        -4130,
        "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    ),
    "reduce only": (-2022, "ReduceOnly Order is rejected."),
    "duplicate id": (-4116, "ClientOrderId is duplicated."),
    "market closed": (-4108, "This contract is pre-delivering, settling or closed."),
}


def refusal_of(refused: Refused, *, spot: bool) -> Refusal:
    """As Binance says it."""
    code, text = (_CODES if spot else _CODES | _ON_PERPETUALS)[refused.reason]
    return Refusal(code, text)


def digits(text: str) -> Decimal:
    """A number as the wire takes it: digits and at most one point, no exponent."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Refusal(-1100, "Illegal characters found in parameter 'quantity'.") from None
    if "e" in text.lower() or not value.is_finite():
        raise Refusal(-1100, "Illegal characters found in parameter 'quantity'.")
    return value
