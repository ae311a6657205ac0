"""Defines the terms of a simulated chain and of the protocols on it, as plain numbers.

`build.py` reads them from the configuration; a frictionless run is nothing but terms without costs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = [
    "ChainTerms",
    "DexTerms",
    "EmodeTerms",
    "FlashTerms",
    "GasTerms",
    "PoolTerms",
    "ReserveTerms",
    "RiskParameters",
    "StakingTerms",
    "SwapPool",
]


class GasTerms(msgspec.Struct, frozen=True):
    """What operations on the chain cost and who pays."""

    units: Mapping[str, float]
    """Gas units by operation; `transfer` is an ERC-20, `transfer_eth` the native coin, `atomic_entry` and
    `atomic_unwind` are whole transactions with a flash loan."""
    priority_fee_cap_gwei: float
    paid_from: str
    """`wallet:BaseToken:ETH`, or `gas:Payable:<currency>` where gas is booked as owed."""
    currency: str
    """In which `paid_from` counts."""


class RiskParameters(msgspec.Struct, frozen=True, gc=False):
    """What collateral counts for, fractions of its value."""

    ltv: float
    liquidation_threshold: float
    liquidation_bonus: float


class ReserveTerms(msgspec.Struct, frozen=True):
    """One reserve of a lending pool."""

    parameters: RiskParameters
    collateral: bool
    borrowable: bool


class EmodeTerms(msgspec.Struct, frozen=True):
    """One e-mode category of correlated assets, or one isolated market; for debt in `debt` alone."""

    parameters: RiskParameters
    collateral: frozenset[str]
    """Reserves that count with the parameters of the category."""
    debt: frozenset[str]


class PoolTerms(msgspec.Struct, frozen=True, kw_only=True):
    """One lending pool: an Aave market, or the isolated markets of Morpho."""

    venue: str
    ledger_name: str
    """First part of its position keys: `aave`."""
    reserve_prefix: str
    """What the market puts before a token in the name of a reserve: nothing for Aave, `morpho:`."""
    reserves: Mapping[str, ReserveTerms]
    """By underlying: `USDT`, `WETH`, `wstETH`, `weETH`."""
    emode: tuple[EmodeTerms, ...]
    close_factor: float
    """Share of a debt that one liquidation may repay."""
    full_liquidation_below: float
    """Health factor below which it may repay all of it."""
    isolated: bool
    """Whether each collateral has a market of its own: one at a time is used, and what its collateral does not cover
    when it is liquidated is the lenders' loss."""


class FlashTerms(msgspec.Struct, frozen=True):
    """One lender of flash loans."""

    venue: str
    ledger_name: str
    """First part of its position keys: `morpho`, `aave`."""
    tokens: tuple[str, ...]
    fee_bps: float


class StakingTerms(msgspec.Struct, frozen=True):
    """One liquid staking protocol."""

    venue: str
    lst: str
    """The token it issues."""
    min_stake: float
    """ETH."""
    unstake_delay_ns: int
    """From the request to the payment."""


class SwapPool(msgspec.Struct, frozen=True, gc=False):
    """One pool of a decentralised exchange."""

    fee_bps: float
    """Of what comes out."""
    impact_bps: tuple[float, float, float]
    """Price impact in bps up to 10k, up to 100k USD, larger."""


class DexTerms(msgspec.Struct, frozen=True):
    """One decentralised exchange."""

    venue: str
    pools: Mapping[str, SwapPool]
    """By pair: `ETH/weETH`."""


class ChainTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet on one chain."""

    domain: str
    wallet: str
    """Venue name of the wallet."""
    currency: str
    """Currency of the share class; deposits arrive in it."""
    gas: GasTerms | None
    """None when gas costs nothing."""
