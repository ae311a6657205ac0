"""Defines how a market-neutral strategy sees its book: ether, wherever on its way to be staked, and its hedge."""

from __future__ import annotations

import msgspec

from basis_actors.config import ExchangeVenue, MarketNeutralConfig, RunConfig
from basis_actors.config.venues import GasOperation
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import GasTerms, gas_terms, token_key
from basis_actors.strategies.hedge_book import HedgeBook, read_hedge_book
from basis_actors.strategies.hedge_terms import HedgeTerms, hedge_terms
from basis_actors.strategies.loop_desk import LoopTerms, loop_terms
from basis_actors.strategies.lst_desk import LstTerms, lst_terms
from basis_actors.strategies.order_writer import exchange, spot_market

__all__ = ["NeutralBook", "NeutralTerms", "neutral_terms", "read_neutral_book"]

_WALLET_ETH = token_key("ETH")


class RewardTerms(msgspec.Struct, frozen=True):
    """A reward token that is sold on an exchange."""

    token: str
    wallet_key: str
    exchange_key: str
    lot: float
    minimum_notional: float
    """Smallest order, USDT."""


class NeutralTerms(msgspec.Struct, frozen=True):
    """Where the ether of the strategy can be, beside the terms of its hedge."""

    hedge: HedgeTerms
    lst: LstTerms
    loop: LoopTerms | None
    """None without leverage."""
    rewards: tuple[RewardTerms, ...]
    """Reward tokens that are sold on an exchange."""
    sells_on_dex: bool
    """Whether reward tokens are swapped on a DEX instead."""
    gas: GasTerms
    gas_operations: tuple[GasOperation, GasOperation]
    """The transactions that stake ether and have it back."""
    leaving_fee: float
    """ETH that taking ETH off the spot exchange costs."""
    least_health: float
    """Health factor of the loan below which the risk limits act; 0 where they do not."""


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
    price: float
    """Last spot price of ETH, USDT."""
    loose: float
    """What is not staked, not claimed and not on its way: on the exchange and in the wallet."""
    placed: float
    """The equity of the staked part."""
    long: float
    """Delta of everything but the perps."""
    gap: float
    """Net delta: what the shorts do not cover; negative when they are too large."""

    @property
    def discount(self) -> float | None:
        """By which fraction the market pays less for the staking token than its protocol; None while not known."""
        return None if self.market_rate is None else 1.0 - self.market_rate / self.eth_per_lst


def neutral_terms(run: RunConfig, config: MarketNeutralConfig) -> NeutralTerms:
    """Read the terms off a configuration.

    Raises BasisError STRAT-003 for a venue that is not what its place needs.
    """
    lst, limits = lst_terms(run, config), run.mode.risk_limits
    healths = (limits.health_factor_reduce, limits.health_factor_emergency) if limits.enforce else ()
    return NeutralTerms(
        hedge=hedge_terms(run, config),
        lst=lst,
        loop=None if config.loop is None else loop_terms(run, config, config.loop),
        rewards=_reward_terms(run, lst),
        sells_on_dex=run.venues[lst.reward_venue].kind == "dex",
        gas=gas_terms(run),
        gas_operations=("stake", "swap") if config.loop is None else ("atomic_entry", "atomic_unwind"),
        leaving_fee=exchange(run, config.spot_venue).withdrawal_fees[config.asset],
        least_health=max((health for health in healths if health is not None), default=0.0),
    )


def _reward_terms(run: RunConfig, lst: LstTerms) -> tuple[RewardTerms, ...]:
    venue = run.venues[lst.reward_venue]
    if not isinstance(venue, ExchangeVenue):
        return ()
    return tuple(
        RewardTerms(
            token=token,
            wallet_key=token_key(token),
            exchange_key=f"{lst.reward_venue}:BaseToken:{token}",
            lot=spot_market(run, lst.reward_venue, token).lot,
            minimum_notional=venue.minimum_notional,
        )
        for token in lst.rewards
    )


def read_neutral_book(terms: NeutralTerms, situation: Situation) -> NeutralBook | None:
    """The book as it is; None while the price of ETH or the rate of the staking token is not known."""
    risk = situation.book.risk
    book = risk.exposure.book
    quote = book.tick.market.staking.get(terms.lst.lst)
    hedge = read_hedge_book(terms.hedge, situation)
    if hedge is None or quote is None:
        return None
    held, loop = book.positions.get, terms.loop
    tokens, debt = held(terms.lst.key, 0.0), 0.0
    if loop is not None:
        tokens += held(loop.collateral_key, 0.0)
        debt = held(loop.debt_key, 0.0)
    in_wallet = held(_WALLET_ETH, 0.0)
    in_transit = held(terms.hedge.transit_key, 0.0)
    claimed = held(terms.lst.claim_key, 0.0)
    staked = tokens * quote.eth_per_lst
    loose = hedge.spot + in_wallet
    placed = staked - debt
    long = loose + in_transit + claimed + placed
    return NeutralBook(
        hedge=hedge,
        in_wallet=in_wallet,
        in_transit=in_transit,
        claimed=claimed,
        staked=staked,
        debt=debt,
        eth_per_lst=quote.eth_per_lst,
        market_rate=quote.market_rate,
        ltv=risk.ltv,
        health_factor=risk.health_factor,
        price=hedge.price,
        loose=loose,
        placed=placed,
        long=long,
        gap=long - hedge.short,
    )
