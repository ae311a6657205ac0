"""Defines how a configuration becomes the terms of a simulated chain and the protocols on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from basis_actors.config.venues import ChainVenue, DexVenue, FlashVenue, LendingVenue, StakingVenue, pair_limits
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.simulated.chain_terms import (
    ChainTerms,
    DexTerms,
    EmodeTerms,
    FlashTerms,
    GasTerms,
    PoolTerms,
    ReserveTerms,
    RiskParameters,
    StakingTerms,
    SwapPool,
)
from basis_actors.venues.simulated.flash import FlashLender
from basis_actors.venues.simulated.lending_pool import LendingAccount
from basis_actors.venues.simulated.protocol import ChainProtocol
from basis_actors.venues.simulated.rewards import SeasonRewards
from basis_actors.venues.simulated.staking import LiquidStaking
from basis_actors.venues.simulated.uniswap import Uniswap

__all__ = [
    "ChainKind",
    "chain_protocols",
    "chain_terms",
    "dex_terms",
    "flash_terms",
    "market_terms",
    "pool_terms",
    "staking_terms",
]

ChainKind = StakingVenue | LendingVenue | DexVenue | FlashVenue
"""Venues that are protocols on the chain of the wallet."""

_DAY_SECONDS = 86_400


def chain_terms(wallet: ChainVenue, currency: str) -> ChainTerms:
    """Terms of the wallet for a share class: in the ETH class gas is paid in ETH, in others it is booked as owed.

    Where no operation takes any gas there is none to pay, and so no gas price to know.
    """
    gas = None
    if any(wallet.gas_units.values()):
        paid_from = "wallet:BaseToken:ETH" if currency == "ETH" else f"gas:Payable:{currency}"
        units = {str(name): float(count) for name, count in wallet.gas_units.items()}
        gas = GasTerms(units, wallet.priority_fee_cap_gwei, paid_from, currency)
    return ChainTerms(domain=wallet.domain, wallet=wallet.venue, currency=currency, gas=gas)


def chain_protocols(venues: Iterable[ChainKind]) -> tuple[ChainProtocol, ...]:
    """The protocols of these venues. Season rewards come first: they pay on what was held before interest accrued."""
    listed = tuple(venues)
    rewards = (
        SeasonRewards(venue.venue, venue.lst)
        for venue in listed
        if isinstance(venue, StakingVenue) and venue.reward_tokens
    )
    return (*rewards, *(protocol for venue in listed for protocol in _protocols_of(venue)))


def _protocols_of(venue: ChainKind) -> Iterator[ChainProtocol]:
    if isinstance(venue, StakingVenue):
        yield LiquidStaking(staking_terms(venue))
    elif isinstance(venue, DexVenue):
        yield Uniswap(dex_terms(venue))
    elif isinstance(venue, LendingVenue):
        yield LendingAccount(pool_terms(venue))
        yield FlashLender(flash_terms(venue))
    else:
        yield FlashLender(flash_terms(venue))
        if venue.markets:
            yield LendingAccount(market_terms(venue))


def staking_terms(venue: StakingVenue) -> StakingTerms:
    """Terms of a liquid staking protocol."""
    delay_ns = round(venue.unstake_delay_days * _DAY_SECONDS * NS_PER_SECOND)
    return StakingTerms(venue.venue, venue.lst, venue.min_stake, delay_ns)


def dex_terms(venue: DexVenue) -> DexTerms:
    """Terms of a decentralised exchange."""
    pools = {pair: SwapPool(fee, venue.impact_bps[pair]) for pair, fee in venue.fee_bps.items()}
    return DexTerms(venue.venue, pools)


def flash_terms(venue: FlashVenue | LendingVenue) -> FlashTerms:
    """Terms of a lender of flash loans; a pool lends every token it has a reserve of."""
    if isinstance(venue, LendingVenue):
        return FlashTerms(venue.venue, venue.ledger_name, tuple(venue.reserves), venue.flash_loan_fee_bps)
    return FlashTerms(venue.venue, venue.venue, venue.tokens, venue.fee_bps)


def pool_terms(venue: LendingVenue) -> PoolTerms:
    """Terms of an account at a lending pool."""
    return PoolTerms(
        venue=venue.venue,
        ledger_name=venue.ledger_name,
        reserve_prefix="",
        reserves={
            token: ReserveTerms(
                RiskParameters(row.ltv, row.liquidation_threshold, row.liquidation_bonus),
                row.collateral,
                row.borrowable,
            )
            for token, row in venue.reserves.items()
        },
        emode=tuple(
            EmodeTerms(
                RiskParameters(row.ltv, row.liquidation_threshold, row.liquidation_bonus),
                frozenset(row.collateral),
                frozenset(row.debt),
            )
            for row in venue.emode.values()
        ),
        close_factor=venue.close_factor,
        full_liquidation_below=venue.full_close_health_factor,
        isolated=False,
    )


def market_terms(venue: FlashVenue) -> PoolTerms:
    """Terms of an account at isolated markets: each is a category of one collateral and one debt, and nothing else.

    A liquidation may repay all of a loan: there is no close factor.
    """
    pledged, lent = {collateral for collateral, _ in venue.pairs}, {loan for _, loan in venue.pairs}
    worthless = RiskParameters(0.0, 0.0, 0.0)
    markets = []
    for collateral, loan in venue.pairs:
        limits = pair_limits(venue, collateral, loan)
        assert limits is not None
        markets.append(EmodeTerms(RiskParameters(*limits), frozenset({collateral}), frozenset({loan})))
    return PoolTerms(
        venue=venue.venue,
        ledger_name=venue.venue,
        reserve_prefix=f"{venue.venue}:",
        reserves={
            token: ReserveTerms(worthless, collateral=token in pledged, borrowable=token in lent)
            for pair in venue.pairs
            for token in pair
        },
        emode=tuple(markets),
        close_factor=1.0,
        full_liquidation_below=1.0,
        isolated=True,
    )
