"""Defines what the rules of a market-neutral strategy work with beside the book: the staked leg, and rewards."""

from __future__ import annotations

from basis_actors.config import LoopConfig, RunConfig
from basis_actors.finance.costs import round_down_to_lot
from basis_actors.finance.loops import one_shot_loop
from basis_actors.messages.orders import Order, Side
from basis_actors.strategies.base import Situation
from basis_actors.strategies.growth_window import GrowthWindow
from basis_actors.strategies.loop_desk import LoopDesk
from basis_actors.strategies.lst_desk import LstDesk
from basis_actors.strategies.market_neutral_book import NeutralTerms
from basis_actors.strategies.market_neutral_loop import LoopStake
from basis_actors.strategies.market_neutral_stake import PlainStake
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.strategies.pool_limits import PoolLimits

__all__ = ["NeutralTools"]

_COST_LIMIT = 0.005
"""Share of an amount of reward tokens that bringing it to the exchange may cost."""
_ABOVE_MINIMUM = 1.01
"""An order a little above the smallest is still one after its impact."""


class NeutralTools:
    """Made once a tick; what it makes is made when it is needed."""

    def __init__(
        self,
        run: RunConfig,
        terms: NeutralTerms,
        loop: LoopConfig | None,
        situation: Situation,
        growth: GrowthWindow | None,
        pools: PoolLimits,
    ) -> None:
        self._run = run
        self._terms = terms
        self._loop = loop
        self._situation = situation
        self._growth = growth
        self._pools = pools

    @property
    def daily_growth(self) -> float | None:
        """Growth of the staking token's rate a day that is expected, as a fraction; None while too little was seen."""
        return None if self._growth is None else self._growth.daily()

    def round_trip_gas(self) -> float:
        """Gas of staking ether and of having it back, ETH; 0 while its price is not known."""
        quote = self._situation.market.gas
        if quote is None:
            return 0.0
        there, back = self._terms.gas_operations
        gas = self._terms.gas
        return gas.cost(quote, there) + gas.cost(quote, back)

    def stake(self, writer: OrderWriter) -> PlainStake:
        """The staked leg, with leverage where the mode has it."""
        lst = LstDesk(self._run, self._terms.lst, self._situation, writer)
        if self._terms.loop is None or self._loop is None:
            return PlainStake(self._run, self._situation, lst)
        loop = LoopDesk(self._run, self._terms.loop, lst, self._situation, writer)
        return LoopStake(self._run, self._situation, lst, self._loop, loop, self._terms.loop.flash_fee)

    def pool_shortage(self, eth: float) -> str | None:
        """Why the pool cannot lend what `eth` of its own would be levered with; None when it can, or nothing is."""
        loop, terms = self._loop, self._terms.loop
        if loop is None or terms is None:
            return None
        borrowed = one_shot_loop(eth, loop.target_ltv, terms.flash_fee).borrow
        return self._pools.lacks(self._situation, loop.lending_venue, "WETH", borrowed)

    def sell_rewards(self, writer: OrderWriter) -> tuple[Order, ...]:
        """Orders that bring reward tokens closer to being cash; none for what is not worth it or has no price."""
        book, terms = self._situation.book.risk.exposure.book, self._terms
        market, held = book.tick.market, book.positions.get
        if terms.sells_on_dex:
            return LstDesk(self._run, terms.lst, self._situation, writer).sell_rewards(0.0)
        orders: list[Order] = []
        for reward in terms.rewards:
            arrived, there = held(reward.wallet_key, 0.0), held(reward.exchange_key, 0.0)
            price = market.prices.get(reward.token)
            if not (arrived or there) or price is None or reward.token in market.stale_prices:
                continue
            least = _ABOVE_MINIMUM * reward.minimum_notional / price
            # Lots are only counted where there may be enough of them.
            if there + reward.lot > least and (sold := round_down_to_lot(there, reward.lot)) >= least:
                orders.append(writer.spot(terms.lst.reward_venue, reward.token, Side.SELL, sold, "sell_dust"))
            if arrived >= least and self.sending_cost() <= _COST_LIMIT * arrived * price:
                orders.append(writer.transfer(reward.wallet_key, reward.exchange_key, arrived, "sell_dust"))
        return tuple(orders)

    def sending_cost(self) -> float:
        """Gas of sending a token from the wallet to an exchange, USDT."""
        market = self._situation.market
        if market.gas is None or "ETH" not in market.prices:
            return 0.0
        return self._terms.gas.cost(market.gas, "transfer") * market.prices["ETH"]
