"""Gathers what the summary of a run needs from the events as they pass, in memory that does not grow with ticks.

One number a day is kept (flow-adjusted growth at 00:00 UTC); everything else is a counter or the last value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from basis_actors.errors import Severity
from basis_actors.messages.events import (
    EVENT_TYPES,
    AtomicOperationGroupEvent,
    DomainEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    RiskAssessment,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.messages.execution import DeltaSource, ExecutionStatus
from basis_actors.results.recurring import Recurring

__all__ = ["RunStatistics"]

_FROM_MILD_TO_GRAVE: Final = tuple(Severity)
_IDLE_KINDS: Final = ("BaseToken", "Margin", "Funding", "Payable")
_NO_TIME: Final = timedelta(0)
_HOUR: Final = timedelta(hours=1)
_LIQUIDATION: Final = DeltaSource.LIQUIDATION
"""Looked up once: a member of an enum is slow to look up."""


class Kind:
    """Events of one type: how many there were, and who looks into each."""

    __slots__ = ("count", "look_into")

    def __init__(self, look_into: Callable[[Any], None]) -> None:
        self.count = 0
        self.look_into = look_into


class RunStatistics:
    """What one run has come to so far. Feed it every event in order through `observe`.

    Amounts are in the share class. Growth is flow-adjusted: money that the owner adds or takes is neither profit nor
    loss (time-weighted return); between flows it is simply equity over equity, so it carries no rounding of its own.
    `delta_band` is the |net delta| as a fraction of equity above which a hedged mode counts as unhedged; None for a
    mode that hedges nothing.
    """

    def __init__(self, delta_band: float | None = None) -> None:
        self.errors: Counter[str] = Counter()
        """SystemErrorEvents by code."""
        self.first_errors: dict[str, str] = {}
        """Message of the first SystemErrorEvent of each code."""
        self.worst_errors: dict[str, str] = {}
        """Worst severity of the SystemErrorEvents of each code."""
        self.criticals: Counter[str] = Counter()
        """Those of severity CRITICAL, by code."""
        self.decisions: Counter[str] = Counter()
        """Decisions by type; each tick has one."""
        self.operations: Counter[str] = Counter()
        """Orders by how they ended."""
        self.groups: Counter[str] = Counter()
        """Groups by how they ended."""
        self.warnings = Recurring()
        """What the risk monitor warned of and decisions were held back by."""
        self.waits = Recurring()
        """Why nothing was done, as long as nothing was ever held; empty from then on."""
        self.liquidations = 0
        self.first: PnLCalculation | None = None
        """First calculation with any equity: the book after the capital landed, before the first order."""
        self.last: PnLCalculation | None = None
        self.positions: Mapping[str, float] = {}
        """The newest ledger."""
        self.equity_start: float | None = None
        self.growth = 1.0
        """Flow-adjusted equity now over that at the start."""
        self.midnights: list[float] = []
        """`growth` at each 00:00 UTC, before the orders of that tick; without a tick there, the last one before."""
        self.max_drawdown = 0.0
        """Largest fall of `growth` from an earlier peak over all calculations, as a fraction of the peak."""
        self.lowest_health_factor: float | None = None
        """Of any loan at any assessment or before a liquidation; None when there was none."""
        self.lowest_margin_ratio: float | None = None
        """Of any venue at any assessment or liquidation; None without perps."""
        self.max_residual = 0.0
        """Largest |residual| of one calculation, as a fraction of equity."""
        self.max_residual_total = 0.0
        """Largest |residual since the start|, as a fraction of equity."""
        self._band = delta_band
        self._unhedged = _NO_TIME
        self._is_unhedged = False
        self._exposed: datetime | None = None
        self._peak = 1.0
        self._base_growth = 1.0
        self._base_equity = 0.0
        self._flows = 0.0
        self._day = 0
        self._begun: datetime | None = None
        self._seen: datetime | None = None
        self._invested_since: datetime | None = None
        self._never_invested = True
        self._time_invested = _NO_TIME
        self._held = ""
        """The position by which it was last seen that not all is cash."""
        self._idle_keys: dict[str, bool] = {}
        observers: dict[type[DomainEvent], Callable[[Any], None]] = {
            PositionSnapshot: self._position,
            PnLCalculation: self._pnl,
            StrategyDecision: self._decision,
            OperationExecutionEvent: self._operation,
            AtomicOperationGroupEvent: self._group,
            ExecutionDeltaEvent: self._delta,
            SystemErrorEvent: self._error,
            RiskAssessment: self._risk,
            ExposureSnapshot: _ignore if delta_band is None else self._exposure,
        }
        self.kinds: Mapping[type[DomainEvent], Kind] = {
            event: Kind(observers.get(event, _ignore)) for event in EVENT_TYPES
        }
        """What `observe` looks an event up in."""

    @property
    def open_positions(self) -> dict[str, float]:
        """What the newest ledger holds beside tokens that lie in accounts and wallets, by position key."""
        return {key: amount for key, amount in self.positions.items() if amount and not self._is_idle(key)}

    def observe(self, event: DomainEvent) -> None:
        """Take one event into account."""
        kind = self.kinds[type(event)]
        kind.count += 1
        kind.look_into(event)

    @property
    def events(self) -> Counter[str]:
        """Events by type."""
        return Counter({event.__name__: kind.count for event, kind in self.kinds.items() if kind.count})

    @property
    def ticks(self) -> int:
        """Ticks that came to a decision."""
        return self.kinds[StrategyDecision].count

    @property
    def time_invested(self) -> float | None:
        """Share of the time in which anything but cash was held; None before two moments were seen."""
        return self._passed(self._invested_since, self._time_invested) / self._time if self._time else None

    @property
    def never_invested(self) -> bool:
        """Whether time has passed and nothing but cash was ever held."""
        return self._never_invested and bool(self._time)

    @property
    def unhedged_hours(self) -> float | None:
        """Hours with |net delta| above the band, or unknown; None for a mode that hedges nothing."""
        return None if self._band is None else self._unhedged / _HOUR

    @property
    def _time(self) -> timedelta:
        return self._passed(self._begun)

    def _passed(self, since: datetime | None, before: timedelta = _NO_TIME) -> timedelta:
        """Time from `since` to the last snapshot, and what was counted before it."""
        return before if since is None or self._seen is None else before + (self._seen - since)

    def _exposure(self, snapshot: ExposureSnapshot) -> None:
        """A book counts as it was left: from the last view at one moment until the next moment."""
        moment = snapshot.timestamp
        if self._is_unhedged and self._exposed is not None:
            self._unhedged += moment - self._exposed
        self._exposed = moment
        delta, equity = snapshot.net_delta_usd, snapshot.total_value_usd
        assert self._band is not None, "observed only with a band"
        self._is_unhedged = delta is None or equity is None or abs(delta) > self._band * abs(equity)

    def _position(self, snapshot: PositionSnapshot) -> None:
        moment = self._seen = snapshot.timestamp
        self.positions = snapshot.positions
        if self._begun is None:
            self._begun = moment
        if snapshot.positions.get(self._held) and self._invested_since is not None:
            return
        idle = self._idle_keys
        for key, amount in snapshot.positions.items():
            if amount and not (idle[key] if key in idle else self._is_idle(key)):
                self._held = key
                if self._invested_since is None:
                    self._invest(moment)
                return
        if self._invested_since is not None:
            self._time_invested += moment - self._invested_since
            self._invested_since = None

    def _invest(self, moment: datetime) -> None:
        self._invested_since = moment
        if self._never_invested:
            self._never_invested = False
            self.waits.clear()

    def _is_idle(self, key: str) -> bool:
        """Whether a position is cash: coins, margin, funding purses and payables, wherever they are."""
        idle = self._idle_keys[key] = key.split(":")[1] in _IDLE_KINDS
        return idle

    def _pnl(self, calculation: PnLCalculation) -> None:
        self.last = calculation
        equity = calculation.equity
        if self.first is None:
            if equity == 0.0:
                return
            self._begin(calculation)
        previous = self.growth
        flows = calculation.external_flows
        base = self._base_equity
        if flows == self._flows:
            growth = self._base_growth * equity / base if base > 0.0 else 0.0
        else:
            growth = self._base_growth * (equity - (flows - self._flows)) / base if base > 0.0 else 0.0
            self._base_growth, self._base_equity, self._flows = max(growth, 0.0), equity, flows
        self.growth = growth
        day = calculation.timestamp.toordinal()
        if day != self._day:
            self._midnights_passed(calculation.timestamp, day, previous, growth)
        if growth > self._peak:
            self._peak = growth
        elif 1.0 - growth / self._peak > self.max_drawdown:
            self.max_drawdown = 1.0 - growth / self._peak
        size = abs(equity)
        if abs(calculation.residual) > self.max_residual * size:
            self.max_residual = abs(calculation.residual) / size if size else float("inf")
        if abs(calculation.residual_total) > self.max_residual_total * size:
            self.max_residual_total = abs(calculation.residual_total) / size if size else float("inf")

    def _begin(self, calculation: PnLCalculation) -> None:
        self.first = calculation
        self._flows = calculation.external_flows
        self.equity_start = self._base_equity = calculation.equity - calculation.total_pnl - calculation.external_flows
        self._day = calculation.timestamp.toordinal()
        if _is_midnight(calculation.timestamp):
            self.midnights.append(1.0)

    def _midnights_passed(self, moment: datetime, day: int, before: float, now: float) -> None:
        passed = day - self._day
        self._day = day
        self.midnights.extend([before] * (passed - 1))
        self.midnights.append(now if _is_midnight(moment) else before)

    def _decision(self, decision: StrategyDecision) -> None:
        self.decisions[decision.decision_type] += 1
        if decision.constraints_violated:
            self.warnings.add(text for text in decision.constraints_violated if ": " in text)
        if self._never_invested and decision.decision_type == "hold":
            self.waits.add((decision.reasoning,))

    def _operation(self, operation: OperationExecutionEvent) -> None:
        self.operations[operation.status.value] += 1

    def _group(self, group: AtomicOperationGroupEvent) -> None:
        self.groups[group.group_status] += 1

    def _delta(self, event: ExecutionDeltaEvent) -> None:
        if event.source is _LIQUIDATION:
            self.liquidations += 1

    def _risk(self, assessment: RiskAssessment) -> None:
        health = assessment.health_factor
        if health is not None and (self.lowest_health_factor is None or health < self.lowest_health_factor):
            self.lowest_health_factor = health
        for ratio in assessment.margin_ratio.values():
            if self.lowest_margin_ratio is None or ratio < self.lowest_margin_ratio:
                self.lowest_margin_ratio = ratio
        if assessment.warnings or assessment.breaches:
            self.warnings.add((*assessment.warnings, *assessment.breaches))

    def _error(self, error: SystemErrorEvent) -> None:
        self.errors[error.error_code] += 1
        self.first_errors.setdefault(error.error_code, error.message)
        known = self.worst_errors.get(error.error_code, error.severity)
        self.worst_errors[error.error_code] = max(known, error.severity, key=_FROM_MILD_TO_GRAVE.index)
        if error.severity == "CRITICAL":
            self.criticals[error.error_code] += 1

    @property
    def rejections(self) -> int:
        """Orders that a venue or a check refused."""
        return self.operations[ExecutionStatus.FAILED.value]


def _is_midnight(moment: datetime) -> bool:
    return not (moment.hour or moment.minute or moment.second or moment.microsecond)


def _ignore(_event: DomainEvent) -> None:
    """For events that are only counted."""
