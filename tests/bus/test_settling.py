"""When a cause is settled, and when the whole bus is."""

import msgspec
import pytest

from basis_actors.bus import Actor, BusError, Cause, Request, on
from basis_actors.bus.testkit import Probe, Runtimes


class Step(msgspec.Struct, frozen=True, gc=False):
    left: int
    pause: float = 0.0


class Look(Request[int], frozen=True):
    pass


class Walker(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.steps = 0
        self.causes: list[str] = []

    @on(Step)
    async def step(self, message: Step) -> None:
        if message.pause:
            await self.sleep(message.pause)
        self.steps += 1
        self.causes.append(self.envelope.cause.label)
        if message.left:
            self.tell(self.name, Step(message.left - 1, message.pause))

    @on(Look)
    def look(self, _message: Look) -> int:
        return self.steps


async def test_settled_waits_for_everything_a_cause_set_off(runtime: Runtimes) -> None:
    walker = Walker("walker")
    async with runtime.bus() as bus:
        bus.add(walker)
        cause = bus.post("walker", Step(10, 1.0))
        assert cause.live == 1
        await bus.settled(cause)
        assert (walker.steps, cause.live, bus.clock.now()) == (11, 0, 11_000_000_000)


async def test_one_cause_settles_while_another_goes_on(runtime: Runtimes) -> None:
    quick, slow = Walker("quick"), Walker("slow")
    async with runtime.bus() as bus:
        bus.add(quick)
        bus.add(slow)
        long = bus.post("slow", Step(5, 10.0))
        short = bus.post("quick", Step(2, 1.0))
        await bus.settled(short)
        assert (quick.steps, slow.steps, long.live) == (3, 0, 1)
        await bus.settled()
        assert slow.steps == 6


async def test_several_messages_may_share_a_cause(runtime: Runtimes) -> None:
    tick = Cause("tick 7")
    walker = Walker("walker")
    async with runtime.bus() as bus:
        bus.add(walker)
        bus.post("walker", Step(1), tick)
        bus.post("walker", Step(1), tick)
        await bus.settled(tick)
    assert walker.causes == ["tick 7"] * 4


async def test_settled_of_a_settled_cause_returns_at_once(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Walker("walker"))
        cause = bus.post("walker", Step(0))
        await bus.settled()
        await bus.settled(cause)
        await bus.settled(Cause("nothing"))


async def test_a_pending_timer_does_not_keep_anything_from_settling(runtime: Runtimes) -> None:
    class Later(Walker):
        @on(str)
        def later(self, message: str) -> None:
            self.after(5.0, Step(0), new_cause=Cause("flush") if message == "new" else None)

    walker = Later("walker")
    async with runtime.bus() as bus:
        bus.add(walker)
        await bus.settled(bus.post("walker", "old", Cause("tick")))
        await bus.settled(bus.post("walker", "new", Cause("tick")))
        await bus.settled()
        assert (walker.steps, bus.clock.now()) == (0, 0)
        await bus.advance(5.0)
        assert walker.causes == ["tick", "flush"]


async def test_a_parked_asker_keeps_its_cause_alive(runtime: Runtimes) -> None:
    class Asker(Actor):
        answer = -1

        @on(Step)
        async def step(self, _message: Step) -> None:
            self.answer = await self.ask("walker", Look())

    asker = Asker("asker")
    async with runtime.bus() as bus:
        bus.add(asker)
        bus.add(Walker("walker"))
        bus.post("walker", Step(0, 30.0))
        await bus.settled(bus.post("asker", Step(0)))
        assert (asker.answer, bus.clock.now()) == (1, 30_000_000_000)


async def test_idle_does_not_wait_for_time(runtime: Runtimes) -> None:
    walker = Walker("walker")
    bus = runtime.bus()
    if runtime.name == "live":
        bus.clock.auto = False
        bus._auto = False
    async with bus:
        bus.add(walker)
        bus.post("walker", Step(0))
        bus.post("walker", Step(0, 10.0))
        await bus.idle()
        assert (walker.steps, bus.clock.now()) == (1, 0)
        await bus.advance(9.0)
        assert walker.steps == 1
        await bus.advance(1.0)
        assert walker.steps == 2


async def test_advance_runs_timers_one_by_one(runtime: Runtimes) -> None:
    """What the first timer sets off is done before the second fires, though both are due at once."""

    class Pair(Actor):
        @on(str)
        def begin(self, _message: str) -> None:
            self.after(1.0, Step(1))
            self.after(1.0, Step(10))

        @on(Step)
        def step(self, message: Step) -> None:
            self.tell("probe", message.left)
            self.tell("relay", message)

    class Relay(Actor):
        @on(Step)
        def step(self, message: Step) -> None:
            self.tell("probe", -message.left)

    probe = Probe("probe")
    async with runtime.bus() as bus:
        for actor in (Pair("pair"), Relay("relay"), probe):
            bus.add(actor)
        bus.post("pair", "begin")
        await bus.advance(2.0)
        assert probe.received == [1, -1, 10, -10]


async def test_waiting_for_the_bus_is_refused_inside_a_handler(runtime: Runtimes) -> None:
    class Impatient(Actor):
        error: Exception | None = None

        @on(Step)
        async def step(self, _message: Step) -> None:
            try:
                await bus.settled()
            except BusError as error:
                self.error = error

    impatient, bus = Impatient("impatient"), runtime.bus()
    async with bus:
        bus.add(impatient)
        await bus.settled(bus.post("impatient", Step(0)))
    assert "cannot wait for their own bus" in str(impatient.error)


@pytest.mark.parametrize("count", [1, 1000])
async def test_the_clock_only_moves_when_nothing_is_ready(runtime: Runtimes, count: int) -> None:
    walker = Walker("walker")
    async with runtime.bus() as bus:
        bus.add(walker)
        sleeper = Walker("sleeper")
        bus.add(sleeper)
        bus.post("sleeper", Step(0, 1.0))
        cause = bus.post("walker", Step(count))
        await bus.until(lambda: walker.steps == count + 1)
        assert bus.clock.now() == 0
        await bus.settled(cause)
        assert sleeper.steps == 0
