"""Defines when risk decides instead of the strategy: a critical level lets nothing through but what reduces, and one
that persists closes the book step by step and then ends trading. The kill switch asks for either as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import iscoroutine
from typing import Final

from msgspec.structs import replace

from basis_actors.actors.risk_reduction import all_reduce
from basis_actors.config import RiskLimits
from basis_actors.errors import BasisError, Severity, severity_of
from basis_actors.messages.book import RiskLevel, RiskView
from basis_actors.messages.commands import OrderResult, StopTrading
from basis_actors.messages.orders import OperationType, Order
from basis_actors.messages.safety import CloseBook, ReduceOnly
from basis_actors.strategies.base import Decision, Situation, Strategy

__all__ = ["RiskOverride"]

_NO_WAY: Final = "VEN-001"
"""Nothing leads from here to there, now or later."""
_CRITICAL: Final = RiskLevel.CRITICAL
"""A member of an enum is slow to look up."""


class RiskOverride:
    """Stands between a strategy and its orders.

    `finished` is None until the book is closed; then it is the stop to give, and `stays` what is not brought home.
    `has_way` says whether a transfer can be sent at all: one that cannot is no step of closing.
    """

    def __init__(
        self, strategy: Strategy, limits: RiskLimits, has_way: Callable[[Order], bool] = lambda _: True
    ) -> None:
        self._strategy = strategy
        self._has_way = has_way
        self._limits = limits
        self._critical_ticks = 0
        self._cause: StopTrading | None = None
        self._reduce_only: ReduceOnly | None = None
        self._gathers = self._is_refused = False
        """Whether the last step of closing only moved tokens, and whether a venue does not send them there at all."""
        self.finished: StopTrading | None = None
        self.stays: str | None = None

    def reduce_only(self, command: ReduceOnly) -> None:
        """Let nothing through but what reduces from now on, whatever the level of risk is."""
        self._reduce_only = command

    def close(self, command: CloseBook) -> None:
        """Close the book from the next tick on."""
        self._cause = StopTrading(command.reason, command.error_code)
        self._gathers = self._is_refused = False
        self.finished = self.stays = None

    def note(self, results: Iterable[OrderResult]) -> None:
        """What became of the orders of the last decision."""
        self._is_refused = self._gathers and any(result.error_code == _NO_WAY for result in results)

    def release(self) -> None:
        """Let the strategy decide again. A book that risk was closing is measured anew."""
        self._cause = self._reduce_only = self.finished = None
        self._critical_ticks = 0

    def decide(self, situation: Situation) -> Decision:
        """The strategy's decision while risk is in bounds, else one that only reduces.

        Called once a tick: the number of critical ones in a row is what escalates. A breach whose code is itself
        critical, a liquidation, escalates at once. With `enforce: false` risk is reported and decides nothing.
        """
        risk = situation.book.risk
        if self._cause is None and (risk.level is not _CRITICAL or not self._limits.enforce):
            self._critical_ticks = 0
            command = self._reduce_only
            if command is None:
                return self._checked(self._strategy.decide(situation))
            return self._reduce(situation, command.reason, command.error_code)
        self._critical_ticks += 1
        if self._cause is None and self._escalates(risk):
            code = risk.code or "RISK-006"
            self._cause = StopTrading(f"risk was critical: {'; '.join(risk.breaches)}", code)
        if self._cause is not None:
            return self._close(situation, self._cause)
        return self._reduce(situation, f"risk is critical ({'; '.join(risk.breaches)})", risk.code or "RISK-006")

    def _checked(self, decision: Decision) -> Decision:
        """What the strategy returned. Raises BasisError STRAT-001 when it is no decision, STRAT-004 for no orders."""
        if type(decision) is not Decision and not isinstance(decision, Decision):
            if iscoroutine(decision):
                decision.close()
                raise BasisError("STRAT-001", f"{self._name} returned a coroutine; write def instead of async def")
            raise BasisError("STRAT-001", f"{self._name} returned {decision!r}; a Decision was expected")
        orders = decision.orders
        if type(orders) is not tuple:
            raise BasisError(
                "STRAT-004", f"{self._name} returned orders in a {type(orders).__name__}; a tuple was expected"
            )
        for number, order in enumerate(orders, start=1):
            if not isinstance(order, Order):
                raise BasisError(
                    "STRAT-004", f"{self._name} returned {order!r} as order {number}; an Order was expected"
                )
        return decision

    @property
    def _name(self) -> str:
        return type(self._strategy).__name__

    def _escalates(self, risk: RiskView) -> bool:
        if risk.code is not None and severity_of(risk.code) is Severity.CRITICAL:
            return True
        return self._critical_ticks >= self._limits.escalation_ticks

    def _reduce(self, situation: Situation, reason: str, code: str) -> Decision:
        """What reduces, and a hold instead of what does not."""
        decision = self._strategy.de_risk(situation)
        decision = self._checked(self._strategy.decide(situation) if decision is None else decision)
        if decision.adds_risk or not all_reduce(decision.orders, situation.positions):
            return Decision.hold(
                f"{reason}; what the strategy wants adds to it: {decision.reasoning}",
                invested=decision.invested,
                constraints=(*decision.constraints, code),
                market_conditions=decision.market_conditions,
                portfolio_state=decision.portfolio_state,
            )
        return replace(decision, reasoning=f"{reason}; {decision.reasoning}")

    def _close(self, situation: Situation, cause: StopTrading) -> Decision:
        """The next step towards cash. Trading ends at the first tick at which there is nothing left to do, or nothing
        but to gather tokens that a venue does not send: they are safe where they are."""
        decision = self._within_reach(self._checked(self._strategy.close_all(situation)))
        orders = decision.orders
        self._gathers = bool(orders) and all(order.operation is OperationType.TRANSFER for order in orders)
        if self._gathers and self._is_refused:
            self.stays = "venues refuse to send tokens home, so they stay where they are"
            text = f"{decision.reasoning}; {self.stays}"
            decision = replace(decision, orders=(), invested=False, reasoning=text)
        if not decision.invested and not decision.orders:
            self.finished = cause
        return replace(
            decision,
            decision_type="emergency_exit",
            reasoning=f"{cause.reason}; {decision.reasoning}",
            constraints=(*decision.constraints, cause.error_code or "RISK-006"),
        )

    def _within_reach(self, decision: Decision) -> Decision:
        """Without the transfers that cannot be sent, where nothing else is left to do."""
        orders = decision.orders
        if not orders or any(order.operation is not OperationType.TRANSFER for order in orders):
            return decision
        sent = tuple(order for order in orders if self._has_way(order))
        if len(sent) == len(orders):
            return decision
        kept = dict.fromkeys(f"{order.source_token} at {order.venue}" for order in orders if not self._has_way(order))
        self.stays = f"no address to withdraw to is configured, so these stay where they are: {', '.join(kept)}"
        text = f"{decision.reasoning}; {self.stays}"
        return replace(decision, orders=sent, invested=decision.invested and bool(sent), reasoning=text)
