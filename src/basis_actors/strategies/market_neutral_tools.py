"""Defines what the rules of a market-neutral strategy work with beside the book: the staked leg, and rewards."""

from __future__ import annotations

from basis_actors.config import LoopConfig, RunConfig
from basis_actors.finance.loops import one_shot_loop
from basis_actors.messages.market import MarketState
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


class NeutralTools:
    """Makes what a tick needs of the staked leg once a rule asks for it: most ticks need nothing of it."""

    def __init__(
        self,
        run: RunConfig,
        terms: NeutralTerms,
        loop: LoopConfig | None,
        growth: GrowthWindow | None,
        pools: PoolLimits,
    ) -> None:
        self._run = run
        self._terms = terms
        self._loop = loop
        self._growth = growth
        self._pools = pools

    @property
    def daily_growth(self) -> float | None:
        """Growth of the staking token's rate a day that is expected, as a fraction; None while too little was seen."""
        return None if self._growth is None else self._growth.daily()

    def round_trip_gas(self, market: MarketState) -> float:
        """Gas of staking ether and of having it back, ETH; 0 while its price is not known."""
        quote = market.gas
        if quote is None:
            return 0.0
        there, back = self._terms.gas_operations
        gas = self._terms.gas
        return gas.cost(quote, there) + gas.cost(quote, back)

    def lst(self, situation: Situation, writer: OrderWriter) -> LstDesk:
        """What can be done with the staking token."""
        return LstDesk(self._run, self._terms.lst, situation, writer)

    def stake(self, situation: Situation, writer: OrderWriter) -> PlainStake:
        """The staked leg, with leverage where the mode has it."""
        lst = self.lst(situation, writer)
        if self._terms.loop is None or self._loop is None:
            return PlainStake(self._run, situation, lst)
        loop = LoopDesk(self._run, self._terms.loop, lst, situation, writer)
        return LoopStake(self._run, situation, lst, self._loop, loop, self._terms.loop.flash_fee)

    def pool_shortage(self, situation: Situation, eth: float) -> str | None:
        """Why the pool cannot lend what `eth` of its own would be levered with; None when it can, or nothing is."""
        loop, terms = self._loop, self._terms.loop
        if loop is None or terms is None:
            return None
        borrowed = one_shot_loop(eth, loop.target_ltv, terms.flash_fee).borrow
        return self._pools.lacks(situation, loop.lending_venue, "WETH", borrowed)

    def sending_cost(self, market: MarketState) -> float:
        """Gas of sending a token from the wallet to an exchange, USDT."""
        if market.gas is None or "ETH" not in market.prices:
            return 0.0
        return self._terms.gas.cost(market.gas, "transfer") * market.prices["ETH"]
