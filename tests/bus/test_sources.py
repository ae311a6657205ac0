"""Sources: input that the runtime runs on an actor's behalf, and the one place where backpressure acts."""

import msgspec
import pytest

from basis_actors.bus import Actor, AskFailed, AskTimeout, BusError, Lane, Outlet, Request, Restart, UnknownActor, on
from basis_actors.bus.testkit import Probe, Runtimes


class Bar(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    number: int


class Consumer(Actor):
    """Takes its time with every message, and remembers how full its inbox got."""

    def __init__(self, name: str, seconds: float = 1.0) -> None:
        super().__init__(name)
        self.seconds = seconds
        self.deepest = 0
        self.bars: list[Bar] = []

    @on(Bar)
    async def bar(self, message: Bar) -> None:
        self.deepest = max(self.deepest, self._cell.depth + 1)
        await self.sleep(self.seconds)
        self.bars.append(message)


async def test_a_source_feeds_the_bus_until_it_ends(runtime: Runtimes) -> None:
    async def feed(outlet: Outlet) -> None:
        for number in range(5):
            await outlet.room("probe")
            outlet.post("probe", Bar("BTC", number))

    probe = Probe("probe")
    async with runtime.bus() as bus:
        bus.add(probe)
        bus.add_source("probe", feed)
        await bus.exhausted()
    assert [message.number for message in probe.of(Bar)] == list(range(5))
    assert {envelope.sender for envelope in probe.envelopes} == {"probe"}


async def test_a_slow_consumer_makes_its_source_wait(runtime: Runtimes) -> None:
    async def feed(outlet: Outlet) -> None:
        for number in range(50):
            await outlet.room("slow")
            outlet.post("slow", Bar("BTC", number))

    slow = Consumer("slow")
    async with runtime.bus() as bus:
        bus.add(slow, credit=8)
        bus.add_source("slow", feed)
        await bus.exhausted()
    assert [bar.number for bar in slow.bars] == list(range(50))
    assert slow.deepest <= 9


@pytest.mark.parametrize(("batch_size", "credit"), [(10, 20), (15, 16), (1, 1)])
async def test_unwritten_log_events_count_against_sources(runtime: Runtimes, batch_size: int, credit: int) -> None:
    class BatchingSink(Actor):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.batch: list[object] = []
            self.written = 0
            self.deepest = 0

        @property
        def backlog(self) -> int:
            return len(self.batch)

        @on(object)
        async def keep(self, event: object) -> None:
            self.batch.append(event)
            self.deepest = max(self.deepest, self._cell.depth)
            if len(self.batch) >= batch_size:
                await self.sleep(1.0)
                self.written += len(self.batch)
                self.batch = []

    class Logging(Actor):
        @on(Bar)
        def bar(self, message: Bar) -> None:
            self.log(message)

    async def feed(outlet: Outlet) -> None:
        for number in range(200):
            await outlet.room("logging")
            outlet.post("logging", Bar("BTC", number))

    sink = BatchingSink("sink")
    async with runtime.bus(log_sink="sink") as bus:
        bus.add(Logging("logging"), credit=4)
        bus.add(sink, credit=credit)
        bus.add_source("logging", feed)
        await bus.exhausted()
    assert sink.written == 200 - 200 % batch_size
    assert sink.deepest <= credit + 4 + 1


async def test_a_backlog_that_rests_above_half_of_the_credit_lets_the_source_go_on(runtime: Runtimes) -> None:
    """24 events fill one batch of 15 and leave 9, which only another event will move."""

    class Batching(Probe):
        @property
        def backlog(self) -> int:
            return len(self.received) % 15

    async def feed(outlet: Outlet) -> None:
        for number in range(24):
            outlet.post("sink", Bar("BTC", number))
        await outlet.room("sink")
        outlet.post("sink", "more")

    sink = Batching("sink")
    async with runtime.bus() as bus:
        bus.add(sink, credit=16)
        bus.add_source("sink", feed)
        await sink.next_of(str)


async def test_market_data_conflates_to_the_latest_per_key(runtime: Runtimes) -> None:
    async def feed(outlet: Outlet) -> None:
        for number in range(10):
            for symbol in ("BTC", "ETH"):
                outlet.latest("slow", Bar(symbol, number), key=symbol)
        outlet.post("slow", Bar("SOL", 0))

    slow = Consumer("slow")
    async with runtime.bus() as bus:
        bus.add(slow)
        bus.add_source("slow", feed)
        await bus.exhausted()
        assert slow.bars[-3:] == [Bar("BTC", 9), Bar("ETH", 9), Bar("SOL", 0)]
        assert len(slow.bars) + bus.stats("slow").conflated == 21


async def test_conflation_to_subscribers_is_per_subscriber_and_keeps_the_cause(runtime: Runtimes) -> None:
    async def feed(outlet: Outlet) -> None:
        outlet.publish_latest(Bar("BTC", 1))
        outlet.publish_latest(Bar("BTC", 2))
        cause = outlet.latest("probe", Bar("BTC", 3))
        await outlet.settled(cause)
        assert outlet.post("probe", "settled").label.startswith("str")

    probe, slow = Probe("probe", Bar), Consumer("slow")
    async with runtime.bus() as bus:
        bus.add(probe)
        bus.add(slow)
        bus.add_source("probe", feed)
        await bus.exhausted()
    assert probe.received == [Bar("BTC", 3), "settled"]
    assert slow.bars == [Bar("BTC", 2)]


async def test_a_schedule_of_ticks_waits_for_each_to_settle(runtime: Runtimes) -> None:
    seen: list[tuple[int, int]] = []

    async def schedule(outlet: Outlet) -> None:
        for number in range(4):
            cause = outlet.publish(Bar("tick", number))
            await outlet.settled(cause)
            seen.append((len(slow.bars), outlet.now))
            await outlet.sleep(3600.0 - 1.0)

    slow = Consumer("slow")
    async with runtime.bus() as bus:
        bus.add(slow)
        bus.add_source("slow", schedule)
        await bus.exhausted()
        assert bus.clock.now() == 4 * 3_600_000_000_000
    assert seen == [(n + 1, (n * 3600 + 1) * 1_000_000_000) for n in range(4)]


async def test_stop_ends_sources_first(runtime: Runtimes) -> None:
    async def endless(outlet: Outlet) -> None:
        number = 0
        while True:
            await outlet.room("slow")
            outlet.post("slow", Bar("BTC", number))
            number += 1

    slow = Consumer("slow")
    async with runtime.bus() as bus:
        bus.add(slow, credit=4)
        bus.add_source("slow", endless)
        await bus.until(lambda: len(slow.bars) >= 3)
        await bus.stop(deadline=60.0)
    assert [bar.number for bar in slow.bars] == list(range(len(slow.bars)))
    assert bus.dead_letters.count == 0


async def test_a_source_waiting_for_an_actor_that_fails_is_not_stuck(runtime: Runtimes) -> None:
    class Broken(Consumer):
        @on(Bar)
        async def bar(self, message: Bar) -> None:
            await self.sleep(1.0)
            raise ValueError("broken")

    async def feed(outlet: Outlet) -> None:
        for number in range(10):
            await outlet.room("broken")
            outlet.post("broken", Bar("BTC", number))

    bus = runtime.bus()
    bus.add(Broken("broken"), credit=2)
    bus.add_source("broken", feed)
    await bus.start()
    with pytest.raises(Exception, match="'broken' failed while handling Bar"):
        await bus.exhausted()


async def test_sources_are_checked(runtime: Runtimes) -> None:
    errors: list[Exception] = []

    async def lost(outlet: Outlet) -> None:
        try:
            outlet.latest("nobody", Bar("BTC", 1))
        except UnknownActor as error:
            errors.append(error)

    bus = runtime.bus()
    with pytest.raises(BusError, match="there is no actor 'ghost'"):
        bus.add_source("ghost", lost)
    bus.add(Probe("probe"))
    bus.add_source("probe", lost)
    async with bus:
        await bus.exhausted()
    assert len(errors) == 1
    with pytest.raises(BusError, match="the bus is stopping"):
        bus.add_source("probe", lost)


class Sum(Request[int], frozen=True):
    numbers: tuple[int, ...]


class Adder(Actor):
    @on(Sum)
    async def add(self, request: Sum) -> int:
        await self.sleep(1.0)
        if not request.numbers:
            raise ValueError("nothing to add")
        return sum(request.numbers)


async def test_a_source_may_ask_and_hears_what_came_of_it(runtime: Runtimes) -> None:
    heard: list[object] = []

    async def curious(outlet: Outlet) -> None:
        heard.append(await outlet.ask("adder", Sum((1, 2, 3))))
        for request, timeout in ((Sum(()), None), (Sum((1,)), 0.5)):
            with pytest.raises((AskFailed, AskTimeout)) as caught:
                await outlet.ask("adder", request, timeout)
            heard.append(type(caught.value))
        with pytest.raises(UnknownActor):
            await outlet.ask("nobody", Sum((1,)))

    async with runtime.bus() as bus:
        bus.add(Adder("adder"), Restart(5, 60.0))
        bus.add_source("adder", curious)
        await bus.exhausted()
    assert heard == [6, AskFailed, AskTimeout]


async def test_a_question_of_a_source_overtakes_in_the_control_lane(runtime: Runtimes) -> None:
    probe = Probe("probe").answers(Sum, 0)

    async def curious(outlet: Outlet) -> None:
        for number in range(3):
            outlet.post("probe", Bar("BTC", number))
        await outlet.ask("probe", Sum((1,)), lane=Lane.CONTROL)

    async with runtime.bus() as bus:
        bus.add(probe)
        bus.add_source("probe", curious)
        await bus.exhausted()
    assert [type(message) for message in probe.received] == [Sum, Bar, Bar, Bar]


async def test_a_source_that_waits_for_the_end_holds_up_neither_time_nor_the_stop(runtime: Runtimes) -> None:
    ended: list[str] = []

    async def serve(outlet: Outlet) -> None:
        outlet.post("probe", "open")
        try:
            await outlet.until_cancelled()
        finally:
            ended.append("closed")

    probe = Probe("probe")
    async with runtime.bus() as bus:
        bus.add(probe)
        bus.add_source("probe", serve)
        assert await probe.next() == "open"
        await bus.clock.sleep(60.0)
        assert bus.clock.now() == 60 * 10**9
        assert ended == []
    assert ended == ["closed"]
