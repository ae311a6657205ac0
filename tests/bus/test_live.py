"""What only LiveBus has: real waits, cancellation, fairness, clocks that others move."""

import asyncio
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest

from basis_actors.bus import (
    Actor,
    AskTimeout,
    BusError,
    BusFailed,
    LiveBus,
    Lost,
    ManualClock,
    Outlet,
    Request,
    StopTimeout,
    WallClock,
    on,
)
from basis_actors.bus.live_strands import MESSAGES_PER_TURN
from basis_actors.bus.testkit import Probe


class Go(msgspec.Struct, frozen=True):
    number: int = 0


class Flush(msgspec.Struct, frozen=True):
    pass


class Read(Request[str], frozen=True):
    pass


class Gate:
    """Something of the outside world that opens when the test says so."""

    def __init__(self) -> None:
        self.entered = anyio.Event()
        self.opened = anyio.Event()

    async def pass_through(self) -> None:
        self.entered.set()
        await self.opened.wait()


class Caller(Actor):
    """Its handler waits for the outside world."""

    def __init__(self, name: str, gate: Gate) -> None:
        super().__init__(name)
        self.gate = gate
        self.done: list[int] = []

    @on(Go)
    async def go(self, message: Go) -> None:
        await self.gate.pass_through()
        self.done.append(message.number)

    @on(Read)
    async def read(self, _message: Read) -> str:
        return await anyio.to_thread.run_sync(lambda: "from a thread")


class Named(Actor):
    """Writes down what happens to it, in a list that several may share."""

    def __init__(self, name: str, story: list[str], broken: str | None = None) -> None:
        super().__init__(name)
        self.story = story
        self.broken = broken

    def pre_start(self) -> None:
        self.story.append(f"{self.name} starts")

    @on(Go)
    def go(self, message: Go) -> None:
        if self.broken is not None:
            raise LookupError(self.broken)
        self.story.append(f"{self.name} goes {message.number}")

    def post_stop(self) -> None:
        self.story.append(f"{self.name} stops")


class FileSink(Actor):
    """A log sink whose flush is a shielded wait for the disk."""

    def __init__(self, name: str, disk: Gate) -> None:
        super().__init__(name)
        self.disk = disk
        self.batch: list[object] = []
        self.written: list[object] = []

    @on(Flush)
    async def flush(self, _message: Flush) -> None:
        await self._write()

    @on(object)
    def keep(self, event: object) -> None:
        self.batch.append(event)

    async def post_stop(self) -> None:
        await self._write()

    async def _write(self) -> None:
        batch, self.batch = self.batch, []
        with anyio.CancelScope(shield=True):
            await self.disk.pass_through()
            self.written += batch


async def test_handlers_may_wait_for_threads_and_the_loop() -> None:
    async with LiveBus() as bus:
        bus.add(Caller("caller", Gate()))
        assert await bus.ask("caller", Read(), 60.0) == "from a thread"


async def test_real_io_in_a_handler_keeps_its_cause_and_the_bus_unsettled() -> None:
    gate = Gate()
    caller, bus = Caller("caller", gate), LiveBus()
    bus.add(caller)
    async with bus, anyio.create_task_group() as tests:
        cause = bus.post("caller", Go(1))
        await gate.entered.wait()
        assert cause.live == 1
        tests.start_soon(bus.settled)
        gate.opened.set()
        await bus.settled(cause)
        assert caller.done == [1]


async def test_control_interrupts_real_io_too() -> None:
    gate, heard = Gate(), anyio.Event()

    class Attentive(Caller):
        def on_control(self, message: object) -> object:
            heard.set()
            return None

    async with LiveBus() as bus:
        attentive = Attentive("caller", gate)
        bus.add(attentive)
        bus.post("caller", Go(1))
        await gate.entered.wait()
        bus.control("caller", "kill")
        await heard.wait()
        assert attentive.done == []
        gate.opened.set()
        await bus.settled()
        assert attentive.done == [1]


async def test_control_to_oneself_waits_for_the_handler_to_end() -> None:
    class Selfish(Probe):
        @on(Go)
        def go(self, _message: Go) -> None:
            self.control(self.name, "later")
            self.tell(self.name, "message")

    async with LiveBus() as bus:
        selfish = Selfish("selfish")
        bus.add(selfish)
        bus.post("selfish", Go())
        await bus.settled()
        assert (selfish.received, selfish.interruptions) == (["later", "message"], [])


async def test_a_busy_actor_gives_way_after_its_share() -> None:
    """A second actor gets its turn long before the first has emptied its inbox."""
    seen_at: list[int] = []

    class Busy(Actor):
        handled = 0

        @on(Go)
        def go(self, _message: Go) -> None:
            self.handled += 1

    class Watcher(Actor):
        @on(Go)
        def go(self, _message: Go) -> None:
            seen_at.append(busy.handled)

    busy = Busy("busy")
    async with LiveBus() as bus:
        bus.add(busy)
        bus.add(Watcher("watcher"))
        await bus.settled()
        for _ in range(10 * MESSAGES_PER_TURN):
            bus.post("busy", Go())
        bus.post("watcher", Go())
        await bus.settled()
    assert seen_at[0] <= MESSAGES_PER_TURN


async def test_the_most_that_ever_waited_is_remembered() -> None:
    probe = Probe("probe")
    async with LiveBus(ManualClock(auto=True)) as bus:
        bus.add(probe)
        for count in (3, 7, 2):
            for number in range(count):
                bus.post("probe", Go(number))
            await bus.settled()
        assert bus.stats("probe").depth == 0
        assert bus.stats("probe").high_water == 7


async def test_a_clock_moved_by_hand_fires_timers_and_deadlines() -> None:
    class Setter(Actor):
        outcome: object = None

        @on(Go)
        async def go(self, _message: Go) -> None:
            self.after(5.0, Flush())
            try:
                await self.ask("caller", Read(), 2.0)
            except AskTimeout as error:
                self.outcome = error

        @on(Flush)
        def flush(self, _message: Flush) -> None:
            self.outcome = self.now

    class Deaf(Actor):
        @on(Read)
        async def read(self, _message: Read) -> str:
            await self.sleep(3.0)
            return "late"

    clock, setter = ManualClock(), Setter("setter")
    async with LiveBus(clock) as bus:
        bus.add(setter)
        bus.add(Deaf("caller"))
        bus.post("setter", Go())
        await bus.idle()
        clock.advance(1.0)
        await bus.idle()
        assert setter.outcome is None
        clock.advance(1.0)
        await bus.idle()
        assert isinstance(setter.outcome, AskTimeout)
        clock.advance(10.0)
        await bus.settled()
        assert setter.outcome == 12_000_000_000


async def test_the_wall_clock_drives_timers_and_never_goes_back() -> None:
    class Once(Actor):
        def pre_start(self) -> None:
            self.after(0.001, "rang")

        @on(str)
        async def rang(self, message: str) -> None:
            await self.sleep(0.001)
            self.tell("probe", message)

    clock, probe = WallClock(), Probe("probe")
    began = clock.now()
    bus = LiveBus(clock)
    bus.add(probe)
    bus.add(Once("once"))
    async with bus:
        assert await probe.next() == "rang"
        with pytest.raises(BusError, match="WallClock cannot be moved"):
            await bus.advance(1.0)
    assert clock.now() > began + 2_000_000


async def test_cancelling_whoever_waits_leaves_the_bus_whole() -> None:
    gate = Gate()
    caller = Caller("caller", gate)
    async with LiveBus() as bus:
        bus.add(caller)
        bus.post("caller", Go(1))
        await gate.entered.wait()
        for wait in (bus.settled, lambda: bus.ask("caller", Read())):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await wait()
            assert scope.cancelled_caught
        gate.opened.set()
        await bus.settled()
        assert caller.done == [1]


async def test_cancelling_the_owner_of_the_bus_still_drains_it() -> None:
    disk, ready = Gate(), anyio.Event()
    disk.opened.set()
    sink = FileSink("sink", disk)

    async def service() -> None:
        async with LiveBus(log_sink="sink") as bus:
            bus.add(sink)
            for number in range(5):
                bus.post("sink", Go(number))
            ready.set()
            await anyio.sleep_forever()

    task = asyncio.create_task(service())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.written == [Go(number) for number in range(5)]


