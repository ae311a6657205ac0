"""The sources of the metrics actor: a port that is taken for a while, and a loop that is measured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.actors.desk import START

from basis_actors.actors.metrics import Metrics, measuring_the_loop, serving
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.errors import BasisError
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.operations import LoopLag, PortOpened
from basis_actors.telemetry.instruments import Instruments, Reading

pytestmark = pytest.mark.anyio


class TakenPort:
    """Cannot be opened so many times."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        self.asked = 0
        self.closed = False

    async def run(self, opened: Callable[[str, int], object], wait: Callable[[], Awaitable[None]]) -> None:
        self.asked += 1
        if self.reasons:
            raise BasisError("MON-001", self.reasons.pop(0))
        opened("127.0.0.1", 9464)
        try:
            await wait()
        finally:
            self.closed = True


class Delays:
    """Has measured so much."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = seconds

    async def run(self, measured: Callable[[float], object], wait: Callable[[], Awaitable[None]]) -> None:
        for seconds in self.seconds:
            measured(seconds)
        await wait()


def metrics() -> tuple[Metrics, Instruments]:
    instruments = Instruments({"version": "1"}, lambda: Reading((), 0, 0, START))
    return Metrics(instruments, "USDT", Stopwatch(lambda: 0.0), lambda _: None, lambda _host, _port: None), instruments


async def test_a_port_that_is_taken_is_tried_again_and_told_once(runtime: Runtimes) -> None:
    server, log, probe = TakenPort("taken", "taken", "forbidden"), Probe("log"), Probe("probe", PortOpened)
    bus = runtime.bus(START, log_sink="log")
    actor, _ = metrics()
    bus.add(log)
    bus.add(actor)
    bus.add(probe)
    bus.add_source(actor.name, serving(server, 30.0))
    async with bus:
        assert await probe.next_of(PortOpened) == PortOpened("127.0.0.1", 9464)
        assert server.asked == 4
        assert bus.clock.now() == START + 90 * 10**9
        assert [error.message for error in log.of(SystemErrorEvent)] == ["taken", "forbidden"]
        assert {(e.error_code, e.severity, e.component) for e in log.of(SystemErrorEvent)} == {
            ("MON-001", "MEDIUM", "metrics")
        }
        assert not server.closed
    assert server.closed


async def test_a_server_that_waits_lets_time_go_on(runtime: Runtimes) -> None:
    bus = runtime.bus(START)
    actor, _ = metrics()
    bus.add(actor)
    bus.add_source(actor.name, serving(TakenPort(), 30.0))
    bus.add_source(actor.name, measuring_the_loop(Delays()))
    async with bus:
        await bus.clock.sleep(3600.0)
        assert bus.clock.now() == START + 3600 * 10**9


async def test_every_delay_is_published_and_counted(runtime: Runtimes) -> None:
    bus, probe = runtime.bus(START), Probe("probe", LoopLag)
    actor, instruments = metrics()
    bus.add(actor)
    bus.add(probe)
    bus.add_source(actor.name, measuring_the_loop(Delays(0.003, 0.2, 0.0)))
    async with bus:
        await bus.advance(0.0)
        assert [lag.seconds for lag in probe.of(LoopLag)] == [0.003, 0.2, 0.0]
    value = instruments.registry.get_sample_value
    assert value("basis_loop_lag_seconds_count") == 3
    assert value("basis_loop_lag_seconds_sum") == pytest.approx(0.203)
    assert value("basis_loop_lag_seconds_bucket", {"le": "0.005"}) == 2
