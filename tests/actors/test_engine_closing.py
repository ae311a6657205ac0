"""While the book is being closed the engine does not wait for the market's next tick: steps follow each other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, market
from tests.actors.test_engine import HOUR, Ticks
from tests.actors.test_kill_switch import CONFIG

from basis_actors.actors.engine import Engine
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import DecisionMade, OrderResult, OrdersDone, StopTrading
from basis_actors.messages.market import MarketState
from basis_actors.messages.safety import BookStillOpen, CloseBook, LevelBook, ResumeTrading
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
CLOSE = CloseBook("enough", "RISK-008")
MINUTE = 60 * 10**9


class Open(Ticks):
    """A market that shows itself between its ticks as well, once it has opened."""

    def __init__(self, count: int, opens_ns: int = START) -> None:
        super().__init__(count)
        self._opens_ns = opens_ns

    async def between(self, ns: int) -> MarketState | None:
        return replace(market(), ns=ns, timestamp=utc_from_ns(ns)) if ns >= self._opens_ns else None


class Floor:
    """An engine among probes. Each tick is answered by `step`."""

    def __init__(self, runtime: Runtimes, ticks: int = 4, starts: int = START, feed: Open | None = None) -> None:
        self.bus = runtime.bus(starts, log_sink="event_logger")
        self.world, self.word = Probe("world", TickStarted), Probe("word", BookStillOpen)
        self.engine = Engine(feed or Open(ticks), (), None, None, CONFIG)
        others = [Probe(name) for name in ("event_logger", "strategy_manager", "execution_manager")]
        for actor in (*others, self.world, self.word, self.engine):
            self.bus.add(actor)

    async def step(self, *done: bool) -> int:
        """Answer the tick at work with orders that were done or not; its time."""
        tick = await self.world.next_of(TickStarted)
        self.bus.post("engine", DecisionMade(tick.number, len(done)))
        if done:
            results = tuple(OrderResult(f"o-{place}", each) for place, each in enumerate(done))
            self.bus.post("engine", OrdersDone(tick.number, results))
        await self.bus.settled()
        return tick.market.ns

    async def close(self) -> None:
        self.bus.control("engine", CLOSE)
        await self.bus.settled()

    @property
    def times(self) -> list[int]:
        return [tick.market.ns - START for tick in self.world.of(TickStarted)]


async def test_closing_begins_at_once_and_a_step_that_was_done_is_followed_by_the_next(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        await bus.advance(600.0)
        await floor.close()
        for _ in range(3):
            await floor.step(True, False)
        assert floor.times == [0, 10 * MINUTE, 10 * MINUTE + 10**9, 10 * MINUTE + 2 * 10**9]
        assert [tick.number for tick in floor.world.of(TickStarted)] == [0, 1, 2, 3]
        bus.control("engine", StopTrading("the book is closed"))
        assert await floor.step() == START + HOUR


async def test_after_a_step_in_which_nothing_could_be_done_it_pauses(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        await bus.advance(600.0)
        await floor.close()
        await floor.step()
        await floor.step(False)
        await floor.step(True)
        await floor.step()
        assert floor.times == [0, *(10 * MINUTE + each * 10**9 for each in (0, 30, 60, 61))]


async def test_a_command_in_the_middle_of_a_tick_waits_for_its_end(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await bus.until(lambda: floor.engine.at_work, "a tick")
        await bus.advance(60.0)
        await floor.close()
        assert floor.times == [0]
        await floor.step()
        await floor.step()
        assert floor.times == [0, MINUTE]


async def test_the_markets_own_ticks_come_at_their_times_and_count_as_steps(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        await bus.advance(3590.0)
        await floor.close()
        for _ in range(3):
            await floor.step()
        assert floor.times == [0, HOUR - 10 * 10**9, HOUR, HOUR + 30 * 10**9]
        assert floor.world.of(TickStarted)[2].market.ns == START + HOUR


async def test_when_its_ticks_are_used_up_it_says_so_once_and_goes_on_with_the_markets(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        await bus.advance(600.0)
        await floor.close()
        for _ in range(CONFIG.flatten_ticks):
            assert floor.word.of(BookStillOpen) == []
            await floor.step()
        assert floor.word.of(BookStillOpen) == [BookStillOpen(5)]
        await floor.step()
        await floor.step()
        assert floor.times[-3:] == [10 * MINUTE + 120 * 10**9, HOUR, 2 * HOUR]
        assert len(floor.word.of(BookStillOpen)) == 1
        await floor.close()
        await floor.step()
        assert floor.times[-1] == 2 * HOUR + 10**9, "whoever asks again has as many again"


@pytest.mark.parametrize("ends", [StopTrading("closed"), ResumeTrading()])
async def test_what_ends_closing_ends_its_ticks(ends: object, runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        await floor.close()
        await floor.step()
        bus.control("engine", ends)
        await floor.step()
        assert floor.times == [0, 10**9, HOUR]
        assert floor.word.of(BookStillOpen) == []


async def test_before_the_market_is_known_its_first_tick_is_waited_for(runtime: Runtimes) -> None:
    floor = Floor(runtime, starts=START - HOUR // 2, feed=Open(3))
    async with floor.bus:
        await floor.close()
        await floor.step()
        await floor.step()
        assert floor.times == [0, 30 * 10**9]


async def test_a_process_that_begins_between_two_ticks_closes_before_the_first(runtime: Runtimes) -> None:
    floor = Floor(runtime, starts=START - HOUR // 2, feed=Open(3, START - HOUR))
    async with floor.bus:
        await floor.close()
        await floor.step()
        assert floor.times == [-HOUR // 2]
        assert floor.world.of(TickStarted)[0].reconcile


async def test_a_leg_that_stands_alone_is_looked_at_at_once_until_nothing_more_is_wanted(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        await bus.advance(600.0)
        bus.post("engine", LevelBook())
        await floor.step(True)
        await floor.step(False)
        await floor.step()
        await floor.step()
        assert floor.times == [0, *(10 * MINUTE + each * 10**9 for each in (0, 1, 31)), HOUR]
        assert floor.word.of(BookStillOpen) == [], "nobody wanted it closed"
        assert not floor.engine.is_closing


async def test_a_leg_that_stands_alone_is_no_reason_to_go_on_after_a_stop(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        bus.control("engine", StopTrading("killed"))
        bus.post("engine", LevelBook())
        await floor.step()
        assert floor.times == [0, HOUR]


async def test_a_leg_that_stands_alone_while_the_book_is_closed_changes_nothing(runtime: Runtimes) -> None:
    floor = Floor(runtime)
    async with floor.bus as bus:
        await floor.step()
        await floor.close()
        bus.post("engine", LevelBook())
        await floor.step()
        assert floor.engine.is_closing
        await floor.step()
        assert floor.times == [0, 10**9, 31 * 10**9]
