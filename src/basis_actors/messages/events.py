"""Defines the twelve domain events: one line each in the event log, one file a type.

An actor builds an event with its own fields; the fields that every event shares are filled in by the event logger
when the line is written.
"""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any, ClassVar, Final

import msgspec

from basis_actors.messages.execution import DeltaSource, ExecutionStatus, PositionDelta
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType

__all__ = [
    "DECISION_TYPES",
    "EVENT_SCHEMA_VERSION",
    "EVENT_TYPES",
    "AssetExposure",
    "AtomicOperationGroupEvent",
    "DomainEvent",
    "ExecutionDeltaEvent",
    "ExposureSnapshot",
    "HealthStatusEvent",
    "Mismatch",
    "OperationExecutionEvent",
    "PnLCalculation",
    "PositionSnapshot",
    "ReconciliationEvent",
    "RiskAssessment",
    "StrategyDecision",
    "SystemErrorEvent",
    "TightLoopExecutionEvent",
]

EVENT_SCHEMA_VERSION = 1
"""Written to `metadata.json`; raised whenever a field changes its name or meaning."""

DECISION_TYPES: Final = ("entry", "exit", "rebalance", "hold", "emergency_exit")
"""What a strategy may decide."""


class _Timed(msgspec.Struct, frozen=True):
    timestamp: datetime
    """Engine time, UTC."""


class DomainEvent(_Timed, frozen=True, kw_only=True, gc=False):
    """What every event carries. All but `timestamp` and `metadata` are None until the event logger writes the line."""

    FILE: ClassVar[str] = ""
    """Stem of the event's file under `events/`."""

    sequence: int | None = None
    """Number of the line in the whole run, over all files."""
    real_utc_time: datetime | None = None
    """Wall clock of this machine when the event reached the logger, UTC."""
    correlation_id: str | None = None
    """Name of the run."""
    pid: int | None = None
    """Process that wrote it."""
    metadata: dict[str, Any] = {}
    """Room for what a user of the package adds; the package itself leaves it empty."""


