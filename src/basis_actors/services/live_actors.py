"""Defines the actors of a live process: those of a backtest, and those that watch over it. When they begin and end is
left to whoever runs the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from basis_actors.actors.end_watch import EndWatch
from basis_actors.actors.engine import Engine
from basis_actors.actors.event_logger import EventLogger, LiveEventLogger
from basis_actors.actors.live_health import PROCESS
from basis_actors.actors.log_keeper import LogKeeper
from basis_actors.actors.market_watch import MarketWatch
from basis_actors.actors.place_watch import Place, PlaceWatch
from basis_actors.actors.reporting import STATE_CODE, error_event
from basis_actors.actors.start_watch import StartWatch
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import LiveBus, ReplayClock
from basis_actors.errors import BasisError
from basis_actors.logs.async_event_logger import AsyncDomainEventLogger
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.retention import Retention
from basis_actors.logs.wall_clock import system_clock
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.operations import ProcessBegins, ProcessFails
from basis_actors.ports import OrderJournal
from basis_actors.services.control.left_behind import last_seen
from basis_actors.services.market_stream import UNANSWERED
from basis_actors.services.preparation import Prepared
from basis_actors.services.run_record import RunRecord
from basis_actors.services.signals import add_signal_poller
from basis_actors.services.surroundings import Surroundings
from basis_actors.services.wiring import EVENT_LOGGER, FREELY, add_engine
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.account import ExchangeAccount

if TYPE_CHECKING:
    from basis_actors.services.monitoring import Monitoring

__all__ = ["LiveActors"]

_FIRST: Final = frozenset({EVENT_LOGGER, "kill_switch", "start_watch", "end_watch", "health_monitor", "metrics"})
"""Whoever tells people how the process is, beside the routes of alerts."""


class LiveActors:
    """Those of one process. What a component log loses before they join the bus is told as soon as they have."""

    def __init__(self, prepared: Prepared, record: RunRecord, surroundings: Surroundings) -> None:
        self._prepared = prepared
        self._record = record
        self._surroundings = surroundings
        self._bus: LiveBus | None = None
        self.monitoring: Monitoring | None = None
        """What watches the process, once they have joined; None where the market waits for each tick, as in a
        backtest."""
        self.warn: Callable[[str], object] = lambda _: None
        """Told what whoever started the process is to see at once."""
        self.show: Callable[[SystemErrorEvent], object] = lambda _: None
        """Given what of the log that person is to see at once: a stop, a resumption, a deaf receiver."""
        self.first: tuple[str, ...] = ()
        """Those that begin before the market is known, once they have joined."""
        self.accounts: tuple[ExchangeAccount, ...] = ()
        """Accounts at exchanges, once they have joined."""
        self.start_watch: StartWatch | None = None
        """Who knows what earlier processes have left, once they have joined; None without a journal."""
        self._untold: list[SystemErrorEvent] = []
        record.components.tell = self._note_lost_line

    def join(self, bus: LiveBus) -> Engine:
        """Add them to the bus, and return the one that the others follow. Use it once.

        Raises BasisError where one of them cannot be made.
        """
        self._bus = bus
        prepared, record, around = self._prepared, self._record, self._surroundings
        components, run = prepared.run.mode.component_config, prepared.run
        event_logger = self._event_logger()
        stopwatch = Stopwatch(_zero if prepared.request.fixed_clock else time.perf_counter)
        watching = self.monitoring = self._monitoring(bus, event_logger, stopwatch)
        venues = around.make_venues(run, bus.clock)
        self.accounts = tuple(venue for venue in venues if isinstance(venue, ExchangeAccount))
        engine = add_engine(
            bus,
            run=run,
            strategy=prepared.strategy,
            feed=around.feed,
            venues=venues,
            flows=around.flows,
            event_logger=event_logger,
            stopwatch=stopwatch,
            simulated=around.journal is None,
            journal=around.journal,
            real_time=around.real_time,
            state=around.state,
            health=None if watching is None else watching.health,
        )
        self._tell_log()
        if around.journal is not None:
            self.start_watch = self._start_watch(around.journal)
            bus.add(self.start_watch, FREELY)
        if around.watched is not None:
            around.watched(bus)
        if watching is not None:
            watching.join()
            if around.requests is not None:
                around.requests.writer = watching.api_log.note
        if around.journal is not None:
            bus.add(EndWatch(around.journal), FREELY, sink=True)
        market = around.market
        if market is not None:
            watch = MarketWatch()
            bus.add(watch, FREELY)
            market.tell = lambda trouble: bus.post(watch.name, trouble)
            for source in market.sources():
                bus.add_source(watch.name, source)
            add_signal_poller(bus, run)
        if isinstance(event_logger, LiveEventLogger):
            event_logger.warn = lambda text: self.warn(text)
            event_logger.show = lambda error: self.show(error)
            bus.add_source(event_logger.name, event_logger.write_events)
        if around.real_time:
            bus.add(PlaceWatch(self._places(), components.kill_switch.heartbeat_seconds), FREELY)
        keep = components.log_keeper
        retention = Retention(timedelta(days=keep.keep_backtests_days), timedelta(days=keep.keep_live_days))
        bus.add(LogKeeper(record.run_dir, prepared.request.out, retention, system_clock))
        self.first = tuple(name for name in bus.actors if name in _FIRST or name.startswith("alerts_"))
        return engine

    def _start_watch(self, journal: OrderJournal) -> StartWatch:
        state = self._surroundings.state
        seen = None if state is None else last_seen(state.path, on_accounts=True)
        held = {} if seen is None or seen.positions is None else seen.positions
        currency = self._prepared.run.share_class.currency
        return StartWatch(journal, currency, held, None if seen is None else seen.at)

    def _places(self) -> tuple[Place, ...]:
        """What has to stay where it is while the process runs."""
        state = self._surroundings.state
        places = (Place("log directory", "LOG-001", self._record.lost),)
        return places if state is None else (Place("state directory", STATE_CODE, state.lost), *places)

    def _monitoring(self, bus: LiveBus, event_logger: EventLogger, stopwatch: Stopwatch) -> Monitoring | None:
        if not self._surroundings.real_time:
            return None
        from basis_actors.services.monitoring import Monitoring

        clock = self._surroundings.clock
        return Monitoring(
            self._prepared.run,
            bus,
            self._record.components,
            correlation_id=self._record.correlation_id,
            config_hash=self._prepared.config_hash,
            unwritten=lambda: event_logger.unwritten,
            stopwatch=stopwatch,
            pace=clock.pace if isinstance(clock, ReplayClock) else 1.0,
        )

    def _event_logger(self) -> EventLogger:
        """One that never holds the loop for the disk, unless nothing else wants it: then the log of a backtest."""
        record, components = self._record, self._prepared.run.mode.component_config
        config, segment_bytes = components.event_logger, components.log_keeper.segment_bytes
        if not self._surroundings.real_time:
            sink = DomainEventLogger(
                record.run_dir,
                record.correlation_id,
                record.pid,
                batch_events=config.batch_events,
                flush_seconds=config.flush_seconds,
                segment_bytes=segment_bytes,
                inputs=record.inputs,
                clock=record.clock,
            )
            return EventLogger(sink, record.statistics, record.components)
        writer = AsyncDomainEventLogger(
            record.run_dir,
            record.correlation_id,
            record.pid,
            batch_events=config.batch_events,
            flush_seconds=config.flush_seconds,
            segment_bytes=segment_bytes,
            inputs=record.inputs,
            unwritten_limit=config.unwritten_limit,
            clock=record.clock,
        )
        return LiveEventLogger(writer, record.statistics, record.components)

    def _note_lost_line(self, error: BasisError) -> None:
        """A component log that cannot be written ends nothing: what counts is in the event log."""
        text = f"{error.message}; the process goes on, and this is said once"
        self.warn(f"{error.code}: {text}")
        at = utc_from_ns(self._surroundings.clock.now())
        self._tell_log(error_event(at, "component_logs", error.code, text))

    async def tell_begin(self) -> None:
        """Have people told what begins, and what it finds open as far as that is on disk."""
        assert self._bus is not None, "they have joined"
        prepared, watch = self._prepared, self.start_watch
        if watch is None:
            money = f"{prepared.capital:,.12g} {prepared.run.share_class.currency}"
            how = f"on paper, with {money} of its own and nothing open"
        else:
            how = f"live, on its accounts; open: {await watch.left() or 'nothing that is known'}"
        self._bus.publish(ProcessBegins(f"the process begins: {prepared.run.mode.mode}, {how}"))

    def tell_failure(self, failure: BaseException, what: str) -> None:
        """Have people told and logged what ends the process, where that is no failure of an actor, which is told as
        such. `what` has failed."""
        if not isinstance(failure, Exception) or self._bus is None or self._bus.closed:
            return
        code, why = "ENGINE-002", f"{type(failure).__name__}: {failure}"
        if isinstance(failure, BasisError):
            code, why = failure.code, failure.message
        text = f"{what}: {why}"
        self._bus.publish(ProcessFails(text, code))
        self._tell_log(error_event(utc_from_ns(self._surroundings.clock.now()), PROCESS, code, text))

    def tell_waiting(self, venue: str, why: str) -> None:
        """Have it logged that a start waits for an exchange."""
        at = utc_from_ns(self._surroundings.clock.now())
        self._tell_log(error_event(at, PROCESS, UNANSWERED, f"the start waits for {venue}: {why}", passes=True))

    def _tell_log(self, *events: SystemErrorEvent) -> None:
        """Have events logged, now or as soon as there is somebody who does."""
        self._untold += events
        if self._bus is not None and EVENT_LOGGER in self._bus.actors:
            while self._untold:
                self._bus.post(EVENT_LOGGER, self._untold.pop(0))


def _zero() -> float:
    """A stopwatch source for runs that have to be the same to the byte."""
    return 0.0
