"""A venue outside the package, an account that pays interest by the hour, and a strategy that keeps everything there.

basis-actors backtest examples/savings_account/savings.yaml
"""

from typing import Self

from basis_actors.config import CustomVenue, Model
from basis_actors.config.model import NonNegative
from basis_actors.messages.book import TickStarted
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketSpec, MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.venues.simulated.domain import Executed, SimulatedDomain, VenueClock
from basis_actors.venues.simulated.refusals import unconfigured

NS_PER_YEAR = 365 * 86_400 * 10**9
WALLET, SAVINGS = "wallet:BaseToken:USDT", "savings:BaseToken:USDT"


class SavingsAccount(SimulatedDomain):
    """Takes deposits, pays interest at every tick on what was there before it, and gives back what it is asked for."""

    class Config(Model):
        """What `settings` of the venue hold."""

        apr: NonNegative

    @classmethod
    def from_config(cls, config: CustomVenue, clock: VenueClock) -> Self:
        account = cls(config.domain, (config.venue,), clock, latency_seconds=0.0)
        assert isinstance(config.settings, cls.Config)
        account.apr = config.settings.apr
        return account

    apr = 0.0

    def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        market, before = tick.market, self._market
        self._market = market
        years = 0.0 if before is None else (market.ns - before.ns) / NS_PER_YEAR
        interest = self._balances.get(SAVINGS, 0.0) * self.apr * years
        settled: list[Settlement] = []
        self._arrive(market.ns, settled)
        if interest > 0.0:
            settled.append(self._book(DeltaSource.REWARD, market.timestamp, (PositionDelta(SAVINGS, interest),)))
        return tuple(settled)

    def _carry_out(self, order: Order, market: MarketState) -> Executed:  # noqa: ARG002 - no price is needed
        if order.operation is not OperationType.TRANSFER:
            raise unconfigured(order, f"a savings account does transfers, not {order.operation}")
        source, _, token = self._route_of(order)
        return Executed((self._send_away(order, source, token, 0.0),), {})

    def _spendable(self, key: str) -> float:
        return self._balances.get(key, 0.0)


class Save(Strategy):
    """Sends whatever is in the wallet to the account."""

    hedged = False

    class Config(Model):
        """Nothing to set."""

    @property
    def market_spec(self) -> MarketSpec:
        return MarketSpec(assets=("ETH",), gas=True)

    def decide(self, situation: Situation) -> Decision:
        if situation.market.gas is None or "ETH" not in situation.market.prices:
            return Decision.hold("the cost of gas is not known yet", invested=False)
        return self._send(situation, WALLET, SAVINGS) or Decision.hold("it is there", invested=True)

    def close_all(self, situation: Situation) -> Decision:
        return self._send(situation, SAVINGS, WALLET) or Decision.hold("it is back", invested=False)

    def _send(self, situation: Situation, source: str, target: str) -> Decision | None:
        amount = situation.held(source)
        if amount <= 0.0:
            return None
        order = OrderWriter(self.run, situation, 0.0).transfer(source, target, amount, "move")
        text = f"{amount:.2f} USDT to {target}"
        return Decision(decision_type="rebalance", action="transfer", reasoning=text, invested=True, orders=(order,))