def _require_finite(event: DomainEvent, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not isfinite(value):
            raise ValueError(f"{type(event).__name__}.{name} is {value}; a finite number is needed")


class PositionSnapshot(DomainEvent, frozen=True):
    """The whole ledger after an update."""

    FILE: ClassVar[str] = "positions"

    positions: dict[str, float]
    """Amount by position key; perps in signed base asset, debts above 0. A position that is gone is left out."""
    total_value_usd: float | None
    """Equity in USD; None while a price it needs is not known."""
    position_type: str
    """`simulated` or `real`."""
    trigger_source: str
    """What made it happen: `tick`, `execution_manager` after a group of orders, or `restart`."""

    def __post_init__(self) -> None:
        if self.position_type not in ("simulated", "real"):
            raise ValueError(f"PositionSnapshot.position_type is {self.position_type!r}; simulated or real is needed")
        if isfinite(sum(self.positions.values())):
            return
        for key, amount in self.positions.items():
            if not isfinite(amount):
                raise ValueError(f"PositionSnapshot: position {key} is {amount}; a finite number is needed")


class AssetExposure(msgspec.Struct, frozen=True, gc=False):
    """Net exposure to one asset over all keys. What is hedged is no exposure, so they do not add up to equity."""

    quantity: float
    """Net delta in units of the asset, perps included."""
    usd_value: float
    """quantity x reference price."""
    percentage: float
    """usd_value as a fraction of equity."""


class ExposureSnapshot(DomainEvent, frozen=True):
    """Net exposure by asset and equity."""

    FILE: ClassVar[str] = "exposures"

    net_delta_usd: float | None
    """Net delta in the assets that are neither the share class nor cash; None while a price is not known."""
    asset_exposures: dict[str, AssetExposure]
    """By asset."""
    total_value_usd: float | None
    """Equity in USD; None while a price is not known."""
    share_class_value: float
    """Equity in the share class."""
    trigger_source: str
    """What made it happen: `tick`, `execution_manager` after a group of orders, or `restart`."""

    def __post_init__(self) -> None:
        if not isfinite(self.share_class_value + (self.net_delta_usd or 0.0)):
            _require_finite(self, share_class_value=self.share_class_value, net_delta_usd=self.net_delta_usd)


class RiskAssessment(DomainEvent, frozen=True):
    """What the risk monitor computed and which limits it found broken."""

    FILE: ClassVar[str] = "risk_assessments"

    risk_level: str
    """`low`, `medium`, `high` or `critical`."""
    margin_ratio: dict[str, float]
    """(cash + unrealised PnL) / notional by venue with an open perp; of an account that was liquidated since the last
    assessment its maintenance ratio at the prices of the closes, at which that happened."""
    warnings: tuple[str, ...]
    """Limits that are close, and what is watched without a limit of its own."""
    breaches: tuple[str, ...]
    """Limits that are broken, each with both numbers."""
    trigger_source: str
    """What made it happen: `tick`, `execution_manager` after a group of orders, or `restart`."""
    health_factor: float | None = None
    """Of the loan that is closest to liquidation, at oracle prices; None without debt and while it is not known. Of a
    loan that was liquidated since the last assessment the one before liquidators took from it."""
    ltv_ratio: float | None = None
    """Debt / collateral of that loan."""
    liquidation_threshold: float | None = None
    """LTV at which that loan would be liquidated."""
    peg_deviation: float | None = None
    """market_rate / eth_per_lst - 1, the lowest of the staking tokens that are held; negative is a discount."""
    drawdown: float | None = None
    """Fall of flow-adjusted equity from its peak, as a fraction."""
    liquidation_distance: dict[str, float] = {}
    """Move of prices against the position that would liquidate it, as a fraction, by venue; absent where none does."""

    def __post_init__(self) -> None:
        if self.risk_level not in ("low", "medium", "high", "critical"):
            raise ValueError(f"RiskAssessment.risk_level is {self.risk_level!r}; low, medium, high or critical")


class PnLCalculation(DomainEvent, frozen=True):
    """Equity, and the change of it since the last calculation explained component by component.

    Amounts are in the share class. `residual` is what no component explains; it is computed, never assigned.
    """

    FILE: ClassVar[str] = "pnl_calculations"

    equity: float
    """What the ledger is worth at `marks`."""
    total_pnl: float
    """Since the start: equity - start equity - external flows."""
    realized_pnl: float
    """total_pnl - unrealized_pnl. The price gain of tokens that are held is in here: they have no entry price."""
    unrealized_pnl: float
    """Of open perps, at mark."""
    attribution: dict[str, float]
    """Since the last calculation; components that are zero are left out."""
    attribution_total: dict[str, float]
    """Since the start."""
    residual: float
    """Since the last calculation."""
    residual_total: float
    """Since the start."""
    external_flows: float
    """Since the start: deposits minus withdrawals, without the starting capital."""
    fees_paid: float
    """Since the start, trading and flash loan fees; 0 or more."""
    funding_received: float
    """Since the start; below 0 where more was paid than received."""
    pnl_by_venue: dict[str, float]
    """Since the start; sums to total_pnl."""
    pnl_by_asset: dict[str, float]
    """Since the start; sums to total_pnl."""
    marks: dict[str, float]
    """Every price that valued the book: `S:<asset>` reference, perp keys mark, `rate:<LST>` exchange rate."""
    trigger_source: str
    """What made it happen: `tick`, `execution_manager` after a group of orders, or `restart`."""

    def __post_init__(self) -> None:
        if not isfinite(self.equity + self.residual + self.total_pnl):
            _require_finite(self, equity=self.equity, residual=self.residual, total_pnl=self.total_pnl)


class StrategyDecision(DomainEvent, frozen=True):
    """What the strategy decided at a tick, and why. Every tick has one."""

    FILE: ClassVar[str] = "strategy_decisions"

    decision_type: str
    """`entry`, `exit`, `rebalance`, `hold` or `emergency_exit`."""
    action_taken: str
    """`entry_full`, `entry_partial`, `exit_full`, `exit_partial`, `sell_dust`, `transfer` or `none`."""
    trigger_source: str
    """What the strategy was asked by: `tick`."""
    orders_generated: int
    """Orders that follow from it."""
    reasoning: str
    """One sentence, for people."""
    market_conditions: dict[str, Any]
    """What of the market it was decided on; the keys are those of the strategy."""
    portfolio_state: dict[str, Any]
    """What of the book it was decided on; the keys are those of the strategy."""
    risk_level: str
    """Of the assessment that it was decided on."""
    constraints_violated: tuple[str, ...] = ()
    """What kept it from what it would have done, code first."""

    def __post_init__(self) -> None:
        if self.decision_type not in DECISION_TYPES:
            known = ", ".join(DECISION_TYPES)
            raise ValueError(f"StrategyDecision.decision_type is {self.decision_type!r}; one of {known} is needed")
        if self.orders_generated < 0:
            raise ValueError(f"StrategyDecision.orders_generated is {self.orders_generated}; 0 or more is needed")


class OperationExecutionEvent(DomainEvent, frozen=True, kw_only=True):
    """How one order ended."""

    FILE: ClassVar[str] = "operation_executions"

    operation_id: str
    """Strategy, number of the tick, and number of the order within it."""
    operation_type: OperationType
    venue: str
    """Whom the order was sent to."""
    source_venue: str
    """Where what is given up is held."""
    target_venue: str
    """Where what is received is held."""
    source_token: str
    """What is given up."""
    target_token: str
    """What is received."""
    status: ExecutionStatus
    expected_deltas: tuple[ExpectedDelta, ...]
    """What the strategy expected, without fee and gas."""
    actual_deltas: dict[str, float]
    """What the venue says that changed, by position key, without fee and gas; empty unless it is confirmed."""
    fee_amount: float
    """0 or more."""
    fee_currency: str | None
    """Token the fee was paid in; None without one."""
    execution_duration_ms: float
    """From sending to the answer, retries included, by the wall clock."""
    simulated: bool
    """Whether the venue is a simulated one."""
    error_code: str | None = None
    """Of the registry; None for a confirmed order."""
    error_message: str | None = None
    """What the venue or the check said."""
    atomic_group_id: str | None = None
    """The group it belongs to; None for a single order."""
    sequence_in_group: int | None = None
    """From 0."""
    operation_details: dict[str, Any] = {}
    """What the strategy noted for the order and what the venue told of it: prices, indices, amounts."""

    def __post_init__(self) -> None:
        _require_finite(self, fee_amount=self.fee_amount, execution_duration_ms=self.execution_duration_ms)


class AtomicOperationGroupEvent(DomainEvent, frozen=True, kw_only=True):
    """How a group of orders ended."""

    FILE: ClassVar[str] = "atomic_groups"

    atomic_group_id: str
    """Strategy, number of the tick, and number of the group within it."""
    mode: ExecutionMode
    """How the group is carried out."""
    operation_ids: tuple[str, ...]
    """Its orders in their order, then those that undid them."""
    operation_types: tuple[OperationType, ...]
    """Of these orders."""
    all_succeeded: bool
    """Whether every order of the group was confirmed."""
    rollback_occurred: bool
    """Whether anything was undone."""
    group_status: str
    """`confirmed`, `failed`, `rolled_back`, `compensated` or `unknown`."""
    total_gas_fees: float
    """Gas of all its orders, in the token it was paid in; 0 or more."""
    total_duration_ms: float
    """Wall clock, unwinding included."""
    rollback_reason: str | None = None
    """The order that failed, with code and message; None where nothing was undone."""

    def __post_init__(self) -> None:
        if self.group_status not in ("confirmed", "failed", "rolled_back", "compensated", "unknown"):
            raise ValueError(f"AtomicOperationGroupEvent.group_status is {self.group_status!r}")
        if self.all_succeeded and self.rollback_occurred:
            raise ValueError(f"group {self.atomic_group_id!r} cannot have succeeded and been rolled back")


class TightLoopExecutionEvent(DomainEvent, frozen=True, kw_only=True):
    """One pass of the tight loop: execute, apply, reconcile."""

    FILE: ClassVar[str] = "tight_loop"

    operation_id: str
    """The order."""
    execution_success: bool
    """Whether it was confirmed."""
    reconciliation_success: bool
    """Whether the ledger then was what the venue reports."""
    retry_count: int
    """How often it was sent again; only what certainly did nothing ever is."""
    total_duration_ms: float
    """Wall clock, from sending to the end of reconciliation."""
    execution_duration_ms: float
    """Of that, until the answer."""
    reconciliation_duration_ms: float
    """Of that, for the comparison."""
    failure_reason: str | None = None
    """What the venue or the check said; None for a confirmed order."""

    def __post_init__(self) -> None:
        if self.retry_count < 0:
            raise ValueError(f"tight loop of {self.operation_id!r}: retry_count is {self.retry_count}")


class Mismatch(msgspec.Struct, frozen=True, gc=False):
    """One position on which two accounts of it disagree."""

    position_key: str
    """The position."""
    expected: float
    """What should be there."""
    actual: float
    """What is there."""
    difference: float
    """actual - expected."""
    tolerance: float
    """Difference that would have been allowed."""


class ReconciliationEvent(DomainEvent, frozen=True, kw_only=True):
    """A comparison of expected, booked and venue-reported amounts."""

    FILE: ClassVar[str] = "reconciliation"

    reconciliation_type: str
    """`tight_loop`, `startup`, `periodic`, or `venue_wins` where the ledger follows what a venue shows."""
    success: bool
    """Whether ledger and venue agree."""
    expected: dict[str, float]
    """Changes that the order was expected to make, by position key; the whole ledger where all is compared."""
    actual: dict[str, float]
    """Changes that the venue says it made; the whole ledger where all is compared."""
    venue_reported: dict[str, float]
    """Amounts as the venue itself shows them, by position key."""
    mismatches: tuple[Mismatch, ...]
    """Where any two of them differ by more than is allowed."""
    trigger_source: str
    """What made it happen: `tick`, `execution_manager` after a group of orders, or `restart`."""
    operation_id: str | None = None
    """The order; None where all is compared."""

    def __post_init__(self) -> None:
        if self.reconciliation_type not in ("tight_loop", "startup", "periodic", "venue_wins"):
            raise ValueError(f"ReconciliationEvent.reconciliation_type is {self.reconciliation_type!r}")


class ExecutionDeltaEvent(DomainEvent, frozen=True):
    """One settlement as it was applied to the ledger. The sum of all of them is the ledger."""

    FILE: ClassVar[str] = "execution_deltas"

    source: DeltaSource
    """Why the positions changed."""
    deltas: tuple[PositionDelta, ...]
    """The changes."""
    domain: str
    """Account that settled it: an exchange account or a chain."""
    domain_sequence: int
    """Counts the settlements of the domain from 0, without gaps."""
    operation_id: str | None = None
    """The order it belongs to; None for what happened by itself."""

    def __post_init__(self) -> None:
        if not self.deltas:
            raise ValueError(f"ExecutionDeltaEvent {self.domain}#{self.domain_sequence} changes nothing")


class HealthStatusEvent(DomainEvent, frozen=True, kw_only=True):
    """How one component is doing."""

    FILE: ClassVar[str] = "health_status"

    component: str
    """Name of the actor; `process` for a live process as a whole."""
    status: str
    """`healthy`, `degraded` or `unhealthy`."""
    checks: dict[str, bool]
    """Whether each check is passed, by name."""
    error_count: int
    """Failures since its last start; in live its errors of the last `error_window_seconds`."""
    inbox_depth: int
    """Messages that wait for it."""
    last_message_age_ms: float | None
    """Engine time since it last handled a message, of `process` since the last tick; None before the first."""
    loop_lag_ms: float | None = None
    """Of `process`: worst delay of the event loop since the status before; None where it is not measured."""
    reconciliation_age_ms: float | None = None
    """Of `process`: since the ledger was last found equal to the venues; None before the first time."""

    def __post_init__(self) -> None:
        if self.status not in ("healthy", "degraded", "unhealthy"):
            raise ValueError(f"HealthStatusEvent.status is {self.status!r}; healthy, degraded or unhealthy is needed")


class SystemErrorEvent(DomainEvent, frozen=True, kw_only=True):
    """Something went wrong in a component."""

    FILE: ClassVar[str] = "system_errors"

    component: str
    """Where it happened."""
    error_code: str
    """Of the registry."""
    severity: str
    """`LOW`, `MEDIUM`, `HIGH` or `CRITICAL`."""
    message: str
    """What was wrong, where, what was expected."""
    stack_trace: str | None = None
    """Of an exception that nobody had expected; else None."""
    operation_id: str | None = None
    """The order it is about, where there is one."""

    def __post_init__(self) -> None:
        if self.severity not in ("LOW", "MEDIUM", "HIGH", "CRITICAL"):
            raise ValueError(f"SystemErrorEvent.severity is {self.severity!r}")


EVENT_TYPES: tuple[type[DomainEvent], ...] = (
    PositionSnapshot,
    ExposureSnapshot,
    RiskAssessment,
    PnLCalculation,
    StrategyDecision,
    OperationExecutionEvent,
    AtomicOperationGroupEvent,
    TightLoopExecutionEvent,
    ReconciliationEvent,
    ExecutionDeltaEvent,
    HealthStatusEvent,
    SystemErrorEvent,
)
"""All event types, in the order of the documentation."""
