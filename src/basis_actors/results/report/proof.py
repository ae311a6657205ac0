"""Finds the events that explain a day: its largest loss, decisions, orders, liquidations, limits broken, errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Final

import msgspec
import pandas as pd

from basis_actors.messages.events import (
    DomainEvent,
    OperationExecutionEvent,
    PnLCalculation,
    RiskAssessment,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.wording import Money, change, moment

__all__ = ["MOST_A_DAY", "Proof", "command_for_one", "command_for_span", "proofs_of"]

MOST_A_DAY: Final = 120
"""Events of one day that the page shows; the command that it gives shows all."""


class Proof(msgspec.Struct, frozen=True):
    """One event, in words, and where in the log it is."""

    sequence: int
    moment: datetime
    kind: str
    """`largest loss`, `decision before`, `decision`, `order`, `failed order`, `liquidation`, `limit` or `error`."""
    text: str
    file: str
    """Stem of its file under `events/`."""


def proofs_of(record: RunRecord, days: Iterable[date], money: Money) -> dict[date, list[Proof]]:
    """What explains each of `days`, in the order of the log, from the last decision before it that did anything."""
    found: dict[date, list[Proof]] = {wanted: [] for wanted in days}
    if not found:
        return found
    for wanted, event, kind, text in _told(record, found):
        found[wanted].append(Proof(event.sequence or 0, event.timestamp, kind, text, type(event).FILE))
    for wanted, rows in found.items():
        rows += _largest_loss(record, wanted, money)
        rows.sort(key=lambda proof: proof.sequence)
    return found


def _largest_loss(record: RunRecord, wanted: date, money: Money) -> Iterator[Proof]:
    """The calculation of a day that found the largest loss since the one before it."""
    pnl, parts = record.pnl, record.log_components
    day = pd.Timestamp(wanted, tz="UTC")
    begin, end = pnl.index.searchsorted([day, day + pd.Timedelta(days=1)])
    moved = pnl["total_pnl"].diff().iloc[begin:end].fillna(0.0).to_numpy(float)
    if not len(moved) or moved.min() >= 0.0:
        return
    place = int(begin) + int(moved.argmin())
    changes = (parts.iloc[place] - parts.iloc[place - 1]).sort_values()
    since = ", ".join(f"{name} {money.text(float(part), sign=True)}" for name, part in changes.items() if part)
    text = f"{money.text(float(moved.min()), sign=True)} since {moment(pnl.index[place - 1])}: {since}"
    yield Proof(
        int(pnl["sequence"].iloc[place]),
        pnl.index[place].to_pydatetime(),
        "largest loss",
        text,
        PnLCalculation.FILE,
    )


def _told(record: RunRecord, days: Iterable[date]) -> Iterator[tuple[date, DomainEvent, str, str]]:
    """Each event that explains one of `days`, with that day, what it is, and its words."""
    waiting, days = set(days), set(days)
    before: StrategyDecision | None = None
    for decision in record.log.events(StrategyDecision):
        today = decision.timestamp.date()
        if today in waiting:
            waiting.remove(today)
            if before is not None:
                yield today, before, "decision before", _decision(before)
        if decision.decision_type != "hold":
            before = decision
        if today in days and (decision.decision_type != "hold" or decision.constraints_violated):
            yield today, decision, "decision", _decision(decision)
    for order in record.operations:
        if order.timestamp.date() in days:
            kind = "order" if order.status is ExecutionStatus.CONFIRMED else "failed order"
            yield order.timestamp.date(), order, kind, _order(order)
    for settlement in record.liquidations:
        if settlement.timestamp.date() in days:
            changes = (change(delta.delta_amount, delta.position_key) for delta in settlement.deltas)
            text = f"{settlement.domain}: {', '.join(changes)}"
            yield settlement.timestamp.date(), settlement, "liquidation", text
    seen: tuple[str, ...] = ()
    for assessment in record.log.events(RiskAssessment):
        if assessment.breaches and assessment.breaches != seen and assessment.timestamp.date() in days:
            text = f"{assessment.risk_level}: {'; '.join(assessment.breaches)}"
            yield assessment.timestamp.date(), assessment, "limit", text
        seen = assessment.breaches
    for error in record.log.events(SystemErrorEvent):
        if error.timestamp.date() in days:
            text = f"{error.severity} {error.error_code} in {error.component}: {error.message}"
            yield error.timestamp.date(), error, "error", text


def _decision(decision: StrategyDecision) -> str:
    orders = f", {decision.orders_generated:,} orders" if decision.orders_generated else ""
    held = f" ({'; '.join(decision.constraints_violated)})" if decision.constraints_violated else ""
    return f"{decision.decision_type.replace('_', ' ')}{orders}: {decision.reasoning}{held}"


def _order(order: OperationExecutionEvent) -> str:
    changes = ", ".join(change(amount, key) for key, amount in order.actual_deltas.items())
    price = order.operation_details.get("executed_price")
    parts = [f"{order.operation_id}: {order.operation_type.value.replace('_', ' ')} at {order.venue}"]
    if changes:
        parts.append(changes)
    if isinstance(price, float | int):
        parts.append(f"price {price:,.6g}")
    if order.fee_amount:
        parts.append(f"fee {order.fee_amount:,.4g} {order.fee_currency or ''}".rstrip())
    if order.status is not ExecutionStatus.CONFIRMED:
        parts.append(f"{order.status.value}: {order.error_code or ''} {order.error_message or ''}".rstrip())
    return "; ".join(parts)


def command_for_one(proof: Proof) -> str:
    """Shows one event; `$RUN` is the run directory. Reads compressed segments too."""
    return f"zcat -f $RUN/events/{proof.file}*.jsonl* | jq 'select(.sequence == {proof.sequence})'"


def command_for_span(proofs: list[Proof]) -> str:
    """Shows every event from the first to the last of `proofs`, whatever its type, in order."""
    first, last = proofs[0].sequence, proofs[-1].sequence
    return (
        f"zcat -f $RUN/events/*.jsonl* | jq -c 'select(.sequence >= {first} and .sequence <= {last})'"
        " | jq -sc 'sort_by(.sequence)[]'"
    )
