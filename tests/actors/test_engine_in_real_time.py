"""In real time the market does not wait: what fell due while a tick was at work is lived through at once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, market
from tests.actors.test_engine import HOUR, Ticks

from basis_actors.actors.engine import Engine
from basis_actors.bus import LiveBus, ManualClock, ReplayClock
from basis_actors.bus.errors import BusError
from basis_actors.bus.testkit import Probe
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import DecisionMade
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.market import FundingStamp
from basis_actors.services.replay_feed import merged

pytestmark = pytest.mark.anyio


class Floor:
    """An engine in real time among probes, on a clock that the test moves."""

    def __init__(self, ticks: int, throttle_seconds: float = 60.0, begins_ns: int = START) -> None:
        self.bus = LiveBus(ManualClock(begins_ns), log_sink="event_logger", correlation_id="test")
        self.log, self.world = Probe("event_logger"), Probe("world", TickStarted)
        self.engine = Engine(Ticks(ticks), (), None, throttle_seconds)
        for actor in (self.log, self.world, Probe("strategy_manager"), Probe("execution_manager"), self.engine):
            self.bus.add(actor)


async def test_of_ticks_that_fell_due_meanwhile_only_the_newest_begins() -> None:
    floor = Floor(6)
    async with floor.bus as bus:
        first = await floor.world.next_of(TickStarted)
        await bus.advance(3.5 * 3600)
        assert floor.world.of(TickStarted) == [first]
        bus.post("engine", DecisionMade(0, 0))
        await bus.settled()
        later = await floor.world.next_of(TickStarted)
        assert (later.number, later.market.ns) == (1, START + 3 * HOUR)
        (said,) = floor.log.of(SystemErrorEvent)
        assert (said.error_code, said.severity) == ("ENGINE-005", "MEDIUM")
        assert "ticks missed from 2024-01-01T01:00:00Z on: 2; the tick before took too long" in said.message
        bus.post("engine", DecisionMade(1, 0))
        await bus.advance(0.5 * 3600)
        following = await floor.world.next_of(TickStarted)
        assert following.market.ns == START + 4 * HOUR


async def test_what_fell_due_while_the_process_started_is_not_missed() -> None:
    floor = Floor(6, begins_ns=START + 5 * HOUR // 2)
    async with floor.bus as bus:
        await bus.advance(0.0)
        first = await floor.world.next_of(TickStarted)
        assert (first.number, first.market.ns) == (0, START + 2 * HOUR)
        assert floor.log.of(SystemErrorEvent) == []


async def test_a_tick_begins_no_sooner_after_another_than_the_throttle_says() -> None:
    floor = Floor(3, throttle_seconds=5400.0)
    async with floor.bus as bus:
        await floor.world.next_of(TickStarted)
        bus.post("engine", DecisionMade(0, 0))
        await bus.advance(5399.0)
        assert len(floor.world.of(TickStarted)) == 1
        await bus.advance(1.0)
        second = await floor.world.next_of(TickStarted)
        assert second.market.ns == START + HOUR
        assert floor.log.of(SystemErrorEvent) == []


def test_a_market_that_stands_for_several_has_what_fell_due_in_all_of_them() -> None:
    name = "binance:BTC-PERP"
    states = [
        replace(
            market(),
            ns=START + hour * HOUR,
            funding=(FundingStamp(START + hour * HOUR, name, 0.0001 * hour, 40_000.0),),
            perps={name: replace(market().perps[name], mark_high=40_000.0 + high, mark_low=40_000.0 - low)},
        )
        for hour, (high, low) in enumerate([(10.0, 5.0), (900.0, 1.0), (20.0, 300.0)])
    ]
    all_of_them = merged(states)
    assert all_of_them.ns == START + 2 * HOUR
    assert [stamp.rate for stamp in all_of_them.funding] == [0.0, 0.0001, 0.0002]
    assert (all_of_them.perps[name].mark_high, all_of_them.perps[name].mark_low) == (40_900.0, 39_700.0)
    assert merged(states[:1]) is states[0]


def test_time_that_is_played_back_has_spans_of_real_seconds() -> None:
    clock = ReplayClock(START, 1000.0)
    before = clock.now()
    assert before >= START
    assert clock.span(2.0) == 2000 * 10**9
    with pytest.raises(BusError, match="pace of a clock is 0"):
        ReplayClock(START, 0.0)
