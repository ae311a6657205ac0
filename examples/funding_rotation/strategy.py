"""A strategy outside the package: long spot and short the perpetual of whichever asset pays its shorts more.

basis-actors backtest examples/funding_rotation/funding_rotation.yaml
"""

from basis_actors.config import Model, RunConfig
from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.market import MarketSpec
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.funding_window import FundingWindow
from basis_actors.strategies.order_writer import OrderWriter

WALLET, CASH = "wallet:BaseToken:USDT", "bybit:BaseToken:USDT"


class FundingRotation(Strategy):
    """What to do is read off the ledger: send the cash, enter, and leave when another asset pays more."""

    hedged = True

    class Config(Model):
        window: int
        edge: float
        allocation: float
        lots: dict[str, float]

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)
        assert isinstance(run.mode.strategy_config, self.Config)
        self.config = run.mode.strategy_config
        self.window = FundingWindow(self.config.window, self.config.window)

    @property
    def market_spec(self) -> MarketSpec:
        spot = tuple(f"bybit:{asset}" for asset in self.config.lots)
        return MarketSpec(assets=("BTC", "ETH"), spot=spot, perps=tuple(f"{name}-PERP" for name in spot), gas=True)

    def decide(self, situation: Situation) -> Decision:
        market, wallet = situation.market, situation.held(WALLET)
        self.window.add(market.funding)
        paid = {asset: self.window.mean({f"bybit:{asset}-PERP": 1.0}) or 0.0 for asset in self.config.lots}
        best, held = max(paid, key=lambda asset: paid[asset]), self.asset_of(situation)
        if wallet > 0.0 and market.gas is not None and "ETH" in market.prices:
            order = OrderWriter(self.run, situation, 0.0).transfer(WALLET, CASH, wallet, "deposit")
            return self.act("rebalance", "transfer", "cash belongs on the exchange", (order,))
        if held is not None and paid[best] > paid[held] + self.config.edge:
            return self.close_all(situation)
        if held is None and paid[best] > 0.0:
            budget = situation.held(CASH) * self.config.allocation
            size = round_down_to_lot(budget / market.spot[f"bybit:{best}"].price, self.config.lots[best])
            if size > 0.0:
                return self.act("entry", "entry_full", f"{best} pays most", self.legs(situation, best, size, Side.BUY))
        return Decision.hold(f"{best} pays most", invested=held is not None, market_conditions=paid)

    def close_all(self, situation: Situation) -> Decision:
        asset = self.asset_of(situation)
        if asset is None:
            return Decision.hold("nothing is held", invested=False)
        size = situation.held(f"bybit:BaseToken:{asset}")
        return self.act("exit", "exit_full", f"leave {asset}", self.legs(situation, asset, size, Side.SELL))

    def asset_of(self, situation: Situation) -> str | None:
        return next((asset for asset in self.config.lots if situation.held(f"bybit:BaseToken:{asset}") > 0.0), None)

    def legs(self, situation: Situation, asset: str, size: float, spot: Side) -> tuple[Order, ...]:
        """Spot and perpetual as one group: if the second fails, the first is undone."""
        writer, leaves = OrderWriter(self.run, situation, 0.005), spot is Side.SELL
        bought = writer.spot("bybit", asset, spot, size, "rotate")
        short = writer.perp("bybit", asset, Side.LONG if leaves else Side.SHORT, size, "rotate", reduce_only=leaves)
        return writer.group((bought, short), ExecutionMode.COMPENSATED)

    def act(self, kind: str, action: str, reason: str, orders: tuple[Order, ...]) -> Decision:
        return Decision(decision_type=kind, action=action, reasoning=reason, invested=True, orders=orders)
