"""Defines the terms a simulated venue trades on: markets, fees, margin, gas, lending limits, as plain numbers.

`build.py` reads them from the configuration; a frictionless run is nothing but terms without costs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.finance.margin import Bracket

__all__ = [
    "ChainTerms",
    "EmodeTerms",
    "ExchangeTerms",
    "GasTerms",
    "PerpMarket",
    "PoolTerms",
    "ReserveTerms",
    "RiskParameters",
    "SpotMarket",
]


class SpotMarket(msgspec.Struct, frozen=True, gc=False):
    """One spot market against USDT."""

    pair: str
    """`BTC/USDT`."""
    asset: str
    lot: float
    """Step of amounts, in base units."""
    min_amount: float
    """Smallest order, in base units."""
    impact_bps: tuple[float, float, float]
    """Price impact in bps up to 10k, up to 100k USD, larger."""


class PerpMarket(msgspec.Struct, frozen=True):
    """One linear perpetual that settles in USDT."""

    pair: str
    """`BTC-PERP`."""
    lot: float
    min_amount: float
    impact_bps: tuple[float, float, float]
    brackets: tuple[Bracket, ...]
    """By floor."""


class ExchangeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange account."""

    venue: str
    margin_key: str
    """Cash that perps are margined with: `binance:Margin:USDT`, or the one cash key of a unified account."""
    spot: Mapping[str, SpotMarket]
    """By pair; empty where there is no spot market."""
    perps: Mapping[str, PerpMarket]
    """By pair."""
    spot_fee: float
    """Taker fee, a fraction of notional."""
    perp_fee: float
    minimum_notional: float
    """Smallest order in USDT; closing a whole perp position is exempt."""
    liquidation_fee: float
    """Fraction of the notional that a liquidation closes."""
    withdrawal_fees: Mapping[str, float]
    """By token, in that token; a token without an entry cannot be withdrawn."""

    @property
    def cash_key(self) -> str:
        """Where spot trades are paid from and withdrawals start."""
        return f"{self.venue}:BaseToken:USDT"


class GasTerms(msgspec.Struct, frozen=True):
    """What operations on the chain cost and who pays."""

    units: Mapping[str, float]
    """Gas units by operation; `transfer` is an ERC-20, `transfer_eth` the native coin."""
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
    """One Aave reserve."""

    parameters: RiskParameters
    collateral: bool
    borrowable: bool


class EmodeTerms(msgspec.Struct, frozen=True):
    """One e-mode category of correlated assets; it applies while nothing outside `debt` is owed."""

    parameters: RiskParameters
    collateral: frozenset[str]
    """Reserves that count with the parameters of the category."""
    debt: frozenset[str]


class PoolTerms(msgspec.Struct, frozen=True, kw_only=True):
    """One Aave pool."""

    venue: str
    ledger_name: str
    """First part of its position keys: `aave`."""
    reserves: Mapping[str, ReserveTerms]
    """By underlying: `USDT`, `WETH`, `wstETH`, `weETH`."""
    emode: tuple[EmodeTerms, ...]
    close_factor: float
    """Share of a debt that one liquidation may repay."""
    full_liquidation_below: float
    """Health factor below which it may repay all of it."""


class ChainTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet on one chain."""

    domain: str
    wallet: str
    """Venue name of the wallet."""
    currency: str
    """Currency of the share class; deposits arrive in it."""
    gas: GasTerms | None
    """None when gas costs nothing."""
