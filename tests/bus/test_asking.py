"""Questions: answers, deadlines, cycles, failures, late replies."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from basis_actors.bus import (
    Actor,
    AskCycle,
    AskFailed,
    AskTimeout,
    Lane,
    Reason,
    Request,
    Restart,
    on,
)
from basis_actors.bus.testkit import Probe, Runtimes


class Route(Request[str], frozen=True):
    """Ask along a path of actors; the last one does what it is told."""

    path: tuple[str, ...] = ()
    seconds: float | None = None


class Go(msgspec.Struct, frozen=True):
    path: tuple[str, ...]
    seconds: float | None = None


class Hop(Actor):
    def __init__(self, name: str, last: Callable[["Hop"], Any] | None = None) -> None:
        super().__init__(name)
        self.last = last
        self.result: object = None
        self.at = 0

    @on(Route)
    async def route(self, message: Route) -> str:
        if message.path:
            return self.name + await self.ask(message.path[0], Route(message.path[1:]))
        if self.last is not None:
            await self.last(self)
        return self.name

    @on(Go)
    async def go(self, message: Go) -> None:
        try:
            self.result = await self.ask(message.path[0], Route(message.path[1:]), message.seconds)
        except Exception as error:
            self.result = error
        self.at = self.now


def hops(bus: Any, *names: str, last: Callable[[Hop], Any] | None = None) -> list[Hop]:
    actors = [Hop(name, last) for name in names]
    for actor in actors:
        bus.add(actor)
    return actors


async def test_asks_chain(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        a, *_ = hops(bus, "a", "b", "c", "d")
        await bus.settled(bus.post("a", Go(("b", "c", "d"))))
        assert a.result == "bcd"


async def test_an_ask_times_out_on_the_clock_of_the_bus_and_the_late_reply_is_a_dead_letter(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        a, _ = hops(bus, "a", "b", last=lambda actor: actor.sleep(60.0))
        await bus.settled(bus.post("a", Go(("b",), 5.0)))
        assert isinstance(a.result, AskTimeout)
        assert "'a' got no answer to Route from 'b'" in str(a.result)
        assert a.at == 5_000_000_000
        assert bus.clock.now() == 60_000_000_000
        (letter,) = bus.dead_letters
        assert (letter.message, letter.to, letter.sender, letter.reason) == ("b", "a", "b", Reason.LATE_REPLY)


async def test_chained_asks_inherit_the_earlier_deadline(runtime: Runtimes) -> None:
    deadlines: list[int | None] = []

    async def last(actor: Hop) -> None:
        deadlines.append(actor.envelope.deadline)

    async with runtime.bus() as bus:
        hops(bus, "a", "b", "c", last=last)
        await bus.settled(bus.post("a", Go(("b", "c"), 5.0)))
        await bus.settled(bus.post("a", Go(("b", "c"))))
    assert deadlines == [5_000_000_000, None]


async def test_everyone_in_a_chain_times_out_together(runtime: Runtimes) -> None:
    """The inherited deadline ends every ask of the chain; the middle one fails with the error it got."""
    async with runtime.bus() as bus:
        a, b, c = Hop("a"), Hop("b"), Hop("c", lambda actor: actor.sleep(60.0))
        bus.add(a)
        bus.add(b, Restart(1, 60.0))
        bus.add(c)
        await bus.settled(bus.post("a", Go(("b", "c"), 5.0)))
        assert isinstance(a.result, AskTimeout)
        assert a.at == 5_000_000_000
        assert bus.stats("b").restarts == 1


async def test_an_ask_without_time_left_is_not_sent(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        a, b = hops(bus, "a", "b")
        await bus.settled(bus.post("a", Go(("b",), 0.0)))
        assert isinstance(a.result, AskTimeout)
        assert "nothing was sent" in str(a.result)
        assert bus.stats("b").handled == 0
        assert b.result is None


@pytest.mark.parametrize(
    ("path", "cycle"),
    [(("a",), "a → a"), (("b", "a"), "b → a → b"), (("b", "c", "a"), "c → a → b → c"), (("b", "c", "b"), "c → b → c")],
)
async def test_a_cycle_of_asks_is_refused_at_the_call(runtime: Runtimes, path: tuple[str, ...], cycle: str) -> None:
    forgiving = Restart(10, 1.0)
    async with runtime.bus() as bus:
        actors = [Hop(name) for name in "abc"]
        for actor in actors:
            bus.add(actor, forgiving)
        await bus.settled(bus.post("a", Go(path)))
        error: BaseException | None = actors[0].result  # type: ignore[assignment]
        while isinstance(error, AskFailed):
            error = error.__cause__
        assert isinstance(error, AskCycle)
        assert cycle in str(error)
        assert bus.clock.now() == 0


async def test_two_actors_of_different_chains_cannot_block_each_other(runtime: Runtimes) -> None:
    """a waits for b, which is busy with another message and then asks a: neither would ever go on."""
    async with runtime.bus() as bus:
        a, b = hops(bus, "a", "b")
        bus.post("a", Go(("b",)))
        bus.post("b", Go(("a",)))
        await bus.settled()
        results = sorted((a.result, b.result), key=lambda result: isinstance(result, Exception))
        assert isinstance(results[1], AskCycle)
        assert results[0] in ("a", "b")


async def test_an_answered_actor_may_be_asked_before_it_has_gone_on(runtime: Runtimes) -> None:
    """b answers a and asks a in its next message, when a's handler may not have resumed yet. That is no cycle."""
    async with runtime.bus() as bus:
        a, b = hops(bus, "a", "b")
        await bus.settled()
        bus.post("a", Go(("b",)))
        await bus.until(lambda: bus.stats("b").depth > 0 or a.result is not None)
        bus.post("b", Go(("a",)))
        await bus.settled()
        assert (a.result, b.result) == ("b", "a")


