"""The engine gives the beat: one tick at a time, each seen through to its decision. On both runtimes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, market

from basis_actors.actors.engine import Engine
from basis_actors.bus import BusFailed
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.book import Flow, TickStarted
from basis_actors.messages.commands import DecisionMade, OrdersDone, StopTrading
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.market import MarketState
from basis_actors.messages.operations import TickEnded
from basis_actors.messages.safety import ResumeTrading
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
HOUR = 3_600 * 10**9


class Ticks:
    """A feed of so many hourly ticks."""

    def __init__(self, count: int) -> None:
        self._ticks = [START + hour * HOUR for hour in range(count)]

    def next_tick(self, after_ns: int | None) -> int | None:
        return next((ns for ns in self._ticks if after_ns is None or ns > after_ns), None)

    async def take(self, ns: int) -> MarketState:
        return replace(market(), ns=ns, timestamp=utc_from_ns(ns))


class Floor:
    """An engine among probes."""

    def __init__(self, runtime: Runtimes, ticks: int, flows: tuple[Flow, ...] = ()) -> None:
        self.bus = runtime.bus(START, log_sink="event_logger")
        self.log = Probe("event_logger")
        self.world = Probe("world", TickStarted)
        self.strategy, self.execution = Probe("strategy_manager"), Probe("execution_manager")
        self.engine = Engine(Ticks(ticks), flows)
        for actor in (self.log, self.world, self.strategy, self.execution, self.engine):
            self.bus.add(actor)

    async def decide(self, number: int, orders: int = 0) -> None:
        self.bus.post("engine", DecisionMade(number, orders))
        await self.bus.settled()


async def test_ticks_come_at_their_times_and_in_turn(runtime: Runtimes) -> None:
    floor = Floor(runtime, 3)
    async with floor.bus as bus:
        for number in range(3):
            tick = await floor.world.next_of(TickStarted)
            assert (tick.number, tick.market.ns) == (number, START + number * HOUR)
            assert bus.clock.now() == tick.market.ns
            await floor.decide(number)
        assert floor.engine.finished


async def test_the_end_of_a_tick_says_when_the_next_is(runtime: Runtimes) -> None:
    floor = Floor(runtime, 3)
    ends = Probe("ends", TickEnded)
    floor.bus.add(ends)
    async with floor.bus:
        for number in range(2):
            await floor.world.next_of(TickStarted)
            await floor.decide(number)
        assert ends.of(TickEnded) == [TickEnded(0, START + HOUR), TickEnded(1, START + 2 * HOUR)]


async def test_capital_lands_at_the_first_tick_and_flows_at_the_first_tick_that_is_not_before_them(
    runtime: Runtimes,
) -> None:
    def at(minutes: int, amount: float) -> Flow:
        return Flow(utc_from_ns(START + minutes * 60 * 10**9), amount)

    flows = (at(0, 100.0), at(30, 5.0), at(60, 6.0), at(61, -7.0))
    floor = Floor(runtime, 4, flows)
    got = []
    async with floor.bus:
        for number in range(4):
            tick = await floor.world.next_of(TickStarted)
            got.append([flow.amount for flow in tick.flows])
            await floor.decide(number)
    assert got == [[100.0], [5.0, 6.0], [-7.0], []]


async def test_a_tick_without_a_decision_is_an_error(runtime: Runtimes) -> None:
    floor = Floor(runtime, 1)
    async with floor.bus:
        await floor.world.next_of(TickStarted)
        await floor.bus.settled()
        assert not floor.engine.finished
    (error,) = floor.log.of(SystemErrorEvent)
    assert (error.component, error.error_code, error.severity) == ("engine", "ENGINE-002", "HIGH")
    assert "tick 0" in error.message


async def test_a_tick_whose_orders_never_end_is_not_over(runtime: Runtimes) -> None:
    floor = Floor(runtime, 1)
    async with floor.bus:
        await floor.world.next_of(TickStarted)
        await floor.decide(0, orders=2)
        assert not floor.engine.finished
        floor.bus.post("engine", OrdersDone(0, ()))
        await floor.bus.settled()
        assert floor.engine.finished
    assert floor.log.of(SystemErrorEvent) == []


async def test_a_tick_that_falls_due_while_another_is_at_work_waits_for_it(runtime: Runtimes) -> None:
    floor = Floor(runtime, 4)
    async with floor.bus as bus:
        await floor.world.next_of(TickStarted)
        await bus.advance(2.5 * 3_600.0)
        assert len(floor.world.of(TickStarted)) == 1, "never two ticks at once"
        await floor.decide(0)
        tick = await floor.world.next_of(TickStarted)
        assert tick.number == 1
        assert len(floor.world.of(TickStarted)) == 2
        await floor.decide(1)


async def test_a_decision_about_another_tick_is_an_inconsistent_state(runtime: Runtimes) -> None:
    floor = Floor(runtime, 2)
    async with floor.bus as bus:
        await floor.world.next_of(TickStarted)
        bus.post("engine", DecisionMade(7, 0))
        with pytest.raises(BusFailed, match="ENGINE-003"):
            await bus.settled()


async def test_a_feed_without_ticks_does_not_start(runtime: Runtimes) -> None:
    floor = Floor(runtime, 0)
    with pytest.raises(BusFailed, match="ENGINE-001"):
        async with floor.bus:
            await floor.bus.settled()


@pytest.mark.parametrize(
    ("code", "logged"), [("RISK-001", ["CRITICAL"]), ("POS-005", ["CRITICAL"]), ("RISK-008", []), (None, [])]
)
async def test_a_stop_is_critical_and_what_the_kill_switch_does_is_left_to_it(
    runtime: Runtimes, code: str | None, logged: list[str]
) -> None:
    floor = Floor(runtime, 1)
    async with floor.bus as bus:
        bus.control("engine", StopTrading("enough", code))
        await bus.settled()
        assert [event.severity for event in floor.log.of(SystemErrorEvent)] == logged


async def test_a_stop_is_passed_on_to_whoever_decides_and_whoever_sends_once(runtime: Runtimes) -> None:
    """But for one that a person has asked for, which the kill switch passes on."""
    floor = Floor(runtime, 2)
    stop = StopTrading("risk was critical", "RISK-001")
    async with floor.bus as bus:
        await floor.world.next_of(TickStarted)
        bus.control("engine", stop)
        bus.control("engine", stop)
        await bus.settled()
        assert floor.strategy.of(StopTrading) == floor.execution.of(StopTrading) == [stop]
        bus.control("engine", ResumeTrading())
        bus.control("engine", StopTrading("enough"))
        await bus.settled()
        assert floor.strategy.of(StopTrading) == floor.execution.of(StopTrading) == [stop]
        await floor.decide(0)
        assert (await floor.world.next_of(TickStarted)).number == 1, "ticks go on, so that positions stay valued"
        await floor.decide(1)
