"""Defines how the account answers: how a trade ended, that a request did not happen, or that nobody knows yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from basis_actors.errors import Transient
from basis_actors.messages.exchange import OrderReport, OrderState, VenueFill
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, ExecutionStatus, Settlement
from basis_actors.messages.journal import JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.times import utc_from_ns

__all__ = ["concluded", "failed", "unconcluded", "undecided"]


def concluded(
    entry: JournalEntry,
    report: OrderReport,
    fills: Sequence[tuple[VenueFill, tuple[Settlement, ...]]],
    now_ns: int,
) -> ExecutionHandshake:
    """An order has ended, and its trades are all booked as `fills` says."""
    intent = entry.intent
    order, venue = intent.order, intent.domain
    if not fills:
        code = "EXEC-004" if report.state is OrderState.REJECTED else "EXEC-001"
        text = f"order {report.venue_order_id} was {report.state} by {venue} before anything was filled"
        return failed(entry, now_ns, code, text)
    settlements = tuple(settlement for _, part in fills for settlement in part)
    actual: dict[str, float] = {}
    for settlement in settlements:
        if settlement.source is DeltaSource.EXECUTION:
            for delta in settlement.deltas:
                actual[delta.position_key] = actual.get(delta.position_key, 0.0) + delta.delta_amount
    fees: dict[str, Decimal] = {}
    for fill, _ in fills:
        fees[fill.fee_currency] = fees.get(fill.fee_currency, Decimal(0)) + fill.fee
    currency = max(fees, key=lambda name: abs(fees[name]))
    fee = max(float(fees[currency]), 0.0)
    submitted = utc_from_ns(intent.created_ns)
    return ExecutionHandshake(
        operation_id=order.operation_id,
        status=ExecutionStatus.CONFIRMED,
        actual_deltas=actual,
        execution_details=_details(order, report.state, [fill for fill, _ in fills], fees),
        fee_amount=fee,
        fee_currency=currency if fee > 0.0 else None,
        submitted_at=submitted,
        executed_at=max(submitted, utc_from_ns(now_ns)),
        venue_metadata={
            "domain": venue,
            "client_id": intent.client_id,
            "venue_order_id": report.venue_order_id,
            "attempt": intent.attempt,
            "trades": [fill.trade_id for fill, _ in fills],
        },
        simulated=False,
        settlements=settlements,
    )


def failed(
    entry: JournalEntry, now_ns: int, code: str, reason: str, settlements: tuple[Settlement, ...] = ()
) -> ExecutionHandshake:
    """It definitely did not happen, and is not to be sent again as it is."""
    return _answer(entry, now_ns, ExecutionStatus.FAILED, code, reason, settlements)


def undecided(entry: JournalEntry, now_ns: int, reason: str, *, pending: bool = False) -> ExecutionHandshake:
    """Ask again: the exchange has not finished with it (`pending`), or nobody knows."""
    status = ExecutionStatus.PENDING if pending else ExecutionStatus.UNKNOWN
    return _answer(entry, now_ns, status, "VEN-002", reason, ())


def unconcluded(entry: JournalEntry) -> Transient:
    """The exchange does not say how a request of an earlier process ended."""
    intent = entry.intent
    return Transient(
        "VEN-003",
        f"{intent.domain} does not say what became of {intent.order.operation_id}, sent by an earlier process as"
        f" {intent.client_id}: it is {entry.state} ({entry.evidence}); nothing is traded before that is known",
    )


def _answer(
    entry: JournalEntry,
    now_ns: int,
    status: ExecutionStatus,
    code: str,
    reason: str,
    settlements: tuple[Settlement, ...],
) -> ExecutionHandshake:
    intent = entry.intent
    return ExecutionHandshake(
        operation_id=intent.order.operation_id,
        status=status,
        error_code=code,
        error_message=reason,
        submitted_at=utc_from_ns(min(intent.created_ns, now_ns)),
        venue_metadata={"domain": intent.domain, "client_id": intent.client_id, "attempt": intent.attempt},
        simulated=False,
        settlements=settlements,
    )


def _details(
    order: Order, state: OrderState, fills: Sequence[VenueFill], fees: Mapping[str, Decimal]
) -> dict[str, Any]:
    """What was executed, as the trades say it: that is what is booked, whatever the order says of their sum."""
    amount = sum((fill.amount for fill in fills), Decimal(0))
    if order.pair is not None and order.pair.endswith("USD-PERP"):
        value = sum((fill.amount / fill.price for fill in fills), Decimal(0))
        price = amount / value
    else:
        value = sum((fill.amount * fill.price for fill in fills), Decimal(0))
        price = value / amount
    details: dict[str, Any] = {
        "executed_amount": float(amount),
        "executed_price": float(price),
        "order_state": state.value,
        "executed_value": float(value),
    }
    if len(fees) > 1:
        details["fees"] = {currency: str(fee) for currency, fee in fees.items()}
    return details
