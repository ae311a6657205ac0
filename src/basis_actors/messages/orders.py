"""Defines what a strategy asks for: orders, the deltas it expects from them, and how orders form groups."""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from typing import Any

import msgspec

__all__ = ["ExecutionMode", "ExpectedDelta", "OperationType", "Order", "OrderType", "Side"]


class OperationType(StrEnum):
    """The twelve operations."""

    SPOT_TRADE = "spot_trade"
    PERP_TRADE = "perp_trade"
    SUPPLY = "supply"
    BORROW = "borrow"
    REPAY = "repay"
    WITHDRAW = "withdraw"
    STAKE = "stake"
    UNSTAKE = "unstake"
    SWAP = "swap"
    TRANSFER = "transfer"
    FLASH_BORROW = "flash_borrow"
    FLASH_REPAY = "flash_repay"


class Side(StrEnum):
    """Direction of a trade: BUY and SELL on spot, LONG and SHORT on perpetuals."""

    BUY = "BUY"
    SELL = "SELL"
    LONG = "LONG"
    SHORT = "SHORT"


class OrderType(StrEnum):
    """How a trade is priced."""

    MARKET = "market"
    LIMIT = "limit"


class ExecutionMode(StrEnum):
    """What happens to a group when one of its orders fails."""

    SEQUENTIAL = "sequential"
    """Stop at the first failure; what was done stays done."""

    ATOMIC = "atomic"
    """One transaction on one chain: all or nothing, gas aside."""

    COMPENSATED = "compensated"
    """Legs on different venues, pre-checked together; on a failure the earlier legs are unwound, the cost booked."""


_TRADES = {
    OperationType.SPOT_TRADE: (Side.BUY, Side.SELL),
    OperationType.PERP_TRADE: (Side.LONG, Side.SHORT),
}


class ExpectedDelta(msgspec.Struct, frozen=True, gc=False):
    """One change of one position that the strategy expects of an order, without fee and gas."""

    position_key: str
    """`venue:position_type:symbol`."""
    delta_amount: float
    """In the unit of the key: tokens, base asset for perps, USD notional for inverse perps."""
    token: str
    """What changes."""
    venue: str
    """Where."""
    operation_type: OperationType
    """Of the order."""

    def __post_init__(self) -> None:
        if not isfinite(self.delta_amount):
            raise ValueError(f"expected delta of {self.position_key} is {self.delta_amount}; a finite number is needed")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that a strategy wants done, with the deltas it expects.

    Raises ValueError on construction when an invariant does not hold; the text names the order and the field.
    """

    operation_id: str
    venue: str
    operation: OperationType
    amount: float
    """Greater than 0. Base asset for trades, USD notional for inverse perps, source token otherwise."""
    source_venue: str
    target_venue: str
    source_token: str
    target_token: str
    expected_deltas: tuple[ExpectedDelta, ...]
    operation_details: dict[str, Any] = {}
    pair: str | None = None
    """`BTC/USDT` on spot, `BTC-PERP` for perpetuals."""
    side: Side | None = None
    price: float | None = None
    """Limit price, or the price that the expected deltas of a market order assume."""
    order_type: OrderType = OrderType.MARKET
    take_profit: float | None = None
    stop_loss: float | None = None
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    atomic_group_id: str | None = None
    sequence_in_group: int | None = None
    strategy_intent: str | None = None
    strategy_id: str | None = None
    slippage_tolerance: float = 0.005
    """Fraction by which a price-dependent leg may differ from its expected delta."""
    reduce_only: bool = False
    """Of a perpetual: shrinks the position and never turns it. Of a spot sale: no more than is there."""
    metadata: dict[str, Any] = {}

    def __post_init__(self) -> None:
        who = f"order {self.operation_id!r}"
        numbers = (self.amount, self.price, self.take_profit, self.stop_loss, self.slippage_tolerance)
        if not all(isfinite(number) for number in numbers if number is not None):
            raise ValueError(f"{who}: amount, prices and tolerance must be finite, got {numbers}")
        if self.amount <= 0.0:
            raise ValueError(f"{who}: amount must be greater than 0, got {self.amount}")
        if self.slippage_tolerance < 0.0:
            raise ValueError(f"{who}: slippage_tolerance must be 0 or more, got {self.slippage_tolerance}")
        if not self.expected_deltas:
            raise ValueError(f"{who}: expected_deltas must not be empty")
        self._check_trade(who)
        in_group = (self.atomic_group_id is not None, self.sequence_in_group is not None)
        if any(in_group) != all(in_group):
            raise ValueError(f"{who}: atomic_group_id and sequence_in_group go together")
        if self.sequence_in_group is not None and self.sequence_in_group < 0:
            raise ValueError(f"{who}: sequence_in_group must be 0 or more, got {self.sequence_in_group}")
        if self.execution_mode is not ExecutionMode.SEQUENTIAL and self.atomic_group_id is None:
            raise ValueError(f"{who}: execution mode {self.execution_mode} needs an atomic_group_id")

    def _check_trade(self, who: str) -> None:
        sides = _TRADES.get(self.operation)
        if sides is None:
            if self.side is not None:
                raise ValueError(f"{who}: a {self.operation} has no side, got {self.side}")
            return
        if self.pair is None or self.side not in sides:
            wanted = " or ".join(sides)
            raise ValueError(f"{who}: a {self.operation} needs a pair and side {wanted}, got {self.pair}, {self.side}")
        if self.order_type is OrderType.LIMIT and self.price is None:
            raise ValueError(f"{who}: a limit order needs a price")
        if self.price is not None and self.price <= 0.0:
            raise ValueError(f"{who}: price must be greater than 0, got {self.price}")
        bounds = [bound for bound in (self.stop_loss, self.price, self.take_profit) if bound is not None]
        ascending = self.side in (Side.LONG, Side.BUY)
        if bounds != sorted(bounds, reverse=not ascending) or len(set(bounds)) != len(bounds):
            rule = "stop_loss < price < take_profit" if ascending else "stop_loss > price > take_profit"
            raise ValueError(f"{who}: a {self.side} needs {rule}, got {bounds}")
