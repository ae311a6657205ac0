"""Defines the actor that watches a live process: by timer, every component and the process as a whole.

It reports; what is done about it is up to people, and to the kill switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from basis_actors.actors.health_checks import STATUSES, Check, RecentTimes, problems_of, status_of
from basis_actors.actors.reporting import STOPPED_CODE
from basis_actors.actors.standstill import Standstill
from basis_actors.bus import Actor, ActorStats, Cause, DeadLetter, Phase, Timer, on
from basis_actors.config import HealthMonitorConfig
from basis_actors.errors import Severity
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import HealthStatusEvent, ReconciliationEvent, SystemErrorEvent
from basis_actors.messages.operations import (
    AlertRouteSeen,
    CheckHealth,
    ComponentHealth,
    EventLogged,
    HealthReport,
    LoopLag,
    TickEnded,
    TradingPhase,
    TradingStatus,
)
from basis_actors.messages.safety import (
    KeyRefused,
    OrdersUndecided,
    StartReport,
    StateUnwritable,
    VenueBusy,
    VenueSeen,
)
from basis_actors.times import NS_PER_SECOND, utc_from_ns

__all__ = ["PROCESS", "LiveHealthMonitor"]

PROCESS: Final = "process"
"""Component name of the process as a whole."""
_GRAVE: Final = frozenset({Severity.HIGH.value, Severity.CRITICAL.value})
_GONE: Final = (Phase.FAILED, Phase.STOPPED)
_NOT_YET: Final = (Phase.NEW, Phase.STARTING)
_WHOLE_LEDGER: Final = frozenset({"startup", "periodic"})
"""Reconciliations that compare everything."""


class LiveHealthMonitor(Actor):
    """Looks at everything when it starts and every `check_interval_seconds`, and logs a HealthStatusEvent for each.

    Publishes the whole as a HealthReport, also as soon as trading begins or ends. `components` gives the names to look
    at, `stats` the bus's view of one. Ages count from the start until there is something to count from.
    """

    def __init__(
        self,
        config: HealthMonitorConfig,
        components: Callable[[], Sequence[str]],
        stats: Callable[[str], ActorStats],
    ) -> None:
        super().__init__("health_monitor")
        self._config = config
        self._components = components
        self._stats = stats
        self._errors: dict[str, RecentTimes] = {}
        self._undelivered: dict[str, RecentTimes] = {}
        self._waiting: dict[str, tuple[int, int]] = {}
        """Messages handled when a component was last found to move, and when that was."""
        self._lag: float | None = None
        self._begun_ns = 0
        self._reconciled_ns: int | None = None
        self._ticked_ns: int | None = None
        self._trading = TradingStatus(TradingPhase.STARTING, "not yet reconciled with the venues")
        self._trading_since_ns = 0
        self._killer: str | None = None
        self._standstill = Standstill()
        self._deaf: dict[str, str] = {}
        """Why the receiver of each route takes no alerts."""
        self._seen: tuple[ComponentHealth, ...] = ()
        self._timer: Timer | None = None

    def pre_start(self) -> None:
        """Look for the first time, and set the timer."""
        if not self._begun_ns:
            self._begun_ns = self._trading_since_ns = self.now
        self._look()

    @on(CheckHealth)
    def check(self, _due: CheckHealth) -> None:
        """Look again."""
        self._look()

    @on(TickStarted)
    def note_tick(self, tick: TickStarted) -> None:
        """The engine is alive."""
        self._ticked_ns = self.now
        self._standstill.tick_began(tick, self.now)

    @on(TickEnded)
    def note_end_of_tick(self, ended: TickEnded) -> None:
        """It is at rest."""
        self._standstill.tick_ended(ended)

    @on(VenueBusy)
    def note_busy(self, busy: VenueBusy) -> None:
        """Keep what is waited for."""
        self._standstill.venue_busy(busy, self.now)

    @on(KeyRefused)
    def note_key(self, seen: KeyRefused) -> None:
        """Keep where nothing is sent."""
        self._standstill.key_refused(seen)

    @on(VenueSeen)
    def note_venue(self, seen: VenueSeen) -> None:
        """Show at once which exchange does not answer."""
        before = self._standstill.silent
        self._standstill.venue_seen(seen)
        if self._standstill.silent != before:
            self.publish(self._process())

    @on(OrdersUndecided)
    def note_undecided(self, left: OrdersUndecided) -> None:
        """Show at once of which orders nobody knows what became of them."""
        self._standstill.orders_left(left)
        self.publish(self._process())

    @on(StartReport)
    def note_start(self, report: StartReport) -> None:
        """Show at once what a start waits for, and what is open meanwhile."""
        self._standstill.start_seen(report)
        self.publish(self._process())

    @on(AlertRouteSeen)
    def note_route(self, seen: AlertRouteSeen) -> None:
        """Show at once which receiver takes no alerts: who waits for one hears nothing."""
        if seen.problem is None:
            self._deaf.pop(seen.route, None)
        else:
            self._deaf[seen.route] = seen.problem
        self.publish(self._process())

    @on(LoopLag)
    def note_lag(self, lag: LoopLag) -> None:
        """Keep the worst until the next look."""
        self._lag = max(self._lag or 0.0, lag.seconds)

    @on(EventLogged)
    def note_event(self, logged: EventLogged) -> None:
        """Count errors against their component, and remember when all was found equal. What the kill switch does is no
        error of its own: `trading` shows it."""
        event = logged.event
        if isinstance(event, SystemErrorEvent):
            if event.severity in _GRAVE and event.error_code != STOPPED_CODE:
                self._errors.setdefault(event.component, RecentTimes()).add(self.now)
        elif isinstance(event, ReconciliationEvent) and event.success and event.reconciliation_type in _WHOLE_LEDGER:
            self._reconciled_ns = self.now

    @on(DeadLetter)
    def note_dead_letter(self, letter: DeadLetter) -> None:
        """Count a message that nobody handled against whom it was for."""
        self._undelivered.setdefault(letter.to, RecentTimes()).add(self.now)

    @on(TradingStatus)
    def note_trading(self, status: TradingStatus) -> None:
        """Show at once whether orders are sent. While the kill switch is on, only who switched it on has a say."""
        sender = self.envelope.sender
        if status.phase is TradingPhase.TRADING:
            self._standstill.trading_begins()
        if self._killer not in (None, sender):
            return
        self._killer = sender if status.phase is TradingPhase.KILLED else None
        before = self._shown_trading().phase
        self._trading = status
        self._show_trading(before)

    @on(StateUnwritable)
    def note_unwritable(self, state: StateUnwritable) -> None:
        """Show at once that what adds risk is not sent, or is again."""
        before = self._shown_trading().phase
        self._standstill.state_seen(state)
        self._show_trading(before)

    def _shown_trading(self) -> TradingStatus:
        """Whether orders are sent: the engine goes on while something is not written, and the gate lets little pass."""
        unwritten = self._standstill.unwritten
        if self._trading.phase is not TradingPhase.TRADING or unwritten is None:
            return self._trading
        return TradingStatus(TradingPhase.REDUCING, f"nothing that adds risk is sent: {unwritten}")

    def _show_trading(self, before: TradingPhase) -> None:
        if self._shown_trading().phase is not before:
            self._trading_since_ns = self.now
        self.publish(self._process())

    def _look(self) -> None:
        self._seen = tuple(self._component(name, self._stats(name)) for name in self._components())
        report = self._process()
        for seen in self._seen:
            self._log(seen)
        self._log_process(report)
        self.publish(report)
        self._lag = None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.after(self._config.check_interval_seconds, CheckHealth(), new_cause=Cause("health"))

    def _component(self, name: str, stats: ActorStats) -> ComponentHealth:
        config, depth = self._config, stats.depth
        errors, undelivered = self._recent(self._errors, name), self._recent(self._undelivered, name)
        last = stats.last_message_at
        # A component is waited for as long as people wait, at whatever pace a market is played back.
        age = None if last is None else -self.seconds_until(last)
        stood = self._stood_still(name, stats)
        waiting, window = (
            f"messages waiting: {depth:,}",
            f"in the last {self._of_the_world(config.error_window_seconds):,.0f} s",
        )
        checks = (
            Check("running", stats.phase not in _GONE, grave=True, problem=f"has {stats.phase.value}"),
            Check("inbox_not_full", depth < config.unhealthy_inbox_depth, grave=True, problem=waiting),
            Check(
                "not_stuck",
                stood < config.stuck_seconds,
                grave=True,
                problem=f"{waiting}, none begun for {self._of_the_world(stood):,.0f} s",
            ),
            Check("inbox_short", depth < config.degraded_inbox_depth, problem=waiting),
            Check("few_errors", errors < config.degraded_error_count, problem=f"errors {window}: {errors:,}"),
            Check("no_dead_letters", not undelivered, problem=f"messages not handled {window}: {undelivered:,}"),
        )
        return ComponentHealth(
            component=name,
            status=status_of(checks),
            checks={check.name: check.passed for check in checks},
            problems=problems_of(checks),
            inbox_depth=depth,
            error_count=errors,
            last_message_seconds=age,
        )

    def _stood_still(self, name: str, stats: ActorStats) -> float:
        """Seconds since the first look of those, without a gap, at which messages waited and none had been begun. One
        that has yet to start does not count."""
        handled, since_ns = self._waiting.get(name, (stats.handled, self.now))
        if not stats.depth or stats.handled != handled or stats.phase in _NOT_YET:
            since_ns = self.now
        self._waiting[name] = (stats.handled, since_ns)
        return (self.now - since_ns) / NS_PER_SECOND

    def _process(self) -> HealthReport:
        """The process as a whole: what no component can be blamed for, and the worst of all of them."""
        unreconciled, idle = self._age(self._reconciled_ns), self._age(self._ticked_ns)
        errors = {name: self._recent(self._errors, name) for name in self._errors}
        checks = self._process_checks(unreconciled, idle, errors)
        by_component = (f"{seen.component}: {problem}" for seen in self._seen for problem in seen.problems)
        return HealthReport(
            checked_ns=self.now,
            status=max((status_of(checks), *(seen.status for seen in self._seen)), key=STATUSES.index),
            checks={check.name: check.passed for check in checks},
            problems=(*problems_of(checks), *by_component),
            error_count=sum(errors.values()),
            trading=self._shown_trading(),
            trading_since_ns=self._trading_since_ns,
            loop_lag_seconds=self._lag,
            reconciliation_age_seconds=unreconciled,
            tick_age_seconds=idle,
            components=self._seen,
            tick=self._standstill.tick_at_work(self.now, self.span(1.0)),
            silent=self._standstill.silent,
            halted_venues=self._standstill.halted,
            undecided=self._standstill.undecided,
            start=self._standstill.start,
        )

    def _process_checks(
        self, unreconciled: float | None, idle: float | None, errors: Mapping[str, int]
    ) -> tuple[Check, ...]:
        config = self._config
        lag = 1e3 * (self._lag or 0.0)
        up = self._age(self._begun_ns) or 0.0
        waited = up if unreconciled is None else unreconciled
        paused = up if idle is None else idle
        names = {seen.component for seen in self._seen}
        elsewhere = {name: count for name, count in errors.items() if count and name not in names}
        late = f"the event loop was {lag:,.0f} ms late"
        apart = f"ledger and venues were not found equal for {waited:,.0f} s"
        still = f"no tick began for {paused:,.0f} s"
        strangers = ", ".join(f"errors of {name}: {count:,}" for name, count in elsewhere.items())
        deaf = "; ".join(f"alert route {route} reaches nobody: {why}" for route, why in self._deaf.items())
        few = sum(elsewhere.values()) < config.degraded_error_count
        return (
            Check("loop_not_blocked", lag < config.unhealthy_loop_lag_ms, grave=True, problem=late),
            Check("loop_on_time", lag < config.degraded_loop_lag_ms, problem=late),
            Check(
                "reconciliation_not_overdue",
                waited < config.unhealthy_reconciliation_seconds,
                grave=True,
                problem=apart,
            ),
            Check("reconciled_recently", waited < config.degraded_reconciliation_seconds, problem=apart),
            Check("ticks_not_missing", paused < config.unhealthy_tick_seconds, grave=True, problem=still),
            Check("ticks_on_time", paused < config.degraded_tick_seconds, problem=still),
            Check("few_errors_elsewhere", few, problem=strangers),
            Check("alerts_taken", not self._deaf, problem=deaf),
            *(
                Check(name, passed, problem=problem)
                for name, passed, problem in self._standstill.problems(self.now, self.span(1.0))
            ),
        )

    def _log(self, seen: ComponentHealth) -> None:
        self.log(
            HealthStatusEvent(
                timestamp=utc_from_ns(self.now),
                component=seen.component,
                status=seen.status,
                checks=seen.checks,
                error_count=seen.error_count,
                inbox_depth=seen.inbox_depth,
                last_message_age_ms=_ms(seen.last_message_seconds),
            )
        )

    def _log_process(self, report: HealthReport) -> None:
        unwell = [seen.component for seen in report.components if seen.status != "healthy"]
        self.log(
            HealthStatusEvent(
                timestamp=utc_from_ns(self.now),
                component=PROCESS,
                status=report.status,
                checks={**report.checks, **{f"{name}_healthy": False for name in unwell}},
                error_count=report.error_count,
                inbox_depth=sum(seen.inbox_depth for seen in report.components),
                last_message_age_ms=_ms(report.tick_age_seconds),
                loop_lag_ms=_ms(report.loop_lag_seconds),
                reconciliation_age_ms=_ms(report.reconciliation_age_seconds),
            )
        )

    def _recent(self, times: dict[str, RecentTimes], name: str) -> int:
        found = times.get(name)
        return 0 if found is None else found.since(self.now - round(self._config.error_window_seconds * NS_PER_SECOND))

    def _of_the_world(self, seconds: float) -> float:
        """Seconds that go by for people in so many of the clock of the bus."""
        return seconds * NS_PER_SECOND / self.span(1.0)

    def _age(self, ns: int | None) -> float | None:
        return None if ns is None else (self.now - ns) / NS_PER_SECOND


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds
