"""What one actor can do: handle, send, wait, log, set timers."""

import msgspec
import pytest

from basis_actors.bus import (
    Actor,
    BusError,
    Cause,
    DeadLetter,
    NotOnABus,
    Phase,
    Reason,
    Request,
    UnknownActor,
    on,
)
from basis_actors.bus.testkit import Probe, Runtimes


class Add(msgspec.Struct, frozen=True, gc=False):
    amount: int


class AddTwice(Add, frozen=True, gc=False):
    pass


class GetTotal(Request[int], frozen=True):
    pass


class Tick(msgspec.Struct, frozen=True, gc=False):
    number: int


class Counter(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.total = 0

    @on(Add)
    def add(self, message: Add) -> None:
        self.total += message.amount

    @on(GetTotal)
    async def get_total(self, _message: GetTotal) -> int:
        return self.total


class Teller(Actor):
    """Does what it is told with the verbs of an actor."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: list[object] = []

    @on(Tick)
    async def tick(self, message: Tick) -> None:
        self.tell("counter", Add(message.number))
        self.publish(Add(message.number))
        self.log(message)
        self.seen.append(await self.ask("counter", GetTotal()))


async def test_messages_sent_from_outside_are_handled_and_answered(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Counter("counter"))
        bus.post("counter", Add(2))
        bus.post("counter", Add(3))
        assert await bus.ask("counter", GetTotal()) == 5


async def test_tell_publish_log_and_ask_arrive_in_the_order_they_were_sent(runtime: Runtimes) -> None:
    teller, sink = Teller("teller"), Probe("sink")
    async with runtime.bus(log_sink="sink") as bus:
        for actor in (Counter("counter"), teller, sink):
            bus.add(actor)
        await bus.settled(bus.post("teller", Tick(4)))
    assert teller.seen == [8]
    assert sink.received == [Tick(4)]


async def test_publish_reaches_exactly_the_handlers_of_the_type_in_order_of_registration(runtime: Runtimes) -> None:
    first, second, other = Probe("first", Add), Probe("second", Add), Probe("other", Tick)
    async with runtime.bus() as bus:
        for actor in (second, first, other):
            bus.add(actor)
        bus.publish(Add(1))
        bus.publish(AddTwice(1))
        await bus.settled()
        assert (first.received, second.received, other.received) == ([Add(1)], [Add(1)], [])
        assert bus.dead_letters.count == 0


async def test_a_message_of_a_subclass_is_a_dead_letter(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Counter("counter"))
        watcher = Probe("watcher", DeadLetter)
        bus.add(watcher)
        bus.post("counter", AddTwice(1))
        await bus.settled()
        letter = DeadLetter(AddTwice(1), "counter", "outside", Reason.UNHANDLED, watcher.of(DeadLetter)[0].sequence)
        assert list(bus.dead_letters) == watcher.received == [letter]


async def test_dead_letters_are_bounded_but_counted(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Counter("counter"))
        for number in range(1500):
            bus.post("counter", Tick(number))
        await bus.settled()
        assert bus.dead_letters.count == 1500
        assert len(bus.dead_letters) == 1000
        assert bus.dead_letters[-1].message == Tick(1499)


async def test_an_unknown_name_is_refused_at_the_call_and_names_who_is_there(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Counter("counter"))
        with pytest.raises(UnknownActor, match=r"'outside' sent Add to 'cuonter'.*known: counter"):
            bus.post("cuonter", Add(1))
        with pytest.raises(UnknownActor):
            await bus.ask("cuonter", GetTotal())


class Recorder(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: list[tuple[object, str, str, int, int, str]] = []

    @on(Tick)
    def tick(self, message: Tick) -> None:
        envelope = self.envelope
        self.seen.append(
            (
                message,
                envelope.sender,
                envelope.cause.label,
                envelope.sequence,
                envelope.causation_id,
                envelope.correlation_id,
            )
        )
        if message.number:
            self.tell(self.name, Tick(message.number - 1))


async def test_the_envelope_says_who_why_and_which_run(runtime: Runtimes) -> None:
    recorder = Recorder("recorder")
    async with runtime.bus(correlation_id="run-7") as bus:
        bus.add(recorder)
        bus.post("recorder", Tick(1), Cause("tick 1"))
        await bus.settled()
    (_, sender, cause, first, causation, run), (_, sender2, cause2, second, causation2, _) = recorder.seen
    assert (sender, cause, causation, run) == ("outside", "tick 1", 0, "run-7")
    assert (sender2, cause2, causation2) == ("recorder", "tick 1", first)
    assert second > first


async def test_there_is_no_envelope_between_messages(runtime: Runtimes) -> None:
    counter = Counter("counter")
    async with runtime.bus() as bus:
        bus.add(counter)
        bus.post("counter", Add(1))
        await bus.settled()
        with pytest.raises(BusError, match="not handling a message"):
            _ = counter.envelope


class Alarm(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.rang: list[tuple[int, int]] = []

    @on(Add)
    def set_alarms(self, message: Add) -> None:
        self.after(3.0, Tick(3))
        self.after(1.5, Tick(1))
        self.after(1.5, Tick(2))
        self.after(2.0, Tick(99)).cancel()

    @on(Tick)
    def ring(self, message: Tick) -> None:
        self.rang.append((message.number, self.now))


async def test_timers_fire_in_order_of_time_and_then_of_creation(runtime: Runtimes) -> None:
    alarm = Alarm("alarm")
    async with runtime.bus(start_ns=100) as bus:
        bus.add(alarm)
        bus.post("alarm", Add(0))
        await bus.settled()
        assert alarm.rang == []
        await bus.advance(1.5)
        assert alarm.rang == [(1, 1_500_000_100), (2, 1_500_000_100)]
        await bus.advance(10.0)
        assert alarm.rang[2:] == [(3, 3_000_000_100)]
        assert bus.clock.now() == 11_500_000_100


class Sleeper(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.woke: list[tuple[int, int]] = []

    @on(Tick)
    async def tick(self, message: Tick) -> None:
        await self.sleep(message.number)
        self.woke.append((message.number, self.now))


async def test_an_actor_that_sleeps_handles_nothing_else(runtime: Runtimes) -> None:
    sleeper = Sleeper("sleeper")
    async with runtime.bus() as bus:
        bus.add(sleeper)
        bus.post("sleeper", Tick(5))
        bus.post("sleeper", Tick(1))
        await bus.settled()
    assert sleeper.woke == [(5, 5_000_000_000), (1, 6_000_000_000)]


async def test_a_port_may_sleep_on_the_clock_at_any_depth(runtime: Runtimes) -> None:
    class Port:
        def __init__(self, clock: object) -> None:
            self.clock = clock

        async def latency(self) -> None:
            await self.clock.sleep(0.25)

        async def call(self) -> str:
            await self.latency()
            return "filled"

    class Client(Actor):
        reply = ""

        @on(Tick)
        async def tick(self, _message: Tick) -> None:
            self.reply = await self.port.call()

    client = Client("client")
    async with runtime.bus() as bus:
        client.port = Port(bus.clock)
        bus.add(client)
        await bus.settled(bus.post("client", Tick(0)))
        assert (client.reply, bus.clock.now()) == ("filled", 250_000_000)


async def test_a_subclass_replaces_a_handler_by_name_or_by_type(runtime: Runtimes) -> None:
    class Doubler(Counter):
        def add(self, message: Add) -> None:
            self.total += 2 * message.amount

        @on(GetTotal)
        def negative_total(self, _message: GetTotal) -> int:
            return -self.total

    async with runtime.bus() as bus:
        bus.add(Doubler("doubler"))
        bus.post("doubler", Add(2))
        assert await bus.ask("doubler", GetTotal()) == -4


async def test_two_handlers_of_one_type_in_one_class_are_refused(runtime: Runtimes) -> None:
    class Ambiguous(Actor):
        @on(Add)
        def one(self, message: Add) -> None: ...

        @on(Add)
        def two(self, message: Add) -> None: ...

    with pytest.raises(TypeError, match="Ambiguous has two handlers of Add: one and two"):
        runtime.bus().add(Ambiguous("ambiguous"))


async def test_names_are_unique_and_an_actor_belongs_to_one_bus(runtime: Runtimes) -> None:
    bus, counter = runtime.bus(), Counter("counter")
    bus.add(counter)
    with pytest.raises(BusError, match="names are unique"):
        bus.add(Counter("counter"))
    with pytest.raises(BusError, match="on a bus already"):
        runtime.bus().add(counter)


def test_verbs_need_a_bus() -> None:
    with pytest.raises(NotOnABus, match="'counter' has not been added"):
        Counter("counter").publish(Add(1))


async def test_an_actor_may_join_a_running_bus(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Counter("counter"))
        bus.post("counter", Add(1))
        assert await bus.ask("counter", GetTotal()) == 1


async def test_messages_posted_before_the_start_wait_for_pre_start(runtime: Runtimes) -> None:
    class Late(Counter):
        async def pre_start(self) -> None:
            await self.sleep(1.0)
            self.total = 100

    bus = runtime.bus()
    bus.add(Late("late"))
    bus.post("late", Add(1))
    async with bus:
        assert await bus.ask("late", GetTotal()) == 101


async def test_pre_start_may_ask_an_actor_that_starts_later(runtime: Runtimes) -> None:
    class Rebuilder(Actor):
        total = 0

        async def pre_start(self) -> None:
            self.total = await self.ask("counter", GetTotal())

    rebuilder, counter = Rebuilder("rebuilder"), Counter("counter")
    counter.total = 12
    bus = runtime.bus()
    bus.add(rebuilder)
    bus.add(counter)
    async with bus:
        assert rebuilder.total == 12


async def test_stats_tell_depth_count_time_and_phase(runtime: Runtimes) -> None:
    bus = runtime.bus(start_ns=5)
    bus.add(Counter("counter"))
    bus.post("counter", Add(1))
    assert (bus.stats("counter").depth, bus.stats("counter").phase) == (1, Phase.NEW)
    async with bus:
        await bus.settled()
        stats = bus.stats("counter")
        assert (stats.depth, stats.handled, stats.last_message_at) == (0, 1, 5)
        assert stats.phase is Phase.RUNNING
    assert bus.stats("counter").phase is Phase.STOPPED


async def test_the_bus_names_its_actors_in_the_order_they_were_added(runtime: Runtimes) -> None:
    bus = runtime.bus()
    assert bus.actors == ()
    for name in ("b", "a"):
        bus.add(Counter(name))
    async with bus:
        bus.add(Counter("c"))
        assert bus.actors == ("b", "a", "c")


async def test_log_without_a_sink_is_a_dead_letter(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Counter("counter"))
        bus.add(Teller("teller"))
        await bus.settled(bus.post("teller", Tick(1)))
        assert [letter.reason for letter in bus.dead_letters] == [Reason.NO_LOG_SINK]
