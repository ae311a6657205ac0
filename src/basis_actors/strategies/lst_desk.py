"""Defines what can be done with a staking token at one tick: stake, sell on a DEX, ask back through the queue."""

from __future__ import annotations

from typing import Literal

import msgspec

from basis_actors.config import DexVenue, LstConfig, RunConfig, StakingVenue
from basis_actors.errors import BasisError
from basis_actors.finance.keys import REWARD_TOKENS
from basis_actors.finance.swaps import Swapped, market_rate, pool_pair
from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import gas_cost, swap_for, swap_quote, token_key
from basis_actors.strategies.order_writer import OrderWriter

__all__ = ["TIMES_GAS", "LstDesk", "LstTerms", "lst_terms"]

TIMES_GAS = 20.0
"""A swap of reward tokens has to bring this many times its gas, and so has what is put to work (assumption)."""


class LstTerms(msgspec.Struct, frozen=True):
    """A staking token, where it is made, sold and asked back."""

    lst: str
    key: str
    """Where the wallet holds it: `etherfi:LST:weETH`."""
    claim_key: str
    """ETH that the queue owes."""
    staking_venue: str
    dex_venue: str
    reward_venue: str
    min_stake: float
    """ETH."""
    route: Literal["dex", "queue"]
    rewards: tuple[str, ...]
    """Tokens that holders are paid beside the growth of the rate."""


def lst_terms(run: RunConfig, config: LstConfig) -> LstTerms:
    """Read the terms off a configuration.

    Raises BasisError STRAT-003 when the venue that stakes is none, or the DEX has no pool of the token and ETH.
    """
    issuer, dex = run.venues[config.staking_venue], run.venues[config.dex_venue]
    if not isinstance(issuer, StakingVenue):
        raise BasisError("STRAT-003", f"staking_venue {config.staking_venue} is a {issuer.kind}; staking was expected")
    if not isinstance(dex, DexVenue) or pool_pair(config.lst_type, "ETH", dex.fee_bps) is None:
        raise BasisError("STRAT-003", f"dex_venue {config.dex_venue} has no pool ETH/{config.lst_type} configured")
    return LstTerms(
        lst=config.lst_type,
        key=token_key(config.lst_type),
        claim_key=f"{config.staking_venue}:UnstakeClaim:ETH",
        staking_venue=config.staking_venue,
        dex_venue=config.dex_venue,
        reward_venue=config.reward_venue,
        min_stake=issuer.min_stake,
        route=config.unwind_route,
        rewards=REWARD_TOKENS if config.lst_type == "weETH" else (),
    )


class LstDesk:
    """The staking token of one strategy at one tick. Amounts are ETH unless they say otherwise."""

    def __init__(self, run: RunConfig, terms: LstTerms, situation: Situation, writer: OrderWriter) -> None:
        self._run = run
        self._situation = situation
        self._write = writer
        self.terms = terms
        held, market = situation.positions.get, situation.market
        self._staking = quote = market.staking.get(terms.lst)
        self.known = quote is not None and quote.fresh
        """Whether the protocol's rate is known, and neither it nor the market's too old."""
        self.eth_per_lst = 0.0 if quote is None else quote.eth_per_lst
        self.loose = held(terms.key, 0.0)
        """Tokens in the wallet."""
        self.claim = held(terms.claim_key, 0.0)
        """What the queue owes."""
        self.sellable = quote is not None and quote.market_fresh and "ETH" in market.prices
        """Whether the market rate is known and not too old, and the price of ETH known, which says how large a sale is.
        It needs no more: it is the way out while the protocol is silent."""

    @property
    def sale_needs(self) -> str:
        """What is not known, or too old, while nothing is `sellable`."""
        known = "ETH" in self._situation.market.prices
        return f"the market rate of {self.terms.lst}" if known else "the price of ETH"

    @property
    def discount(self) -> float | None:
        """By how much the market pays less than the protocol's rate, a fraction; None while it is not known."""
        quote = self._staking
        return None if quote is None or quote.market_rate is None else 1.0 - quote.market_rate / quote.eth_per_lst

    def stake(self, eth: float) -> Order:
        """ETH of the wallet into the token."""
        return self._write.stake(self.terms.staking_venue, self.terms.lst, eth)

    def ask_back(self, eth: float) -> Order:
        """As many tokens into the queue as are worth `eth` at the protocol's rate, all of them when that is more."""
        return self._write.unstake(self.terms.staking_venue, self.terms.lst, min(eth / self.eth_per_lst, self.loose))

    def sell(self, amount: float, intent: str) -> Order:
        """Swap tokens for ETH at the market's rate."""
        return self._write.swap(self.terms.dex_venue, self.terms.lst, "ETH", amount, intent)

    def brings(self, amount: float) -> float:
        """ETH that a sale of `amount` tokens brings after impact and fee.

        Raises BasisError STRAT-006 while the market rate is not known or too old, or ETH has no price yet: look at
        `sellable` first.
        """
        quote = self._quote(amount)
        if not self.sellable or quote is None:
            raise BasisError("STRAT-006", f"{self.sale_needs} is not known, or too old to sell at")
        return quote.net

    def amount_for(self, eth: float) -> float:
        """Tokens whose sale brings `eth`. Raises BasisError STRAT-006 as `brings` does."""
        amount = swap_for(self._run, self._situation.market, self.terms.dex_venue, self.terms.lst, "ETH", eth)
        if not self.sellable or amount is None:
            raise BasisError("STRAT-006", f"{self.sale_needs} is not known, or too old to sell at")
        return amount

    def exit_rate(self, amount: float) -> float:
        """What one ETH worth of the token, at the protocol's rate, brings in a sale of `amount` tokens."""
        return self.brings(amount) / (amount * self.eth_per_lst)

    def sell_rewards(self, least: float) -> tuple[Order, ...]:
        """Swap every reward token that brings more than `least` ETH and far more than its gas; none while unpriced."""
        market = self._situation.market
        orders = []
        for token in self.terms.rewards:
            amount = self._situation.held(token_key(token))
            rate = market_rate(market, token, "ETH") if amount > 0.0 else None
            if rate is None or amount * rate <= least or token in market.stale_prices:
                continue
            gas = 0.0 if market.gas is None else gas_cost(self._run, market.gas, "swap")
            quote = swap_quote(self._run, market, self.terms.reward_venue, token, "ETH", amount)
            if quote is not None and quote.net - gas > least and quote.net > TIMES_GAS * gas:
                orders.append(self._write.swap(self.terms.reward_venue, token, "ETH", amount, "sell_dust"))
        return tuple(orders)

    def _quote(self, amount: float) -> Swapped | None:
        return swap_quote(self._run, self._situation.market, self.terms.dex_venue, self.terms.lst, "ETH", amount)
