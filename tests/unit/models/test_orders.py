"""Orders refuse what cannot be meant, on construction, and travel as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType, Order, OrderType, Side


def an_order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "operation_id": "perp_001",
        "venue": "binance",
        "operation": OperationType.PERP_TRADE,
        "amount": 0.5,
        "source_venue": "binance",
        "target_venue": "binance",
        "source_token": "USDT",
        "target_token": "BTC-PERP",
        "expected_deltas": (
            ExpectedDelta("binance:PerpPosition:BTC-PERP", -0.5, "BTC-PERP", "binance", OperationType.PERP_TRADE),
        ),
        "pair": "BTC-PERP",
        "side": Side.SHORT,
        "price": 50_000.0,
    }
    return Order(**(fields | changes))


def test_an_order_survives_json() -> None:
    order = an_order(atomic_group_id="g", sequence_in_group=0, execution_mode=ExecutionMode.COMPENSATED)
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
    assert msgspec.json.decode(msgspec.json.encode(order))["operation"] == "perp_trade"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount": 0.0}, "amount must be greater than 0"),
        ({"amount": float("nan")}, "must be finite"),
        ({"price": float("inf")}, "must be finite"),
        ({"price": -1.0}, "price must be greater than 0"),
        ({"slippage_tolerance": -0.01}, "slippage_tolerance must be 0 or more"),
        ({"expected_deltas": ()}, "expected_deltas must not be empty"),
        ({"pair": None}, "needs a pair and side LONG or SHORT"),
        ({"side": None}, "needs a pair and side LONG or SHORT"),
        ({"side": Side.BUY}, "needs a pair and side LONG or SHORT"),
        ({"operation": OperationType.SPOT_TRADE}, "needs a pair and side BUY or SELL"),
        ({"operation": OperationType.SUPPLY}, "a supply has no side"),
        ({"order_type": OrderType.LIMIT, "price": None}, "a limit order needs a price"),
        ({"atomic_group_id": "g"}, "go together"),
        ({"sequence_in_group": 0}, "go together"),
        ({"atomic_group_id": "g", "sequence_in_group": -1}, "must be 0 or more"),
        ({"execution_mode": ExecutionMode.ATOMIC}, "needs an atomic_group_id"),
        ({"take_profit": 60_000.0}, "stop_loss > price > take_profit"),
        ({"stop_loss": 40_000.0}, "stop_loss > price > take_profit"),
        ({"side": Side.LONG, "take_profit": 40_000.0}, "stop_loss < price < take_profit"),
        ({"side": Side.LONG, "stop_loss": 50_000.0}, "stop_loss < price < take_profit"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="order 'perp_001'") as caught:
        an_order(**changes)
    assert said in str(caught.value)


def test_bounds_on_the_right_side_are_accepted() -> None:
    assert an_order(take_profit=40_000.0, stop_loss=60_000.0).side is Side.SHORT
    assert an_order(side=Side.LONG, take_profit=60_000.0, stop_loss=40_000.0).side is Side.LONG


def test_an_expected_delta_is_finite() -> None:
    with pytest.raises(ValueError, match="binance:BaseToken:BTC is nan"):
        ExpectedDelta("binance:BaseToken:BTC", float("nan"), "BTC", "binance", OperationType.SPOT_TRADE)
