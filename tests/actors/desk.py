"""Defines an execution desk for tests: the real actors between a decision and the venues, and venues with a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec.structs import replace
from tests.actors.store import MemoryStore

from basis_actors.actors.execution_manager import ExecutionManager
from basis_actors.actors.position_monitor import PositionMonitor
from basis_actors.actors.position_update_handler import PositionUpdateHandler
from basis_actors.actors.risk_gate import GateRules, MarketRules, RiskGate
from basis_actors.actors.timing import Stopwatch
from basis_actors.actors.venue_adapter import VenueAdapter
from basis_actors.actors.venue_interface_manager import VenueInterfaceManager
from basis_actors.bus import Actor, LiveBus, SimBus
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import ExecutionManagerConfig, OrderLimits
from basis_actors.errors import Rejected, UnknownOutcome
from basis_actors.finance.margin import Bracket
from basis_actors.messages.book import TickSettled, TickStarted
from basis_actors.messages.commands import ExecuteOrders, IncomingTransfer, OrdersDone
from basis_actors.messages.events import DomainEvent
from basis_actors.messages.execution import (
    DeltaSource,
    ExecutionHandshake,
    ExecutionStatus,
    PositionDelta,
    Settlement,
)
from basis_actors.messages.market import GasQuote, MarketState, PerpQuote, ReserveState, SpotQuote
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType, Order, Side
from basis_actors.strategies.expected import (
    flash_borrow_deltas,
    flash_repay_deltas,
    perp_trade_deltas,
    spot_trade_deltas,
    supply_deltas,
    transfer_deltas,
)
from basis_actors.times import utc_from_ns

E = TypeVar("E", bound=DomainEvent)
START = 1_704_067_200 * 1_000_000_000
"""2024-01-01 00:00 UTC."""
PRICE = 40_000.0
CONFIG = ExecutionManagerConfig(
    max_retry_attempts=3,
    tight_loop_timeout=120.0,
    retry_delay_seconds=0.1,
    longest_question_pause_seconds=3.0,
    unanswered_seconds=60.0,
    execution_timeout=30.0,
    reconciliation_timeout=10.0,
)
NO_LIMITS = OrderLimits(**dict.fromkeys(OrderLimits.model_fields))
BRACKETS = (Bracket(0.0, 1e12, 0.004, 0.0, 20.0),)
RULES = {
    ("binance", "BTC/USDT"): MarketRules(0.001, 0.001, 10.0, 0.001, "binance:BaseToken:USDT"),
    ("binance", "BTC-PERP"): MarketRules(0.001, 0.001, 10.0, 0.0005, "binance:Margin:USDT", BRACKETS),
    ("bybit", "BTC-PERP"): MarketRules(0.001, 0.001, 10.0, 0.0005, "bybit:BaseToken:USDT", BRACKETS),
}
Step = Callable[["FakeVenue", Order], Awaitable[ExecutionHandshake]]


def market(*, fresh: bool = True, price: float | None = PRICE) -> MarketState:
    """BTC and ETH on two exchanges, one lending reserve."""
    spot = {} if price is None else {"binance:BTC": SpotQuote(price, fresh)}
    quote = PerpQuote(price, fresh, price, fresh, price, price)
    return MarketState(
        timestamp=utc_from_ns(START),
        ns=START,
        prices={"USDT": 1.0, "BTC": PRICE, "ETH": 2_000.0},
        stale_prices=(),
        spot=spot,
        perps={"binance:BTC-PERP": quote, "bybit:BTC-PERP": quote},
        funding=(),
        funding_missed={"binance:BTC-PERP": 0, "bybit:BTC-PERP": 0},
        reserves={"USDT": ReserveState(1.03, 1.05, 0.04, 0.05, 0.9, True)},
        staking={},
        oracle_usd={"USDT": 1.0},
        gas=GasQuote(20.0, 0.5, True),
    )


async def fill(venue: FakeVenue, order: Order) -> ExecutionHandshake:
    """Do exactly what the order expects."""
    return venue.fill(order)


def refuse(error: Exception) -> Step:
    """Raise instead of doing anything."""

    async def step(_venue: FakeVenue, _order: Order) -> ExecutionHandshake:
        raise error

    return step


def late(seconds: float) -> Step:
    """Do it, but answer only after a while."""

    async def step(venue: FakeVenue, order: Order) -> ExecutionHandshake:
        answer = venue.fill(order)
        await venue.clock.sleep(seconds)
        return answer

    return step


async def fill_and_lose_the_answer(venue: FakeVenue, order: Order) -> ExecutionHandshake:
    """Do it, and say that nobody knows."""
    venue.fill(order)
    raise UnknownOutcome("VEN-002", "the connection broke")


async def lose_the_order(venue: FakeVenue, order: Order) -> ExecutionHandshake:
    """Do nothing, and say that nobody knows."""
    raise UnknownOutcome("VEN-002", "the connection broke")


def fill_part(share: float) -> Step:
    """Do so much of it."""

    async def step(venue: FakeVenue, order: Order) -> ExecutionHandshake:
        part = tuple(replace(each, delta_amount=share * each.delta_amount) for each in order.expected_deltas)
        return venue.fill(replace(order, expected_deltas=part))

    return step


def skewed(key: str, by: float) -> Step:
    """Do it, but book something else on one position than the venue shows."""

    async def step(venue: FakeVenue, order: Order) -> ExecutionHandshake:
        answer = venue.fill(order)
        venue.balances[key] = venue.balances.get(key, 0.0) + by
        return answer

    return step


class FakeVenue:
    """One account domain that does what its script says, order by order; then it fills.

    `sent` are the ids of what it was asked to do, `asked` of what it was asked about.
    """

    def __init__(self, domain: str, venues: tuple[str, ...], balances: dict[str, float]) -> None:
        self.domain = domain
        self.venues = venues
        self.balances = dict(balances)
        self.script: list[Step] = []
        self.silent = 0
        """How often `resolve` still answers that it does not know."""
        self.sent: list[str] = []
        self.asked: list[str] = []
        self.expected: list[IncomingTransfer] = []
        self.answers: dict[str, ExecutionHandshake] = {}
        self.sequence = 0
        self.clock: Any = None

    def settlement(self, source: DeltaSource, deltas: dict[str, float], order: Order | None = None) -> Settlement:
        """Book deltas on the account and give them out."""
        priced = order is not None and order.operation in (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)
        rows = []
        for key, amount in deltas.items():
            if not key.startswith("transit:"):
                self.balances[key] = self.balances.get(key, 0.0) + amount
            has_price = priced and (":PerpPosition:" in key or key.endswith(":BTC"))
            rows.append(PositionDelta(key, amount, order.price if has_price and order is not None else None))
        moment = utc_from_ns(self.clock.now())
        operation_id = None if order is None else order.operation_id
        booked = Settlement(source, moment, self.domain, self.sequence, tuple(rows), operation_id)
        self.sequence += 1
        return booked

    def fill(self, order: Order) -> ExecutionHandshake:
        deltas = {delta.position_key: delta.delta_amount for delta in order.expected_deltas}
        source = DeltaSource.TRANSFER if order.operation is OperationType.TRANSFER else DeltaSource.EXECUTION
        now = utc_from_ns(self.clock.now())
        answer = ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.CONFIRMED,
            actual_deltas=deltas,
            submitted_at=now,
            executed_at=now,
            simulated=True,
            settlements=(self.settlement(source, deltas, order),),
        )
        self.answers[order.operation_id] = answer
        return answer

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        return ()

    async def execute(self, order: Order) -> ExecutionHandshake:
        self.sent.append(order.operation_id)
        step = self.script.pop(0) if self.script else fill
        return await step(self, order)

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        raise Rejected("EXEC-004", f"{self.domain} has no transactions")

    async def resolve(self, order: Order) -> ExecutionHandshake:
        self.asked.append(order.operation_id)
        now = utc_from_ns(self.clock.now())
        if self.silent:
            self.silent -= 1
            return ExecutionHandshake(
                operation_id=order.operation_id, status=ExecutionStatus.UNKNOWN, submitted_at=now, simulated=True
            )
        answer = self.answers.get(order.operation_id)
        if answer is not None:
            return answer
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.FAILED,
            error_code="EXEC-001",
            error_message="never received",
            submitted_at=now,
            simulated=True,
            retryable=True,
        )

    async def report(self) -> dict[str, float]:
        return {key: amount for key, amount in self.balances.items() if amount}

    async def expect(self, transfer: IncomingTransfer) -> None:
        self.expected.append(transfer)


class Desk:
    """The actors of execution on one bus, with the strategy's and the engine's places taken by probes."""

    def __init__(
        self,
        bus: SimBus | LiveBus,
        config: ExecutionManagerConfig = CONFIG,
        limits: OrderLimits = NO_LIMITS,
        kill_switch: str | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        self.bus = bus
        self.binance = FakeVenue(
            "binance", ("binance",), {"binance:BaseToken:USDT": 100_000.0, "binance:Margin:USDT": 50_000.0}
        )
        self.bybit = FakeVenue("bybit", ("bybit",), {"bybit:BaseToken:USDT": 50_000.0})
        self.chain = FakeVenue("ethereum", ("wallet", "aave_v3"), {"wallet:BaseToken:USDT": 10_000.0})
        self.engine = Probe("engine")
        self.log = Probe("event_logger")
        self.clients = (self.chain, self.binance, self.bybit)
        self.tick = TickStarted(0, market())
        routes = {venue: client.domain for client in self.clients for venue in client.venues}
        domains = {**routes, "aave": "ethereum", "gas": "ethereum"}
        for client in self.clients:
            client.clock = bus.clock
        manager = VenueInterfaceManager(
            [c.domain for c in self.clients], routes, dict.fromkeys(domains.values(), 0), simulated=True
        )
        self.manager = ExecutionManager(config, Stopwatch(lambda: 0.0), simulated=True, kill_switch=kill_switch)
        for actor in (
            self.log,
            PositionMonitor("USDT", simulated=True),
            *(VenueAdapter(client, manager.name, simulated=True) for client in self.clients),
            manager,
            RiskGate(GateRules(RULES, routes, limits, "USDT"), kill_switch, store),
            PositionUpdateHandler(1e-9, domains, {}),
            self.manager,
            Probe("strategy_manager"),
            self.engine,
        ):
            bus.add(actor)

    async def open(self) -> None:
        """Show the position monitor what the accounts hold."""
        settlements = []
        for client in self.clients:
            held, client.balances = client.balances, {}
            settlements.append(client.settlement(DeltaSource.DEPOSIT, held))
        self.bus.post("position_monitor", TickSettled(self.tick, tuple(settlements)))
        await self.bus.settled()

    async def look(self) -> None:
        """Show everybody the ledger of a tick at which nothing happened."""
        self.bus.post("position_monitor", TickSettled(self.tick, ()))
        await self.bus.settled()

    async def execute(self, *orders: Order) -> OrdersDone:
        """Have orders carried out, and wait until they have ended."""
        self.send(*orders)
        return await self.engine.next_of(OrdersDone)

    def send(self, *orders: Order) -> None:
        self.bus.post("execution_manager", ExecuteOrders(self.tick, orders))

    def logged(self, kind: type[E]) -> list[E]:
        """Events of one type that were logged so far."""
        return self.log.of(kind)


@asynccontextmanager
async def desk(
    runtime: Runtimes,
    config: ExecutionManagerConfig = CONFIG,
    limits: OrderLimits = NO_LIMITS,
    kill_switch: Actor | None = None,
    store: MemoryStore | None = None,
) -> AsyncIterator[Desk]:
    """A desk on a bus of the given runtime, one tick after the start."""
    bus = runtime.bus(START, log_sink="event_logger")
    if kill_switch is not None:
        bus.add(kill_switch)
    here = Desk(bus, config, limits, None if kill_switch is None else kill_switch.name, store)
    async with bus:
        await here.open()
        yield here


def _order(
    name: str, venue: str, operation: OperationType, amount: float, deltas: Sequence[ExpectedDelta], **more: Any
) -> Order:
    return Order(
        operation_id=name,
        venue=venue,
        operation=operation,
        amount=amount,
        source_venue=more.pop("source_venue", venue),
        target_venue=more.pop("target_venue", venue),
        source_token=more.pop("source_token", "USDT"),
        target_token=more.pop("target_token", "BTC"),
        expected_deltas=tuple(deltas),
        **more,
    )


def buy(name: str, amount: float = 1.0, side: Side = Side.BUY, **more: Any) -> Order:
    """A spot order on Binance."""
    deltas = spot_trade_deltas("binance", "BTC", "USDT", side, amount, PRICE)
    return _order(
        name, "binance", OperationType.SPOT_TRADE, amount, deltas, pair="BTC/USDT", side=side, price=PRICE, **more
    )


def short(name: str, amount: float = 1.0, venue: str = "bybit", side: Side = Side.SHORT, **more: Any) -> Order:
    """A perp order that opens."""
    key = "binance:Margin:USDT" if venue == "binance" else f"{venue}:BaseToken:USDT"
    deltas = perp_trade_deltas(venue, "BTC-PERP", side, amount, PRICE, size=0.0, entry=None, cash_key=key)
    return _order(
        name, venue, OperationType.PERP_TRADE, amount, deltas, pair="BTC-PERP", side=side, price=PRICE, **more
    )


def supply(name: str, amount: float = 1_000.0) -> Order:
    """Lend USDT to Aave."""
    return _order(
        name,
        "aave_v3",
        OperationType.SUPPLY,
        amount,
        supply_deltas("USDT", amount),
        source_venue="wallet",
        target_token="aUSDT",
    )


def flash(name: str, amount: float = 10.0, *, repay: bool = False) -> Order:
    """Borrow WETH from Aave for the time of one transaction, or give it back."""
    operation = OperationType.FLASH_REPAY if repay else OperationType.FLASH_BORROW
    change = flash_repay_deltas if repay else flash_borrow_deltas
    return _order(
        name,
        "aave_v3",
        operation,
        amount,
        change("aave_v3", "aave", "WETH", amount),
        source_token="WETH",
        target_token="WETH",
    )


def transfer(name: str, amount: float = 1_000.0) -> Order:
    """Wallet to Bybit."""
    source, target = "wallet:BaseToken:USDT", "bybit:BaseToken:USDT"
    return _order(
        name,
        "wallet",
        OperationType.TRANSFER,
        amount,
        transfer_deltas(source, target, amount, same_domain=False),
        target_venue="bybit",
        target_token="USDT",
        operation_details={"source_key": source, "target_key": target},
    )


def group(*orders: Order, mode: ExecutionMode = ExecutionMode.COMPENSATED) -> tuple[Order, ...]:
    """The same orders as one group."""
    return tuple(
        replace(order, execution_mode=mode, atomic_group_id="group", sequence_in_group=place)
        for place, order in enumerate(orders)
    )
