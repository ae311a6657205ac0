"""Runs a prepared mode over history: puts venues, log and engine on a bus, drives it slice by slice, and sums up."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from pathlib import Path

import anyio

from basis_actors.actors.engine import Engine
from basis_actors.actors.event_logger import EventLogger
from basis_actors.actors.log_keeper import LogKeeper
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Bus, BusError, Lane, LiveBus, ManualClock, SimBus, VirtualClock
from basis_actors.bus.sim import complete
from basis_actors.errors import BasisError
from basis_actors.logs.directory import RunKind
from basis_actors.logs.domain_event_logger import DomainEventLogger, EventSink, NullEventLogger
from basis_actors.logs.retention import Retention
from basis_actors.logs.wall_clock import system_clock
from basis_actors.messages.commands import EndTicks
from basis_actors.ports import VenueClient
from basis_actors.results.summary import RunSummary
from basis_actors.services.hosts import Alone, Host, OnLoop
from basis_actors.services.preparation import Prepared
from basis_actors.services.run_record import RunRecord
from basis_actors.services.wiring import EVENT_LOGGER, STOP_ORDER, add_engine
from basis_actors.venues.simulated.build import build_simulated_venues
from basis_actors.venues.simulated.outage import with_outages

__all__ = ["Backtest", "Progress"]

_CENT = 0.01
_SLICE_SECONDS = 0.005
"""How long the bus goes on before whoever drives it may look up. It looks at the time every few hundred messages only,
so this is well below the 10 ms that an event loop may be held."""
_LIVE_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    ticks: int
    total: int | None
    """None where nobody knows how many there will be."""
    seconds: float


class Backtest:
    """One run, from an empty bus to a summary. Use it once: `run()`, or `await run_async()` inside an event loop.

    `cancel()` may be called while it runs, also from a signal handler or another thread.
    """

    def __init__(self, prepared: Prepared) -> None:
        """Makes the run directory, writes down what the run starts from, and opens its logs.

        Raises BasisError LOG-003 when that is not possible.
        """
        self._prepared = prepared
        self._record = RunRecord(prepared, RunKind.BACKTEST)
        self._cancelled: str | None = None
        try:
            self._sink = self._open_event_log()
        except BasisError as error:
            self._record.abandon(str(error))
            raise

    @property
    def correlation_id(self) -> str:
        """Name of the run."""
        return self._record.correlation_id

    @property
    def run_dir(self) -> Path:
        """Where the logs are."""
        return self._record.run_dir

    def held(self) -> AbstractContextManager[None]:
        """Until the end of this the run directory counts as one that is written, for whoever makes a result of it:
        nobody who prunes old runs deletes it."""
        return self._record.held()

    def cancel(self, reason: str) -> None:
        """End the run between two messages: the log is flushed and the summary marked partial."""
        self._cancelled = reason

    def run(self, progress: Callable[[Progress], None] = lambda _: None) -> RunSummary:
        """Run to the end and return the summary. A run that fails has one too: partial, with the reason.

        KeyboardInterrupt and its like are raised again once the log is flushed.
        """
        if self._prepared.request.runtime == "live":
            return anyio.run(self.run_async, progress)
        return complete(self._run_sim(progress, Alone()))

    async def run_async(
        self, progress: Callable[[Progress], None] = lambda _: None, host: Host | None = None
    ) -> RunSummary:
        """`run` for event loops: gives way to others at least every 10 ms, also together with runs of the same `host`.

        Cancelling the task ends the run like `cancel`, then raises the cancellation.
        """
        if self._prepared.request.runtime == "live":
            return await self._run_live(progress)
        return await self._run_sim(progress, host or OnLoop())

    async def _run_sim(self, progress: Callable[[Progress], None], host: Host) -> RunSummary:
        bus = SimBus(
            VirtualClock(self._prepared.feed.ticks[0]),
            log_sink=EVENT_LOGGER,
            correlation_id=self.correlation_id,
            stop_order=STOP_ORDER,
        )
        engine = self._assemble(bus)
        started = time.perf_counter()

        def watch() -> float:
            """Seconds; none are left once there is nothing to do but to end."""
            return inf if engine.finished or self._cancelled is not None else time.perf_counter()

        failure: BaseException | None = None
        try:
            await bus.start()
            progress(self._progress(engine, started))
            while watch() < inf:
                async with host.turn():
                    if not bus.run_slice(_SLICE_SECONDS, watch):
                        break
                progress(self._progress(engine, started))
            if not bus.closed:
                await bus.settled()
            progress(self._progress(engine, started))
            await host.aside(lambda: complete(bus.stop()))
        except BaseException as error:  # noqa: BLE001 - the summary names it, and `_finish` raises what is no failure
            failure = error
            if not isinstance(error, BusError):
                await host.aside(lambda: complete(_stop_quietly(bus, failure)))
        return await host.aside(lambda: self._finish(engine, failure, started))

    async def _run_live(self, progress: Callable[[Progress], None]) -> RunSummary:
        bus = LiveBus(
            ManualClock(self._prepared.feed.ticks[0], auto=True),
            log_sink=EVENT_LOGGER,
            correlation_id=self.correlation_id,
            stop_order=STOP_ORDER,
        )
        engine = self._assemble(bus)
        started = time.perf_counter()
        failure: BaseException | None = None
        try:
            await bus.start()
            async with anyio.create_task_group() as watchers:
                watchers.start_soon(self._watch, engine, started, progress)
                await bus.until(lambda: engine.finished or self._cancelled is not None, "the last tick")
                # The next tick may be due already, and would begin between here and the stop.
                bus.post("engine", EndTicks(), lane=Lane.CONTROL)
                await bus.settled()
                watchers.cancel_scope.cancel()
            progress(self._progress(engine, started))
            await bus.stop()
        except BaseException as error:  # noqa: BLE001 - as in `_run_sim`
            failure = _innermost(error)
            if not isinstance(failure, BusError):
                with anyio.CancelScope(shield=True):
                    await _stop_quietly(bus, failure)
        return await OnLoop().aside(lambda: self._finish(engine, failure, started))

    def _finish(self, engine: Engine, failure: BaseException | None, started: float) -> RunSummary:
        return self._record.finish(engine, failure, time.perf_counter() - started, self._cancelled)

    async def _watch(self, engine: Engine, started: float, progress: Callable[[Progress], None]) -> None:
        while True:
            progress(self._progress(engine, started))
            await anyio.sleep(_LIVE_LOOK_SECONDS)

    def _open_event_log(self) -> EventSink:
        if not self._prepared.request.write_events:
            return NullEventLogger()
        config = self._prepared.run.mode.component_config.event_logger
        return DomainEventLogger(
            self.run_dir,
            self.correlation_id,
            self._record.pid,
            batch_events=config.batch_events,
            flush_seconds=config.flush_seconds,
            segment_bytes=self._prepared.run.mode.component_config.log_keeper.segment_bytes,
            inputs=self._record.inputs,
            clock=self._record.clock,
        )

    def _assemble(self, bus: SimBus | LiveBus) -> Engine:
        """Make the venues of this run, and put the engine on the bus."""
        prepared, request = self._prepared, self._prepared.request
        self._record.components.announce("run started", mode=prepared.run.mode.mode, data=prepared.dataset.origin)
        engine = add_engine(
            bus,
            run=prepared.run,
            strategy=prepared.strategy,
            feed=prepared.feed,
            venues=self._venues(bus),
            flows=prepared.flows,
            event_logger=EventLogger(self._sink, self._record.statistics, self._record.components),
            stopwatch=Stopwatch(_zero if request.fixed_clock else time.perf_counter),
            simulated=True,
        )
        keep = prepared.run.mode.component_config.log_keeper
        retention = Retention(timedelta(days=keep.keep_backtests_days), timedelta(days=keep.keep_live_days))
        bus.add(LogKeeper(self.run_dir, request.out, retention, system_clock))
        return engine

    def _venues(self, bus: SimBus | LiveBus) -> tuple[VenueClient, ...]:
        """Simulated venues, cut off where a scenario says so."""
        prepared, scenario = self._prepared, self._prepared.request.scenario
        venues = build_simulated_venues(prepared.run, clock=bus.clock)
        return venues if scenario is None else with_outages(venues, bus.clock, scenario, prepared.scenario_ns)

    def _progress(self, engine: Engine, started: float) -> Progress:
        return Progress(engine.ticks_started, len(self._prepared.feed.ticks), time.perf_counter() - started)


async def _stop_quietly(bus: Bus, ended_by: BaseException | None) -> None:
    """Bring everything to disk after an interruption; what ended the run is what the caller hears of."""
    try:
        await bus.stop()
    except BusError:
        return
    except BaseException as error:
        if error is not ended_by:
            raise


def _innermost(error: BaseException) -> BaseException:
    """What a task group wrapped."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _zero() -> float:
    """A stopwatch source for runs that have to be the same to the byte."""
    return 0.0
