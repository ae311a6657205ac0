"""What only SimBus promises: no event loop, total order, virtual time, slices, and no foreign awaits."""

import asyncio
import signal
from collections.abc import Iterator

import anyio
import msgspec
import pytest

from basis_actors.bus import Actor, BusFailed, BusStalled, ForeignAwait, Outlet, Request, Restart, SimBus, on
from basis_actors.bus.testkit import Probe


class Ball(msgspec.Struct, frozen=True, gc=False):
    left: int


class Size(Request[int], frozen=True):
    pass


class Player(Actor):
    def __init__(self, name: str, other: str) -> None:
        super().__init__(name)
        self.other = other
        self.played = 0

    @on(Ball)
    def ball(self, message: Ball) -> None:
        self.played += 1
        if message.left:
            self.tell(self.other, Ball(message.left - 1))


def match(bus: SimBus) -> tuple[Player, Player]:
    ping, pong = Player("ping", "pong"), Player("pong", "ping")
    bus.add(ping)
    bus.add(pong)
    return ping, pong


def test_run_does_a_whole_life_without_an_event_loop() -> None:
    bus = SimBus()
    ping, pong = match(bus)
    bus.post("ping", Ball(999))
    bus.run()
    assert (ping.played, pong.played, bus.closed) == (500, 500, True)


async def test_run_works_where_an_event_loop_is_running() -> None:
    bus = SimBus()
    ping, _ = match(bus)
    bus.post("ping", Ball(9))
    bus.run()
    assert ping.played == 5


def test_run_raises_the_failure() -> None:
    class Broken(Actor):
        @on(Ball)
        def ball(self, message: Ball) -> None:
            raise ValueError("dropped")

    bus = SimBus()
    bus.add(Broken("broken"))
    bus.post("broken", Ball(1))
    with pytest.raises(BusFailed, match="dropped"):
        bus.run()


