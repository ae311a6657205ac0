"""Defines how a market-neutral strategy sees its book: ether, wherever on its way to be staked, and its hedge."""

from __future__ import annotations

import msgspec

from basis_actors.config import MarketNeutralConfig, RunConfig
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import token_key
from basis_actors.strategies.hedge_book import HedgeBook, read_hedge_book
from basis_actors.strategies.hedge_terms import HedgeTerms, hedge_terms
from basis_actors.strategies.loop_desk import LoopTerms, loop_terms
from basis_actors.strategies.lst_desk import LstTerms, lst_terms
from basis_actors.strategies.order_writer import exchange

__all__ = ["NeutralBook", "NeutralTerms", "neutral_terms", "read_neutral_book"]

_WALLET_ETH = token_key("ETH")


class NeutralTerms(msgspec.Struct, frozen=True):
    """Where the ether of the strategy can be, beside the terms of its hedge."""

    hedge: HedgeTerms
    lst: LstTerms
    loop: LoopTerms | None
    """None without leverage."""
    reward_keys: tuple[str, ...]
    """Where reward tokens can lie: in the wallet and where they are sold."""
    leaving_fee: float
    """ETH that taking ETH off the spot exchange costs."""


class NeutralBook(msgspec.Struct, frozen=True):
    """The ether of the strategy at one tick, in ETH, and the hedge that stands against it."""

    hedge: HedgeBook
    in_wallet: float
    in_transit: float
    claimed: float
    """What the queue of the staking protocol owes."""
    staked: float
    """Staking tokens, in the wallet and as collateral, at the protocol's rate."""
    debt: float
    eth_per_lst: float
    market_rate: float | None
    ltv: float | None
    """Loan to value at oracle prices; None without a loan, and where it cannot be computed, as the next."""
    health_factor: float | None
    rewards: bool
    """Whether there are reward tokens to be sold."""

    @property
    def price(self) -> float:
        """Last spot price of ETH, USDT."""
        return self.hedge.price

    @property
    def loose(self) -> float:
        """ETH that is not staked, not claimed and not on its way: on the exchange and in the wallet."""
        return self.hedge.spot + self.in_wallet

    @property
    def placed(self) -> float:
        """The equity of the staked part."""
        return self.staked - self.debt

    @property
    def long(self) -> float:
        """Delta of everything but the perps."""
        return self.loose + self.in_transit + self.claimed + self.placed

    @property
    def gap(self) -> float:
        """Net delta: what the shorts do not cover; negative when they are too large."""
        return self.long - self.hedge.short

    @property
    def discount(self) -> float | None:
        """By which fraction the market pays less for the staking token than its protocol; None while not known."""
        return None if self.market_rate is None else 1.0 - self.market_rate / self.eth_per_lst


def neutral_terms(run: RunConfig, config: MarketNeutralConfig) -> NeutralTerms:
    """Read the terms off a configuration.

    Raises BasisError STRAT-003 for a venue that is not what its place needs.
    """
    lst = lst_terms(run, config)
    return NeutralTerms(
        hedge=hedge_terms(run, config.asset, config.spot_venue, config.hedge_allocation),
        lst=lst,
        loop=None if config.loop is None else loop_terms(run, config, config.loop),
        reward_keys=tuple(
            key for token in lst.rewards for key in (token_key(token), f"{lst.reward_venue}:BaseToken:{token}")
        ),
        leaving_fee=exchange(run, config.spot_venue).withdrawal_fees[config.asset],
    )


def read_neutral_book(
    terms: NeutralTerms, config: MarketNeutralConfig, situation: Situation, missed_limit: int
) -> NeutralBook | None:
    """The book as it is; None while the price of ETH or the rate of the staking token is not known."""
    hedge = read_hedge_book(terms.hedge, situation, config.hedge_allocation, missed_limit)
    quote = situation.market.staking.get(terms.lst.lst)
    if hedge is None or quote is None:
        return None
    held = situation.positions.get
    loop = terms.loop
    tokens = held(terms.lst.key, 0.0) + (0.0 if loop is None else held(loop.collateral_key, 0.0))
    return NeutralBook(
        hedge=hedge,
        in_wallet=held(_WALLET_ETH, 0.0),
        in_transit=held(terms.hedge.transit_key, 0.0),
        claimed=held(terms.lst.claim_key, 0.0),
        staked=tokens * quote.eth_per_lst,
        debt=0.0 if loop is None else held(loop.debt_key, 0.0),
        eth_per_lst=quote.eth_per_lst,
        market_rate=quote.market_rate,
        ltv=situation.book.risk.ltv,
        health_factor=situation.book.risk.health_factor,
        rewards=any(held(key, 0.0) for key in terms.reward_keys),
    )
