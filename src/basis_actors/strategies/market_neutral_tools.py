"""Defines what the rules of a market-neutral strategy work with beside the book: the staked leg, and rewards."""

from __future__ import annotations

from basis_actors.config import DexVenue, ExchangeVenue, LoopConfig, RunConfig
from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.orders import Order, Side
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import gas_cost, token_key
from basis_actors.strategies.loop_desk import LoopDesk
from basis_actors.strategies.lst_desk import LstDesk
from basis_actors.strategies.market_neutral_book import NeutralTerms
from basis_actors.strategies.market_neutral_loop import LoopStake
from basis_actors.strategies.market_neutral_stake import PlainStake
from basis_actors.strategies.order_writer import OrderWriter, spot_market

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
        daily_growth: float | None,
    ) -> None:
        self._run = run
        self._terms = terms
        self._loop = loop
        self._situation = situation
        self.daily_growth = daily_growth
        """Growth of the staking token's rate a day that is expected, as a fraction; None while too little was seen."""

    def stake(self, writer: OrderWriter) -> PlainStake:
        """The staked leg, with leverage where the mode has it."""
        lst = LstDesk(self._run, self._terms.lst, self._situation, writer)
        if self._terms.loop is None or self._loop is None:
            return PlainStake(self._run, self._situation, lst)
        loop = LoopDesk(self._run, self._terms.loop, lst, self._situation, writer)
        return LoopStake(self._run, self._situation, lst, self._loop, loop, self._terms.loop.flash_fee)

    def sell_rewards(self, writer: OrderWriter) -> tuple[Order, ...]:
        """Orders that bring reward tokens closer to being cash; none for what is not worth it or has no price."""
        market, terms = self._situation.market, self._terms.lst
        venue = self._run.venues[terms.reward_venue]
        if isinstance(venue, DexVenue):
            return LstDesk(self._run, terms, self._situation, writer).sell_rewards(0.0)
        orders: list[Order] = []
        for token in terms.rewards:
            price = market.prices.get(token)
            if not isinstance(venue, ExchangeVenue) or price is None or token in market.stale_prices:
                continue
            least = _ABOVE_MINIMUM * venue.minimum_notional / price
            lot = spot_market(self._run, terms.reward_venue, token).lot
            there_key = f"{terms.reward_venue}:BaseToken:{token}"
            there = round_down_to_lot(self._situation.held(there_key), lot)
            if there >= least:
                orders.append(writer.spot(terms.reward_venue, token, Side.SELL, there, "sell_dust"))
            arrived = self._situation.held(token_key(token))
            if arrived >= least and self._moving_cost() <= _COST_LIMIT * arrived * price:
                orders.append(writer.transfer(token_key(token), there_key, arrived, "sell_dust"))
        return tuple(orders)

    def _moving_cost(self) -> float:
        """Gas of sending a token to an exchange, USDT."""
        market = self._situation.market
        if market.gas is None or "ETH" not in market.prices:
            return 0.0
        return gas_cost(self._run, market.gas, "transfer") * market.prices["ETH"]