class Metronome(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.beats: list[int] = []

    def pre_start(self) -> None:
        self.after(1.0, Ball(0))

    @on(Ball)
    def beat(self, message: Ball) -> None:
        self.beats.append(self.now)
        self.after(1.0, message)


def test_run_until_bounds_timers_that_renew_themselves() -> None:
    bus, metronome = SimBus(), Metronome("metronome")
    bus.add(metronome)
    bus.run(until=3_500_000_000)
    assert metronome.beats == [1_000_000_000, 2_000_000_000, 3_000_000_000]
    assert bus.clock.now() == 3_500_000_000


def stopwatch(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_slices_give_way_when_their_budget_is_used() -> None:
    bus = SimBus()
    ping, pong = match(bus)
    bus.post("ping", Ball(9999))
    ticks = stopwatch(0.25)
    slices, seen = 1, [0]
    while bus.run_slice(1.0, lambda: next(ticks)):
        slices += 1
        seen.append(ping.played + pong.played)
    assert slices > 5
    assert seen == sorted(seen)
    assert seen[1] < 10_000
    assert ping.played + pong.played == 10_000
    assert bus.closed


def test_slices_are_bounded_in_time_too() -> None:
    bus, metronome = SimBus(), Metronome("metronome")
    bus.add(metronome)
    ticks = stopwatch(0.25)
    while bus.run_slice(1.0, lambda: next(ticks), until=100_000_000_000):
        assert len(metronome.beats) <= 100
    assert len(metronome.beats) == 100


def test_same_inputs_same_trace() -> None:
    def trace() -> list[tuple[object, ...]]:
        probe, bus = Probe("probe", Ball), SimBus()
        match(bus)
        bus.add(probe)
        bus.add(Metronome("metronome"))

        async def feed(outlet: Outlet) -> None:
            for number in range(20):
                outlet.post("ping", Ball(number))
                outlet.publish(Ball(0))
                await outlet.sleep(0.3)

        bus.add_source("ping", feed)
        bus.run(until=10_000_000_000)
        return [(e.message, e.sender, e.sequence, e.causation_id, e.cause.label) for e in probe.envelopes]

    first = trace()
    assert len(first) == 20
    assert trace() == first


def test_delivery_is_in_order_of_sending_across_actors() -> None:
    order: list[tuple[str, int]] = []

    class Noted(Actor):
        @on(Ball)
        def ball(self, message: Ball) -> None:
            order.append((self.name, self.envelope.sequence))
            if message.left:
                for name in ("c", "a", "b"):
                    self.tell(name, Ball(message.left - 1))

    bus = SimBus()
    for name in "abc":
        bus.add(Noted(name))
    bus.post("b", Ball(3))
    bus.run()
    assert [sequence for _, sequence in order] == sorted(sequence for _, sequence in order)
    assert len(order) == 1 + 3 + 9 + 27


async def foreign_asyncio() -> None:
    await asyncio.sleep(0.1)


async def foreign_anyio() -> None:
    await anyio.sleep(0.1)


async def foreign_future() -> None:
    await asyncio.get_running_loop().create_future()


class Stranger(Actor):
    def __init__(self, name: str, port: object) -> None:
        super().__init__(name)
        self.port = port
        self.cleaned_up = False

    @on(Ball)
    async def ball(self, _message: Ball) -> None:
        try:
            await self.port()
        finally:
            self.cleaned_up = True


@pytest.mark.parametrize("port", [foreign_asyncio, foreign_anyio, foreign_future])
async def test_a_foreign_await_names_actor_and_handler(port: object) -> None:
    bus, stranger = SimBus(), Stranger("stranger", port)
    bus.add(stranger)
    bus.post("stranger", Ball(0))
    with pytest.raises(BusFailed) as failed:
        bus.run()
    assert isinstance(failed.value.__cause__, ForeignAwait)
    assert "actor 'stranger', handler 'ball' of Ball awaited" in str(failed.value.__cause__)
    assert stranger.cleaned_up


@pytest.mark.parametrize("port", [foreign_asyncio, foreign_anyio, foreign_future])
def test_a_foreign_await_is_named_without_an_event_loop_too(port: object) -> None:
    bus = SimBus()
    bus.add(Stranger("stranger", port))
    bus.post("stranger", Ball(0))
    with pytest.raises(BusFailed) as failed:
        bus.run()
    assert isinstance(failed.value.__cause__, ForeignAwait)
    assert "actor 'stranger', handler 'ball' of Ball" in str(failed.value.__cause__)


def test_a_foreign_await_in_a_source_is_named() -> None:
    async def stream(_outlet: Outlet) -> None:
        await foreign_asyncio()

    bus = SimBus()
    bus.add(Probe("probe"))
    bus.add_source("probe", stream)
    with pytest.raises(BusFailed, match="source 'stream of probe' awaited"):
        bus.run()


def test_a_foreign_await_is_subject_to_the_supervision_row() -> None:
    bus, stranger = SimBus(), Stranger("stranger", foreign_asyncio)
    bus.add(stranger, Restart(1, 1.0))
    bus.post("stranger", Ball(0))
    bus.run()
    assert bus.dead_letters.count == 1


async def test_a_probe_that_waits_in_vain_says_so() -> None:
    async with SimBus() as bus:
        probe = Probe("probe")
        bus.add(probe)
        with pytest.raises(BusStalled, match="waiting for a message to 'probe'"):
            await probe.next()


def test_control_c_between_messages_drains_the_sink_and_passes_through() -> None:
    class Sink(Actor):
        written: object = None

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.events: list[object] = []

        @on(object)
        def keep(self, event: object) -> None:
            self.events.append(event)

        def post_stop(self) -> None:
            self.written = len(self.events)

    class Endless(Actor):
        @on(Ball)
        def ball(self, message: Ball) -> None:
            self.log(message)
            self.tell(self.name, message)
            if self.envelope.sequence == 1001:
                signal.raise_signal(signal.SIGINT)

    bus, sink = SimBus(log_sink="sink"), Sink("sink")
    bus.add(sink)
    bus.add(Endless("endless"))
    bus.post("endless", Ball(0))
    # A process in the background may have been started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            bus.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert sink.written == len(sink.events) > 400


def test_an_actor_that_never_yields_time_still_stops() -> None:
    class Selfish(Actor):
        @on(Ball)
        def ball(self, message: Ball) -> None:
            self.tell(self.name, message)

    bus = SimBus()
    bus.add(Selfish("selfish"))
    bus.post("selfish", Ball(0))
    ticks = stopwatch(0.1)
    assert bus.run_slice(1.0, lambda: next(ticks))
    from basis_actors.bus.sim import complete

    complete(bus.stop())
    assert bus.dead_letters.count == 1


class Sleeper(Actor):
    """An actor that takes long to start."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.woke = 0

    async def pre_start(self) -> None:
        for _ in range(3):
            await self.sleep(10.0)
            self.woke += 1


def test_going_on_stops_in_the_middle_of_a_start() -> None:
    bus = SimBus()
    sleeper = Sleeper("sleeper")
    bus.add(sleeper)
    for until, woke in ((5, 0), (15, 1), (29, 2), (100, 3)):
        bus.go_on(until * 10**9)
        assert sleeper.woke == woke
    assert bus.failure is None


def test_going_on_leaves_a_failure_as_it_is() -> None:
    """Nobody drains: a process that is killed does nothing any more."""

    class Witness(Player):
        def post_stop(self) -> None:
            raise AssertionError("nothing is stopped")

    class Dying(Actor):
        @on(Ball)
        def ball(self, message: Ball) -> None:
            raise KeyboardInterrupt

    bus = SimBus()
    witness = Witness("witness", "dying")
    bus.add(Dying("dying"))
    bus.add(witness)
    bus.go_on(0)
    bus.post("dying", Ball(0))
    bus.post("witness", Ball(0))
    bus.go_on(10**9)
    assert isinstance(bus.failure, KeyboardInterrupt)
    assert witness.played == 0


def test_going_on_counts_messages() -> None:
    bus = SimBus()
    ping, pong = match(bus)
    bus.go_on(0)
    bus.post("ping", Ball(99))
    bus.go_on(0, 7)
    assert ping.played + pong.played == 7


class Keeper(Actor):
    """A log sink that keeps what it is given, in the order in which it has done with it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.kept: list[tuple[object, str, int]] = []

    @on(object)
    def keep(self, event: object) -> None:
        self.kept.append((event, self.envelope.sender, self.envelope.causation_id))


class Reporter(Actor):
    """Logs what it is told, twice, and tells itself the rest in between."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.done: list[int] = []

    @on(Ball)
    def ball(self, message: Ball) -> None:
        self.log((message.left, "first"))
        if message.left:
            self.tell(self.name, Ball(message.left - 1))
        self.log((message.left, "second"))
        self.done.append(message.left)


def test_an_idle_log_sink_sees_sender_and_causation_of_each_event_and_counts_it() -> None:
    bus, sink = SimBus(log_sink="sink"), Keeper("sink")
    bus.add(sink)
    bus.add(Reporter("reporter"))
    bus.post("reporter", Ball(1))
    bus.run()
    first, second = sink.kept[0][2], sink.kept[2][2]
    assert sink.kept == [
        ((1, "first"), "reporter", first),
        ((1, "second"), "reporter", first),
        ((0, "first"), "reporter", second),
        ((0, "second"), "reporter", second),
    ]
    assert second == first + 4  # the Start of both actors came in between
    assert bus.stats("sink").handled == 4


def test_an_event_does_not_overtake_what_its_sender_has_told_the_log_sink_before() -> None:
    class Teller(Actor):
        @on(Ball)
        def ball(self, message: Ball) -> None:
            self.log("before")
            self.tell("sink", message)
            self.log("after")

    bus, sink = SimBus(log_sink="sink"), Keeper("sink")
    bus.add(sink)
    bus.add(Teller("teller"))
    bus.post("teller", Ball(0))
    bus.run()
    assert [event for event, _, _ in sink.kept] == ["before", Ball(0), "after"]


def test_a_log_sink_that_waits_keeps_the_order_of_events_and_what_it_logs_itself() -> None:
    class Slow(Keeper):
        @on(object)
        async def keep(self, event: object) -> None:
            if event == (1, "first"):
                self.log("echo")
            await self.sleep(1.0)
            self.kept.append((event, self.envelope.sender, self.envelope.causation_id))

    bus, sink, reporter = SimBus(log_sink="sink"), Slow("sink"), Reporter("reporter")
    bus.add(sink)
    bus.add(reporter)
    bus.post("reporter", Ball(1))
    bus.run()
    expected = [(1, "first"), (1, "second"), "echo", (0, "first"), (0, "second")]
    assert [event for event, _, _ in sink.kept] == expected
    assert bus.clock.now() == 5_000_000_000
    assert reporter.done == [1, 0]


def test_a_log_sink_that_logs_is_not_entered_again() -> None:
    class Echo(Keeper):
        @on(object)
        def keep(self, event: object) -> None:
            if event == (0, "first"):
                self.log("echo")
            self.kept.append((event, self.envelope.sender, self.envelope.causation_id))

    bus, sink = SimBus(log_sink="sink"), Echo("sink")
    bus.add(sink)
    bus.add(Reporter("reporter"))
    bus.post("reporter", Ball(0))
    bus.run()
    assert [event for event, _, _ in sink.kept] == [(0, "first"), "echo", (0, "second")]


def test_a_log_sink_that_fails_ends_the_run_and_its_sender_is_not_to_blame() -> None:
    class Full(Keeper):
        @on(object)
        def keep(self, event: object) -> None:
            raise OSError("no space")

    bus, reporter = SimBus(log_sink="sink"), Reporter("reporter")
    bus.add(Full("sink"))
    bus.add(reporter)
    bus.post("reporter", Ball(100))
    with pytest.raises(BusFailed, match="no space") as failed:
        bus.run()
    assert (failed.value.actor, failed.value.message) == ("sink", (100, "first"))
    assert reporter.done == [100, 99]  # the message in hand, and what was in the inbox when the drain began
