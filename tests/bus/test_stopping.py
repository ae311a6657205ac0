"""How a bus ends: stop order, drain markers, deadlines, what is lost and who says so."""

from typing import Any

import msgspec
import pytest

from basis_actors.bus import Actor, AskFailed, BusError, BusFailed, Lost, Outlet, Reason, Request, StopTimeout, on
from basis_actors.bus.testkit import Probe, Runtimes


class Note(msgspec.Struct, frozen=True):
    text: str


class Stall(msgspec.Struct, frozen=True):
    seconds: float


class Question(Request[str], frozen=True):
    pass


class Ender(Actor):
    """Writes down when it stops; tells another what it still has to say."""

    def __init__(self, name: str, stopped: list[str], heir: str | None = None) -> None:
        super().__init__(name)
        self.stopped = stopped
        self.heir = heir
        self.notes: list[str] = []

    @on(Note)
    def note(self, message: Note) -> None:
        self.notes.append(message.text)
        if self.heir is not None:
            self.tell(self.heir, message)

    @on(Stall)
    async def stall(self, message: Stall) -> None:
        await self.sleep(message.seconds)

    @on(Question)
    def question(self, _message: Question) -> str:
        return "answer"

    def post_stop(self) -> None:
        self.stopped.append(self.name)


async def test_actors_stop_as_listed_then_backwards_then_sinks(runtime: Runtimes) -> None:
    stopped: list[str] = []
    bus = runtime.bus(log_sink="log", stop_order=("b", "d"))
    for name in ("log", "a", "metrics", "b", "c", "d"):
        bus.add(Ender(name, stopped), sink=name == "metrics")
    async with bus:
        pass
    assert stopped == ["b", "d", "c", "a", "metrics", "log"]


async def test_stop_lets_every_actor_finish_its_inbox(runtime: Runtimes) -> None:
    stopped: list[str] = []
    first, heir = Ender("first", stopped, "heir"), Ender("heir", stopped)
    bus = runtime.bus(stop_order=("first", "heir"))
    bus.add(first)
    bus.add(heir)
    await bus.start()
    for text in "abc":
        bus.post("first", Note(text))
    await bus.stop()
    assert first.notes == heir.notes == ["a", "b", "c"]
    assert bus.dead_letters.count == 0


async def test_what_is_sent_to_a_stopped_actor_is_a_dead_letter(runtime: Runtimes) -> None:
    stopped: list[str] = []
    bus = runtime.bus(stop_order=("heir",))
    bus.add(Ender("first", stopped, "heir"))
    bus.add(Ender("heir", stopped))
    await bus.start()
    bus.post("first", Stall(1.0))
    bus.post("first", Note("late"))
    await bus.stop()
    assert [(letter.message, letter.to, letter.reason) for letter in bus.dead_letters] == [
        (Note("late"), "heir", Reason.STOPPED)
    ]
    bus.post("first", Note("after the end"))
    await bus.stop()
    with pytest.raises(AskFailed, match="'first' did not handle Question: the receiver has stopped"):
        await bus.ask("first", Question())


async def test_timers_do_not_outlive_the_stop(runtime: Runtimes) -> None:
    class Periodic(Ender):
        def pre_start(self) -> None:
            self.timer = self.after(1.0, Note("tick"))

    periodic = Periodic("periodic", [])
    async with runtime.bus() as bus:
        bus.add(periodic)
        await bus.settled()
    assert not periodic.timer.pending
    assert periodic.notes == []


async def test_a_stalled_actor_is_named_with_what_was_lost(runtime: Runtimes) -> None:
    stopped: list[str] = []
    stalled, sink = Ender("stalled", stopped), Ender("sink", stopped)
    bus = runtime.bus(log_sink="sink")
    bus.add(sink)
    bus.add(stalled)
    await bus.start()
    await bus.settled()
    bus.post("stalled", Stall(1000.0))
    for text in "ab":
        bus.post("stalled", Note(text))
    bus.post("stalled", Stall(1.0))
    bus.post("sink", Note("kept"))
    with pytest.raises(StopTimeout, match="did not finish Stall, 2 Note unhandled, 1 Stall unhandled") as error:
        await bus.stop(deadline=5.0)
    assert error.value.lost == (Lost("stalled", "Stall", {"Note": 2, "Stall": 1}),)
    assert stopped == ["sink"]
    assert sink.notes == ["kept"]
    assert bus.clock.now() == 5_000_000_000
    assert [letter.reason for letter in bus.dead_letters] == [Reason.LOST] * 4


