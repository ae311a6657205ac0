"""Defines one story of the fault simulator: a world, and the processes that come and go in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from basis_actors.actors.event_logger import EventLogger
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Actor, SimBus, VirtualClock, on
from basis_actors.bus.sim import complete
from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.data import Dataset, build_feed
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.wall_clock import fixed_clock
from basis_actors.messages.book import BookView, PositionsView
from basis_actors.messages.market import MarketState
from basis_actors.messages.safety import BookClosed, OrdersUndecided
from basis_actors.ports import OrderJournal, VenueClient
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.simulation.fate import Fate, Rates
from basis_actors.services.simulation.faults import FaultyExchangeApi
from basis_actors.services.simulation.frail_journal import FrailJournal, KilledWhileWriting
from basis_actors.services.simulation.operator import Operator, Person
from basis_actors.services.simulation.state_files import FrailStore, StateFiles
from basis_actors.services.simulation.world import WalletClient, World
from basis_actors.services.simulation.world_feed import WorldFeed
from basis_actors.services.wiring import EVENT_LOGGER, STOP_ORDER, add_engine
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.registry import build_strategy
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.build import build_account

__all__ = ["Ended", "Process", "Setting", "Story"]

_HOUR = 3600 * NS_PER_SECOND
_MOST_PROCESSES = 100
"""A story with more of them does not come to rest."""


@dataclass(frozen=True)
class Setting:
    """What all stories of a mode share."""

    run: RunConfig
    dataset: Dataset
    states: tuple[MarketState, ...]
    """The market, tick by tick."""
    capital: float


class Watcher(Actor):
    """Keeps every view of the book, the last one of the ledger, whether a book that was to be closed is, and when
    exchanges owed an answer."""

    def __init__(self) -> None:
        super().__init__("watcher")
        self.views: list[BookView] = []
        self.ledger: dict[str, float] = {}
        self.closed = False
        self.halts: list[tuple[str, int, int | None]] = []

    @on(OrdersUndecided)
    def note_halt(self, left: OrdersUndecided) -> None:
        """Keep since when and until when an exchange is to say something first."""
        halts = self.halts
        begun = next((at for at, halt in enumerate(halts) if (halt[0], halt[2]) == (left.domain, None)), None)
        if begun is None and left.problem is not None:
            halts.append((left.domain, self.now, None))
        elif begun is not None and left.problem is None:
            halts[begun] = (left.domain, halts[begun][1], self.now)

    @on(BookClosed)
    def note_closed(self, _closed: BookClosed) -> None:
        """Keep that."""
        self.closed = True

    @on(PositionsView)
    def look(self, view: PositionsView) -> None:
        """Keep the ledger."""
        self.ledger = view.positions

    @on(BookView)
    def note(self, view: BookView) -> None:
        """Keep it."""
        self.views.append(view)


@dataclass
class Ended:
    """How a process ended."""

    run_dir: Path
    killed: bool
    failure: BaseException | None
    views: list[BookView]
    held: dict[str, float]
    """Its ledger at its end."""
    closed: bool
    """Whether it has closed a book that was to be closed."""
    ended_ns: int
    revoked: list[tuple[str, int, int]]
    """Where its keys were revoked, from when on and until when."""
    halts: list[tuple[str, int, int | None]]
    """Exchanges that had to say something first, since when and until when; None for those that did not."""


@dataclass
class Process:
    """One process of a story: a bus with the engine on it."""

    bus: SimBus
    apis: list[FaultyExchangeApi]
    watcher: Watcher
    run_dir: Path
    sink: DomainEventLogger
    components: ComponentLogs


@dataclass
class Story:
    """One seed. `folder` holds the log of each of its processes."""

    setting: Setting
    seed: int
    folder: Path
    rates: Rates = field(default_factory=Rates)
    kills: float = 0.02
    """Per hour: the process is killed."""
    quiet_hours: int = 6
    """At the end nothing fails any more, so that everything can come to rest."""

    def __post_init__(self) -> None:
        states = self.setting.states
        self.random = Random(self.seed)  # noqa: S311 - a seeded story, no secret
        until = states[-1].ns - self.quiet_hours * _HOUR
        self.fate = Fate(self.random, self.rates, until)
        self.world = World(self.setting.run, states, self.setting.capital)
        self.journal = FrailJournal(f"story-{self.seed}", self._is_killed_here)
        self.files = StateFiles(lambda: self.world.now_ns)
        self.person = Person(self.fate)
        self.ended: list[Ended] = []
        self._buses: list[SimBus] = []
        self.hedged = build_strategy(self.setting.run).hedged
        """Whether the mode means to be delta neutral."""

    def tell(self) -> None:
        """Let processes come and go until the market is over."""
        states, world = self.setting.states, self.world
        after = states[0].ns - 1
        while len(self.ended) < _MOST_PROCESSES:
            process = self._begin(after)
            end = self._live(process)
            self.ended.append(end)
            if not end.killed and end.failure is None:
                return
            for api in process.apis:
                complete(api.cut())
            world.clock.follow(None)
            after = world.now_ns + round(self.random.uniform(5.0, 7200.0 if end.killed else 60.0) * NS_PER_SECOND)
            if after >= states[-1].ns - 2 * _HOUR:
                after = states[-1].ns - 2 * _HOUR
            world.clock.move_to(after)
            complete(world.live_until(after))
            self.person.act_alone(self.files, after)
            self.journal = self.journal.reopened()

    def let_go(self) -> None:
        """Have everything of its processes forgotten, once it is told and judged and no sooner: what they were at in
        the middle of comes to its end by that."""
        for bus in self._buses:
            bus.abandon()

    def _begin(self, after_ns: int) -> Process:
        setting, run, world = self.setting, self.setting.run, self.world
        number = len(self.ended)
        start = next(state.ns for state in setting.states if state.ns > after_ns)
        clock = VirtualClock(start if number == 0 else after_ns)
        bus = SimBus(clock, log_sink=EVENT_LOGGER, correlation_id=f"seed-{self.seed}", stop_order=STOP_ORDER)
        self._buses.append(bus)
        world.clock.follow(clock)
        run_dir = LogDirectoryManager.create_run_logs(
            f"seed-{self.seed}", number, run.mode.mode, run.mode.strategy, setting.capital, self.folder,
            currency=run.share_class.currency, clock=fixed_clock,
        )  # fmt: skip
        sink = DomainEventLogger(run_dir, f"seed-{self.seed}", number, clock=fixed_clock, monotonic=_zero)
        components = ComponentLogs(run_dir, f"seed-{self.seed}", number, clock=fixed_clock)
        watcher = Watcher()
        apis, venues = self._venues(bus, opens=number > 0)
        add_engine(
            bus,
            run=run,
            strategy=self._strategy(start),
            feed=WorldFeed(world, setting.states, after_ns),
            venues=venues,
            flows=(),
            event_logger=EventLogger(sink, RunStatistics(), components),
            stopwatch=Stopwatch(_zero),
            simulated=False,
            journal=self.journal,
            state=FrailStore(self.files, self._is_killed_here),
        )
        bus.add(watcher)
        bus.add(Operator(self.person))
        return Process(bus, apis, watcher, run_dir, sink, components)

    def _venues(self, bus: SimBus, *, opens: bool) -> tuple[list[FaultyExchangeApi], list[VenueClient]]:
        run, world = self.setting.run, self.world
        apis: list[FaultyExchangeApi] = []
        venues: list[VenueClient] = [WalletClient(world, opens=opens)]
        journal: OrderJournal = self.journal
        names = [name for name in run.mode.venues if isinstance(run.venues[name], ExchangeVenue)]
        for name in names:
            venue = run.venues[name]
            assert isinstance(venue, ExchangeVenue)
            window, is_known = venue.account_terms.receive_window_seconds, name in self.journal.accounts
            api = FaultyExchangeApi(world.exchanges[name], world, self.fate, window, is_known=is_known)
            apis.append(api)
            targets = ["wallet", *(other for other in names if other != name)]
            addresses = {
                (target, token): (f"{target}:BaseToken:{token}", "any")
                for target in targets
                for token in venue.withdrawal_fees
            }
            venues.append(build_account(venue, api, journal, bus.clock, leverage={}, addresses=addresses))
        return apis, venues

    def _strategy(self, start_ns: int) -> Strategy:
        """A strategy that knows what it could know at a moment."""
        setting, run = self.setting, self.setting.run
        strategy = build_strategy(run)
        feed = build_feed(
            setting.dataset,
            strategy.market_spec,
            start_ns=start_ns,
            end_ns=setting.states[-1].ns,
            step_ns=run.mode.tick_interval_seconds * NS_PER_SECOND,
            data=run.mode.data,
            venues=run.venues,
        )
        for perp in strategy.market_spec.perps:
            strategy.warm_up(feed.warmup_funding(perp, strategy.funding_history))
        return strategy

    def _live(self, process: Process) -> Ended:
        """Go on until the process is killed, fails or has seen the last tick."""
        bus, end = process.bus, self.setting.states[-1].ns
        killed = self._kill_time()
        failure: BaseException | None = None
        try:
            bus.go_on(end + _HOUR if killed is None else killed)
            if killed is not None and bus.failure is None:
                bus.go_on(killed + _HOUR, self.random.randrange(200))
            failure = bus.failure
            if not isinstance(failure, KilledWhileWriting) and (failure is not None or killed is None):
                killed = None
                complete(bus.stop())
        except Exception as error:  # noqa: BLE001 - a process may end of anything; the verdict names it
            failure = error
        if isinstance(failure, KilledWhileWriting):
            killed, failure = bus.clock.now(), None
        if failure is not None:
            killed = None
        if killed is not None:
            process.sink.abandon()
        process.components.close()
        revoked = [(api.venue, *times) for api in process.apis for times in api.revoked]
        return Ended(
            process.run_dir,
            killed is not None,
            failure,
            process.watcher.views,
            process.watcher.ledger,
            process.watcher.closed,
            bus.clock.now(),
            revoked,
            process.watcher.halts,
        )

    def _is_killed_here(self, where: str) -> bool:
        return self.fate.strikes(where, self.rates.killed_writing, self.world.now_ns)

    def _kill_time(self) -> int | None:
        """When this process is killed, ns; None for never."""
        if not self.kills:
            return None
        if self.ended and self.fate.strikes("killed early", self.rates.killed_early, self.world.now_ns):
            return self.world.now_ns + round(self.random.uniform(0.0, 60.0) * NS_PER_SECOND)
        ticks = [state.ns for state in self.setting.states if self.world.now_ns <= state.ns < self.fate.until_ns]
        place = int(self.random.expovariate(self.kills))
        if place >= len(ticks):
            return None
        # What is worth interrupting happens right after a tick.
        return ticks[place] + round(self.random.uniform(0.0, 20.0) * NS_PER_SECOND)


def _zero() -> float:
    return 0.0
