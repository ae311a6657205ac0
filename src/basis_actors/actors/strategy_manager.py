"""Defines the actor that asks the strategy for one decision a tick, logs it, and hands its orders on."""

from __future__ import annotations

from basis_actors.bus import Actor, on
from basis_actors.messages.book import BookView, TickStarted, Trigger
from basis_actors.messages.commands import DecisionMade, ExecuteOrders, StopTrading
from basis_actors.messages.events import StrategyDecision
from basis_actors.messages.execution import DeltaSource
from basis_actors.strategies.base import Decision, Situation, Strategy

__all__ = ["StrategyManager"]

_ROUNDING = 1e-12


class StrategyManager(Actor):
    """Hosts one strategy. After StopTrading it still decides to hold, and says why."""

    def __init__(self, strategy: Strategy) -> None:
        super().__init__("strategy_manager")
        self._strategy = strategy
        self._requested = 0.0
        self._deposited = 0.0
        self._paid_out = 0.0
        self._invested = False
        self._stopped: str | None = None

    @on(StopTrading)
    def stop_trading(self, command: StopTrading) -> None:
        """Decide nothing but to hold from now on."""
        self._stopped = command.reason

    def on_control(self, message: object) -> object:
        """Stop at once, also in the middle of a decision."""
        if isinstance(message, StopTrading):
            self._stopped = message.reason
            return None
        return super().on_control(message)

    @on(BookView)
    def decide(self, book: BookView) -> None:
        """Decide on the view of a tick; views after an execution only bring the flows up to date."""
        positions = book.risk.exposure.book
        self._count_flows(book)
        if positions.trigger is not Trigger.TICK:
            return
        tick = positions.tick
        if self._stopped is not None:
            decision = Decision.hold(f"trading is stopped: {self._stopped}", invested=self._invested)
        else:
            situation = Situation(book, self._pending(), self._deposited)
            decision = self._strategy.decide(situation)
            self._invested = decision.invested
        self._report(tick, book, decision)
        self.tell("engine", DecisionMade(tick.number, len(decision.orders)))
        if decision.orders:
            self.tell("execution_manager", ExecuteOrders(tick, decision.orders))

    def _pending(self) -> float:
        """What the owner waits for; what sums leave over as rounding is nothing."""
        pending = self._requested - self._paid_out
        return pending if pending > _ROUNDING * self._requested else 0.0

    def _count_flows(self, book: BookView) -> None:
        view = book.risk.exposure.book
        if view.trigger is Trigger.TICK:
            for flow in view.tick.flows:
                if flow.amount < 0.0:
                    self._requested -= flow.amount
        for settlement in view.settlements:
            if settlement.source is DeltaSource.WITHDRAWAL:
                self._paid_out -= sum(delta.delta_amount for delta in settlement.deltas)
            elif settlement.source is DeltaSource.DEPOSIT:
                self._deposited += sum(delta.delta_amount for delta in settlement.deltas)

    def _report(self, tick: TickStarted, book: BookView, decision: Decision) -> None:
        self.log(
            StrategyDecision(
                tick.market.timestamp,
                decision.decision_type,
                decision.action,
                Trigger.TICK,
                len(decision.orders),
                decision.reasoning,
                dict(decision.market_conditions),
                {"invested": decision.invested, **decision.portfolio_state},
                book.risk.level,
                decision.constraints,
            )
        )
