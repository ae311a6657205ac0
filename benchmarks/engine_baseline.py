"""The naive engine: the same actors, messages and events, with a task and an anyio stream (buffer 100) for each actor.

Questions go through a reply stream under `fail_after`; events are written line by line with `json` into open files.
What an actor sends while it handles a message leaves right after that, or before its next question. Two actors with
full buffers would wait for each other for ever; here one tick is at work at a time, so only the event logger, which
sends to nobody, ever has more than a few messages. Nothing sleeps or stops trading in these runs, so neither is here.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import CoroutineType
from typing import Any

import anyio
import msgspec

from basis_actors.actors.event_logger import EventLogger
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Actor, ActorStats, Phase
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.domain_event_logger import NullEventLogger
from basis_actors.messages.events import EVENT_TYPES, DomainEvent
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.preparation import Prepared
from basis_actors.services.wiring import EVENT_LOGGER, add_engine
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.simulated.build import build_simulated_venues
from bus_baseline import StreamActor, StreamBus


class NaiveEventLog(NullEventLogger):
    """One `json.dumps` and one write for each event."""

    def __init__(self, folder: Path) -> None:
        self._files = {kind: (folder / f"{kind.FILE}.jsonl").open("x", encoding="utf-8") for kind in EVENT_TYPES}
        self._sequence = itertools.count()

    def log(self, event: DomainEvent) -> None:
        line = msgspec.to_builtins(event)
        line.update(real_utc_time=datetime.now(UTC).isoformat(), pid=os.getpid(), sequence=next(self._sequence))
        self._files[type(event)].write(json.dumps(line) + "\n")

    async def close(self) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()


class NaiveCell:
    """What the verbs of an actor call, in place of `basis_actors.bus.cell.Cell`."""

    def __init__(self, bus: NaiveBus, actor: Actor) -> None:
        self.bus, self.actor, self.table = bus, actor, dict(actor.handlers())
        self.stream = StreamActor(actor.name, self._handle, *self.table)
        self._outgoing: list[tuple[StreamActor, object]] = []

    def tell(self, to: str, message: object) -> None:
        self.bus.at_work += 1
        self._outgoing.append((self.bus.streams.actors[to], message))

    def log(self, event: object) -> None:
        self.tell(EVENT_LOGGER, event)

    def publish(self, message: object) -> None:
        for target in self.bus.streams.routes.get(type(message), ()):
            self.tell(target.name, message)

    def after(self, delay: float, message: object, _cause: object) -> None:
        due = self.bus.now() + round(delay * 1e9)
        heapq.heappush(self.bus.timers, (due, next(self.bus.created), self.stream, message))

    async def ask(self, to: str, request: object, timeout: float | None) -> Any:
        await self._send_all()
        self.bus.at_work += 1
        return await self.bus.streams.ask(to, request, math.inf if timeout is None else timeout)

    async def _handle(self, _stream: StreamActor, message: object) -> Any:
        result = self.table[type(message)](message)
        if type(result) is CoroutineType:
            result = await result
        await self._send_all()
        self.bus.rest()
        return result

    async def _send_all(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for to, message in outgoing:
            await to.inbox.send((message, None))


class NaiveBus:
    """Actors, their streams, and a clock that jumps to the next timer when nobody is at work."""

    def __init__(self, start_ns: int) -> None:
        self.clock, self.at_work, self._now, self._quiet = self, 0, start_ns, anyio.Event()
        self.streams, self._cells, self.created = StreamBus(), dict[str, NaiveCell](), itertools.count()
        self.timers: list[tuple[int, int, StreamActor, object]] = []

    def add(self, actor: Actor) -> None:
        self._cells[actor.name] = actor._cell = NaiveCell(self, actor)  # type: ignore[assignment]

    def stats(self, _name: str) -> ActorStats:
        return ActorStats(0, 0, self._now, 0, 0, Phase.RUNNING)

    def now(self) -> int:
        return self._now

    def span(self, seconds: float) -> int:
        return round(seconds * NS_PER_SECOND)

    def rest(self) -> None:
        self.at_work -= 1
        if not self.at_work:
            self._quiet.set()

    async def run(self, log: NullEventLogger) -> None:
        self.streams = StreamBus(*(cell.stream for cell in self._cells.values()))
        async with self.streams:
            for cell in self._cells.values():
                cell.actor.pre_start()
            while self.timers:
                self._now, _, to, message = heapq.heappop(self.timers)
                self.at_work, self._quiet = 1, anyio.Event()
                await to.inbox.send((message, None))
                await self._quiet.wait()
        await log.close()


def run_naive(prepared: Prepared, folder: Path) -> tuple[float, RunStatistics]:
    """Run a backtest: seconds from the first tick to the last event on disk, and what came out."""
    bus: Any = NaiveBus(prepared.feed.ticks[0])
    sink = NaiveEventLog(folder) if prepared.request.write_events else NullEventLogger()
    components = ComponentLogs(folder, "naive", os.getpid())
    logger = EventLogger(sink, RunStatistics(), components)
    add_engine(
        bus, run=prepared.run, strategy=prepared.strategy, feed=prepared.feed, flows=prepared.flows, simulated=True,
        venues=build_simulated_venues(prepared.run, clock=bus), event_logger=logger,
        stopwatch=Stopwatch(time.perf_counter),
    )  # fmt: skip
    begin = time.perf_counter()
    anyio.run(bus.run, sink)
    seconds = time.perf_counter() - begin
    components.close()
    return seconds, logger.statistics
