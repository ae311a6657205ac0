"""Runs a mode as a live process does: on the live runtime, in real time or a multiple of it, until it is told to stop.

The actors are those of a backtest; what surrounds them is given: clock, market, venues, journal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import ClassVar

import anyio

from basis_actors.actors.engine import Engine
from basis_actors.actors.latch_file import read_latch
from basis_actors.actors.reporting import STATE_CODE
from basis_actors.actors.start_watch import cut_groups
from basis_actors.bus import BusError, Lane, LiveBus, StopTimeout
from basis_actors.errors import BasisError, ConfigError
from basis_actors.logs.directory import RunKind
from basis_actors.messages.commands import EndTicks, StopWaiting
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.safety import Latch, StartWaits, UndecidedOrder
from basis_actors.messages.stops import StopKind
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Progress
from basis_actors.services.control.left_behind import note_run
from basis_actors.services.control.server import ControlServer, answering
from basis_actors.services.extras import require_monitoring
from basis_actors.services.hosts import OnLoop
from basis_actors.services.left_open import left_open
from basis_actors.services.live_actors import LiveActors
from basis_actors.services.live_market import LiveMarket
from basis_actors.services.preparation import Prepared
from basis_actors.services.run_record import RunRecord
from basis_actors.services.stopping import (
    close_the_book,
    end_the_tick,
    keep_closing,
    loses_nothing,
    never_begun,
    not_closed,
    still_closing,
)
from basis_actors.services.surroundings import Surroundings
from basis_actors.services.wiring import EVENT_LOGGER, STOP_ORDER
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.left_orders import left_undecided, undecided_orders
from basis_actors.venues.live.unprotected import without_stops

__all__ = ["LiveRun"]

_LOOK_SECONDS = 0.2
_ENDS = "the process ends"


class LiveRun:
    """One live process. Use it once, right after its surroundings were made.

    `cancel` may be called from a signal handler or another thread.
    """

    BEYOND_SECONDS: ClassVar[float] = 5.0
    """What a stop waits for a tick beyond the time that its orders may take, and for one that has none yet."""
    DRAIN_SECONDS: ClassVar[float] = 10.0
    """What it waits for everybody to end, and for the log again."""

    def __init__(self, prepared: Prepared, surroundings: Surroundings, *, flattens: bool = False) -> None:
        """Makes the run directory and opens its logs. One that `flattens` closes the book before it stops.

        Raises BasisError LOG-003 when there is no place for them, ConfigError CONFIG-003 where something that watches a
        process in real time is not installed.
        """
        if surroundings.real_time:
            require_monitoring()
        if flattens and surroundings.state is None:
            raise ConfigError("CONFIG-003", "a process that closes its book before it stops needs a state directory")
        self._flattens = flattens
        self._prepared = prepared
        self._surroundings = surroundings
        self._cancelled: str | None = None
        self._closing_ended = False
        """Whether a stop has closed the book as far as it could: what is to become of it the latch then says."""
        self._wake: Callable[[], object] | None = None
        self._control: ControlServer | None = None
        self.bus: LiveBus | None = None
        """The bus, once it runs."""
        self.record = RunRecord(prepared, RunKind.LIVE, real_time=surroundings.real_time)
        """Where the run is kept."""
        self.actors = LiveActors(prepared, self.record, surroundings)
        """Who does the work."""
        self.undecided: tuple[UndecidedOrder, ...] = ()
        """Orders of which nobody knew at the end what became of them; the next process asks."""
        self.left_open: dict[str, float] = {}
        """What it held at the end that is not cash, by position key; where it has not begun a tick, what an earlier
        process held."""
        self.left_open_at: datetime | None = None
        """When that earlier process held it; None where this one knows itself."""
        self.cut_groups: tuple[str, ...] = ()
        """Groups that the next process brings to their end."""
        self.without_stops: dict[str, tuple[StopKind, ...]] = {}
        """Stops that were not at the exchange then, by position key."""
        self.start_failed = False
        """Whether it ends because it could not even begin to trade; not where it was told to end before that."""

    def cancel(self, reason: str) -> None:
        """Stop when the tick that is at work is over: no more ticks, everything on disk."""
        self._cancelled = reason
        self._show(None)
        if self._wake is not None:
            self._wake()

    def run(
        self,
        progress: Callable[[Progress], None] = lambda _: None,
        waiting: Callable[[str, str | None], None] = lambda *_: None,
    ) -> RunSummary:
        """Run until the feed ends or somebody cancels, and return the summary. `waiting` is told each time why an
        exchange does not show its market yet, and None once it does."""
        return anyio.run(self.run_async, progress, waiting)

    async def run_async(
        self,
        progress: Callable[[Progress], None] = lambda _: None,
        waiting: Callable[[str, str | None], None] = lambda *_: None,
    ) -> RunSummary:
        """The same inside an event loop."""
        clock, state = self._surroundings.clock, self._surroundings.state
        bus = LiveBus(
            clock,
            log_sink=EVENT_LOGGER,
            correlation_id=self.record.correlation_id,
            stop_order=STOP_ORDER,
            drain_seconds=self.DRAIN_SECONDS,
        )
        self.bus = bus
        if state is None:
            return await self._live(bus, progress, waiting)
        async with answering(state, bus) as self._control:
            self._control.run_dir = str(self.record.run_dir.resolve())
            return await self._live(bus, progress, waiting)

    async def _live(
        self, bus: LiveBus, progress: Callable[[Progress], None], waiting: Callable[[str, str | None], None]
    ) -> RunSummary:
        state = self._surroundings.state
        try:
            if state is not None:
                on_paper = self._surroundings.journal is None
                note_run(state, self.record.run_dir, state.holder, on_paper=on_paper)
            prepared = self._prepared
            self.record.components.announce(
                "run started", mode=prepared.run.mode.mode, data=prepared.dataset.origin, kind="live"
            )
            engine = self.actors.join(bus)
        except BasisError as error:
            self.record.abandon(str(error))
            raise
        started = time.perf_counter()
        failure: BaseException | None = None
        began = False
        try:
            if began := await self._began(bus, waiting):
                unclosed = await self._until_the_end(bus, engine, started, progress)
                if unclosed is not None:
                    failure = not_closed(unclosed, self._held(engine))
                    self.actors.tell_failure(failure, _ENDS)
                await bus.stop()
            else:
                if self._surroundings.journal is not None and self._is_to_be_closed():
                    failure = never_begun()
                    self.actors.tell_failure(failure, _ENDS)
                await _stop_quietly(bus)  # what is given up need not come to its end
        except StopTimeout as error:
            if self._cancelled is not None and loses_nothing(error):
                self.record.note(f"the stop did not wait for {'; '.join(map(str, error.lost))}")
            else:
                failure = failure or error
        except BaseException as error:  # noqa: BLE001 - the summary names it, and `finish` raises what is no failure
            failure = _innermost(error)
            self.start_failed = not began and isinstance(failure, Exception)
            if not isinstance(failure, BusError):
                self.actors.tell_failure(failure, _ENDS if began else "the start failed")
                with anyio.CancelScope(shield=True):
                    await _stop_quietly(bus)
        self.left_open = self._held(engine)
        if failure is None and state is not None and (lost := state.lost()) is not None:
            failure = BasisError(STATE_CODE, f"{lost}; the next process will not know what this one has sent")
        latch = self._leave_latch(failed=failure is not None)
        with anyio.CancelScope(shield=True):
            if self._surroundings.journal is not None:
                self.undecided = await undecided_orders(self._surroundings.journal)
                self.without_stops = await without_stops(self._surroundings.journal)
                self.cut_groups = await cut_groups(self._surroundings.journal)
                failure = failure or left_undecided(self.undecided)
            for close in self._surroundings.closing:
                await close()
        before = self.actors.start_watch
        if engine.ticks_started == 0 and not self.left_open and before is not None:
            self.left_open, self.left_open_at = dict(before.exposed), before.held_at
        progress(self._progress(engine, started))
        seconds = time.perf_counter() - started
        return await OnLoop().aside(lambda: self.record.finish(engine, failure, seconds, self._cancelled, latch))

    def _leave_latch(self, *, failed: bool) -> Latch | None:
        """The latch as the next process finds it; None where there is none. Whoever asked for a closed book is not to
        get a process that trades instead: where this one failed before it came to that, the next one closes it."""
        state = self._surroundings.state
        if state is None:
            return None
        now = utc_from_ns(self._surroundings.clock.now())
        asked = self._flattens and self._cancelled is not None and self._surroundings.journal is not None
        if failed and asked and not self._closing_ended:
            try:
                keep_closing(state, self._cancelled or "", now)
            except BasisError as error:
                self.record.note(f"the next process is not kept from trading: {error}")
        return read_latch(state, now)

    async def _began(self, bus: LiveBus, waiting: Callable[[str, str | None], None]) -> bool:
        """Wait for the market, and then for the accounts to be in order; False when somebody stopped that: then no tick
        has begun."""
        await self.actors.tell_begin()
        market = self._surroundings.market
        if market is None or await self._unless_stopped(lambda: self._learn(market, bus, waiting)):
            self._starts(bus, "bringing the accounts into order")
            if await self._unless_stopped(bus.start):
                self._show(None)
                return True
        return False

    async def _learn(self, market: LiveMarket, bus: LiveBus, waiting: Callable[[str, str | None], None]) -> None:
        """Open the market, while whoever tells people how the process is has begun and does not fail."""
        awaited: dict[str, str] = {}

        def wait(venue: str, why: str | None) -> None:
            bus.publish(StartWaits(venue, why))
            waiting(venue, why)
            if why is None:
                awaited.pop(venue, None)
            else:
                why = why.removeprefix(f"{venue} ")  # who answers names itself
                if venue not in awaited:
                    self.actors.tell_waiting(venue, why)
                if awaited.get(venue) != why:
                    self.record.components.announce("waiting for the market", why=f"{venue}: {why}")
                awaited[venue] = why
            if awaited:
                self._starts(bus, f"waiting for the market: {'; '.join(map(': '.join, awaited.items()))}")

        await bus.begin(self.actors.first)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.until, lambda: False, "a failure")
            await market.open(wait)
            tasks.cancel_scope.cancel()
        strategy = self._prepared.strategy
        for perp in strategy.market_spec.perps:
            strategy.warm_up(market.settled(perp, strategy.funding_history))

    def _starts(self, bus: LiveBus, doing: str) -> None:
        """Say what the process does before it trades."""
        self._show(f"starting: {doing}")
        if self._surroundings.market is not None:
            bus.publish(TradingStatus(TradingPhase.STARTING, doing))

    async def _unless_stopped(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Whether `work` came to its end before somebody stopped the process."""
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:
            self._wake = lambda: loop.call_soon_threadsafe(scope.cancel)
            if self._cancelled is not None:
                scope.cancel()
            await work()
            return True
        return False

    async def _until_the_end(
        self, bus: LiveBus, engine: Engine, started: float, progress: Callable[[Progress], None]
    ) -> str | None:
        """Wait for the last tick or for a stop, whichever comes first, and let the tick at work come to its end.
        Returns why a book that was to be closed then is not."""
        stop = anyio.Event()
        loop = bus.loop
        self._wake = lambda: loop.call_soon_threadsafe(stop.set)
        if self._cancelled is not None:
            stop.set()
        async with anyio.create_task_group() as tasks:

            async def report() -> None:
                while True:
                    progress(self._progress(engine, started))
                    await anyio.sleep(_LOOK_SECONDS)

            async def stopped() -> None:
                await stop.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(report)
            tasks.start_soon(stopped)
            await bus.until(lambda: engine.finished, "the last tick")
            await bus.settled()
            tasks.cancel_scope.cancel()
        limit = self._prepared.run.mode.component_config.execution_manager.tight_loop_timeout
        told = self._cancelled if self._flattens else None  # to close the book first
        if self._cancelled is not None and told is None:
            bus.post("engine", EndTicks(), lane=Lane.CONTROL)
            bus.post("execution_manager", StopWaiting(), lane=Lane.CONTROL)
        await end_the_tick(bus, engine, self.actors.accounts if told is None else (), limit, self.BEYOND_SECONDS)
        if told is not None:
            unclosed = await close_the_book(bus, engine, told, limit, lambda: self._held(engine))
            self._closing_ended = True
            bus.post("engine", EndTicks(), lane=Lane.CONTROL)
            await end_the_tick(bus, engine, self.actors.accounts, 0.0, self.BEYOND_SECONDS)
            return unclosed
        if self._surroundings.state is None:
            return None
        return await still_closing(bus, lambda: self._held(engine))

    def _is_to_be_closed(self) -> bool:
        """Whether the stop is to close the book, or somebody has said so before."""
        state, now = self._surroundings.state, utc_from_ns(self._surroundings.clock.now())
        return self._flattens or (state is not None and read_latch(state, now).flatten)

    def _held(self, engine: Engine) -> dict[str, float]:
        """What is held and no cash."""
        prepared = self._prepared
        return left_open(prepared.run, prepared.strategy.market_spec, self.record.statistics, engine.market)

    def _show(self, instead: str | None) -> None:
        """What `status` says that the process does instead of trading; nothing but that it stops once it does."""
        if self._control is not None:
            self._control.instead = instead if self._cancelled is None else f"stopping: {self._cancelled}"

    def _progress(self, engine: Engine, started: float) -> Progress:
        history = self._prepared.history
        total = None if history is None else len(history.ticks)
        return Progress(engine.ticks_started, total, time.perf_counter() - started)


async def _stop_quietly(bus: LiveBus) -> None:
    try:
        await bus.stop()
    except BusError:
        return


def _innermost(error: BaseException) -> BaseException:
    """What a task group wrapped."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
