"""Defines how execution is written down: the events of an operation, of its tight loop, and of a group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from basis_actors.actors.execution_units import TOO_SMALL, Outcome, Unit, only_reduces
from basis_actors.messages.events import AtomicOperationGroupEvent, OperationExecutionEvent, TightLoopExecutionEvent
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import Order

__all__ = ["group_event", "operation_event", "tight_loop_event"]

_UNDECIDED = (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING)


def operation_event(
    timestamp: datetime, order: Order, handshake: ExecutionHandshake, duration_ms: float
) -> OperationExecutionEvent:
    """How one order ended. `operation_details` holds what the strategy noted and what the venue told."""
    return OperationExecutionEvent(
        timestamp=timestamp,
        operation_id=order.operation_id,
        operation_type=order.operation,
        venue=order.venue,
        source_venue=order.source_venue,
        target_venue=order.target_venue,
        source_token=order.source_token,
        target_token=order.target_token,
        status=handshake.status,
        expected_deltas=order.expected_deltas,
        actual_deltas=handshake.actual_deltas,
        fee_amount=handshake.fee_amount,
        fee_currency=handshake.fee_currency,
        execution_duration_ms=duration_ms,
        simulated=handshake.simulated,
        error_code=handshake.error_code,
        error_message=handshake.error_message,
        atomic_group_id=order.atomic_group_id,
        sequence_in_group=order.sequence_in_group,
        operation_details={**order.operation_details, **handshake.execution_details},
    )


def tight_loop_event(
    timestamp: datetime,
    order: Order,
    handshake: ExecutionHandshake,
    *,
    reconciled: bool,
    retries: int,
    total_ms: float,
    execution_ms: float,
    reconciliation_ms: float,
) -> TightLoopExecutionEvent:
    """One pass of the tight loop; durations in milliseconds."""
    return TightLoopExecutionEvent(
        timestamp=timestamp,
        operation_id=order.operation_id,
        execution_success=handshake.was_successful(),
        reconciliation_success=reconciled,
        retry_count=retries,
        total_duration_ms=total_ms,
        execution_duration_ms=execution_ms,
        reconciliation_duration_ms=reconciliation_ms,
        failure_reason=handshake.error_message,
    )


def group_event(
    timestamp: datetime, unit: Unit, outcomes: Sequence[Outcome], further: Sequence[Outcome], duration_ms: float
) -> AtomicOperationGroupEvent:
    """How a group ended. `further` orders undid what had been filled, or did the rest of one that only reduces."""
    assert unit.group_id is not None
    unwound = () if only_reduces(unit.orders) else further
    failed = next((each for each in outcomes if not each.succeeded or (unwound and each.fell_short)), None)
    rolled_back = any(outcome.handshake.was_rolled_back() for outcome in outcomes)
    reason = None
    if failed is not None and (unwound or rolled_back):
        reason = f"{failed.order.operation_id}: {_what_failed(failed)}"
    return AtomicOperationGroupEvent(
        timestamp=timestamp,
        atomic_group_id=unit.group_id,
        mode=unit.mode,
        operation_ids=tuple(outcome.order.operation_id for outcome in (*outcomes, *further)),
        operation_types=tuple(outcome.order.operation for outcome in (*outcomes, *further)),
        all_succeeded=failed is None,
        rollback_occurred=reason is not None,
        group_status=_status(failed, outcomes, unwound, rolled_back=rolled_back),
        total_gas_fees=sum(_gas_paid(outcome.handshake) for outcome in (*outcomes, *further)),
        total_duration_ms=duration_ms,
        rollback_reason=reason,
    )


def _status(
    failed: Outcome | None, outcomes: Sequence[Outcome], unwound: Sequence[Outcome], *, rolled_back: bool
) -> str:
    if failed is None:
        return "confirmed"
    if any(outcome.handshake.status in _UNDECIDED for outcome in (*outcomes, *unwound)):
        return "unknown"
    if rolled_back:
        return "rolled_back"
    undone = all(outcome.succeeded or outcome.error_code == TOO_SMALL for outcome in unwound)
    return "compensated" if unwound and undone else "failed"


def _what_failed(outcome: Outcome) -> str:
    if outcome.succeeded:
        return f"{outcome.filled!r} of {outcome.order.amount!r} were filled"
    return f"{outcome.error_code}: {outcome.handshake.error_message}"


def _gas_paid(handshake: ExecutionHandshake) -> float:
    """Gas that an operation cost, 0 or more, in the token it was paid in; also a failed operation may cost gas."""
    return -sum(
        delta.delta_amount
        for settlement in handshake.settlements
        if settlement.source is DeltaSource.GAS
        for delta in settlement.deltas
    )
