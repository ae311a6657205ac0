"""Events per second through the event logger on the Sim bus, up to the last of them on disk.

The events are those of a real run, in its order. The baseline writes the same ones with `json.dumps` and one write for
each, without any bus. Run it as `python benchmarks/log_throughput.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import msgspec

from basis_actors.actors.event_logger import EventLogger
from basis_actors.bus import Actor, SimBus, on
from basis_actors.bus.sim import complete
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import DomainEvent
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import prepare
from basis_actors.services.wiring import EVENT_LOGGER
from engine_baseline import NaiveEventLog
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
    """One row."""
    with quiet_start() as folder:
        run = Backtest(prepare(options.request(folder)))
        run.run()
        events = tuple(EventLog(run.run_dir).all())
    value, baseline, ratio = pairs(options.repeats, lambda: _ours(events), lambda: _naive(events))
    return [
        Row(
            measure="event logger, Sim runtime",
            value=value,
            unit="events/s",
            baseline=baseline,
            ratio=ratio,
            compared_with="json.dumps and one write an event, no bus",
        )
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
