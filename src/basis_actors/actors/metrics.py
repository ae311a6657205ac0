"""Defines the actor that keeps the metrics of a live process by what the others publish anyway, and the sources that it
owns: the HTTP server that shows them and the clock of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from basis_actors.actors.reporting import error_event
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Actor, Outlet, Source, on
from basis_actors.errors import BasisError
from basis_actors.messages.book import RiskLevel, TickStarted
from basis_actors.messages.events import (
    DomainEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PnLCalculation,
    ReconciliationEvent,
    RiskAssessment,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.messages.execution import DeltaSource, ExecutionStatus
from basis_actors.messages.operations import (
    AlertFate,
    EventLogged,
    HealthReport,
    LoopLag,
    PortOpened,
    PortRefused,
    TickEnded,
    TradingPhase,
)
from basis_actors.ports import LoopClock, StatusServer
from basis_actors.telemetry.instruments import Instruments, set_all, set_one, set_optional
from basis_actors.times import utc_from_ns

__all__ = ["Metrics", "measuring_the_loop", "serving"]

_HEALTH = {"healthy": 0, "degraded": 1, "unhealthy": 2}
_WHOLE_LEDGER = ("startup", "periodic")


class Metrics(Actor):
    """Turns messages into metrics; `show` is given every report of the health monitor, `opened` host and port of the
    server.

    `currency` is that of the share class. Durations are by `stopwatch`, from message to message.
    """

    def __init__(
        self,
        instruments: Instruments,
        currency: str,
        stopwatch: Stopwatch,
        show: Callable[[HealthReport], object],
        opened: Callable[[str, int], object],
    ) -> None:
        super().__init__("metrics")
        self._to = instruments
        self._currency = currency
        self._stopwatch = stopwatch
        self._show = show
        self._opened = opened
        self._begun: float | None = None
        self._refused: str | None = None
        self._takes: Mapping[type[DomainEvent], Callable[..., None]] = {
            StrategyDecision: self._decision,
            OperationExecutionEvent: self._operation,
            ExecutionDeltaEvent: self._delta,
            PnLCalculation: self._pnl,
            ExposureSnapshot: self._exposure,
            RiskAssessment: self._risk,
            ReconciliationEvent: self._reconciliation,
            SystemErrorEvent: self._error,
        }

    @on(TickStarted)
    def tick_started(self, _tick: TickStarted) -> None:
        """A tick begins."""
        self._to.ticks.inc()
        self._to.ticked_ns = self.now
        self._begun = self._stopwatch()

    @on(TickEnded)
    def tick_ended(self, _end: TickEnded) -> None:
        """A tick is over."""
        if self._begun is not None:
            self._to.tick_seconds.observe(self._stopwatch.ms_since(self._begun) / 1e3)
        self._begun = None

    @on(EventLogged)
    def event_logged(self, logged: EventLogged) -> None:
        """Count an event, and take from it what it says."""
        event = logged.event
        self._to.events.labels(event.FILE).inc()
        take = self._takes.get(type(event))
        if take is not None:
            take(event)

    @on(LoopLag)
    def loop_lag(self, lag: LoopLag) -> None:
        """One measurement of the event loop."""
        self._to.loop_lag.observe(lag.seconds)

    @on(HealthReport)
    def health(self, report: HealthReport) -> None:
        """Show how the process is doing."""
        self._show(report)
        to = self._to
        set_one(to.trading, TradingPhase, report.trading.phase)
        to.kill_switch.set(report.trading.phase is TradingPhase.KILLED)
        to.health.set(_HEALTH[report.status])
        set_all(to.component_health, {seen.component: _HEALTH[seen.status] for seen in report.components})

    @on(AlertFate)
    def alert(self, fate: AlertFate) -> None:
        """Count an alert."""
        self._to.alerts.labels(fate.route, fate.outcome.value).inc()

    @on(PortOpened)
    def port_opened(self, at: PortOpened) -> None:
        """The state can be asked for."""
        self._refused = None
        self._opened(at.host, at.port)

    @on(PortRefused)
    def port_refused(self, refused: PortRefused) -> None:
        """Say once that the state cannot be asked for; trading does not depend on it."""
        if refused.reason != self._refused:
            self.log(error_event(utc_from_ns(self.now), self.name, "MON-001", refused.reason))
        self._refused = refused.reason

    def _decision(self, decision: StrategyDecision) -> None:
        self._to.decisions.labels(decision.decision_type).inc()

    def _operation(self, operation: OperationExecutionEvent) -> None:
        to, venue, status = self._to, operation.venue, operation.status
        to.orders.labels(venue, status.value).inc()
        if operation.execution_duration_ms > 0.0:  # what was never sent took no time
            to.order_seconds.labels(venue).observe(operation.execution_duration_ms / 1e3)
        if status is ExecutionStatus.FAILED:
            to.rejections.labels(venue, operation.error_code or "none").inc()
        elif status in (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING):
            to.unknown_outcomes.labels(venue).inc()

    def _delta(self, delta: ExecutionDeltaEvent) -> None:
        if delta.source is DeltaSource.EXECUTION:
            self._to.fills.labels(delta.domain).inc()

    def _pnl(self, pnl: PnLCalculation) -> None:
        to = self._to
        to.equity.labels(self._currency).set(pnl.equity)
        to.pnl.set(pnl.total_pnl)
        to.pnl_residual.set(pnl.residual_total)
        to.fees.set(pnl.fees_paid)
        set_all(to.pnl_component, pnl.attribution_total)

    def _exposure(self, exposure: ExposureSnapshot) -> None:
        set_optional(self._to.net_delta, exposure.net_delta_usd)
        set_all(self._to.exposure, {asset: one.usd_value for asset, one in exposure.asset_exposures.items()})

    def _risk(self, risk: RiskAssessment) -> None:
        to = self._to
        set_one(to.risk_level, RiskLevel, risk.risk_level)
        set_all(to.margin_ratio, risk.margin_ratio)
        set_all(to.liquidation_distance, risk.liquidation_distance)
        set_optional(to.health_factor, risk.health_factor)
        set_optional(to.drawdown, risk.drawdown)

    def _reconciliation(self, outcome: ReconciliationEvent) -> None:
        kind = outcome.reconciliation_type
        self._to.reconciliations.labels(kind, "equal" if outcome.success else "different").inc()
        self._to.mismatches.labels(kind).inc(len(outcome.mismatches))
        if outcome.success and kind in _WHOLE_LEDGER:
            self._to.reconciled_ns = self.now

    def _error(self, error: SystemErrorEvent) -> None:
        self._to.errors.labels(error.severity).inc()
        self._to.errors_by_code.labels(error.component, error.error_code).inc()


def serving(server: StatusServer, retry_seconds: float) -> Source:
    """A source that has `server` answer, and tries again after `retry_seconds` where its port is taken."""

    async def serve(outlet: Outlet) -> None:
        while True:
            try:
                await server.run(
                    lambda host, port: outlet.publish(PortOpened(host, port)),
                    outlet.until_cancelled,
                )
            except BasisError as refused:
                outlet.post(outlet.owner, PortRefused(refused.message))
                await outlet.sleep(retry_seconds)

    return serve


def measuring_the_loop(clock: LoopClock) -> Source:
    """A source that publishes every delay that `clock` measures."""

    async def measure(outlet: Outlet) -> None:
        await clock.run(lambda seconds: outlet.publish(LoopLag(seconds)), outlet.until_cancelled)

    return measure
