"""What is told to people, how much of it at once, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.actors.desk import START

from basis_actors.actors.alerts import AlertRoute
from basis_actors.bus import Actor, BusFailed, LiveBus, Restart, SimBus, on
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import AlertsConfig
from basis_actors.errors import Severity, severity_of
from basis_actors.logs.redaction import Redactor
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.operations import (
    Alert,
    AlertDelayed,
    AlertDelivered,
    AlertFate,
    AlertNotDelivered,
    AlertRouteSeen,
    EventLogged,
    HealthReport,
    ProcessBegins,
    ProcessFails,
    TradingPhase,
    TradingStatus,
)
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
CONFIG = AlertsConfig(
    routes={},
    burst=5,
    per_minute=1.0,
    reserved_for_critical=2,
    queue_limit=100,
    timeout_seconds=10.0,
    retries=0,
    retry_seconds=1.0,
    longest_retry_seconds=1.0,
    retry_jitter=0.0,
    stop_seconds=2.0,
)


class Courier:
    """Keeps what it is offered, as long as it has room."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.room = 1000
        self.flushed: list[float] = []
        self.left: list[AlertNotDelivered] = []

    def offer(self, alert: Alert) -> bool:
        if len(self.alerts) >= self.room:
            return False
        self.alerts.append(alert)
        return True

    async def run(
        self,
        delivered: Callable[[Alert], object],
        delayed: Callable[[Alert, str], object],
        given_up: Callable[[Alert, str], object],
    ) -> None:
        raise NotImplementedError

    async def flush(self, seconds: float, last: Sequence[Alert] = ()) -> Sequence[AlertNotDelivered]:
        self.flushed.append(seconds)
        self.alerts.extend(last)
        return self.left


@dataclass
class Desk:
    bus: SimBus | LiveBus
    courier: Courier
    log: Probe
    fates: Probe

    @property
    def told(self) -> list[str]:
        """Severity and text of what the courier has."""
        return [f"{alert.severity} {alert.message}" for alert in self.courier.alerts]

    async def say(self, *messages: object) -> None:
        for message in messages:
            self.bus.publish(message)
        await self.bus.advance(0.0)

    async def error(self, text: str, severity: str = "HIGH", component: str = "venue_binance", times: int = 1) -> None:
        event = SystemErrorEvent(
            timestamp=utc_from_ns(self.bus.clock.now()),
            component=component,
            error_code="VEN-003",
            severity=severity,
            message=text,
        )
        await self.say(*[EventLogged(event)] * times)


@asynccontextmanager
async def desk(runtime: Runtimes, least: Severity = Severity.MEDIUM, **changes: Any) -> AsyncIterator[Desk]:
    courier, log, fates = Courier(), Probe("log"), Probe("fates", AlertFate, AlertRouteSeen)
    bus = runtime.bus(START, log_sink="log")
    redactor = Redactor(["hunter2-and-more"])
    config = CONFIG.model_copy(update=changes)
    bus.add(log)
    bus.add(AlertRoute("oncall", config, least, courier, redactor.text), Restart(5, 60.0), sink=True)
    bus.add(fates)
    async with bus:
        await bus.advance(0.0)
        yield Desk(bus, courier, log, fates)


def report(status: str = "healthy", *problems: str, trading: TradingStatus | None = None) -> HealthReport:
    return HealthReport(
        checked_ns=START,
        status=status,
        checks={},
        problems=problems,
        error_count=0,
        trading=trading or TradingStatus(TradingPhase.STARTING),
        trading_since_ns=START,
        loop_lag_seconds=None,
        reconciliation_age_seconds=None,
        tick_age_seconds=None,
        components=(),
    )


def trades(phase: TradingPhase, reason: str | None = None, code: str | None = None) -> HealthReport:
    return report(trading=TradingStatus(phase, reason, code))


