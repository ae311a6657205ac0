"""What the strategy is shown of a book that changes between two of its decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest
from tests.actors.desk import START, market

from basis_actors.actors.strategy_manager import StrategyManager
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import RunConfig, load_mode
from basis_actors.messages.book import (
    BookView,
    ExposureView,
    PositionsView,
    RiskLevel,
    RiskView,
    TickStarted,
    Trigger,
    Valuation,
)
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketSpec
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio


class Watches(Strategy):
    """Remembers what it was shown, in turn: between two decisions, and to decide on."""

    hedged: ClassVar[bool] = False

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)
        self.shown: list[tuple[str, tuple[str | None, ...]]] = []

    @property
    def market_spec(self) -> MarketSpec:
        return MarketSpec(assets=("BTC",))

    def see(self, settlements: Sequence[Settlement]) -> None:
        self.shown.append(("between", tuple(each.operation_id for each in settlements)))

    def decide(self, situation: Situation) -> Decision:
        settlements = situation.book.risk.exposure.book.settlements
        self.shown.append(("decision", tuple(each.operation_id for each in settlements)))
        return Decision.hold("nothing is wanted", invested=False)

    def close_all(self, situation: Situation) -> Decision:
        return self.decide(situation)


def view(trigger: Trigger, *names: str) -> BookView:
    """A book in which orders of these names were settled."""
    delta = PositionDelta("binance:PerpPosition:BTC-PERP", 1.0, 40_000.0)
    settled = tuple(
        Settlement(DeltaSource.EXECUTION, utc_from_ns(START), "binance", number, (delta,), name)
        for number, name in enumerate(names)
    )
    book = PositionsView(TickStarted(0, market()), trigger, {}, {}, settled, {}, Valuation({}, {}, 100.0, 0.0, ()))
    return BookView(RiskView(ExposureView(book, 0.0), RiskLevel.LOW, {}, {}, None, None, ()), 100.0, 0.0, 0.0)


async def test_what_is_settled_between_two_decisions_is_shown_once(runtime: Runtimes) -> None:
    bus = runtime.bus(START, log_sink="event_logger")
    run = load_mode("btc_basis")
    strategy = Watches(run)
    for actor in (
        Probe("event_logger"),
        Probe("engine"),
        StrategyManager(strategy, run.mode.component_config.strategy_manager, run.mode.risk_limits),
    ):
        bus.add(actor)
    async with bus:
        for trigger, name in ((Trigger.TICK, "a"), (Trigger.EXECUTION, "b-stop_loss"), (Trigger.TICK, "c")):
            bus.post("strategy_manager", view(trigger, name))
        await bus.settled()
    assert strategy.shown == [("decision", ("a",)), ("between", ("b-stop_loss",)), ("decision", ("c",))]
