"""Events per second through the event logger, up to the last of them on disk, and how long the live one holds the loop.

The events are those of a real run, in its order. The baseline writes the same ones with `json.dumps` and one write for
each, without any bus. On the live runtime a second task asks for its turn all the time; its longest wait, in processor
time of the loop's thread, is what the logger and whoever logs hold the loop for at most.
Run it as `python benchmarks/log_throughput.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import msgspec

from basis_actors.actors.event_logger import EventLogger, LiveEventLogger
from basis_actors.bus import Actor, LiveBus, SimBus, on
from basis_actors.bus.sim import complete
from basis_actors.logs.async_event_logger import AsyncDomainEventLogger
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import DomainEvent
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import prepare
from basis_actors.services.wiring import EVENT_LOGGER
from engine_baseline import NaiveEventLog
from loop_hold import Turns
from measuring import Options, Row, pairs, quiet_start, report, seconds_of

_AT_ONCE = 100


class Next(msgspec.Struct, frozen=True, gc=False):
    """Log the events from `first` on."""

    first: int


class Talker(Actor):
    """Logs a hundred events for each message."""

    def __init__(self, events: Sequence[DomainEvent]) -> None:
        super().__init__("talker")
        self._events = events

    @on(Next)
    def talk(self, message: Next) -> None:
        following = message.first + _AT_ONCE
        for event in self._events[message.first : following]:
            self.log(event)
        if following < len(self._events):
            self.tell(self.name, Next(following))


def measure(options: Options) -> Sequence[Row]:
    """A row for each runtime, and one for the loop."""
    with quiet_start() as folder:
        run = Backtest(prepare(options.request(folder)))
        run.run()
        events = tuple(EventLog(run.run_dir).all())
    value, baseline, ratio = pairs(options.repeats, lambda: _ours(events), lambda: _naive(events))
    live = [asyncio.run(_live(events)) for _ in range(options.repeats)]
    return [
        Row(
            measure="event logger, Sim runtime",
            value=value,
            unit="events/s",
            baseline=baseline,
            ratio=ratio,
            compared_with="json.dumps and one write an event, no bus",
        ),
        Row(
            measure="event logger, live runtime",
            value=max(speed for speed, _ in live),
            unit="events/s",
            baseline=baseline,
            ratio=max(speed for speed, _ in live) / baseline,
            compared_with="the same",
        ),
        Row(
            measure="event loop, held by the live event logger at most",
            value=max(held for _, held in live) * 1e3,
            unit="ms of processor",
        ),
    ]


def _ours(events: Sequence[DomainEvent]) -> float:
    with quiet_start() as folder:
        components = ComponentLogs(folder, "bench", os.getpid())
        sink = DomainEventLogger(folder, "bench", os.getpid())
        bus = SimBus(log_sink=EVENT_LOGGER)
        bus.add(EventLogger(sink, RunStatistics(), components))
        bus.add(Talker(events))
        complete(bus.start())
        bus.post("talker", Next(0))
        seconds = seconds_of(bus.run)
        components.close()
        if sink.sequence != len(events) or sink.unwritten:
            raise RuntimeError(f"{len(events)} events were logged, {sink.sequence} taken, {sink.unwritten} not written")
    return len(events) / seconds


async def _live(events: Sequence[DomainEvent]) -> tuple[float, float]:
    """Events per second, and the longest hold of the loop in seconds."""
    with quiet_start() as folder:
        components = ComponentLogs(folder, "bench", os.getpid())
        sink = AsyncDomainEventLogger(folder, "bench", os.getpid())
        bus = LiveBus(log_sink=EVENT_LOGGER)
        logger = LiveEventLogger(sink, RunStatistics(), components)
        bus.add(logger)
        bus.add_source(logger.name, logger.write_events)
        bus.add(Talker(events))
        await bus.start()
        turns = Turns(time.thread_time)
        watch = asyncio.create_task(turns.take())
        begin = time.perf_counter()
        bus.post("talker", Next(0))
        await bus.until(lambda: sink.sequence == len(events), "the last event")
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await bus.stop()
        seconds = time.perf_counter() - begin
        components.close()
    return len(events) / seconds, turns.longest


def _naive(events: Sequence[DomainEvent]) -> float:
    with quiet_start() as folder:
        sink = NaiveEventLog(folder)

        def write() -> None:
            for event in events:
                sink.log(event)
            complete(sink.close())

        seconds = seconds_of(write)
    return len(events) / seconds


if __name__ == "__main__":
    report("Events per second through the event logger.", measure)
