"""A run all of whose texts are markup that would do something."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import anyio
from tests.engine.play import utc

from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.messages.events import (
    DomainEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.messages.execution import DeltaSource, ExecutionStatus, PositionDelta
from basis_actors.messages.orders import OperationType

HOSTILE_TITLE = "hacked"
HOSTILE = f"</script><script>document.title = '{HOSTILE_TITLE}'</script><img src=x onerror=alert(1)> & \u2028 <b>"


def hostile_run(folder: Path, calculation: Callable[..., PnLCalculation]) -> Path:
    """Its directory in `folder`."""
    run_dir = LogDirectoryManager.create_run_logs("hostile", 1, HOSTILE, HOSTILE, 1.0, folder, data_origin=HOSTILE)
    logger = DomainEventLogger(run_dir, "hostile", 1)
    moments = [utc("2024-01-01") + timedelta(hours=hour) for hour in range(72)]
    key = "wallet:BaseToken:USDT"
    events: list[DomainEvent] = [
        ExecutionDeltaEvent(moments[0], DeltaSource.DEPOSIT, (PositionDelta(key, 100_000.0),), HOSTILE, 0)
    ]
    for hour, moment in enumerate(moments):
        equity = 100_000.0 - hour
        marks = {"S:USDT": 1.0, "S:BTC": 40_000.0 + hour}
        events += [
            PositionSnapshot(
                moment, {key: equity, f"{HOSTILE.replace(':', '')}:BaseToken:X<b>": 1.0}, equity, "real", "t"
            ),
            calculation(hour, equity, marks=marks, attribution_total={HOSTILE: -float(hour)}),
            StrategyDecision(moment, "rebalance", "none", "tick", 0, HOSTILE, {}, {}, "low", (HOSTILE,)),
        ]
    events.append(
        OperationExecutionEvent(
            timestamp=moments[30],
            operation_id=HOSTILE,
            operation_type=OperationType.SPOT_TRADE,
            venue=HOSTILE,
            source_venue=HOSTILE,
            target_venue=HOSTILE,
            source_token=HOSTILE,
            target_token=HOSTILE,
            status=ExecutionStatus.FAILED,
            expected_deltas=(),
            actual_deltas={"wallet:BaseToken:BTC": 0.0},
            fee_amount=1.0,
            fee_currency=HOSTILE,
            execution_duration_ms=0.0,
            simulated=True,
            error_code=HOSTILE,
            error_message=HOSTILE,
        )
    )
    events.append(
        SystemErrorEvent(timestamp=moments[31], component=HOSTILE, error_code=HOSTILE, severity="HIGH", message=HOSTILE)
    )
    for event in events:
        logger.log(event)
    anyio.run(logger.close)
    return run_dir
