"""A whole engine whose only venue is the local Binance, over real sockets, on time that moves when nobody is at work.

Engine and exchange share one clock: it jumps to the next timer as soon as every actor waits for time, never while a
request is under way. So waits take no time, and production's patience is tested as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import anyio
from tests.crash.process import PresentFeed
from tests.exchange.binance import LocalBinance
from tests.exchange.hand_clock import HandClock
from tests.exchange.worlds import HOME, KEYS, markets, venue_of
from tests.faults.pair import Pair

from basis_actors.actors.engine import Engine
from basis_actors.actors.event_logger import EventLogger
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import BusError, LiveBus, ManualClock
from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.reader import EventLog
from basis_actors.logs.wall_clock import fixed_clock
from basis_actors.messages.events import DomainEvent
from basis_actors.messages.market import MarketState
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.wiring import EVENT_LOGGER, STOP_ORDER, add_engine
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.journal.sqlite import SqliteJournal
from basis_actors.venues.live.build import build_account, pairs_of
from basis_actors.venues.live.outside import OutsideWallet
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.build import build_exchange
from basis_actors.venues.wire.pauses import Pauses

MODE = Path(__file__).parents[1] / "crash" / "churn.yaml"
PRICE = Decimal(40770)
START = datetime(2024, 1, 10, tzinfo=UTC)
TICK_SECONDS = 3600
CAPITAL = 100_000.0
"""USDT, half of it in spot and half in USD-M."""


class SharedClock(HandClock):
    """The exchange's clock: that of the process while there is one, a test's own between two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.process: ManualClock | None = None

    @property
    def ns(self) -> int:
        return self._ns if self.process is None else self.process.now()

    @property
    def ms(self) -> int:
        return self.ns // 1_000_000

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() - self._ns + self.ns

    def let_go(self) -> None:
        """The process is gone; time goes on from where it was."""
        self._ns, self.process = self.ns, None


@lru_cache(maxsize=1)
def market() -> tuple[RunConfig, MarketState]:
    """The mode, and the one state that its market is in."""
    ready = prepare(BacktestRequest(mode=MODE, start=START, end=START + timedelta(hours=2)))
    return ready.run, [ready.feed.take(ns) for ns in ready.feed.ticks][-1]


