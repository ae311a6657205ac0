"""One event of each type, and disks that fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_actors.messages.events import (
    AssetExposure,
    AtomicOperationGroupEvent,
    DomainEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    HealthStatusEvent,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    ReconciliationEvent,
    RiskAssessment,
    StrategyDecision,
    SystemErrorEvent,
    TightLoopExecutionEvent,
)
from basis_actors.messages.execution import DeltaSource, ExecutionStatus, PositionDelta
from basis_actors.messages.orders import ExecutionMode, OperationType

MOMENT = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def snapshot() -> Callable[[float], PositionSnapshot]:
    """Makes a position snapshot that can be told from others by its amount."""
    return lambda amount: PositionSnapshot(MOMENT, {"wallet:BaseToken:USDT": amount}, amount, "simulated", "tick")


@pytest.fixture
def one_of_each() -> tuple[DomainEvent, ...]:
    return (
        PositionSnapshot(MOMENT, {"aave:aToken:aUSDT": 10_000.0}, 10_000.0, "simulated", "tick"),
        ExposureSnapshot(MOMENT, 1.0, {"BTC": AssetExposure(0.1, 1.0, 0.01)}, 100.0, 100.0, "tick"),
        RiskAssessment(MOMENT, "low", {"binance": 0.5}, (), (), "tick"),
        PnLCalculation(MOMENT, 100.0, 1.0, 1.0, 0.0, {}, {}, 0.0, 0.0, 0.0, 0.0, 0.0, {}, {}, {}, "tick"),
        StrategyDecision(MOMENT, "hold", "none", "tick", 0, "nothing to do", {}, {}, "low"),
        OperationExecutionEvent(
            timestamp=MOMENT,
            operation_id="supply_001",
            operation_type=OperationType.SUPPLY,
            venue="aave_v3",
            source_venue="wallet",
            target_venue="aave_v3",
            source_token="USDT",
            target_token="aUSDT",
            status=ExecutionStatus.CONFIRMED,
            expected_deltas=(),
            actual_deltas={"aave:aToken:aUSDT": 1.0},
            fee_amount=0.0,
            fee_currency=None,
            execution_duration_ms=1.0,
            simulated=True,
        ),
        AtomicOperationGroupEvent(
            timestamp=MOMENT,
            atomic_group_id="g",
            mode=ExecutionMode.ATOMIC,
            operation_ids=("supply_001",),
            operation_types=(OperationType.SUPPLY,),
            all_succeeded=True,
            rollback_occurred=False,
            group_status="confirmed",
            total_gas_fees=0.0,
            total_duration_ms=1.0,
        ),
        TightLoopExecutionEvent(
            timestamp=MOMENT,
            operation_id="supply_001",
            execution_success=True,
            reconciliation_success=True,
            retry_count=0,
            total_duration_ms=3.0,
            execution_duration_ms=2.0,
            reconciliation_duration_ms=1.0,
        ),
        ReconciliationEvent(
            timestamp=MOMENT,
            reconciliation_type="tight_loop",
            success=True,
            expected={},
            actual={},
            venue_reported={},
            mismatches=(),
            trigger_source="execution_manager",
        ),
        ExecutionDeltaEvent(MOMENT, DeltaSource.DEPOSIT, (PositionDelta("wallet:BaseToken:USDT", 1.0),), "ethereum", 0),
        HealthStatusEvent(
            timestamp=MOMENT,
            component="engine",
            status="healthy",
            checks={"alive": True},
            error_count=0,
            inbox_depth=0,
            last_message_age_ms=1.0,
        ),
        SystemErrorEvent(
            timestamp=MOMENT, component="engine", error_code="ENGINE-002", severity="HIGH", message="it broke"
        ),
    )


@pytest.fixture
def put_behind() -> Callable[[Path, Path], None]:
    """Puts a device behind a file that this process has open for writing, as if the disk had changed its mind."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to find the open file")

    def put(path: Path, device: Path) -> None:
        (descriptor,) = [int(link.name) for link in Path("/proc/self/fd").iterdir() if _target(link) == str(path)]
        replacement = os.open(device, os.O_RDWR)
        os.dup2(replacement, descriptor, inheritable=False)
        os.close(replacement)

    return put


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)  # noqa: PTH115 - of links to what is no file as well
    except FileNotFoundError:
        return None
