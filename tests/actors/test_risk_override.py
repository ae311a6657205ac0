"""A critical risk lets through only what reduces; one that persists closes the book, then trading stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, buy, market, short, transfer

from basis_actors.actors.strategy_manager import StrategyManager
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import RunConfig, StrategyManagerConfig, load_mode
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
from basis_actors.messages.commands import ExecuteOrders, OrderResult, OrdersDone, StopTrading
from basis_actors.messages.events import StrategyDecision
from basis_actors.messages.market import MarketSpec
from basis_actors.messages.orders import Order, Side
from basis_actors.messages.safety import BookClosed, ReduceOnly, ResumeTrading
from basis_actors.strategies.base import Decision, Situation, Strategy

pytestmark = pytest.mark.anyio
CONFIG = StrategyManagerConfig(time_throttle_interval=0.0, failure_pause_seconds=0.0, longest_pause_seconds=0.0)
SELL, BUY = buy("sell", 0.1, Side.SELL), buy("buy", 0.1)
OPEN, COVER = short("open", 0.1), replace(short("cover", 0.1, side=Side.LONG), reduce_only=True)
HELD = {"binance:BaseToken:BTC": 0.1, "bybit:PerpPosition:BTC-PERP": -0.1}


class Holder(Strategy):
    """Wants always the same; takes as many sales to close as it is told."""

    hedged: ClassVar[bool] = False

    def __init__(self, run: RunConfig, wants: Sequence[Order], action: str, steps: int) -> None:
        super().__init__(run)
        self._wants = tuple(wants)
        self._action = action
        self._steps = steps

    @property
    def market_spec(self) -> MarketSpec:
        return MarketSpec(assets=("BTC",))

    def decide(self, situation: Situation) -> Decision:
        return Decision(
            decision_type="rebalance", action=self._action, reasoning="as ever", invested=True, orders=self._wants
        )

    def close_all(self, situation: Situation) -> Decision:
        left, self._steps = self._steps, self._steps - 1
        return Decision(
            decision_type="exit",
            action="exit_full",
            reasoning=f"{max(left, 0)} steps are left",
            invested=left > 0,
            orders=(SELL,) if left > 0 else (),
        )


class Manager:
    """A strategy manager among probes. Levels come in from a test, decisions come out."""

    def __init__(
        self,
        runtime: Runtimes,
        *settings: str,
        wants: Sequence[Order] = (),
        action: str = "exit_partial",
        steps: int = 2,
        strategy: type[Holder] = Holder,
        has_way: Callable[[Order], bool] = lambda _: True,
    ) -> None:
        run = load_mode("btc_basis", settings=settings)
        self.bus = runtime.bus(START, log_sink="event_logger")
        self.engine, self.execution, self.log = Probe("engine"), Probe("execution_manager"), Probe("event_logger")
        self.tick = 0
        self.closed = Probe("closed", BookClosed)
        manager = StrategyManager(strategy(run, wants, action, steps), CONFIG, run.mode.risk_limits, None, has_way)
        for actor in (self.log, self.execution, self.engine, self.closed, manager):
            self.bus.add(actor)

    async def decides(self, level: RiskLevel, code: str | None = None) -> StrategyDecision:
        """The decision of one tick at a level of risk."""
        self.tick += 1
        critical = level is RiskLevel.CRITICAL
        tick = TickStarted(self.tick, market())
        book = PositionsView(tick, Trigger.TICK, HELD, {}, (), {}, Valuation({}, {}, 100.0, 0.0, ()))
        breaches = ("drawdown 0.06 above the limit 0.05",) if critical else ()
        risk = RiskView(
            ExposureView(book, 0.0), level, {}, {}, None, None, breaches, code or ("RISK-001" if critical else None)
        )
        self.bus.post("strategy_manager", BookView(risk, 100.0, 0.0, 0.0))
        await self.bus.settled()
        return self.log.of(StrategyDecision)[-1]


@pytest.mark.parametrize("level", [RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH])
async def test_below_critical_the_strategy_decides(runtime: Runtimes, level: RiskLevel) -> None:
    m = Manager(runtime, wants=[BUY], action="entry_full")
    async with m.bus:
        assert (await m.decides(level)).orders_generated == 1


@pytest.mark.parametrize(
    ("wants", "action", "sent"),
    [
        ((SELL, COVER), "exit_partial", 2),
        ((SELL, BUY), "exit_partial", 0),
        ((OPEN,), "transfer", 0),
        ((SELL,), "entry_partial", 0),
    ],
)
async def test_at_critical_only_what_reduces_goes_out(
    runtime: Runtimes, wants: Sequence[Order], action: str, sent: int
) -> None:
    m = Manager(runtime, wants=wants, action=action)
    async with m.bus:
        decision = await m.decides(RiskLevel.CRITICAL)
        assert decision.orders_generated == sent
        assert "drawdown 0.06 above the limit 0.05" in decision.reasoning
        assert decision.decision_type == ("rebalance" if sent else "hold")
        assert ("RISK-001" in decision.constraints_violated) is not bool(sent)


class Careful(Holder):
    """Knows what to do while it may only reduce."""

    def de_risk(self, situation: Situation) -> Decision:
        return Decision(decision_type="exit", action="exit_partial", reasoning="less", invested=True, orders=(SELL,))


@pytest.mark.parametrize("critical", [False, True])
async def test_a_strategy_that_may_only_reduce_is_asked_for_that(runtime: Runtimes, critical: bool) -> None:
    m = Manager(runtime, wants=[BUY], action="entry_full", strategy=Careful)
    async with m.bus:
        if not critical:
            m.bus.post("strategy_manager", ReduceOnly("a venue is lost", "VEN-003"))
        decision = await m.decides(RiskLevel.CRITICAL if critical else RiskLevel.LOW)
        assert (decision.orders_generated, decision.reasoning.endswith("; less")) == (1, True)
        m.bus.post("strategy_manager", ResumeTrading())
        assert (await m.decides(RiskLevel.LOW)).reasoning == "as ever"


async def test_a_breach_that_persists_closes_step_by_step_and_then_stops_trading(runtime: Runtimes) -> None:
    m = Manager(runtime, "risk_limits.escalation_ticks=3", wants=[BUY], action="entry_full", steps=2)
    async with m.bus:
        kinds = [(await m.decides(RiskLevel.CRITICAL)).decision_type for _ in range(2)]
        assert kinds == ["hold", "hold"]
        closing = [await m.decides(RiskLevel.CRITICAL), await m.decides(RiskLevel.LOW)]
        assert [(d.decision_type, d.orders_generated) for d in closing] == [("emergency_exit", 1)] * 2, (
            "once begun it goes on, also when the level falls"
        )
        assert not m.engine.of(StopTrading)
        last = await m.decides(RiskLevel.LOW)
        assert (last.decision_type, last.orders_generated) == ("emergency_exit", 0)
        (stop,) = m.engine.of(StopTrading)
        assert stop.error_code == "RISK-001"
        assert "drawdown 0.06 above the limit 0.05" in stop.reason
        after = await m.decides(RiskLevel.LOW)
        assert after.decision_type == "hold"
        assert "trading is stopped" in after.reasoning
        assert len(m.execution.of(ExecuteOrders)) == 2
        assert len(m.engine.of(StopTrading)) == 1


async def test_a_breach_that_passes_in_time_starts_the_count_again(runtime: Runtimes) -> None:
    m = Manager(runtime, "risk_limits.escalation_ticks=3")
    async with m.bus:
        for level in ("critical", "critical", "high", "critical", "critical", "low"):
            decision = await m.decides(RiskLevel(level))
            assert decision.decision_type != "emergency_exit"


async def test_a_liquidation_closes_at_once(runtime: Runtimes) -> None:
    m = Manager(runtime)
    async with m.bus:
        decision = await m.decides(RiskLevel.CRITICAL, "RISK-005")
        assert decision.decision_type == "emergency_exit"
        assert "RISK-005" in decision.constraints_violated


async def test_limits_that_are_not_enforced_decide_nothing(runtime: Runtimes) -> None:
    m = Manager(runtime, "risk_limits.enforce=false", wants=[BUY], action="entry_full")
    async with m.bus:
        for _ in range(5):
            assert (await m.decides(RiskLevel.CRITICAL, "RISK-005")).orders_generated == 1


class Gatherer(Holder):
    """Has nothing left to close but tokens to bring home."""

    def close_all(self, situation: Situation) -> Decision:
        return Decision(
            decision_type="exit", action="exit_full", reasoning="gather", invested=True, orders=(transfer("home"),)
        )


class TwoPurses(Holder):
    """The same of two places, until the first has been sent."""

    def close_all(self, situation: Situation) -> Decision:
        left, self._steps = self._steps, self._steps - 1
        here, there = transfer("here"), replace(transfer("there"), venue="bybit", source_venue="bybit")
        orders = (here, there) if left > 1 else (there,)
        return Decision(decision_type="exit", action="exit_full", reasoning="gather", invested=True, orders=orders)


async def test_what_no_address_is_configured_for_is_not_sent_and_what_stays_is_said_once(runtime: Runtimes) -> None:
    m = Manager(
        runtime,
        "risk_limits.escalation_ticks=1",
        strategy=TwoPurses,
        has_way=lambda order: order.venue != "bybit",
    )
    async with m.bus:
        first = await m.decides(RiskLevel.CRITICAL)
        assert [order.operation_id for order in m.execution.of(ExecuteOrders)[0].orders] == ["here"]
        assert m.closed.of(BookClosed) == []
        last = await m.decides(RiskLevel.CRITICAL)
    (closed,) = m.closed.of(BookClosed)
    assert closed.stays == ("no address to withdraw to is configured, so these stay where they are: USDT at bybit")
    assert closed.stays in first.reasoning
    assert closed.stays in last.reasoning
    assert len(m.execution.of(ExecuteOrders)) == 1
    assert len(m.engine.of(StopTrading)) == 1


@pytest.mark.parametrize(("code", "steps"), [("VEN-001", 1), ("VEN-003", 3), (None, 3)])
async def test_tokens_that_a_venue_never_sends_stay_where_they_are_and_the_book_is_closed(
    runtime: Runtimes, code: str | None, steps: int
) -> None:
    m = Manager(runtime, "risk_limits.escalation_ticks=1", strategy=Gatherer)
    async with m.bus:
        for _ in range(3):
            before = len(m.execution.of(ExecuteOrders))
            last = await m.decides(RiskLevel.CRITICAL)
            if len(m.execution.of(ExecuteOrders)) > before:
                done = OrdersDone(m.tick, (OrderResult("home", succeeded=code is None, error_code=code),))
                m.bus.post("strategy_manager", done)
                await m.bus.settled()
    assert len(m.execution.of(ExecuteOrders)) == steps
    assert len(m.engine.of(StopTrading)) == (code == "VEN-001")
    if code == "VEN-001":
        assert "stay where they are" in m.log.of(StrategyDecision)[1].reasoning
        assert last.decision_type == "hold"