@dataclass
class Process:
    """One process: the engine on a bus of its own, on the journal and the account that all of them share."""

    bus: LiveBus
    engine: Engine
    strategy: Pair
    api: BinanceApi
    journal: SqliteJournal
    run_dir: Path
    sink: DomainEventLogger
    components: ComponentLogs
    clock: SharedClock
    is_gone: bool = False

    async def tick(self, count: int = 1) -> None:
        """Let it live through so many ticks. Raises BusFailed when it ends of something."""
        number = self.engine.ticks_started + count
        await self.bus.until(lambda: self.engine.ticks_started >= number and not self.engine.at_work, "a tick")

    async def stop(self) -> None:
        """End it as a signal does. Raises BusFailed when it has ended of something."""
        try:
            await self.bus.stop()
        finally:
            await self._gone()

    async def die(self) -> None:
        """End it as a kill does: nothing more is done, and what it had not written is lost."""
        bus = self.bus
        for cell in bus.cells.values():
            await bus._cut_off(cell)
        assert bus._host is not None
        bus._host.cancel()
        await asyncio.wait([bus._host])
        self.sink.abandon()
        await self._gone()

    async def dies_hanging(self, exchange: LocalBinance) -> None:
        """Let it live until the exchange leaves a request without an answer, and kill it then."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.tick, 10)
            await exchange.faults.hanging.wait()
            tasks.cancel_scope.cancel()
        exchange.faults.hanging.clear()
        await self.die()

    def events(self) -> list[DomainEvent]:
        """Its log, in order."""
        return list(EventLog(self.run_dir).all())

    async def _gone(self) -> None:
        self.is_gone = True
        self.journal.close()
        await self.api.close()
        self.components.close()
        self.clock.let_go()


@dataclass
class House:
    """The account and everything that survives a process."""

    exchange: LocalBinance
    clock: SharedClock
    folder: Path
    processes: list[Process] = field(default_factory=list)
    traded_since_ms: int = 0
    """Trades before this moment are older than what any process looks at."""

    @property
    def journal_path(self) -> Path:
        """The order journal."""
        return self.folder / "journal.sqlite"

    async def start(self, *, shape: Callable[[Pair], None] = lambda _pair: None) -> Process:
        """Begin the next process. Raises BusFailed when it does not come to trading."""
        process = self._assemble()
        shape(process.strategy)
        self.processes.append(process)
        try:
            await process.bus.start()
        except BusError:
            with suppress(BusError):
                await process.bus.stop()
            await process._gone()
            raise
        return process

    def _assemble(self) -> Process:
        run, state = market()
        number = len(self.processes)
        clock = ManualClock(self.clock.ns, auto=True)
        self.clock.process = clock
        bus = LiveBus(clock, log_sink=EVENT_LOGGER, correlation_id="faults", stop_order=STOP_ORDER)
        run_dir = LogDirectoryManager.create_run_logs(
            "faults", number, run.mode.mode, run.mode.strategy, CAPITAL, self.folder,
            currency=run.share_class.currency, clock=fixed_clock,
        )  # fmt: skip
        sink = DomainEventLogger(run_dir, "faults", number, clock=fixed_clock, monotonic=_zero)
        components = ComponentLogs(run_dir, "faults", number, clock=fixed_clock)
        journal = SqliteJournal(self.journal_path)
        venue = self._venue(run)
        pairs = pairs_of(venue)
        api = build_exchange(venue, pairs, KEYS, record=_ignored, pauses=Pauses(), monotonic_ns=self.clock.monotonic_ns)
        assert isinstance(api, BinanceApi)
        addresses = {(HOME.venue, HOME.token): (HOME.address, HOME.network)}
        account = build_account(venue, api, journal, clock, leverage={"BTC-PERP": 2}, addresses=addresses)
        strategy = Pair(run)
        engine = add_engine(
            bus,
            run=run,
            strategy=strategy,
            feed=PresentFeed(state, TICK_SECONDS, clock),
            venues=(OutsideWallet(run.venues["wallet"].domain, ("wallet",)), account),
            flows=(),
            event_logger=EventLogger(sink, RunStatistics(), components),
            stopwatch=Stopwatch(_zero),
            simulated=False,
            journal=journal,
        )
        return Process(bus, engine, strategy, api, journal, run_dir, sink, components, self.clock)

    def _venue(self, run: RunConfig) -> ExchangeVenue:
        """As it is configured, at the local exchange's address, with BTC alone."""
        venue = run.venues["binance"]
        assert isinstance(venue, ExchangeVenue)
        assert venue.spot is not None
        assert venue.perp is not None
        here = venue_of(self.exchange)
        assert here.api is not None
        return venue.model_copy(
            update={
                "urls": here.urls,
                "api": here.api.model_copy(update={"longest_pause_seconds": 3 * TICK_SECONDS}),
                "spot": venue.spot.model_copy(update={"markets": {"BTC": venue.spot.markets["BTC"]}}),
                "perp": venue.perp.model_copy(update={"markets": {"BTC": venue.perp.markets["BTC"]}}),
                "inverse_perp": None,
            }
        )

    def use_most_of_the_budget(self) -> None:
        """Somebody else at this address uses what the exchange grants at the next tick, but for what is reserved."""
        exchange = self.exchange
        tick_minute = (self.clock.ns // NS_PER_SECOND // TICK_SECONDS + 1) * TICK_SECONDS // 60
        for host, limit in exchange.limits.items():
            exchange._used[host, tick_minute] += int(0.76 * limit)

    def leave(self, seconds: float) -> None:
        """Let time pass without a process."""
        assert self.clock.process is None
        self.clock.advance(seconds)
        self.exchange.account.run_countdowns()


@asynccontextmanager
async def funded_house(folder: Path) -> AsyncIterator[House]:
    """An account with 50,000 USDT in spot and in USD-M, at a price that does not move."""
    clock = SharedClock()
    exchange = LocalBinance(markets(), clock)
    for each in exchange.account.markets.values():
        if each.base == "BTC":
            each.price = PRICE
    exchange.account.fund("spot", "USDT", "50000")
    exchange.account.fund("linear", "USDT", "50000")
    async with exchange:
        house = House(exchange, clock, folder)
        try:
            yield house
        finally:
            for process in house.processes:
                if not process.is_gone:
                    await process.die()


def _ignored(_call: ApiCall) -> None:
    """The exchange's own journal is asked instead."""


def _zero() -> float:
    return 0.0
