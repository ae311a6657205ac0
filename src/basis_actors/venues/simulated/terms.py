"""Defines the terms a simulated exchange trades on: markets, fees, margin, as plain numbers.

`build.py` reads them from the configuration; a frictionless run is nothing but terms without costs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.finance.contracts import INVERSE, LINEAR, Contract
from basis_actors.finance.margin import Bracket

__all__ = [
    "ExchangeTerms",
    "MarginTerms",
    "PerpMarket",
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
    """One perpetual."""

    pair: str
    """`BTC-PERP`; `BTCUSD-PERP` for an inverse one."""
    lot: float
    """Step of sizes: base units, for an inverse perpetual USD."""
    min_amount: float
    """Smallest order, in the unit of `lot`."""
    impact_bps: tuple[float, float, float]
    brackets: tuple[Bracket, ...]
    """By floor."""


class MarginTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Perpetuals that share one margin balance."""

    venue: str
    margin_key: str
    """Cash they are margined with, profit is paid in and fees are taken from."""
    currency: str
    """Token of `margin_key`."""
    kind: str
    """Second part of their position keys."""
    contract: Contract
    markets: Mapping[str, PerpMarket]
    """By pair."""
    taker_fee: float
    """Fraction of notional."""
    liquidation_fee: float
    minimum_notional: float


class ExchangeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange account."""

    venue: str
    margin_key: str
    """Cash that perps are margined with: `binance:Margin:USDT`, or the one cash key of a unified account."""
    spot: Mapping[str, SpotMarket]
    """By pair; empty where there is no spot market."""
    perps: Mapping[str, PerpMarket]
    """Linear perpetuals by pair."""
    inverse_perps: Mapping[str, PerpMarket] = {}
    """Inverse perpetuals by base asset; each is margined in its own."""
    spot_fee: float
    """Taker fee, a fraction of notional."""
    perp_fee: float
    inverse_fee: float = 0.0
    minimum_notional: float
    """Smallest order in USD; closing a whole perp position is exempt."""
    liquidation_fee: float
    """Fraction of the notional that a liquidation closes."""
    withdrawal_fees: Mapping[str, float]
    """By token, in that token; a token without an entry cannot be withdrawn."""

    @property
    def cash_key(self) -> str:
        """Where spot trades are paid from and withdrawals start."""
        return f"{self.venue}:BaseToken:USDT"

    def margin_accounts(self) -> tuple[MarginTerms, ...]:
        """One account for the linear perpetuals, one for each inverse one."""
        linear = self._margined(self.margin_key, "USDT", "PerpPosition", LINEAR, self.perps, self.perp_fee)
        inverse = [
            self._margined(
                f"{self.venue}:Margin:{asset}", asset, "InversePerp", INVERSE, {line.pair: line}, self.inverse_fee
            )
            for asset, line in self.inverse_perps.items()
        ]
        return (linear, *inverse)

    def _margined(
        self,
        margin_key: str,
        currency: str,
        kind: str,
        contract: Contract,
        markets: Mapping[str, PerpMarket],
        taker_fee: float,
    ) -> MarginTerms:
        return MarginTerms(
            venue=self.venue,
            margin_key=margin_key,
            currency=currency,
            kind=kind,
            contract=contract,
            markets=markets,
            taker_fee=taker_fee,
            liquidation_fee=self.liquidation_fee,
            minimum_notional=self.minimum_notional,
        )