async def test_a_cancelled_scope_around_the_bus_waits_for_the_drain() -> None:
    disk = Gate()
    disk.opened.set()
    sink = FileSink("sink", disk)
    with anyio.CancelScope() as scope:
        async with LiveBus(log_sink="sink") as bus:
            bus.add(sink)
            for number in range(5):
                bus.post("sink", Go(number))
            scope.cancel()
            await anyio.sleep_forever()
    assert bus.closed
    assert sink.written == [Go(number) for number in range(5)]


async def test_cancellation_in_the_middle_of_a_flush_does_not_tear_it() -> None:
    """The owner is cancelled while the disk is at work; the flush completes, and so does the one of post_stop."""
    disk = Gate()
    sink = FileSink("sink", disk)

    async def service() -> None:
        async with LiveBus(log_sink="sink") as bus:
            bus.add(sink)
            bus.post("sink", Go(1))
            bus.post("sink", Flush())
            bus.post("sink", Go(2))
            await anyio.sleep_forever()

    task = asyncio.create_task(service())
    await disk.entered.wait()
    task.cancel()
    disk.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.written == [Go(1), Go(2)]


async def test_a_disk_that_never_returns_is_given_up_at_the_deadline() -> None:
    disk, clock = Gate(), ManualClock()
    bus = LiveBus(clock, log_sink="sink")
    bus.add(FileSink("sink", disk))
    await bus.start()
    bus.post("sink", Flush())
    bus.post("sink", Go(1))
    await disk.entered.wait()
    stopping = asyncio.create_task(bus.stop(deadline=10.0))
    while not bus.draining:
        await asyncio.sleep(0)
    clock.advance(10.0)
    with pytest.raises(StopTimeout) as error:
        await stopping
    assert error.value.lost == (Lost("sink", "Flush", {"Go": 1}),)
    disk.opened.set()


async def test_a_stop_whose_caller_is_cancelled_goes_on() -> None:
    gate = Gate()
    caller, bus = Caller("caller", gate), LiveBus()
    bus.add(caller)
    await bus.start()
    bus.post("caller", Go(1))
    await gate.entered.wait()
    stopping = asyncio.create_task(bus.stop())
    while not bus.draining:
        await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    gate.opened.set()
    await bus.stop()
    assert caller.done == [1]


async def test_a_task_of_the_bus_cancelled_by_a_stranger_ends_the_run_in_order() -> None:
    disk = Gate()
    disk.opened.set()
    sink, bus = FileSink("sink", disk), LiveBus(log_sink="sink")
    tasks: list[asyncio.Task[Any] | None] = []

    class Victim(Actor):
        def pre_start(self) -> None:
            tasks.append(asyncio.current_task())

    bus.add(sink)
    bus.add(Victim("victim"))
    await bus.start()
    await bus.settled()
    bus.post("sink", Go(1))
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await bus.until(lambda: False)
    assert bus.closed
    assert sink.written == [Go(1)]


def test_a_loop_that_is_torn_down_drains_the_bus() -> None:
    disk = Gate
    sinks: list[FileSink] = []

    async def main() -> None:
        gate = disk()
        gate.opened.set()
        sinks.append(FileSink("sink", gate))
        bus = LiveBus(log_sink="sink")
        bus.add(sinks[0])
        await bus.start()
        bus.post("sink", Go(1))

    asyncio.run(main())
    assert sinks[0].written == [Go(1)]


async def test_a_source_that_waits_for_the_world_does_not_hold_up_settling() -> None:
    arrived = anyio.Event()

    async def stream(outlet: Outlet) -> None:
        outlet.post("probe", "first")
        await arrived.wait()
        outlet.post("probe", "second")

    probe = Probe("probe")
    bus = LiveBus(ManualClock(auto=True))
    bus.add(probe)
    bus.add_source("probe", stream)
    async with bus:
        await bus.settled()
        assert probe.received == ["first"]
        arrived.set()
        await bus.exhausted()
        assert probe.received == ["first", "second"]


