"""Defines an execution desk whose venues are live accounts at scripted exchanges, for one process after another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.actors.desk import CONFIG, NO_LIMITS, RULES, START
from tests.actors.store import MemoryStore
from tests.venues.live.books import account_terms
from tests.venues.live.scripts import RestingExchange, ScriptedApi
from tests.venues.worlds import exchange_terms, market

from basis_actors.actors.exchange_adapter import ExchangeAdapter
from basis_actors.actors.execution_manager import ExecutionManager
from basis_actors.actors.kill_switch import KillSwitch
from basis_actors.actors.position_monitor import PositionMonitor
from basis_actors.actors.position_update_handler import PositionUpdateHandler
from basis_actors.actors.recovery_manager import RecoveryManager
from basis_actors.actors.risk_gate import GateRules, RiskGate
from basis_actors.actors.timing import Stopwatch
from basis_actors.actors.venue_interface_manager import VenueInterfaceManager
from basis_actors.bus import LiveBus, SimBus
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import KillSwitchConfig
from basis_actors.messages.book import PositionsView, TickStarted
from basis_actors.messages.commands import ExecuteOrders, IncomingTransfer, OrdersDone
from basis_actors.messages.events import DomainEvent, ExecutionDeltaEvent, SystemErrorEvent
from basis_actors.messages.orders import Order
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.journal.sqlite import SqliteJournal
from basis_actors.venues.live.account import ExchangeAccount

E = TypeVar("E", bound=DomainEvent)
NAMES = ("binance", "bybit")
GUARD = KillSwitchConfig(
    mismatches=3,
    mismatch_window_seconds=3600.0,
    venue_lost_seconds=60.0,
    heartbeat_seconds=30.0,
    dead_man_seconds=120.0,
    countdown_seconds=None,
    flatten_ticks=5,
    flatten_pause_seconds=30.0,
)


class SharedClock:
    """Time of the exchanges: that of whichever process runs."""

    def __init__(self) -> None:
        self.bus: SimBus | LiveBus | None = None
        self._ns = START

    def now(self) -> int:
        if self.bus is not None:
            self._ns = max(self._ns, self.bus.clock.now())
        return self._ns

    def move_to(self, ns: int) -> None:
        """Let time pass without a bus."""
        self._ns = max(self._ns, ns)

    async def sleep(self, seconds: float) -> None:
        assert self.bus is not None, "nobody waits without a process"
        await self.bus.clock.sleep(seconds)


class World:
    """Two exchanges with money on them, and the journal of everybody who trades there."""

    def __init__(self, runtime: Runtimes, journal: MemoryJournal | SqliteJournal | None = None) -> None:
        self.runtime = runtime
        self.clock = SharedClock()
        self.journal = journal or MemoryJournal("test")
        self.exchanges = {
            name: RestingExchange(exchange_terms(name, unified=name == "bybit"), self.clock, lambda _ticket: None)
            for name in NAMES
        }
        self._processes = 0
        self.latch: MemoryStore | None = None
        """Where processes with a kill switch keep its latch; None for those that have none."""

    async def fund(self, amount: float = 50_000.0) -> World:
        """Put cash on both."""
        for key in ("binance:BaseToken:USDT", "binance:Margin:USDT", "bybit:BaseToken:USDT"):
            gift = IncomingTransfer(f"gift {key}", key, "transit:BaseToken:USDT", amount, START)
            await self.exchanges[key.split(":")[0]].deliver(gift)
        for exchange in self.exchanges.values():
            await exchange.advance(market(0))
        return self

    def process(self) -> LiveDesk:
        """The next process; the one before it is over."""
        if self._processes:
            assert isinstance(self.journal, MemoryJournal), "one on disk is for one process"
            self.journal = self.journal.reopened()
        self._processes += 1
        return LiveDesk(self)

    async def held(self) -> dict[str, float]:
        """What is on all accounts."""
        return {key: amount for each in self.exchanges.values() for key, amount in (await each.everything()).items()}


class LiveDesk:
    """The actors of one process between a decision and the exchanges."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bus = world.runtime.bus(world.clock.now() + 10**9, log_sink="event_logger")
        world.clock.bus = self.bus
        self.apis = {name: ScriptedApi(exchange) for name, exchange in world.exchanges.items()}
        self.accounts = {
            name: ExchangeAccount(
                account_terms(name, split=name == "binance"),
                api,  # type: ignore[arg-type]
                world.journal,
                {},
                self.bus.clock,
            )
            for name, api in self.apis.items()
        }
        self.engine, self.log, self.views = Probe("engine"), Probe("event_logger"), Probe("views", PositionsView)
        routes = {name: name for name in NAMES}
        manager = VenueInterfaceManager(NAMES, routes, dict.fromkeys(NAMES, 0), simulated=False)
        guard = [] if world.latch is None else [KillSwitch(GUARD, world.latch, routes, "USDT", enforce=True)]
        name = guard[0].name if guard else None
        self.recovery = RecoveryManager(list(self.accounts.values()), world.journal, name)
        for actor in (
            self.log,
            *guard,
            PositionMonitor("USDT", simulated=False),
            self.recovery,
            *(ExchangeAdapter(account, manager.name, 5.0) for account in self.accounts.values()),
            manager,
            RiskGate(GateRules(RULES, routes, NO_LIMITS, "USDT"), name),
            PositionUpdateHandler(1e-9, routes, dict.fromkeys(NAMES, 1e-8)),
            ExecutionManager(
                CONFIG,
                Stopwatch(lambda: 0.0),
                simulated=False,
                journal=world.journal,
                kill_switch=name,
                accounts=NAMES,
            ),
            Probe("strategy_manager"),
            self.engine,
            self.views,
        ):
            self.bus.add(actor)
        self._ticks = 0

    async def tick(self, *, reconcile: bool = False) -> PositionsView:
        """Look at all accounts, and show the ledger."""
        tick = TickStarted(self._ticks, market(0), reconcile=reconcile)
        self._ticks += 1
        before = self.views.of(PositionsView)[-1:]
        for name in NAMES:
            self.bus.post(f"venue_{name}", tick)
        await self.bus.until(lambda: self.views.of(PositionsView)[-1:] != before, "the tick to be settled")
        return self.views.of(PositionsView)[-1]

    async def execute(self, *orders: Order) -> OrdersDone:
        """Have orders carried out, and wait until they have ended."""
        self.bus.post("execution_manager", ExecuteOrders(self.tick_of_now(), orders))
        return await self.engine.next_of(OrdersDone)

    def tick_of_now(self) -> TickStarted:
        """What a decision is made on."""
        return TickStarted(0, market(0))

    def logged(self, kind: type[E]) -> list[E]:
        """Events of one type that were logged so far."""
        return self.log.of(kind)

    def codes(self) -> list[str]:
        """Codes of the errors that were logged."""
        return [event.error_code for event in self.logged(SystemErrorEvent)]

    def deltas(self, domain: str) -> list[ExecutionDeltaEvent]:
        """What was booked of a domain, in order of the log."""
        return [event for event in self.logged(ExecutionDeltaEvent) if event.domain == domain]


@asynccontextmanager
async def running(world: World, prepare: Callable[[LiveDesk], Any] = lambda _desk: None) -> AsyncIterator[LiveDesk]:
    """A process that has recovered and seen its first tick."""
    desk = world.process()
    prepare(desk)
    async with desk.bus:
        await desk.tick()
        yield desk