async def test_a_handler_that_raises_fails_its_asker_with_the_cause(runtime: Runtimes) -> None:
    async def crash(_actor: Hop) -> None:
        raise ValueError("bad book")

    async with runtime.bus() as bus:
        a, b = Hop("a"), Hop("b", crash)
        bus.add(a)
        bus.add(b, Restart(1, 1.0))
        await bus.settled(bus.post("a", Go(("b",))))
        assert isinstance(a.result, AskFailed)
        assert str(a.result) == "'b' failed while handling Route: ValueError: bad book"
        assert isinstance(a.result.__cause__, ValueError)


async def test_an_unhandled_request_fails_and_is_a_dead_letter(runtime: Runtimes) -> None:
    class Unknown(Request[int], frozen=True):
        pass

    async with runtime.bus() as bus:
        hops(bus, "a")
        with pytest.raises(AskFailed, match="'a' did not handle Unknown: no handler for this type"):
            await bus.ask("a", Unknown())
        assert [letter.reason for letter in bus.dead_letters] == [Reason.UNHANDLED]


async def test_an_ask_from_outside_times_out(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        hops(bus, "a", last=lambda actor: actor.sleep(60.0))
        with pytest.raises(AskTimeout):
            await bus.ask("a", Route(), 2.0)
        assert bus.clock.now() == 2_000_000_000
        await bus.settled()
        assert bus.dead_letters[0].reason is Reason.LATE_REPLY


async def test_a_parked_actor_keeps_its_messages_in_order(runtime: Runtimes) -> None:
    probe = Probe("probe")
    probe.answers(Route, "yes")

    class Parked(Hop):
        @on(str)
        def note(self, message: str) -> None:
            self.tell("probe", message)

    async with runtime.bus() as bus:
        bus.add(Parked("a"))
        bus.add(Hop("b", lambda actor: actor.sleep(1.0)))
        bus.add(probe)
        bus.post("a", Go(("b",)))
        for text in "xyz":
            bus.post("a", text)
        await bus.idle()
        assert probe.received == [] or runtime.name == "live"
        await bus.settled()
        assert probe.received == ["x", "y", "z"]


class Pause(msgspec.Struct, frozen=True):
    pass


class IsPaused(Request[bool], frozen=True):
    pass


class Worker(Hop):
    paused = False

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.order: list[str] = []

    @on(Pause)
    def pause(self, _message: Pause) -> None:
        self.order.append("handler")

    @on(str)
    def note(self, message: str) -> None:
        self.order.append(message)

    def on_control(self, message: object) -> object:
        if isinstance(message, Pause):
            self.paused = True
            self.order.append("on_control")
        return self.paused


async def test_control_reaches_an_actor_in_the_middle_of_a_long_ask(runtime: Runtimes) -> None:
    """It sets a flag and answers, while the ask goes on and messages wait."""
    async with runtime.bus() as bus:
        worker, b = Worker("a"), Hop("b", lambda actor: actor.sleep(60.0))
        bus.add(worker)
        bus.add(b)
        cause = bus.post("a", Go(("b",)))
        bus.post("a", "note")
        await bus.until(lambda: bus.stats("b").handled == 1)
        bus.control("a", Pause())
        assert await bus.ask("a", IsPaused(), lane=Lane.CONTROL) is True
        assert (worker.paused, worker.order, worker.result) == (True, ["on_control"], None)
        await bus.settled(cause)
        await bus.settled()
        assert worker.result == "b"
        assert worker.order == ["on_control", "note"]


async def test_control_overtakes_messages_that_wait(runtime: Runtimes) -> None:
    bus = runtime.bus()
    worker = Worker("a")
    bus.add(worker)
    bus.post("a", "one")
    bus.post("a", "two")
    bus.control("a", Pause())
    async with bus:
        await bus.settled()
    assert worker.order == ["handler", "one", "two"]


async def test_control_that_on_control_defers_is_handled_right_after_the_handler(runtime: Runtimes) -> None:
    class Patient(Worker):
        def on_control(self, message: object) -> object:
            return Actor.on_control(self, message)

    async with runtime.bus() as bus:
        worker = Patient("a")
        bus.add(worker)
        bus.add(Hop("b", lambda actor: actor.sleep(60.0)))
        bus.post("a", Go(("b",)))
        bus.post("a", "note")
        await bus.until(lambda: bus.stats("b").handled == 1)
        bus.control("a", Pause())
        await bus.settled()
        assert worker.order == ["handler", "note"]
