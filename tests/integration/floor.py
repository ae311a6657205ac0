"""Defines an execution floor: a mode's engine with its simulated venues, and a strategy that does what a test plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from msgspec.structs import replace
from tests.actors.desk import START, market

from basis_actors.actors.timing import Stopwatch
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import load_mode
from basis_actors.messages.book import Flow
from basis_actors.messages.events import DomainEvent, OperationExecutionEvent, PositionSnapshot
from basis_actors.messages.market import MarketSpec, MarketState
from basis_actors.messages.orders import Order
from basis_actors.ports import VenueClient
from basis_actors.services.wiring import STOP_ORDER, add_engine
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.times import utc_from_ns
from basis_actors.venues.simulated.build import build_simulated_venues

E = TypeVar("E", bound=DomainEvent)
Plan = Callable[[OrderWriter], Sequence[Order]]
CAPITAL = 100_000.0
HOUR = 3_600 * 10**9


class Planned(Strategy):
    """Wants at each tick what the next plan says, then nothing."""

    hedged: ClassVar[bool] = False

    def __init__(self, run: Any, plans: Sequence[Plan]) -> None:
        super().__init__(run)
        self._plans = list(plans)

    @property
    def market_spec(self) -> MarketSpec:
        return MarketSpec(assets=("BTC", "ETH"))

    def decide(self, situation: Situation) -> Decision:
        plan = self._plans.pop(0) if self._plans else lambda _: ()
        orders = tuple(plan(OrderWriter(self.run, situation, 0.005)))
        return Decision(decision_type="rebalance", action="none", reasoning="planned", invested=False, orders=orders)

    def close_all(self, situation: Situation) -> Decision:
        return Decision.hold("plans are kept to", invested=False)


class HourlyTicks:
    """The same market every hour."""

    def __init__(self, count: int, state: MarketState) -> None:
        self._ticks = [START + hour * HOUR for hour in range(count)]
        self._state = state

    def next_tick(self, after_ns: int | None) -> int | None:
        return next((ns for ns in self._ticks if after_ns is None or ns > after_ns), None)

    async def take(self, ns: int) -> MarketState:
        return replace(self._state, ns=ns, timestamp=utc_from_ns(ns))


class Floor:
    """What came of the plans: every event, in order."""

    def __init__(self, log: Probe) -> None:
        self._log = log

    def of(self, kind: type[E]) -> list[E]:
        """Events of one type."""
        return self._log.of(kind)

    @property
    def operations(self) -> dict[str, OperationExecutionEvent]:
        """How each order ended, by the part of its id that counts within a tick."""
        return {f"{event.operation_id[-9:]}": event for event in self.of(OperationExecutionEvent)}

    @property
    def positions(self) -> dict[str, float]:
        """The last ledger, without zeros."""
        return {key: amount for key, amount in self.of(PositionSnapshot)[-1].positions.items() if amount}


async def carry_out(
    runtime: Runtimes,
    mode: str,
    *plans: Plan,
    state: MarketState | None = None,
    wrap_venue: Callable[[VenueClient], VenueClient] = lambda client: client,
    capital: float = CAPITAL,
) -> Floor:
    """Run an engine for as many ticks as there are plans, and one more, in which everything has arrived."""
    run = load_mode(mode)
    bus = runtime.bus(START, log_sink="event_logger", stop_order=STOP_ORDER)
    log = Probe("event_logger")
    engine = add_engine(
        bus,
        run=run,
        strategy=Planned(run, plans),
        feed=HourlyTicks(len(plans) + 1, state or market()),
        venues=[wrap_venue(client) for client in build_simulated_venues(run, clock=bus.clock)],
        flows=[Flow(utc_from_ns(START), capital)],
        event_logger=log,  # type: ignore[arg-type]
        stopwatch=Stopwatch(lambda: 0.0),
        simulated=True,
    )
    async with bus:
        await bus.until(lambda: engine.finished, "the last tick")
        await bus.settled()
    return Floor(log)
