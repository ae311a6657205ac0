"""Defines a watched process: the engine of a mode on the live bus, on time that a test moves, with real sockets."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families
from tests.actors.desk import START, market
from tests.engine.play import Recorder
from tests.integration.floor import CAPITAL, HourlyTicks, Plan, Planned

from basis_actors.actors.event_logger import TellingEventLogger
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import LiveBus, ManualClock
from basis_actors.bus.testkit import Probe
from basis_actors.config import load_mode
from basis_actors.config.environment import secret_values
from basis_actors.logs.component import ComponentLogs
from basis_actors.messages.book import Flow
from basis_actors.messages.operations import AlertFate, PortOpened, TickEnded
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.monitoring import Monitoring
from basis_actors.services.wiring import EVENT_LOGGER, STOP_ORDER, add_engine
from basis_actors.times import utc_from_ns
from basis_actors.venues.simulated.build import build_simulated_venues

HOUR_SECONDS = 3600.0
STEP_SECONDS = 0.25
"""By which every reading of the stopwatch is later than the one before."""
QUIET = {"component_config.monitoring.port": 0, "component_config.health_monitor.check_interval_seconds": 600.0}


@dataclass
class Answer:
    """What the process says over HTTP."""

    status: int
    text: str
    headers: Mapping[str, str]


class Metrics:
    """Samples by name and labels."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"{key} is there twice"
                self.samples[key] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        """The value of one sample."""
        return self.samples[f"basis_{name}", frozenset(labels.items())]

    def labelled(self, name: str) -> dict[str, float]:
        """All samples of a name with one label, by that."""
        return {
            next(iter(labels))[1]: value for (found, labels), value in self.samples.items() if found == f"basis_{name}"
        }


@dataclass
class Watched:
    """A process that runs."""

    bus: LiveBus
    monitoring: Monitoring
    recorder: Recorder
    probe: Probe
    url: str
    run_dir: Path

    async def get(self, path: str, method: str = "GET") -> Answer:
        """Ask over a real socket."""
        async with ClientSession() as session, session.request(method, self.url + path) as answer:
            return Answer(answer.status, await answer.text(), dict(answer.headers))

    async def tick(self) -> None:
        """Let an hour pass, and the tick that it brings."""
        await self.bus.advance(HOUR_SECONDS)
        await self.probe.next_of(TickEnded)
        await self.bus.idle()

    def fates(self, count: int) -> bool:
        """Whether so many alerts have met theirs."""
        return len(self.probe.of(AlertFate)) >= count

    async def metrics(self) -> Metrics:
        """What Prometheus would read, by its own parser."""
        answer = await self.get("/metrics")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return Metrics(answer.text)


@asynccontextmanager
async def watched(
    folder: Path,
    *plans: Plan,
    mode: str = "btc_basis",
    ticks: int = 30,
    overrides: Mapping[str, Any] | None = None,
) -> AsyncIterator[Watched]:
    """Run the engine of `mode`, whose strategy does what is planned, up to its first tick."""
    run = load_mode(mode, {**QUIET, **(overrides or {})})
    folder.mkdir(exist_ok=True)
    components = ComponentLogs(folder, "watched-1", 1, secrets=secret_values())
    bus = LiveBus(ManualClock(START), log_sink=EVENT_LOGGER, stop_order=STOP_ORDER)
    recorder = Recorder()
    readings = itertools.count()
    stopwatch = Stopwatch(lambda: next(readings) * STEP_SECONDS)
    monitoring = Monitoring(
        run,
        bus,
        components,
        correlation_id="watched-1",
        config_hash="c0ffee",
        unwritten=lambda: 7,
        stopwatch=stopwatch,
    )
    add_engine(
        bus,
        run=run,
        strategy=Planned(run, plans),
        feed=HourlyTicks(ticks, market()),
        venues=build_simulated_venues(run, clock=bus.clock),
        flows=[Flow(utc_from_ns(START), CAPITAL)],
        event_logger=TellingEventLogger(recorder, RunStatistics(), components),
        stopwatch=stopwatch,
        simulated=True,
        health=monitoring.health,
    )
    monitoring.join()
    probe = Probe("probe", PortOpened, TickEnded, AlertFate)
    bus.add(probe)
    try:
        async with bus:
            opened = await probe.next_of(PortOpened)
            url = f"http://{opened.host}:{opened.port}"
            await bus.advance(0.0)
            await probe.next_of(TickEnded)
            await bus.idle()
            yield Watched(bus, monitoring, recorder, probe, url, folder)
    finally:
        components.close()