async def test_an_error_is_told_if_it_is_severe_enough(runtime: Runtimes) -> None:
    async with desk(runtime, Severity.HIGH) as d:
        for severity in ("LOW", "MEDIUM", "HIGH", "CRITICAL"):
            await d.error(f"a {severity} one", severity)
        assert d.told == ["HIGH a HIGH one", "CRITICAL a CRITICAL one"]
        alert = d.courier.alerts[0]
        assert (alert.component, alert.code, alert.time) == ("venue_binance", "VEN-003", utc_from_ns(START))


async def test_secrets_are_hidden(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        await d.error("signed with api_key=abcdef and hunter2-and-more")
        assert d.told == ["HIGH signed with api_key=[redacted] and [redacted]"]


async def test_health_is_told_when_it_changes_and_when_it_is_over(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        for status, problem in (
            ("healthy", ""), ("degraded", "no tick"), ("degraded", "no tick"), ("unhealthy", "no tick at all"),
            ("unhealthy", "no tick at all"), ("healthy", ""), ("healthy", ""),
        ):  # fmt: skip
            await d.say(report(status, *([problem] if problem else [])))
        assert d.told == [
            "MEDIUM the process is degraded: no tick",
            "HIGH the process is unhealthy: no tick at all",
            "HIGH the process is healthy: it was unhealthy",
        ]


async def test_trading_that_begins_or_ends_is_told_unless_the_log_has_it(runtime: Runtimes) -> None:
    async with desk(runtime, burst=10) as d:
        await d.say(
            trades(TradingPhase.TRADING),
            trades(TradingPhase.STOPPED, "somebody asked"),
            trades(TradingPhase.STOPPED, "again"),
            trades(TradingPhase.TRADING),
            trades(TradingPhase.STOPPED, "the ledger is wrong", "POS-005"),
            trades(TradingPhase.KILLED, "by hand", "RISK-008"),
            trades(TradingPhase.TRADING),
        )
        assert d.told == [
            "MEDIUM trading was starting and is trading",
            "MEDIUM trading was trading and is stopped: somebody asked",
            "MEDIUM trading was stopped and is trading",
        ]


async def test_what_is_too_much_is_summed_up_when_there_is_room(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        await d.error("first", times=3)
        await d.error("fourth")
        await d.bus.advance(30.0)
        await d.error("fifth", "MEDIUM", "engine", times=2)
        assert d.told == ["HIGH first"] * 3, "two of five are reserved for critical ones"
        await d.bus.advance(29.0)
        assert len(d.told) == 3
        await d.bus.advance(1.0)
        (summary,) = d.told[3:]
        assert summary == (
            "HIGH 3 alerts were held back since 2024-01-01T00:00:00Z: 2 × MEDIUM VEN-003 engine, 1 × HIGH VEN-003"
            " venue_binance; the last of the most severe, venue_binance at 2024-01-01T00:00:00Z: fourth"
        )
        outcomes = [fate.outcome for fate in d.fates.of(AlertFate)]
        assert outcomes == ["held_back"] * 3
        await d.bus.advance(3600.0)
        assert len(d.told) == 4, "nothing is told twice"


async def test_a_critical_alert_finds_room_in_a_storm_and_storms_end_as_well(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        await d.error("storm", times=500)
        await d.error("liquidated", "CRITICAL", times=50)
        assert d.told == ["HIGH storm"] * 3 + ["CRITICAL liquidated"] * 2
        await d.bus.advance(60.0)
        (summary,) = d.told[5:]
        assert summary.startswith("CRITICAL 545 alerts were held back")
        assert "497 × HIGH VEN-003 venue_binance, 48 × CRITICAL VEN-003 venue_binance" in summary
        assert summary.endswith(": liquidated")


async def test_a_storm_that_goes_on_gives_one_summary_a_minute(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        for _ in range(600):
            await d.error("again")
            while d.courier.alerts and len(d.courier.alerts) > 3 and d.courier.alerts[-1].code is None:
                d.bus.post("alerts_oncall", AlertDelivered(d.courier.alerts.pop()))
                await d.bus.advance(0.0)
            await d.bus.advance(1.0)
        delivered = [fate for fate in d.fates.of(AlertFate) if fate.outcome == "delivered"]
        assert 9 <= len(delivered) <= 10
        assert len(d.told) <= 5


async def test_a_queue_that_is_full_loses_nothing_from_the_count(runtime: Runtimes) -> None:
    async with desk(runtime, burst=50, reserved_for_critical=0) as d:
        d.courier.room = 2
        await d.error("one", times=10)
        assert d.told == ["HIGH one"] * 2
        await d.bus.advance(300.0)
        assert len(d.told) == 2
        d.courier.room = 3
        await d.bus.advance(120.0)
        assert d.told[2].startswith("HIGH 8 alerts were held back since")


async def test_a_summary_that_is_not_taken_is_merged_into_the_next(runtime: Runtimes) -> None:
    async with desk(runtime, burst=3, reserved_for_critical=0) as d:
        await d.error("first", times=5)
        await d.bus.advance(60.0)
        summary = d.courier.alerts[3]
        assert summary.message.startswith("2 alerts")
        await d.error("later", times=2)
        d.bus.post("alerts_oncall", AlertNotDelivered(summary, "status 500"))
        await d.bus.advance(120.0)
        assert d.told[4].startswith("HIGH 4 alerts were held back since 2024-01-01T00:00:00Z: 4 × HIGH")
        (told,) = d.log.of(SystemErrorEvent)
        assert (told.error_code, told.component, told.severity) == ("MON-002", "alerts_oncall", "MEDIUM")
        assert told.message == "the receiver of alert route oncall takes none: status 500; check its address"


async def test_a_receiver_that_is_gone_is_an_error_once_until_it_is_back(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        await d.error("first", times=2)
        first, second = d.courier.alerts
        route = "alerts_oncall"
        for message in (AlertNotDelivered(first, "status 404"), AlertNotDelivered(second, "status 404")):
            d.bus.post(route, message)
        await d.bus.advance(0.0)
        assert len(d.log.of(SystemErrorEvent)) == 1
        d.bus.post(route, AlertDelivered(first))
        d.bus.post(route, AlertNotDelivered(second, "status 404"))
        await d.bus.advance(0.0)
        assert len(d.log.of(SystemErrorEvent)) == 2


async def test_a_route_is_silent_about_itself(runtime: Runtimes) -> None:
    async with desk(runtime, Severity.LOW) as d:
        await d.error("it takes none", "CRITICAL", "alerts_oncall")
        await d.error("it takes none", "MEDIUM", "alerts_other")
        assert d.told == ["MEDIUM it takes none"]


async def test_the_stop_delivers_what_waits_and_says_what_is_left(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        await d.error("first", times=5)
        await d.bus.advance(59.0)
        d.courier.left = [AlertNotDelivered(alert, "status 404") for alert in d.courier.alerts[:2]]
    summary, end = d.told[3:]
    assert summary.startswith("HIGH 2 alerts were held back")
    assert end == "MEDIUM the process stops as it was told to"
    assert d.courier.flushed == [2.0]
    assert d.log.of(SystemErrorEvent)[-1].message == (
        "2 alerts of route oncall had not been delivered when the process stopped: HIGH venue_binance: first (status"
        " 404); HIGH venue_binance: first (status 404)"
    )


async def test_the_gravest_of_what_is_left_are_named(runtime: Runtimes) -> None:
    async with desk(runtime, burst=20) as d:
        for text, severity in (("a", "HIGH"), ("b", "CRITICAL"), ("c", "MEDIUM"), ("d", "HIGH"), ("e", "HIGH")):
            await d.error(text, severity)
            await d.bus.advance(1.0)
        d.courier.left = [AlertNotDelivered(alert, "no answer within 10 s") for alert in d.courier.alerts]
    (left,) = d.log.of(SystemErrorEvent)
    assert left.error_code == "MON-002"
    assert left.message.partition(": ")[2] == (
        "CRITICAL venue_binance: b (no answer within 10 s); HIGH venue_binance: e (no answer within 10 s); HIGH"
        " venue_binance: d (no answer within 10 s); and 2 more"
    )


BEGINS = ProcessBegins("the process begins: btc_basis, live, on its accounts; open: hunter2-and-more")


async def test_the_beginning_is_told_on_every_route_whatever_the_rate(runtime: Runtimes) -> None:
    async with desk(runtime, Severity.CRITICAL) as d:
        await d.error("storm", "CRITICAL", times=20)
        before = len(d.told)
        await d.say(BEGINS)
        assert d.told[before:] == ["LOW the process begins: btc_basis, live, on its accounts; open: [redacted]"]


async def test_a_receiver_that_does_not_take_the_first_alert_is_an_error_at_once(runtime: Runtimes) -> None:
    async with desk(runtime, Severity.CRITICAL) as d:
        await d.say(BEGINS)
        route, (begun,) = "alerts_oncall", d.courier.alerts
        for message in (AlertDelayed(begun, "status 503"), AlertNotDelivered(begun, "status 503")):
            d.bus.post(route, message)
            await d.bus.advance(0.0)
            (told,) = d.log.of(SystemErrorEvent)
            assert told.message == "the receiver of alert route oncall takes none: status 503; check its address"
        d.bus.post(route, AlertDelivered(begun))
        d.bus.post(route, AlertDelayed(begun, "status 503"))
        await d.bus.advance(0.0)
        assert len(d.log.of(SystemErrorEvent)) == 1, "one that has taken alerts has until the last try"
        assert d.fates.of(AlertRouteSeen) == [AlertRouteSeen("oncall", "status 503"), AlertRouteSeen("oncall", None)]


async def test_a_failure_outside_the_bus_is_told_once_and_is_no_stop(runtime: Runtimes) -> None:
    async with desk(runtime, Severity.LOW) as d:
        await d.say(ProcessFails("the start failed: okx has no BTC-PERP", "VEN-004"))
        await d.error("the start failed: okx has no BTC-PERP", "MEDIUM", "process")
    assert d.told == [f"{severity_of('VEN-004')} the start failed: okx has no BTC-PERP"]


async def test_that_the_process_stops_is_told(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        pass
    assert d.told == ["MEDIUM the process stops as it was told to"]


async def test_the_end_is_told_on_a_route_for_graver_things_and_after_a_queue_that_is_full(runtime: Runtimes) -> None:
    async with desk(runtime, Severity.CRITICAL) as d:
        d.courier.room = 1
        await d.error("liquidated", "CRITICAL", times=3)
    first, summary, end = d.told
    assert first == "CRITICAL liquidated"
    assert summary.startswith("CRITICAL 2 alerts were held back since")
    assert end == "MEDIUM the process stops as it was told to"


async def test_a_failure_is_named_though_a_storm_has_used_up_the_rate(runtime: Runtimes) -> None:
    desks: list[Desk] = []
    with pytest.raises(BusFailed):
        await fail(runtime, desks, storm=20)
    (d,) = desks
    assert d.told[:5] == ["CRITICAL liquidated"] * 5
    assert d.told[5] == "CRITICAL the run ends: engine failed while handling int: RuntimeError: out of luck"
    assert d.told[6].startswith("CRITICAL 15 alerts were held back since")


class Broken(Actor):
    @on(int)
    def fail(self, _number: int) -> None:
        raise RuntimeError("out of luck")


async def fail(runtime: Runtimes, desks: list[Desk], storm: int = 0) -> None:
    async with desk(runtime) as d:
        desks.append(d)
        await d.error("liquidated", "CRITICAL", times=storm)
        d.bus.add(Broken("engine"))
        d.bus.post("engine", 1)
        await d.bus.advance(1.0)


async def test_a_run_that_fails_is_told_as_it_ends(runtime: Runtimes) -> None:
    desks: list[Desk] = []
    with pytest.raises(BusFailed):
        await fail(runtime, desks)
    (d,) = desks
    assert d.told == ["CRITICAL the run ends: engine failed while handling int: RuntimeError: out of luck"]
    assert d.courier.flushed == [2.0]
