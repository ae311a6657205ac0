"""Writes a run until its standard input is closed: `python growing.py RUN_DIR`. Segments are small, and are packed."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import anyio

from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.retention import pack, unpacked
from basis_actors.logs.run_lock import RunLock
from basis_actors.messages.events import DomainEvent, ExecutionDeltaEvent, OperationExecutionEvent, PositionSnapshot
from basis_actors.messages.execution import DeltaSource, ExecutionStatus, PositionDelta
from basis_actors.messages.orders import OperationType

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
AT_ONCE = 70
KEY = "wallet:BaseToken:ETH"


def events(number: int) -> Iterator[DomainEvent]:
    """A tick: one ether comes in, the ledger has it, and an order fails."""
    yield ExecutionDeltaEvent(MOMENT, DeltaSource.DEPOSIT, (PositionDelta(KEY, 1.0),), "ethereum", number)
    yield PositionSnapshot(MOMENT, {KEY: number + 1.0}, None, "simulated", "tick")
    yield OperationExecutionEvent(
        timestamp=MOMENT,
        operation_id=f"op-{number}",
        operation_type=OperationType.STAKE,
        venue="etherfi",
        source_venue="wallet",
        target_venue="etherfi",
        source_token="ETH",
        target_token="weETH",
        status=ExecutionStatus.FAILED,
        expected_deltas=(),
        actual_deltas={},
        fee_amount=0.0,
        fee_currency=None,
        execution_duration_ms=0.0,
        simulated=True,
        error_code="EXEC-004",
    )


def main() -> None:
    """Write, then say how many ticks there were."""
    run_dir = Path(sys.argv[1])
    lock = RunLock(run_dir)
    logger = DomainEventLogger(run_dir, run_dir.parent.name, 1, segment_bytes=30_000)
    ticks = 0
    while not (ticks and select.select([sys.stdin], [], [], 0)[0]):
        for number in range(ticks, ticks + AT_ONCE):
            for event in events(number):
                logger.log(event)
        logger.flush()
        for segment in unpacked(run_dir):
            for _ in pack(segment):
                pass
        if not ticks:
            sys.stdout.write("begun\n")
            sys.stdout.flush()
        ticks += AT_ONCE
    anyio.run(logger.close)
    lock.release()
    sys.stdout.write(f"{ticks}\n")


if __name__ == "__main__":
    main()
