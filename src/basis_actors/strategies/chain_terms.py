"""Defines what strategies read off the configuration of a chain: keys of tokens and pools, gas, quotes of swaps."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.config import ChainVenue, DexVenue, LendingVenue, RunConfig, VenueConfig
from basis_actors.config.venues import GasOperation
from basis_actors.errors import BasisError
from basis_actors.finance.costs import gas_cost_eth, impact_bps
from basis_actors.finance.keys import token_key
from basis_actors.finance.swaps import Swapped, market_rate, pool_pair, swap, swap_size_usd
from basis_actors.messages.market import GasQuote, MarketState

__all__ = [
    "GasTerms",
    "configured",
    "gas_cost",
    "gas_payable_key",
    "gas_terms",
    "gas_to_owe",
    "gas_units",
    "ledger_name",
    "reserve_name",
    "swap_for",
    "swap_quote",
    "token_key",
]

_ROUNDING = 1e-12
"""A swap for an amount gives this fraction more, so that rounding cannot leave it short."""
_SMALLEST = 1e-6
"""Tokens whose swap has the impact of the smallest size."""


def gas_payable_key(currency: str) -> str:
    """Key of the gas that is owed where the share class is not paid in ETH; 0 or less."""
    return f"gas:Payable:{currency}"


def configured(run: RunConfig, venue: str) -> VenueConfig:
    """The configuration of a venue. Raises BasisError STRAT-003 for one that the mode does not name."""
    config = run.venues.get(venue)
    if config is None:
        raise BasisError("STRAT-003", f"{venue!r} is no venue of this mode; it names {', '.join(run.venues)}")
    return config


def ledger_name(run: RunConfig, venue: str) -> str:
    """First part of the position keys of a pool or a lender: `aave` for `aave_v3`, else the venue's name."""
    config = configured(run, venue)
    return config.ledger_name if isinstance(config, LendingVenue) else venue


def reserve_name(venue: str, token: str) -> str:
    """How the market names a reserve of a pool: Aave's by token alone, those of others after their venue."""
    return token if venue == "aave_v3" else f"{venue}:{token}"


class GasTerms(msgspec.Struct, frozen=True):
    """What transactions take of the gas of a chain."""

    units: Mapping[GasOperation, int]
    priority_cap: float
    """Most that is paid to be included, gwei per unit."""

    def cost(self, quote: GasQuote, *operations: GasOperation) -> float:
        """What operations cost at a gas price, ETH."""
        units = 0
        for operation in operations:
            units += self.units[operation]
        return gas_cost_eth(units, quote.base_fee_gwei, quote.priority_fee_gwei, self.priority_cap)


def gas_terms(run: RunConfig) -> GasTerms:
    """The terms of the chain that the wallet is on. Raises BasisError STRAT-003 for a mode without a chain."""
    for venue in run.venues.values():
        if isinstance(venue, ChainVenue):
            return GasTerms(venue.gas_units, venue.priority_fee_cap_gwei)
    raise BasisError("STRAT-003", f"mode {run.mode.mode} has no wallet on a chain, which the strategy needs")


def gas_units(run: RunConfig, operation: GasOperation) -> int:
    """Gas that an operation takes. Raises BasisError STRAT-003 for a mode without a chain."""
    return gas_terms(run).units[operation]


def gas_cost(run: RunConfig, quote: GasQuote, *operations: GasOperation) -> float:
    """What operations cost at a gas price, ETH. Raises BasisError STRAT-003 for a mode without a chain."""
    return gas_terms(run).cost(quote, *operations)


def gas_to_owe(run: RunConfig, market: MarketState, currency: str, *operations: GasOperation) -> float:
    """What operations add to the gas that is owed where the share class is `currency` and not ETH, in that currency.

    0 while a price is not known: nothing is sent then. Raises BasisError STRAT-003 for a mode without a chain.
    """
    price, unit = market.prices.get("ETH"), market.prices.get(currency)
    if market.gas is None or price is None or unit is None:
        return 0.0
    return gas_cost(run, market.gas, *operations) * price / unit


def swap_quote(
    run: RunConfig, market: MarketState, venue: str, source: str, target: str, amount: float
) -> Swapped | None:
    """What `amount` of `source` gives on a decentralised exchange; None while a price is not known.

    Raises BasisError STRAT-003 for a venue that is none, or has no pool of the two.
    """
    config = configured(run, venue)
    pair = pool_pair(source, target, config.fee_bps) if isinstance(config, DexVenue) else None
    if not isinstance(config, DexVenue) or pair is None:
        raise BasisError("STRAT-003", f"{venue} has no pool of {source} and {target} configured, which is needed")
    rate, size = market_rate(market, source, target), swap_size_usd(market, source, amount)
    if rate is None or size is None:
        return None
    return swap(amount, rate, impact_bps(size, config.impact_bps[pair]), config.fee_bps[pair])


def swap_for(run: RunConfig, market: MarketState, venue: str, source: str, target: str, wanted: float) -> float | None:
    """Amount of `source` whose swap gives `wanted` of `target` after impact and fee; None while a price is not known.

    What a unit gives falls with the size in steps, so the search begins at the best step and grows until it is enough.
    Raises BasisError as `swap_quote` does.
    """
    quote = swap_quote(run, market, venue, source, target, _SMALLEST)
    if quote is None:
        return None
    amount = _SMALLEST * (wanted / quote.net)
    while True:
        quote = swap_quote(run, market, venue, source, target, amount)
        assert quote is not None, "the rate was known for a smaller amount at the same moment"
        if quote.net >= wanted * (1.0 - 0.1 * _ROUNDING):
            return amount * (1.0 + _ROUNDING)
        amount *= wanted / quote.net