async def test_a_stalled_disk_has_a_deadline_of_its_own(runtime: Runtimes) -> None:
    """The sink's time begins when the others have used theirs."""

    class SlowDisk(Actor):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.buffer: list[object] = []

        @on(object)
        def keep(self, event: object) -> None:
            self.buffer.append(event)

        async def post_stop(self) -> None:
            await self.sleep(1000.0)

    bus = runtime.bus(log_sink="disk", drain_seconds=5.0)
    bus.add(SlowDisk("disk"))
    bus.add(Ender("stalled", []))
    await bus.start()
    await bus.settled()
    bus.post("stalled", Stall(1000.0))
    with pytest.raises(StopTimeout) as error:
        await bus.stop()
    assert error.value.lost == (Lost("stalled", "Stall", {}), Lost("disk", "post_stop", {}))
    assert bus.clock.now() == 10_000_000_000


async def test_what_was_lost_after_a_failure_is_on_the_failure(runtime: Runtimes) -> None:
    class Crash(Ender):
        @on(Note)
        def note(self, message: Note) -> None:
            raise ValueError("broken")

    bus = runtime.bus(drain_seconds=5.0)
    bus.add(Crash("crash", []))
    bus.add(Ender("stalled", []))
    await bus.start()
    await bus.settled()
    bus.post("stalled", Stall(1000.0))
    await bus.until(lambda: bus.stats("stalled").handled == 1)
    bus.post("crash", Note("x"))
    with pytest.raises(BusFailed) as error:
        await bus.settled()
    assert error.value.lost == (Lost("stalled", "Stall", {}),)
    assert "lost in the drain: stalled: did not finish Stall" in error.value.__notes__


async def test_the_asker_of_an_abandoned_actor_fails(runtime: Runtimes) -> None:
    class Deaf(Ender):
        @on(Question)
        async def question(self, _message: Question) -> str:
            await self.sleep(1000.0)
            return "too late"

    class Asker(Actor):
        error: Exception | None = None

        @on(Note)
        async def note(self, _message: Note) -> None:
            try:
                await self.ask("deaf", Question())
            except AskFailed as error:
                self.error = error

    asker = Asker("asker")
    bus = runtime.bus(stop_order=("deaf",), drain_seconds=5.0)
    bus.add(asker)
    bus.add(Deaf("deaf", []))
    await bus.start()
    await bus.settled()
    bus.post("asker", Note("go"))
    await bus.until(lambda: bus.stats("deaf").handled == 1)
    with pytest.raises(StopTimeout):
        await bus.stop()
    assert "did not stop in time" in str(asker.error)


async def test_asking_an_actor_that_stops_meanwhile_fails_at_once(runtime: Runtimes) -> None:
    """The request arrives behind the drain marker."""

    class Asker(Actor):
        failed_at = 0

        @on(Note)
        async def note(self, _message: Note) -> None:
            await self.sleep(1.0)
            try:
                await self.ask("a", Question())
            except AskFailed:
                self.failed_at = self.now

    asker = Asker("asker")
    bus = runtime.bus(stop_order=("a",))
    bus.add(Ender("a", []))
    bus.add(asker)
    await bus.start()
    await bus.settled()
    bus.post("a", Stall(2.0))
    bus.post("asker", Note("go"))
    await bus.stop()
    assert asker.failed_at == 2_000_000_000


async def test_conflated_messages_that_were_lost_go_by_their_own_name(runtime: Runtimes) -> None:
    async def feed(outlet: Outlet) -> None:
        outlet.post("slow", Stall(1000.0))
        for text in "abc":
            outlet.latest("slow", Note(text))

    bus = runtime.bus()
    bus.add(Ender("slow", []))
    bus.add_source("slow", feed)
    await bus.start()
    await bus.until(lambda: bus.stats("slow").handled == 1 and bus.stats("slow").conflated == 2)
    with pytest.raises(StopTimeout) as error:
        await bus.stop()
    assert error.value.lost == (Lost("slow", "Stall", {"Note": 1}),)
    assert bus.dead_letters[-1].message == Note("c")


async def test_stopping_twice_or_without_start_is_harmless(runtime: Runtimes) -> None:
    bus = runtime.bus()
    bus.add(Ender("a", []))
    bus.post("a", Note("never"))
    await bus.stop()
    await bus.stop()
    assert [letter.reason for letter in bus.dead_letters] == [Reason.STOPPED]
    with pytest.raises(BusError, match="the bus has stopped"):
        bus.add(Ender("b", []))


async def test_leaving_with_an_error_stops_the_bus_and_keeps_the_error(runtime: Runtimes) -> None:
    stopped: list[str] = []
    with pytest.raises(LookupError):  # noqa: PT012 - leaving the block is what is tested
        async with runtime.bus() as bus:
            bus.add(Ender("a", stopped))
            await bus.settled()
            raise LookupError("mine")
    assert stopped == ["a"]


async def test_an_actor_that_never_started_is_not_stopped(runtime: Runtimes) -> None:
    stopped: list[str] = []
    bus: Any = runtime.bus()
    bus.add(Ender("a", stopped))
    bus.add(Probe("probe"))
    await bus.stop()
    assert stopped == []
