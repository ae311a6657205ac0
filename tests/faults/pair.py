"""A strategy for stories of faults: a hedged pair while it is wanted, whose legs it evens out before anything else."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from tests.crash.churn import LOT, PERP, SPOT, Churn

from basis_actors.config import RunConfig
from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.orders import Order, OrderType, Side
from basis_actors.strategies.base import Decision, Situation
from basis_actors.strategies.order_writer import OrderWriter

UNEVEN = 1e-4
"""BTC: more than fees take out of a few purchases, less than one lot of the perpetual."""
PERP_LOT = 0.001


class Pair(Churn):
    """In when it is `wanted` and there is no short, out when it is not and there is one."""

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)
        self.wanted = True
        self.limit: float | None = None
        """Price at which the short is offered rather than sold at market."""
        self.errand: Callable[[OrderWriter], tuple[Order, ...]] | None = None
        """What is ordered at the next decision, once, whatever is held."""

    def decide(self, situation: Situation) -> Decision:
        held = situation.held(PERP) < 0.0
        errand, self.errand = self.errand, None
        if errand is not None:
            orders = errand(OrderWriter(self.run, situation, 0.05))
            return self._decision("errand", "it was told to", orders, invested=held)
        delta = situation.held(SPOT) + situation.held(PERP)
        if abs(delta) > UNEVEN:
            return self._decision("rebalance", f"delta is {delta}", self._evened(situation, delta), invested=held)
        if held == self.wanted:
            return Decision.hold("as wanted", invested=held)
        return super().decide(situation)

    def legs(self, situation: Situation, *, leaves: bool) -> tuple[Order, ...]:
        perp, spot = super().legs(situation, leaves=leaves)
        if self.limit is not None and not leaves:
            perp = replace(perp, order_type=OrderType.LIMIT, price=self.limit)
        return perp, spot

    def _evened(self, situation: Situation, delta: float) -> tuple[Order, ...]:
        """The larger leg cut down to the smaller."""
        writer = OrderWriter(self.run, situation, 0.05)
        if delta > 0.0:
            return (writer.spot("binance", "BTC", Side.SELL, round_down_to_lot(delta, LOT), "even"),)
        size = round_down_to_lot(-delta, PERP_LOT)
        return (writer.perp("binance", "BTC", Side.LONG, size, "even", reduce_only=True),)

    def _decision(self, action: str, reason: str, orders: tuple[Order, ...], *, invested: bool) -> Decision:
        return Decision(decision_type="rebalance", action=action, reasoning=reason, invested=invested, orders=orders)
