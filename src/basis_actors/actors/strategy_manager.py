"""Defines the actor that asks the strategy for one decision a tick, logs it, and hands its orders on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from basis_actors.actors.failure_pause import FailurePause
from basis_actors.actors.reporting import error_event
from basis_actors.actors.risk_override import RiskOverride
from basis_actors.bus import Actor, Escalated, on
from basis_actors.config import RiskLimits, StrategyManagerConfig
from basis_actors.errors import BasisError
from basis_actors.messages.book import BookView, Flow, TickStarted, Trigger
from basis_actors.messages.commands import DecisionMade, ExecuteOrders, OrdersDone, StopTrading
from basis_actors.messages.events import StrategyDecision
from basis_actors.messages.execution import OWNERS_FLOWS, DeltaSource, Settlement
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import BookClosed, CloseBook, Decided, NewRiskPutOff, ReduceOnly, ResumeTrading
from basis_actors.messages.signals import SignalReceived
from basis_actors.messages.stops import BracketRecalled
from basis_actors.ports import StateStore
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.times import utc_from_ns, utc_text

__all__ = ["StrategyManager"]

_ROUNDING = 1e-12
_TICK: Final = Trigger.TICK
"""A member of an enum is slow to look up."""


class StrategyManager(Actor):
    """Hosts one strategy. After StopTrading it still decides to hold, and says why.

    After a decision whose orders failed, decisions that add risk are put off for a while, with a `store` over restarts
    as well; those that reduce it never.
    A critical risk overrides the strategy, and one that persists closes the book and stops trading. The kill switch
    overrides it in the same way, and is told each decision: `kill_switch` names it, None where there is none.
    `has_way` says whether a transfer can be sent at all.
    """

    def __init__(
        self,
        strategy: Strategy,
        config: StrategyManagerConfig,
        limits: RiskLimits,
        kill_switch: str | None = None,
        has_way: Callable[[Order], bool] = lambda _: True,
        store: StateStore | None = None,
    ) -> None:
        """Raises BasisError as `FailurePause`."""
        super().__init__("strategy_manager")
        self._kill_switch = kill_switch
        self._strategy = strategy
        self._override = RiskOverride(strategy, limits, has_way)
        self._requested = 0.0
        self._deposited = 0.0
        self._paid_out = 0.0
        self._invested = False
        self._carried_out = True
        self._added_risk = False
        self._pause = FailurePause(config, store)
        self._stopped: str | None = None

    def pre_start(self) -> None:
        """Say what is put off since the process before."""
        self._keep_pause(lambda: self._pause.begin(self.now))
        if self._pause.failures:
            self._say_put_off()

    @on(StopTrading)
    def stop_trading(self, command: StopTrading) -> None:
        """Decide nothing but to hold from now on."""
        self._stopped = command.reason

    @on(ReduceOnly)
    def reduce_only(self, command: ReduceOnly) -> None:
        """Want nothing but what reduces from now on."""
        self._override.reduce_only(command)

    @on(CloseBook)
    def close_book(self, command: CloseBook) -> None:
        """Close the book from the next tick on, also after a stop."""
        self._stopped = None
        self._override.close(command)

    @on(ResumeTrading)
    def resume_trading(self, _command: ResumeTrading) -> None:
        """Let the strategy decide again. A person has looked at what failed before, so nothing is put off for it."""
        self._stopped = None
        self._note_pause(self._pause.end)
        self._override.release()

    @on(Escalated)
    def run_is_ending(self, end: Escalated) -> None:
        """The run is failing: the same as a stop."""
        self._stopped = f"{end.actor} has failed"

    @on(OrdersDone)
    def note_outcome(self, done: OrdersDone) -> None:
        """Remember whether a decision could be carried out; after one that could not new risk waits, and ever longer
        where it was new risk itself."""
        self._override.note(done.results)
        self._carried_out = all(result.succeeded for result in done.results)
        if not self._carried_out:
            fail = self._pause.fail if self._added_risk else self._pause.fail_to_reduce
            self._note_pause(lambda: fail(self.now))
        elif self._added_risk:
            self._note_pause(self._pause.end)

    @on(SignalReceived)
    def receive(self, received: SignalReceived) -> None:
        """Hand on what an endpoint said; it counts from the next decision on."""
        self._strategy.receive(received)

    @on(BracketRecalled)
    def recall(self, bracket: BracketRecalled) -> None:
        """Hand on what an account remembers of a position; it comes before the first view."""
        self._strategy.recall(bracket)

    @on(BookView)
    def decide(self, book: BookView) -> None:
        """Decide on the view of a tick; views after an execution only bring flows and the strategy up to date."""
        positions = book.risk.exposure.book
        self._count_payments(positions.settlements)
        if positions.trigger is not _TICK:
            self._strategy.see(positions.settlements)
            return
        tick = positions.tick
        if tick.flows:
            self._count_requests(tick.flows)
        if self._stopped is not None:
            decision = Decision.hold(f"trading is stopped: {self._stopped}", invested=self._invested)
        else:
            decision = self._wanted(Situation(book, self._pending(), self._deposited, self._carried_out))
        self._report(tick, book, decision)
        if self._kill_switch is not None:
            self.tell(self._kill_switch, Decided(f"{decision.decision_type}: {decision.reasoning}"))
        self.tell("engine", DecisionMade(tick.number, len(decision.orders)))
        if decision.orders:
            self.tell("execution_manager", ExecuteOrders(tick, decision.orders))

    def _wanted(self, situation: Situation) -> Decision:
        """What the strategy wants, as far as risk and earlier failures let it."""
        override = self._override
        try:
            decision = override.decide(situation)
        except SystemExit as error:
            name = type(self._strategy).__name__
            raise BasisError(
                "STRAT-001", f"{name} left the program ({error!r}) instead of deciding; a Decision was expected"
            ) from error
        self._invested = decision.invested
        self._carried_out, self._added_risk = True, decision.adds_risk
        if override.finished is not None:
            self._stop(override.finished)
        elif self._added_risk and self.now < self._pause.until_ns:
            until = utc_text(utc_from_ns(self._pause.until_ns))
            return Decision.hold(
                f"orders failed {self._pause.failures} times since new risk was last taken; it waits until {until}",
                invested=decision.invested,
                constraints=("EXEC-001",),
            )
        return decision

    def _note_pause(self, note: Callable[[], None]) -> None:
        """Remember a failure or the end of them, and say so where that changes anything."""
        before = self._pause.until_ns
        self._keep_pause(note)
        if self._pause.until_ns != before:
            self._say_put_off()

    def _keep_pause(self, note: Callable[[], None]) -> None:
        try:
            note()
        except BasisError as error:
            text = f"the next process will not know how often orders have failed, and wait differently: {error.message}"
            self.log(error_event(utc_from_ns(self.now), self.name, error.code, text))

    def _say_put_off(self) -> None:
        if self._kill_switch is not None:
            self.tell(self._kill_switch, NewRiskPutOff(self._pause.failures, utc_from_ns(self._pause.until_ns)))

    def _stop(self, command: StopTrading) -> None:
        """The book is closed: nothing is decided any more, and the engine tells everybody else."""
        self._stopped = command.reason
        self.tell("engine", command)
        self.publish(BookClosed(self._override.stays))

    def _pending(self) -> float:
        """What the owner waits for; what sums leave over as rounding is nothing."""
        pending = self._requested - self._paid_out
        return pending if pending > _ROUNDING * self._requested else 0.0

    def _count_requests(self, flows: Iterable[Flow]) -> None:
        """What the owner asks for is new where a tick begins with it."""
        for flow in flows:
            if flow.amount < 0.0:
                self._requested -= flow.amount

    def _count_payments(self, settlements: Iterable[Settlement]) -> None:
        """What the owner paid in and got back."""
        for settlement in settlements:
            if settlement.source not in OWNERS_FLOWS:
                continue
            amount = sum(delta.delta_amount for delta in settlement.deltas)
            if settlement.source is DeltaSource.WITHDRAWAL:
                self._paid_out -= amount
            else:
                self._deposited += amount

    def _report(self, tick: TickStarted, book: BookView, decision: Decision) -> None:
        self.log(
            StrategyDecision(
                tick.market.timestamp,
                decision.decision_type,
                decision.action,
                book.risk.exposure.book.trigger,
                len(decision.orders),
                decision.reasoning,
                dict(decision.market_conditions),
                {"invested": decision.invested, **decision.portfolio_state},
                book.risk.level,
                decision.constraints,
            )
        )
