"""Defines how the account says that a request did not happen, or that it is not known yet whether it did."""

from __future__ import annotations

from basis_actors.errors import Transient
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus, Settlement
from basis_actors.messages.journal import JournalEntry
from basis_actors.times import utc_from_ns

__all__ = ["failed", "unconcluded", "undecided"]


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
