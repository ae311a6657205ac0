"""A live process is looked at by timer: what is found, what it is called, and when it is news."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from tests.actors.desk import START, market
from tests.actors.test_kill_switch import LEFT

from basis_actors.actors.live_health import LiveHealthMonitor
from basis_actors.bus import Actor, LiveBus, Restart, SimBus, on
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import HealthMonitorConfig
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import HealthStatusEvent, ReconciliationEvent, SystemErrorEvent
from basis_actors.messages.operations import (
    CheckHealth,
    EventLogged,
    HealthReport,
    LoopLag,
    TickEnded,
    TradingPhase,
    TradingStatus,
)
from basis_actors.messages.safety import OrdersUndecided, StateUnwritable, VenueBusy, VenueSeen
from basis_actors.times import utc_from_ns, utc_text

pytestmark = pytest.mark.anyio
MOMENT = utc_from_ns(START)
CONFIG = HealthMonitorConfig(
    check_interval_seconds=60.0,
    degraded_inbox_depth=3,
    unhealthy_inbox_depth=5,
    degraded_error_count=2,
    error_window_seconds=600.0,
    stuck_seconds=100.0,
    degraded_loop_lag_ms=50.0,
    unhealthy_loop_lag_ms=1000.0,
    degraded_reconciliation_seconds=3600.0,
    unhealthy_reconciliation_seconds=7200.0,
    degraded_tick_seconds=1800.0,
    unhealthy_tick_seconds=5400.0,
)


class Work(msgspec.Struct, frozen=True):
    seconds: float


class Worker(Actor):
    """Takes as long for a message as it says."""

    @on(Work)
    async def work(self, work: Work) -> None:
        if work.seconds < 0.0:
            raise ValueError("nothing takes less than no time")
        await self.sleep(work.seconds)


@dataclass
class Ward:
    """A worker that is watched."""

    bus: SimBus | LiveBus
    log: Probe
    reports: Probe

    @property
    def report(self) -> HealthReport:
        """The last one."""
        return self.reports.of(HealthReport)[-1]

    @property
    def problems(self) -> tuple[str, ...]:
        return self.report.problems

    def logged(self, component: str) -> list[HealthStatusEvent]:
        return [event for event in self.log.of(HealthStatusEvent) if event.component == component]

    async def look(self, times: int = 1) -> HealthReport:
        """Let so many checks pass."""
        for _ in range(times):
            await self.bus.advance(CONFIG.check_interval_seconds)
        return self.report

    async def look_now(self) -> HealthReport:
        """Have the next check come early."""
        self.bus.post("health_monitor", CheckHealth())
        await self.bus.advance(0.0)
        return self.report

    def say(self, *messages: object) -> None:
        for message in messages:
            self.bus.publish(message)

    def error(self, component: str = "worker", severity: str = "HIGH", code: str = "EXEC-001") -> None:
        self.say(
            EventLogged(
                SystemErrorEvent(
                    timestamp=MOMENT, component=component, error_code=code, severity=severity, message="no"
                )
            )
        )


@asynccontextmanager
async def ward(runtime: Runtimes) -> AsyncIterator[Ward]:
    bus = runtime.bus(START, log_sink="log")
    log, reports = Probe("log"), Probe("reports", HealthReport)
    monitor = LiveHealthMonitor(CONFIG, lambda: ("worker", "health_monitor"), bus.stats)
    bus.add(log)
    bus.add(Worker("worker"))
    bus.add(monitor, Restart(10, 60.0))
    bus.add(reports)
    async with bus:
        await bus.advance(0.0)
        yield Ward(bus, log, reports)


def tick() -> TickStarted:
    return TickStarted(0, market())


def reconciled(kind: str = "periodic", *, success: bool = True) -> EventLogged:
    nothing: Any = {}
    return EventLogged(
        ReconciliationEvent(
            timestamp=MOMENT,
            reconciliation_type=kind,
            success=success,
            expected=nothing,
            actual=nothing,
            venue_reported=nothing,
            mismatches=(),
            trigger_source="tick",
        )
    )


async def test_everything_is_looked_at_at_the_start_and_at_each_interval(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        for looks in (1, 2, 3):
            assert [len(w.logged(name)) for name in ("worker", "health_monitor", "process")] == [looks] * 3
            assert w.report.checked_ns == START + (looks - 1) * 60 * 10**9
            assert w.report.status == "healthy"
            await w.look()
        worker, process = w.logged("worker")[0], w.logged("process")[0]
        assert set(worker.checks.values()) == set(process.checks.values()) == {True}
        assert (worker.loop_lag_ms, worker.reconciliation_age_ms, worker.last_message_age_ms) == (None, None, 0.0)


async def test_an_inbox_that_fills_degrades_then_makes_unhealthy(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.bus.post("worker", Work(1000.0))
        await w.bus.advance(0.0)
        for waiting, status in ((2, "healthy"), (3, "degraded"), (4, "degraded"), (5, "unhealthy")):
            while w.bus.stats("worker").depth < waiting:
                w.bus.post("worker", Work(0.0))
            report = await w.look_now()
            assert (waiting, report.components[0].status, report.status) == (waiting, status, status)
            assert report.components[0].inbox_depth == waiting
        assert "worker: messages waiting: 5" in w.problems
        assert w.logged("worker")[-1].checks["inbox_not_full"] is False
        await w.bus.advance(1000.0)


async def test_a_component_that_begins_no_message_is_stuck_after_a_while(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.bus.post("worker", Work(500.0))
        w.bus.post("worker", Work(0.0))
        await w.bus.advance(0.0)
        assert (await w.look()).status == "healthy", "a minute: one message may take as long"
        assert (await w.look()).status == "healthy", "waiting was first seen a minute ago"
        report = await w.look()
        assert report.components[0].status == "unhealthy"
        assert w.problems == ("worker: messages waiting: 1, none begun for 120 s",)
        assert (await w.look(6)).status == "healthy", "it has gone on"


async def test_a_message_that_has_just_come_to_an_idle_component_is_no_trouble(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        await w.look(20)
        w.bus.post("worker", Work(0.0))
        w.bus.post("worker", Work(0.0))
        report = await w.look_now()
        assert report.problems == ()


async def test_errors_count_for_a_while_and_only_grave_ones(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.error()
        w.error(severity="MEDIUM")
        w.error(severity="LOW")
        assert (await w.look()).status == "healthy"
        w.error(severity="CRITICAL")
        report = await w.look()
        assert report.status == report.components[0].status == "degraded"
        assert report.problems == ("worker: errors in the last 600 s: 2",)
        assert (report.error_count, w.logged("worker")[-1].error_count) == (2, 2)
        assert (await w.look(7)).status == "degraded"
        assert (await w.look()).status == "healthy", "the first of them is ten minutes old"


async def test_what_the_kill_switch_does_is_no_error_of_its_own(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.error("kill_switch", code="RISK-008")
        w.error("kill_switch", "CRITICAL", "RISK-008")
        assert ((await w.look()).status, w.problems) == ("healthy", ())
        w.error("kill_switch", "CRITICAL", "ENGINE-004")
        w.error("kill_switch", "CRITICAL", "ENGINE-004")
        assert (await w.look()).problems == ("errors of kill_switch: 2",)


async def test_errors_of_what_is_no_actor_are_the_process_s(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.error("clock")
        w.error("clock")
        report = await w.look()
        assert (report.status, report.components[0].status) == ("degraded", "healthy")
        assert report.problems == ("errors of clock: 2",)
        assert w.logged("process")[-1].checks["few_errors_elsewhere"] is False


async def test_a_dead_letter_degrades_whom_it_was_for(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.bus.post("worker", "what is this?")
        report = await w.look()
        assert report.problems == ("worker: messages not handled in the last 600 s: 1",)
        assert (await w.look(10)).status == "healthy"


async def test_a_late_loop_is_told_by_its_worst_delay_since_the_last_look(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        for milliseconds, status in ((49.0, "healthy"), (50.0, "degraded"), (1500.0, "unhealthy"), (1.0, "healthy")):
            w.say(LoopLag(0.0), LoopLag(milliseconds / 1e3), LoopLag(0.001))
            report = await w.look()
            assert (milliseconds, report.status) == (milliseconds, status)
            assert w.logged("process")[-1].loop_lag_ms == pytest.approx(milliseconds)
        await w.look()
        assert w.logged("process")[-1].loop_lag_ms is None, "nobody has measured it"
        told = [report.problems for report in w.reports.of(HealthReport) if report.status == "unhealthy"]
        assert told == [("the event loop was 1,500 ms late",)]


async def test_ticks_that_stay_out_are_noticed_also_before_the_first(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.say(reconciled())
        assert (await w.look(30)).problems == ("no tick began for 1,800 s",)
        assert w.report.tick_age_seconds is None
        w.say(tick())
        report = await w.look()
        assert (report.status, report.tick_age_seconds) == ("healthy", 60.0)
        assert (await w.look(29)).status == "degraded"
        w.say(reconciled())
        assert (await w.look(60)).status == "unhealthy"
        assert w.logged("process")[-1].last_message_age_ms == 90 * 60 * 1e3


async def test_reconciliation_ages_until_the_whole_ledger_is_found_equal(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.say(reconciled("startup"))
        for _ in range(60):
            w.say(tick(), reconciled("tight_loop"), reconciled(success=False))
            await w.look()
        assert (w.report.status, w.report.reconciliation_age_seconds) == ("degraded", 3600.0)
        assert w.problems == ("ledger and venues were not found equal for 3,600 s",)
        assert w.logged("process")[-1].reconciliation_age_ms == 3600e3
        w.say(reconciled())
        assert (await w.look()).status == "healthy"


async def test_a_component_that_has_failed_is_unhealthy(runtime: Runtimes) -> None:
    bus = runtime.bus(START)
    reports, worker = Probe("reports", HealthReport), Worker("worker")
    bus.add(worker)
    bus.add(LiveHealthMonitor(CONFIG, lambda: bus.actors, bus.stats))
    bus.add(reports)
    async with bus:
        await bus.advance(0.0)
        bus.cells["worker"].fail()
        await bus.advance(60.0)
        (seen,) = [one for one in reports.of(HealthReport)[-1].components if one.component == "worker"]
        assert (seen.status, seen.problems) == ("unhealthy", ("has failed",))


async def test_whether_orders_are_sent_is_told_at_once(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        assert w.report.trading.phase is TradingPhase.STARTING
        await w.bus.advance(10.0)
        for phase, reason in ((TradingPhase.TRADING, None), (TradingPhase.STOPPED, "drawdown")):
            w.say(TradingStatus(phase, reason))
            await w.bus.advance(0.0)
            assert (w.report.trading.phase, w.report.trading.reason) == (phase, reason)
        assert w.report.trading_since_ns == START + 10 * 10**9


async def test_only_who_has_killed_trading_can_say_that_it_goes_on(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.bus.publish(TradingStatus(TradingPhase.KILLED, "by hand"), sender="kill_switch")
        await w.bus.advance(5.0)
        for phase in (TradingPhase.STOPPED, TradingPhase.TRADING, TradingPhase.KILLED):
            w.bus.publish(TradingStatus(phase, "the engine"), sender="engine")
            await w.bus.advance(0.0)
            assert w.report.trading == TradingStatus(TradingPhase.KILLED, "by hand")
        w.bus.publish(TradingStatus(TradingPhase.TRADING), sender="kill_switch")
        await w.bus.advance(0.0)
        assert w.report.trading_since_ns == START + 5 * 10**9
        w.bus.publish(TradingStatus(TradingPhase.STOPPED, "drawdown"), sender="engine")
        await w.bus.advance(0.0)
        assert w.report.trading.phase is TradingPhase.STOPPED


async def test_a_restarted_monitor_keeps_one_timer_and_what_it_knows(runtime: Runtimes) -> None:
    async with ward(runtime) as w:
        w.say(reconciled(), TradingStatus(TradingPhase.TRADING))
        w.error()
        w.error()
        w.bus.publish(EventLogged(None))  # type: ignore[arg-type]
        broken: Any = LoopLag("late")  # type: ignore[arg-type]
        w.say(broken)
        before = len(w.logged("process"))
        await w.bus.advance(0.0)
        assert len(w.logged("process")) == before + 1, "it looks as soon as it is back"
        await w.look(3)
        assert len(w.logged("process")) == before + 4
        assert w.report.trading.phase is TradingPhase.TRADING
        assert w.report.components[0].error_count == 2


async def test_an_exchange_that_is_silent_and_an_order_that_nobody_knows_of_are_told_at_once(runtime: Runtimes) -> None:
    async with ward(runtime) as watched:
        watched.say(tick(), VenueBusy("okx", "perp_trade o-1"), VenueSeen("okx", START))
        watched.say(OrdersUndecided("okx", (LEFT,), "it is asked"))
        await watched.bus.settled()
        report = watched.report
        assert (report.status, report.silent[0].domain, report.undecided) == ("degraded", "okx", (LEFT,))
        assert report.halted_venues == {"okx": "it is asked"}
        assert report.tick is not None
        assert report.tick.waits_for == ("okx: perp_trade o-1, for 0 s",)
        assert "okx has not answered for 0 s" in report.problems
        assert "nobody knows what became of short 0.5 BTC-PERP on binance (ba1)" in report.problems
        watched.say(VenueSeen("okx", START, START + 90 * 10**9))
        await watched.bus.settled()
        until = utc_from_ns(START + 90 * 10**9)
        assert watched.report.silent[0].left_alone_until == until
        assert f"okx wants to be left alone until {utc_text(until)}" in watched.report.problems
        watched.say(VenueBusy("okx", None), VenueSeen("okx", None), OrdersUndecided("okx", (), None), TickEnded(0))
        await watched.bus.settled()
        assert (watched.report.silent, watched.report.undecided, watched.report.halted_venues) == ((), (), {})
        assert watched.report.checks["orders_decided"]
        assert watched.report.checks["venues_answer"]


async def test_what_is_not_written_is_a_problem_and_no_trading_until_it_is(runtime: Runtimes) -> None:
    async with ward(runtime) as watched:
        watched.say(TradingStatus(TradingPhase.TRADING))
        await watched.bus.advance(1.0)
        watched.say(StateUnwritable("state directory", "state/x is gone"), StateUnwritable("event log", "disk full"))
        await watched.bus.settled()
        report = watched.report
        why = "state directory: state/x is gone; event log: disk full"
        assert (report.status, report.problems) == ("degraded", (why,))
        assert not report.checks["state_written"]
        assert report.trading == TradingStatus(TradingPhase.REDUCING, f"nothing that adds risk is sent: {why}")
        assert report.trading_since_ns == START + 10**9
        watched.say(TradingStatus(TradingPhase.KILLED, "by hand"))
        await watched.bus.settled()
        assert watched.report.trading.reason == "by hand", "what sends nothing at all comes first"
        watched.say(TradingStatus(TradingPhase.TRADING))
        watched.say(StateUnwritable("state directory", None), StateUnwritable("event log", None))
        await watched.bus.settled()
        report = watched.report
        assert (report.status, report.problems, report.trading.phase) == ("healthy", (), TradingPhase.TRADING)


async def test_how_long_ago_a_component_had_a_message_is_in_seconds_of_the_world(runtime: Runtimes) -> None:
    async with ward(runtime) as watched:
        watched.bus.post("worker", Work(0.0))
        await watched.bus.settled()
        watched.bus.clock.pace = 60.0
        (worker,) = [seen for seen in (await watched.look()).components if seen.component == "worker"]
        assert worker.last_message_seconds == 1.0, "a minute of a market that is played back at 60 times its pace"
