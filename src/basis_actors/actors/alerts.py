"""Defines the actor that tells people what goes wrong: one for each route, with a severity and a rate of its own.

It never waits: the courier that it is given delivers in a source of its own, and what is too much is counted and summed
up later, so that nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from basis_actors.actors.held_back import RISING, HeldBack
from basis_actors.actors.live_health import PROCESS
from basis_actors.actors.reporting import error_event
from basis_actors.actors.token_bucket import TokenBucket
from basis_actors.bus import Actor, Cause, Escalated, Outlet, Source, Timer, on
from basis_actors.config import AlertsConfig
from basis_actors.errors import Severity, severity_of
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.operations import (
    Alert,
    AlertDelayed,
    AlertDelivered,
    AlertFate,
    AlertNotDelivered,
    AlertOutcome,
    AlertRouteSeen,
    EventLogged,
    HealthReport,
    ProcessBegins,
    ProcessFails,
    SummaryDue,
    TradingPhase,
    TradingStatus,
)
from basis_actors.ports import AlertCourier
from basis_actors.times import NS_PER_SECOND, utc_from_ns

__all__ = ["AlertRoute", "delivering"]

_HEALTH_SEVERITY: Final = {"healthy": Severity.LOW, "degraded": Severity.MEDIUM, "unhealthy": Severity.HIGH}
_LEAST_WAIT_SECONDS: Final = 1.0
"""Before a summary, for those that come together."""
_MOST_NAMED: Final = 3
"""Alerts that were not delivered, by name in one line of the log."""


class AlertRoute(Actor):
    """Tells one receiver of errors, of trading that ends or begins, of health that changes, of a run that fails.

    What is less severe than `least` is left out; health that is well again is as severe as the trouble was. Begin and
    end of the process go out whatever their severity and the rate. `redact` hides secrets in text.
    """

    def __init__(
        self,
        route: str,
        config: AlertsConfig,
        least: Severity,
        courier: AlertCourier,
        redact: Callable[[str], str],
    ) -> None:
        super().__init__(f"alerts_{route}")
        self._route = route
        self._config = config
        self._least = least
        self._courier = courier
        self._redact = redact
        self._bucket: TokenBucket | None = None
        self._held = HeldBack()
        self._summed: tuple[Alert, HeldBack] | None = None
        """The summary that is under way, and what it stands for."""
        self._due: Timer | None = None
        self._health = "healthy"
        self._trading = TradingStatus(TradingPhase.STARTING)
        self._broken: str | None = None
        self._was_taken = False
        """Whether the receiver has ever taken an alert."""
        self._fails = False
        self._told_end: str | None = None

    def pre_start(self) -> None:
        """Begin with all tokens."""
        if self._bucket is None:
            self._bucket = TokenBucket(self._config.burst, self._config.per_minute, self.now)

    @on(ProcessBegins)
    def begins(self, begin: ProcessBegins) -> None:
        """Told always, so that a receiver that takes nothing is found out before something goes wrong."""
        self._tell_always(self._alert(Severity.LOW, PROCESS, begin.text))

    @on(ProcessFails)
    def process_fails(self, end: ProcessFails) -> None:
        """Why the process ends, which is told at once; that the log has it as well is not told again."""
        self._fails = True
        alert = self._alert(severity_of(end.error_code), PROCESS, end.text, end.error_code)
        self._told_end = alert.message
        self._tell_always(alert)

    @on(EventLogged)
    def event_logged(self, logged: EventLogged) -> None:
        """An error; those of this route itself are for other routes to tell."""
        event = logged.event
        if not isinstance(event, SystemErrorEvent) or event.message == self._told_end:
            return
        if event.component != self.name:
            self._tell(Severity(event.severity), event.component, event.message, event.error_code, event.timestamp)

    @on(HealthReport)
    def health(self, report: HealthReport) -> None:
        """Health that is another than it was; trading that has begun, or ended for a reason that the log does not have.
        A stop that has a code and the resumption after it are told by whoever logs them."""
        before, self._health = self._health, report.status
        if report.status != before:
            severity = max(_HEALTH_SEVERITY[before], _HEALTH_SEVERITY[report.status], key=RISING.index)
            problems = "; ".join(report.problems) or f"it was {before}"
            self._tell(severity, PROCESS, f"the process is {report.status}: {problems}")
        was, self._trading = self._trading, report.trading
        if report.trading.phase is not was.phase and was.error_code is None and report.trading.error_code is None:
            why = f": {report.trading.reason}" if report.trading.reason else ""
            self._tell(Severity.MEDIUM, PROCESS, f"trading was {was.phase} and is {report.trading.phase}{why}")

    @on(Escalated)
    def escalated(self, end: Escalated) -> None:
        """The run is failing, which is told at once."""
        self._fails = True
        what = f"the run ends: {end.actor} failed while handling {end.message_type}: {end.exception}"
        self._tell_always(self._alert(Severity.CRITICAL, end.actor, what))

    @on(AlertDelivered)
    def delivered(self, done: AlertDelivered) -> None:
        """The receiver takes alerts."""
        self._was_taken = True
        self._see(None)
        self.publish(AlertFate(self._route, AlertOutcome.DELIVERED))
        if self._summed is not None and done.alert is self._summed[0]:
            self._summed = None
            self._plan_summary()

    @on(AlertDelayed)
    def delayed(self, failure: AlertDelayed) -> None:
        """Of a receiver that has not taken any yet nobody waits for the last try to say that it takes none."""
        if not self._was_taken:
            self._see(failure.reason)

    @on(AlertNotDelivered)
    def not_delivered(self, failure: AlertNotDelivered) -> None:
        """Keep it for the summary, and say once why."""
        self.publish(AlertFate(self._route, AlertOutcome.NOT_DELIVERED))
        if self._summed is not None and failure.alert is self._summed[0]:
            self._held.merge(self._summed[1])
            self._summed = None
            self._plan_summary()
        else:
            self._hold(failure.alert)
        self._see(failure.reason)

    @on(SummaryDue)
    def sum_up(self, _due: SummaryDue) -> None:
        """One alert for all that were held back."""
        self._due = None
        if not self._held or not self._admit(self._held.worst):
            self._plan_summary()
            return
        summary = self._held.summary(self.name, utc_from_ns(self.now))
        if self._courier.offer(summary):
            self._summed, self._held = (summary, self._held), HeldBack()
        else:
            self._plan_summary()

    async def post_stop(self) -> None:
        """Deliver what waits, then the summary, then that this is the end, and log what is left."""
        last = [self._held.summary(self.name, utc_from_ns(self.now))] if self._held else []
        if not self._fails:
            last.append(self._alert(Severity.MEDIUM, PROCESS, "the process stops as it was told to"))
        left = await self._courier.flush(self._config.stop_seconds, last)
        if left:
            count = "1 alert" if len(left) == 1 else f"{len(left):,} alerts"
            text = f"{count} of route {self._route} had not been delivered when the process stopped: {_named(left)}"
            self.log(error_event(utc_from_ns(self.now), self.name, "MON-002", text))

    def _see(self, problem: str | None) -> None:
        """Say once why the receiver takes no alerts, and once that it does."""
        before, self._broken = self._broken, problem
        if problem == before:
            return
        self.publish(AlertRouteSeen(self._route, problem))
        if problem is not None:
            text = f"the receiver of alert route {self._route} takes none: {problem}; check its address"
            self.log(error_event(utc_from_ns(self.now), self.name, "MON-002", text))

    def _tell(
        self, severity: Severity, component: str, text: str, code: str | None = None, time: datetime | None = None
    ) -> None:
        if RISING.index(severity) < RISING.index(self._least):
            return
        alert = self._alert(severity, component, text, code, time)
        if not (self._admit(severity) and self._courier.offer(alert)):
            self._hold_back(alert)

    def _tell_always(self, alert: Alert) -> None:
        """Whatever the rate, and however severe an alert has to be for this route."""
        if not self._courier.offer(alert):
            self._hold_back(alert)

    def _alert(
        self, severity: Severity, component: str, text: str, code: str | None = None, time: datetime | None = None
    ) -> Alert:
        moment = utc_from_ns(self.now) if time is None else time
        return Alert(time=moment, severity=severity, component=component, code=code, message=self._redact(text))

    def _admit(self, severity: Severity) -> bool:
        assert self._bucket is not None, "made before the first message"
        return self._bucket.take(self.now, self._reserve(severity))

    def _reserve(self, severity: Severity) -> int:
        return 0 if severity is Severity.CRITICAL else self._config.reserved_for_critical

    def _hold_back(self, alert: Alert) -> None:
        self.publish(AlertFate(self._route, AlertOutcome.HELD_BACK))
        self._hold(alert)

    def _hold(self, alert: Alert) -> None:
        before = self._held.worst if self._held else None
        self._held.add(alert)
        if self._held.worst is not before:
            self._plan_summary()

    def _plan_summary(self) -> None:
        """Sum up as soon as the rate allows it and no other summary is under way."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._held and self._summed is None:
            assert self._bucket is not None, "made before the first message"
            wait = self._bucket.wait_ns(self.now, self._reserve(self._held.worst)) / NS_PER_SECOND
            self._due = self.after(max(wait, _LEAST_WAIT_SECONDS), SummaryDue(), new_cause=Cause("alerts"))


def _named(left: Sequence[AlertNotDelivered]) -> str:
    """The gravest alerts that were not delivered, the newest first, each with what kept it."""
    gravest = sorted(left, key=lambda one: (RISING.index(one.alert.severity), one.alert.time), reverse=True)
    told = [
        f"{failure.alert.severity} {failure.alert.component}: {failure.alert.message} ({failure.reason})"
        for failure in gravest[:_MOST_NAMED]
    ]
    return "; ".join(told) + (f"; and {len(left) - _MOST_NAMED:,} more" if len(left) > _MOST_NAMED else "")


def delivering(courier: AlertCourier) -> Source:
    """A source that has `courier` deliver, and tells its owner what came of each alert."""

    async def deliver(outlet: Outlet) -> None:
        def report(message: AlertDelivered | AlertDelayed | AlertNotDelivered) -> None:
            outlet.post(outlet.owner, message)

        await courier.run(
            lambda alert: report(AlertDelivered(alert)),
            lambda alert, reason: report(AlertDelayed(alert, reason)),
            lambda alert, reason: report(AlertNotDelivered(alert, reason)),
        )

    return deliver
