"""How many messages a second the bus carries, next to the naive baseline in the same run.

Run it as ``python benchmarks/bus_throughput.py [messages]``. Only the ratios travel between machines; the figures of
one machine vary by a factor of two from run to run, so each cell is the best of three.

- tell: two actors pass one message back and forth; every message wakes the other actor, the worst case of a task each.
- burst: one actor tells another many messages in each of its own.
- async: as tell, with ``async def`` handlers that do not suspend.
- ask: one actor asks another, which answers at once. Counted in questions.
- fan-out: one actor publishes to six. Counted in deliveries.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from basis_actors.bus import Actor, LiveBus, Request, SimBus, on
from bus_baseline import StreamActor, StreamBus

FANS = 6
BURST = 50


class Ball(msgspec.Struct, frozen=True, gc=False):
    left: int


class Serve(msgspec.Struct, frozen=True, gc=False):
    times: int


class Note(msgspec.Struct, frozen=True, gc=False):
    number: int


class Size(Request[int], frozen=True, gc=False):
    pass


class Player(Actor):
    def __init__(self, name: str, other: str) -> None:
        super().__init__(name)
        self.other = other

    @on(Ball)
    def ball(self, message: Ball) -> None:
        if message.left:
            self.tell(self.other, Ball(message.left - 1))


class AsyncPlayer(Player):
    @on(Ball)
    async def later(self, message: Ball) -> None:
        if message.left:
            self.tell(self.other, Ball(message.left - 1))


class Burster(Actor):
    @on(Serve)
    def serve(self, message: Serve) -> None:
        for number in range(BURST):
            self.tell("listener", Note(number))
        if message.times > 1:
            self.tell(self.name, Serve(message.times - 1))


class Fan(Actor):
    @on(Serve)
    def serve(self, message: Serve) -> None:
        self.publish(Note(message.times))
        if message.times > 1:
            self.tell(self.name, Serve(message.times - 1))


class Listener(Actor):
    @on(Note)
    def note(self, message: Note) -> None:
        pass

    @on(Size)
    def size(self, _message: Size) -> int:
        return 1


class Asker(Actor):
    @on(Serve)
    async def serve(self, message: Serve) -> None:
        for _ in range(message.times):
            await self.ask("listener", Size(), 30.0)


def tell_actors() -> list[Actor]:
    return [Player("first", "second"), Player("second", "first")]


def async_actors() -> list[Actor]:
    return [AsyncPlayer("first", "second"), AsyncPlayer("second", "first")]


def burst_actors() -> list[Actor]:
    return [Burster("first"), Listener("listener")]


def ask_actors() -> list[Actor]:
    return [Asker("first"), Listener("listener")]


def fan_actors() -> list[Actor]:
    return [Fan("first"), *(Listener(f"listener {number}") for number in range(FANS))]


def sim(actors: list[Actor], first: object) -> float:
    bus = SimBus()
    for actor in actors:
        bus.add(actor)
    bus.post("first", first)
    begin = time.perf_counter()
    bus.run()
    return time.perf_counter() - begin


def live(actors: list[Actor], first: object) -> float:
    async def run() -> float:
        async with LiveBus() as bus:
            for actor in actors:
                bus.add(actor)
            await bus.settled()
            begin = time.perf_counter()
            await bus.settled(bus.post("first", first))
            return time.perf_counter() - begin

    return anyio.run(run)


async def naive_ball(actor: StreamActor, message: object) -> None:
    if isinstance(message, Ball) and message.left:
        await actor.tell("second" if actor.name == "first" else "first", Ball(message.left - 1))
    elif isinstance(message, Ball):
        actor.bus.done.set()


async def naive_serve(actor: StreamActor, message: object) -> None:
    if isinstance(message, Serve):
        for times in range(message.times):
            if "listener" in actor.bus.actors:
                for number in range(BURST):
                    await actor.tell("listener", Note(number))
            else:
                await actor.publish(Note(times))
        actor.bus.done.set()


async def naive_ask(actor: StreamActor, message: object) -> None:
    if isinstance(message, Serve):
        for _ in range(message.times):
            await actor.ask("listener", Size(), 30.0)
        actor.bus.done.set()


async def naive_listen(_actor: StreamActor, message: object) -> int | None:
    return 1 if isinstance(message, Size) else None


def naive_actors(name: str) -> list[StreamActor]:
    if name in ("tell", "async"):
        return [StreamActor("first", naive_ball), StreamActor("second", naive_ball)]
    if name == "fan-out":
        listeners = [StreamActor(f"listener {number}", naive_listen, Note) for number in range(FANS)]
        return [StreamActor("first", naive_serve), *listeners]
    return [StreamActor("first", naive_ask if name == "ask" else naive_serve), StreamActor("listener", naive_listen)]


def naive(name: str, first: object) -> float:
    async def run() -> float:
        bus = StreamBus(*naive_actors(name))
        begin = time.perf_counter()
        async with bus:
            await bus.actors["first"].inbox.send((first, None))
            await bus.done.wait()
        return time.perf_counter() - begin

    return anyio.run(run)


CASES: dict[str, tuple[Callable[[], list[Actor]], Callable[[int], object], int]] = {
    "tell": (tell_actors, lambda count: Ball(count), 1),
    "burst": (burst_actors, lambda count: Serve(count // BURST), 1),
    "async": (async_actors, lambda count: Ball(count), 1),
    "ask": (ask_actors, lambda count: Serve(count // 4), 4),
    "fan-out": (fan_actors, lambda count: Serve(count // FANS), 1),
}


def main(count: int) -> None:
    print(f"{'k msgs/s':10} {'sim':>8} {'live':>8} {'naive':>8}   {'sim/naive':>9} {'live/naive':>10}")
    for name, (actors, first, divisor) in CASES.items():
        messages = count // divisor
        best_sim = min(sim(actors(), first(count)) for _ in range(3))
        best_live = min(live(actors(), first(count // 4)) for _ in range(3))
        best_naive = min(naive(name, first(count // 10)) for _ in range(3))
        rates = [messages / best_sim, messages / 4 / best_live, messages / 10 / best_naive]
        per_second = " ".join(f"{rate / 1e3:8.0f}" for rate in rates)
        print(f"{name:10} {per_second}   {rates[0] / rates[2]:8.1f}× {rates[1] / rates[2]:9.1f}×")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