async def test_virtual_time_waits_for_a_source_that_waits_for_the_world() -> None:
    arrived = anyio.Event()

    async def stream(outlet: Outlet) -> None:
        await arrived.wait()
        outlet.post("probe", outlet.now)

    class Late(Actor):
        def pre_start(self) -> None:
            self.after(100.0, Go())

        @on(Go)
        def go(self, _message: Go) -> None:
            self.tell("probe", self.now)

    probe = Probe("probe")
    bus = LiveBus(ManualClock(auto=True))
    bus.add(probe)
    bus.add(Late("late"))
    bus.add_source("probe", stream)
    async with bus, anyio.create_task_group() as tests:
        tests.start_soon(bus.exhausted)
        for _ in range(20):
            await asyncio.sleep(0)
        assert bus.clock.now() == 0
        arrived.set()
        assert await probe.next() == 0


async def test_a_source_that_ignores_its_end_is_named() -> None:
    gate, clock = Gate(), ManualClock()

    async def stubborn(_outlet: Outlet) -> None:
        with anyio.CancelScope(shield=True):
            await gate.pass_through()

    bus = LiveBus(clock)
    bus.add(Probe("probe"))
    bus.add_source("probe", stubborn)
    await bus.start()
    await gate.entered.wait()
    stopping = asyncio.create_task(bus.stop(deadline=1.0))
    while not bus.draining:
        await asyncio.sleep(0)
    clock.advance(1.0)
    with pytest.raises(StopTimeout, match="stubborn of probe: did not finish source"):
        await stopping
    gate.opened.set()


async def test_an_actor_asks_for_one_thing_at_a_time() -> None:
    class Greedy(Actor):
        @on(Go)
        async def go(self, _message: Go) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(self.ask, "caller", Read())
                group.start_soon(self.ask, "caller", Read())

    bus = LiveBus()
    bus.add(Caller("caller", Gate()))
    bus.add(Greedy("greedy"))
    await bus.start()
    bus.post("greedy", Go())
    with pytest.raises(BusFailed) as failed:
        await bus.settled()
    assert "while it waits for 'caller'" in str(failed.value.__cause__.exceptions[0])


async def test_a_start_that_is_given_up_at_once_leaves_a_bus_that_stops() -> None:
    bus = LiveBus()
    bus.add(Probe("a"))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await bus.start()
    with anyio.fail_after(30.0):
        await bus.stop()
    assert bus.closed


async def test_some_begin_ahead_of_the_others_for_whom_messages_wait() -> None:
    story: list[str] = []
    bus = LiveBus()

    async def feed(outlet: Outlet) -> None:
        outlet.post("late", Go(2))
        outlet.post(outlet.owner, Go(3))

    async def late_feed(outlet: Outlet) -> None:
        outlet.post(outlet.owner, Go(4))

    for name in ("late", "early"):
        bus.add(Named(name, story))
    bus.add_source("early", feed)
    bus.add_source("late", late_feed)
    bus.control("late", Go(1))
    await bus.begin(["early"])
    await bus.until(lambda: bus.stats("early").handled == 1)
    assert story == ["early starts", "early goes 3"]
    assert not bus.started
    await bus.start()
    await bus.exhausted()
    assert story[2:] == ["late starts", "late goes 1", "late goes 2", "late goes 4"]
    await bus.stop()


async def test_a_stop_before_the_others_have_started_is_only_of_those_that_had_begun() -> None:
    story: list[str] = []
    bus = LiveBus()
    for name in ("late", "early"):
        bus.add(Named(name, story))
    bus.post("late", Go())
    await bus.begin(["early"])
    await bus.stop()
    assert story == ["early starts", "early stops"]
    assert [letter.to for letter in bus.dead_letters] == ["late"]


async def test_a_failure_before_the_others_have_started_keeps_them_from_it() -> None:
    story: list[str] = []
    bus = LiveBus()
    bus.add(Named("late", story))
    bus.add(Named("early", story, broken="no"))
    await bus.begin(["early"])
    bus.post("early", Go())
    with pytest.raises(BusFailed, match="no"):
        await bus.until(lambda: False)
    with pytest.raises(BusFailed, match="no"):
        await bus.start()
    assert story == ["early starts", "early stops"]
