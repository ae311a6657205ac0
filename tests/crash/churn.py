"""A strategy that never rests: a hedged pair in at one tick, out at the next, each time as a compensated group."""

from __future__ import annotations

from basis_actors.config import Model, RunConfig
from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.market import MarketSpec
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.order_writer import OrderWriter

SPOT, PERP = "binance:BaseToken:BTC", "binance:PerpPosition:BTC-PERP"
SIZE, LOT = 0.01, 0.00001


class Churn(Strategy):
    """In when there is no short, out when there is one; whatever else is found stays."""

    hedged = True

    class Config(Model):
        leverage: float

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)

    @property
    def market_spec(self) -> MarketSpec:
        return MarketSpec(assets=("BTC",), spot=("binance:BTC",), perps=("binance:BTC-PERP",))

    def decide(self, situation: Situation) -> Decision:
        leaves = situation.held(PERP) < 0.0
        action, reason = ("exit_full", "out") if leaves else ("entry_full", "in")
        orders = self.legs(situation, leaves=leaves)
        return Decision(decision_type="rebalance", action=action, reasoning=reason, invested=not leaves, orders=orders)

    def close_all(self, situation: Situation) -> Decision:
        if situation.held(PERP) < 0.0:
            return self.decide(situation)
        return Decision.hold("nothing is held", invested=False)

    def legs(self, situation: Situation, *, leaves: bool) -> tuple[Order, ...]:
        writer = OrderWriter(self.run, situation, 0.05)
        size = -situation.held(PERP) if leaves else SIZE
        # The exchange takes the fee of a purchase out of what was bought.
        sold = round_down_to_lot(situation.held(SPOT), LOT) if leaves else SIZE
        spot = writer.spot("binance", "BTC", Side.SELL if leaves else Side.BUY, sold, "churn")
        perp = writer.perp("binance", "BTC", Side.LONG if leaves else Side.SHORT, size, "churn", reduce_only=leaves)
        return writer.group((perp, spot), ExecutionMode.COMPENSATED)
