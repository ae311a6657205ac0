"""Defines what a venue answers: settlements, which are facts about balances, and the execution handshake."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any, Final

import msgspec

__all__ = ["OWNERS_FLOWS", "DeltaSource", "ExecutionHandshake", "ExecutionStatus", "PositionDelta", "Settlement"]


class DeltaSource(StrEnum):
    """Why a position changed."""

    EXECUTION = "execution"
    ACCRUAL = "accrual"
    FUNDING = "funding"
    REWARD = "reward"
    FEE = "fee"
    GAS = "gas"
    TRANSFER = "transfer"
    LIQUIDATION = "liquidation"
    DEPOSIT = "deposit"
    UNEXPLAINED = "unexplained"
    WITHDRAWAL = "withdrawal"
    OPENING = "opening"
    """What an account held when the process began to keep its ledger."""
    ADJUSTMENT = "adjustment"
    """What a venue shows and no trade, payment or transfer explains: the venue is believed."""


OWNERS_FLOWS: Final = frozenset((DeltaSource.DEPOSIT, DeltaSource.WITHDRAWAL, DeltaSource.UNEXPLAINED))
"""How the owner's money comes and goes; what comes or goes unexplained is no return either."""


class PositionDelta(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One change of one position."""

    position_key: str
    """`venue:position_type:symbol`."""
    delta_amount: float
    """In the unit of the key: tokens, base asset for perps, USD notional for inverse perps."""
    price: float | None = None
    """Fill price for perp and spot legs, rate for funding legs; None where no price is involved."""
    index: float | None = None
    """The index or exchange rate that turned one token into another, where there is one."""

    def __post_init__(self) -> None:
        if not isfinite(self.delta_amount):
            raise ValueError(f"delta of {self.position_key} is {self.delta_amount}; a finite number is needed")


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to an account of one venue domain, with every balance it changed.

    `(domain, sequence)` is unique: the ledger applies each settlement once, however often it arrives.
    """

    source: DeltaSource
    timestamp: datetime
    """When it happened on the venue; UTC."""
    domain: str
    """Account domain: an exchange account (`binance`) or a chain (`ethereum`)."""
    sequence: int
    """Counts the settlements of the domain from 0, without gaps."""
    deltas: tuple[PositionDelta, ...]
    operation_id: str | None = None

    def __post_init__(self) -> None:
        if not self.deltas:
            raise ValueError(f"settlement {self.domain}#{self.sequence} ({self.source}) changes nothing")


class ExecutionStatus(StrEnum):
    """How an order ended, as far as is known."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"


class ExecutionHandshake(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's answer to one order.

    `actual_deltas` is what the operation itself changed; fee and gas are settlements of their own under the same
    operation id. Raises ValueError on construction when status, deltas and times contradict each other.
    """

    operation_id: str
    status: ExecutionStatus
    actual_deltas: dict[str, float] = {}
    execution_details: dict[str, Any] = {}
    fee_amount: float = 0.0
    fee_currency: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    submitted_at: datetime
    executed_at: datetime | None = None
    venue_metadata: dict[str, Any] = {}
    simulated: bool
    retryable: bool = False
    """Whether a failed operation may be sent again: the venue definitely did nothing, for a reason that passes."""
    wait_seconds: float = 0.0
    """How long the venue wants to be left alone before that."""
    settlements: tuple[Settlement, ...] = ()
    """The balance changes behind `actual_deltas`, then those of fee and gas; what the ledger applies."""

    def __post_init__(self) -> None:
        who = f"handshake of {self.operation_id!r} ({self.status})"
        if not isfinite(self.fee_amount) or self.fee_amount < 0.0:
            raise ValueError(f"{who}: fee_amount must be finite and 0 or more, got {self.fee_amount}")
        if self.fee_amount > 0.0 and self.fee_currency is None:
            raise ValueError(f"{who}: a fee of {self.fee_amount} needs a fee_currency")
        for key, amount in self.actual_deltas.items():
            if not isfinite(amount):
                raise ValueError(f"{who}: actual delta of {key} is {amount}; a finite number is needed")
        if self.status is ExecutionStatus.CONFIRMED:
            if self.executed_at is None or not self.actual_deltas:
                raise ValueError(f"{who}: a confirmed operation needs executed_at and actual_deltas")
        elif self.status in (ExecutionStatus.FAILED, ExecutionStatus.ROLLED_BACK):
            if self.actual_deltas:
                raise ValueError(f"{who}: nothing may have changed, got deltas {self.actual_deltas}")
            if self.error_code is None:
                raise ValueError(f"{who}: an operation that did not succeed needs an error_code")
        if self.retryable and self.status is not ExecutionStatus.FAILED:
            raise ValueError(f"{who}: only a failed operation can be retryable")
        if not isfinite(self.wait_seconds) or self.wait_seconds < 0.0:
            raise ValueError(f"{who}: wait_seconds must be finite and 0 or more, got {self.wait_seconds}")
        if self.executed_at is not None and self.executed_at < self.submitted_at:
            raise ValueError(f"{who}: executed_at {self.executed_at} is before submitted_at {self.submitted_at}")

    def was_successful(self) -> bool:
        """Whether the operation is confirmed."""
        return self.status is ExecutionStatus.CONFIRMED

    def was_failed(self) -> bool:
        """Whether the venue definitely did not do it."""
        return self.status is ExecutionStatus.FAILED

    def is_pending(self) -> bool:
        """Whether the venue has accepted it and not finished."""
        return self.status is ExecutionStatus.PENDING

    def was_rolled_back(self) -> bool:
        """Whether it was done and undone with its atomic group."""
        return self.status is ExecutionStatus.ROLLED_BACK

    def get_total_cost(self) -> float:
        """Value executed plus fee, in the quote currency: |executed_amount| x executed_price + fee_amount.

        Of an inverse perpetual both are in its base asset: `executed_value`, which its venue gives, + fee_amount.
        Raises ValueError when the venue gave no executed amount and price, as for operations that are not trades.
        """
        value = self.execution_details.get("executed_value")
        if value is not None:
            return abs(float(value)) + self.fee_amount
        amount = self.execution_details.get("executed_amount")
        price = self.execution_details.get("executed_price")
        if amount is None or price is None:
            raise ValueError(f"handshake of {self.operation_id!r} has no executed_amount and executed_price")
        return abs(float(amount)) * float(price) + self.fee_amount
