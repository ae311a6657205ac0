"""Runs a prepared mode over history: puts venues, log and engine on a bus, drives it slice by slice, and sums up."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from pathlib import Path

import anyio
import msgspec

from basis_actors.actors.engine import Engine
from basis_actors.actors.event_logger import EventLogger
from basis_actors.actors.log_keeper import LogKeeper
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Bus, BusError, BusFailed, LiveBus, ManualClock, SimBus, VirtualClock
from basis_actors.bus.sim import complete
from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.config.effective import yaml_text
from basis_actors.config.environment import secret_values
from basis_actors.config.plugins import place_outside
from basis_actors.errors import BasisError
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.domain_event_logger import DomainEventLogger, EventSink, NullEventLogger
from basis_actors.logs.redaction import Redactor
from basis_actors.logs.retention import Retention, pack_rest
from basis_actors.logs.run_lock import RunLock
from basis_actors.logs.wall_clock import fixed_clock, system_clock
from basis_actors.ports import VenueClient
from basis_actors.results.accumulator import RunStatistics
from basis_actors.results.data_report import RunDataReport, data_report
from basis_actors.results.run_files import CONFIG_FILE, DATA_REPORT_FILE, SUMMARY_FILE, pretty_json
from basis_actors.results.summary import RunContext, RunSummary, summarise
from basis_actors.services.hosts import Alone, Host, OnLoop
from basis_actors.services.preparation import Prepared
from basis_actors.services.verdict import failure_of, stop_text
from basis_actors.services.wiring import EVENT_LOGGER, STOP_ORDER, add_engine
from basis_actors.times import ns_from_utc, utc_from_ns
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
    total: int
    seconds: float


class Backtest:
    """One run, from an empty bus to a summary. Use it once: `run()`, or `await run_async()` inside an event loop.

    `cancel()` may be called while it runs, also from a signal handler or another thread.
    """

    def __init__(self, prepared: Prepared) -> None:
        """Makes the run directory, writes down what the run starts from, and opens its logs.

        Raises BasisError LOG-003 when that is not possible.
        """
        request, run = prepared.request, prepared.run
        self._prepared = prepared
        self._pid = 0 if request.fixed_clock else os.getpid()
        self._clock = fixed_clock if request.fixed_clock else system_clock
        name = request.correlation_id
        self.correlation_id = _new_name(run.mode.mode) if name is None else name
        """Name of the run."""
        self._cancelled: str | None = None
        self._unpacked: tuple[str, ...] = ()
        """What kept segments of the log from being packed."""
        limits = run.mode.risk_limits
        self._statistics = RunStatistics(limits.max_delta_drift if prepared.strategy.hedged else None)
        self.run_dir = LogDirectoryManager.create_run_logs(
            self.correlation_id,
            self._pid,
            run.mode.mode,
            run.mode.strategy,
            prepared.capital,
            request.out,
            currency=run.share_class.currency,
            config_hash=prepared.config_hash,
            data_origin=prepared.dataset.origin,
            data_hashes=prepared.dataset.hashes | prepared.strategy.input_hashes,
            options=_options(prepared),
            clock=self._clock,
        )
        """Where the logs are."""
        self._data = _data_report(prepared)
        try:
            self._write_inputs()
            self._components = ComponentLogs(
                self.run_dir,
                self.correlation_id,
                self._pid,
                level=request.log_level,
                secrets=secret_values(),
                clock=self._clock,
            )
            self._sink = self._open_event_log()
            self._lock = RunLock(self.run_dir)
        except BasisError as error:
            LogDirectoryManager.finish(self.run_dir, RunStatus.FAILED, failure=str(error), clock=self._clock)
            raise

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
                await host.aside(lambda: complete(_stop_quietly(bus)))
        return await host.aside(lambda: self._finish(engine, failure, time.perf_counter() - started))

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
                await bus.settled()
                watchers.cancel_scope.cancel()
            progress(self._progress(engine, started))
            await bus.stop()
        except BaseException as error:  # noqa: BLE001 - as in `_run_sim`
            failure = _innermost(error)
            if not isinstance(failure, BusError):
                with anyio.CancelScope(shield=True):
                    await _stop_quietly(bus)
        return await OnLoop().aside(lambda: self._finish(engine, failure, time.perf_counter() - started))

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
            self._pid,
            batch_events=config.batch_events,
            flush_seconds=config.flush_seconds,
            segment_bytes=self._prepared.run.mode.component_config.log_keeper.segment_bytes,
            clock=self._clock,
        )

    def _assemble(self, bus: SimBus | LiveBus) -> Engine:
        """Make the venues of this run, and put the engine on the bus."""
        prepared, request = self._prepared, self._prepared.request
        self._components.announce("run started", mode=prepared.run.mode.mode, data=prepared.dataset.origin)
        engine = add_engine(
            bus,
            run=prepared.run,
            strategy=prepared.strategy,
            feed=prepared.feed,
            venues=self._venues(bus),
            flows=prepared.flows,
            event_logger=EventLogger(self._sink, self._statistics, self._components),
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

    def _finish(self, engine: Engine, error: BaseException | None, seconds: float) -> RunSummary:
        """Sum up, write the end down, and raise what is not a failure of the run but an order to stop."""
        self._unpacked = tuple(str(problem) for problem in pack_rest(self.run_dir))
        status, failure = self._verdict(engine, error)
        failure, stopped = self._shown(failure), self._shown(stop_text(engine.stopped))
        summary = summarise(self._statistics, self._context(status, failure, stopped, seconds))
        for write in (self._write_summary, self._write_metadata):
            try:
                write(summary, status, failure)
            except (OSError, BasisError) as problem:
                status, failure = RunStatus.FAILED, self._shown(f"{failure or 'the run had ended'}; then {problem}")
                summary = summarise(self._statistics, self._context(status, failure, stopped, seconds))
        self._lock.release()
        if error is not None and not isinstance(error, Exception):
            raise error
        return summary

    def _shown(self, text: str | None) -> str | None:
        """What may leave the process: an exception quotes whatever its thrower put in."""
        return None if text is None else self._components.redactor.text(text)

    def _write_inputs(self) -> None:
        """Write configuration and data report down before the first tick, so that a run that is killed has them."""
        values = Redactor(secret_values()).value(self._prepared.effective)
        try:
            _write(self.run_dir / CONFIG_FILE, yaml_text(values).encode())
            _write(self.run_dir / DATA_REPORT_FILE, pretty_json(self._data))
        except OSError as error:
            raise BasisError(
                "LOG-003",
                f"run directory {self.run_dir} cannot be written to: {error}; free space or choose another log folder",
            ) from error

    def _write_summary(self, summary: RunSummary, status: RunStatus, failure: str | None) -> None:
        path = self.run_dir / SUMMARY_FILE
        try:
            self._components.announce("run ended", status=status.value, failure=failure)
            _write(path, pretty_json(msgspec.structs.replace(summary, run_dir=".")))
        finally:
            self._components.close()

    def _write_metadata(self, _summary: RunSummary, status: RunStatus, failure: str | None) -> None:
        LogDirectoryManager.finish(self.run_dir, status, failure=failure, clock=self._clock)

    def _verdict(self, engine: Engine, error: BaseException | None) -> tuple[RunStatus, str | None]:
        if isinstance(error, Exception):
            return RunStatus.FAILED, _reason(error)
        if error is not None:
            return RunStatus.PARTIAL, f"interrupted by {type(error).__name__}"
        if not engine.finished:
            if self._cancelled is not None:
                return RunStatus.PARTIAL, self._cancelled
            return RunStatus.FAILED, "the run ended before its last tick; look at system_errors.jsonl"
        failure = failure_of(self._statistics, engine.stopped)
        return (RunStatus.COMPLETED, None) if failure is None else (RunStatus.FAILED, failure)

    def _cautions(self) -> tuple[str, ...]:
        """What the owner should know: costs left out, money asked back and not paid."""
        prepared, last = self._prepared, self._statistics.last
        cautions = ["frictionless: no fees, no gas, no impact"] if prepared.request.frictionless else []
        cautions.extend(self._unpacked)
        asked = sum(flow.amount for flow in prepared.flows[1:])
        unpaid = (0.0 if last is None else last.external_flows) - asked
        if unpaid > _CENT:
            currency = prepared.run.share_class.currency
            cautions.append(f"withdrawals of {unpaid:,.2f} {currency} were asked for and not paid")
        return tuple(cautions)

    def _context(self, status: RunStatus, failure: str | None, stopped: str | None, seconds: float) -> RunContext:
        prepared, request, last = self._prepared, self._prepared.request, self._statistics.last
        share_class = prepared.run.share_class
        # What is missing after the last tick that was run has nothing to do with what came out.
        report = None if last is None else prepared.feed.report_until(ns_from_utc(last.timestamp))
        return RunContext(
            mode=prepared.run.mode.mode,
            share_class=share_class.name,
            currency=share_class.currency,
            decimals=share_class.decimals,
            correlation_id=self.correlation_id,
            run_dir=str(self.run_dir),
            seconds=0.0 if request.fixed_clock else seconds,
            partial=status is not RunStatus.COMPLETED,
            failure=failure if status is RunStatus.FAILED else None,
            stopped=stopped,
            runtime=request.runtime,
            data_origin=prepared.dataset.origin,
            synthetic_seed=prepared.dataset.seed,
            data_gaps={} if report is None else report.gap_hours,
            missed_funding={} if report is None else {perp: n for perp, n in report.missed_funding.items() if n},
            warnings=self._cautions(),
            proxies=self._data.stand_ins,
        )


async def _stop_quietly(bus: Bus) -> None:
    """Bring everything to disk after an interruption; what ended the run is what the caller hears of."""
    try:
        await bus.stop()
    except BusError:
        return


def _reason(error: Exception) -> str:
    """What a person is told of a failure: a coded error says what was wrong itself, any other needs to be placed."""
    cause = error.__cause__ if isinstance(error, BusFailed) else None
    text = str(cause if isinstance(cause, BasisError) else error) or type(error).__name__
    place = place_outside(cause or error)
    return text if place is None else f"{text} ({place})"


def _innermost(error: BaseException) -> BaseException:
    """What a task group wrapped."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _new_name(mode: str) -> str:
    """A name for a run that nobody named: readable, sortable, and not used before."""
    return f"{mode}-{system_clock():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _data_report(prepared: Prepared) -> RunDataReport:
    report = prepared.feed.report
    return data_report(
        report,
        prepared.dataset,
        followed=prepared.strategy.input_hashes,
        borrowed=tuple(_borrowed_brackets(prepared.run, report.missed_funding)),
    )


def _borrowed_brackets(run: RunConfig, perps: Iterable[str]) -> Iterator[str]:
    """Which of these perps are margined by the table of another venue."""
    for perp in perps:
        name, symbol = perp.split(":")
        venue = run.venues[name]
        pair = symbol.removesuffix("-PERP")
        asset = pair.removesuffix("USD")
        if not isinstance(venue, ExchangeVenue):
            continue
        section = venue.perp if asset == pair else venue.inverse_perp
        owner = None if section is None else section.markets[asset].brackets_from
        if owner is not None:
            yield f"{perp} brackets: those of {owner if asset == pair else f'{owner}:{asset}-PERP'}"


def _options(prepared: Prepared) -> dict[str, object]:
    """How the run was asked for, beside its configuration."""
    request, ticks = prepared.request, prepared.feed.ticks
    return {
        "start": utc_from_ns(ticks[0]),
        "end": utc_from_ns(ticks[-1]),
        "data": None if request.data is None else str(request.data.resolve()),
        "runtime": request.runtime,
        "frictionless": request.frictionless,
        "seed": prepared.dataset.seed,
        "flows": [(flow.timestamp, flow.amount) for flow in prepared.flows],
        "overlays": [str(file) for file in request.overlays],
        "settings": list(request.settings),
        "scenario": None if request.scenario is None else request.scenario.name,
    }


def _zero() -> float:
    """A stopwatch source for runs that have to be the same to the byte."""
    return 0.0
