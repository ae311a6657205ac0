"""Defines the parameters of each strategy family. Ratios are fractions, leverage is notional / margin.

A family is registered in `STRATEGY_CONFIGS` under the word that a mode's `strategy` uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from basis_actors.config.model import (
    Count,
    Days,
    Fraction,
    Model,
    NonNegative,
    Positive,
    Problem,
    Problems,
    SmallFraction,
    refuse,
)
from basis_actors.config.signals import SignalConfig

__all__ = [
    "LST_PROTOCOLS",
    "STRATEGY_CONFIGS",
    "BasisConfig",
    "DirectionalConfig",
    "HedgeConfig",
    "LendingConfig",
    "LeveragedConfig",
    "LoopConfig",
    "LstConfig",
    "MarketNeutralConfig",
    "StakingConfig",
    "StrategyConfig",
    "TargetConfig",
]

LST_PROTOCOLS: Final = {"weETH": "etherfi", "wstETH": "lido"}
"""Protocol that issues each liquid staking token."""


class TargetConfig(Model):
    """What every strategy with a target position has."""

    dust_delta: SmallFraction
    """Changes smaller than this fraction of equity are not traded."""
    position_deviation_threshold: Fraction
    """Fraction by which flow-adjusted equity may move since the last rebalance before the position is set anew."""
    slippage_tolerance: SmallFraction
    """Fraction by which a price-dependent leg may miss its expected delta."""


class LendingConfig(Model):
    """Supply one asset to the lending pool: everything, so there is no target to deviate from, and no price to miss."""

    asset: Literal["USDT", "ETH"]
    lending_venue: str
    gas_reserve_eth: NonNegative
    """ETH that stays in the wallet for gas; 0 where gas is paid through a payable."""
    dust_delta: SmallFraction
    """Less than this fraction of equity is not supplied."""


class HedgeConfig(Model):
    """Perps short over several venues, margined in USDT."""

    hedge_allocation: dict[str, Fraction]
    """Share of the short by venue; sums to 1."""
    margin_band_low: Fraction
    """Margin is topped up when a venue's ratio is below this multiple of its target."""
    margin_band_high: Annotated[float, Field(ge=1.0)]
    """Margin is released when a venue's ratio is above this multiple of its target."""
    margin_rebalance: bool
    """Whether margin is moved at all; without it a short that runs away is liquidated."""
    funding_threshold: float
    """Mean funding per interval above which a position is opened."""
    exit_threshold: float
    """Mean funding per interval below which it is closed."""
    funding_window: Count
    """Settled intervals in the mean."""
    funding_minimum: Count
    """Intervals that must be known before anything is opened."""
    always_in: bool
    """Whether the position is held whatever funding is; the thresholds are then not looked at."""

    @field_validator("hedge_allocation")
    @classmethod
    def _sums_to_one(cls, allocation: dict[str, float]) -> dict[str, float]:
        total = sum(allocation.values())
        if not isclose(total, 1.0, abs_tol=1e-9):
            raise Problems((Problem((), f"sums to {total:g}; the shares must sum to 1"),))
        return allocation

    @model_validator(mode="after")
    def _check(self) -> HedgeConfig:
        refuse(self._funding_rules())
        return self

    def _funding_rules(self) -> Iterator[Problem]:
        if self.exit_threshold > self.funding_threshold:
            text = f"is {self.exit_threshold:g}; at most funding_threshold {self.funding_threshold:g} was expected"
            yield Problem(("exit_threshold",), text)
        if self.funding_minimum > self.funding_window:
            text = f"is {self.funding_minimum}; at most funding_window {self.funding_window} was expected"
            yield Problem(("funding_minimum",), text)


class BasisConfig(TargetConfig, HedgeConfig):
    """Long spot, short the same amount in perpetuals."""

    asset: Literal["BTC", "ETH"]
    spot_venue: str
    leverage: Annotated[float, Field(gt=0.0, le=20.0)]
    """Notional / margin of the short when it is opened; the target margin ratio is 1 / leverage."""

    @property
    def margin_target(self) -> float:
        """Margin ratio (cash + uPnL) / notional at which a venue's short is opened."""
        return 1.0 / self.leverage


class LstConfig(Model):
    """Staked ETH: which token, from whom, and how it is left."""

    lst_type: Literal["weETH", "wstETH"]
    staking_venue: str
    dex_venue: str
    unwind_route: Literal["dex", "queue"]
    """Leave at the market rate at once, or through the protocol's queue."""
    reward_venue: str
    """Where reward tokens are sold."""
    gas_reserve_eth: NonNegative
    """ETH that stays in the wallet for gas; 0 where gas is paid through a payable."""

    @model_validator(mode="after")
    def _protocol_issues_token(self) -> LstConfig:
        issuer = LST_PROTOCOLS[self.lst_type]
        if self.staking_venue != issuer:
            text = f"is {self.staking_venue!r}; {self.lst_type} is issued by {issuer!r}: change this or lst_type"
            raise Problems((Problem(("staking_venue",), text),))
        return self


class StakingConfig(TargetConfig, LstConfig):
    """Hold a liquid staking token."""


class LoopConfig(Model):
    """A leveraged staking position: LST as collateral, WETH as debt, built in one transaction."""

    lending_venue: str
    flash_venue: str
    max_ltv: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Highest loan to value that the pool allows for the pair."""
    max_stake_spread_move: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Fall of the LST against ETH that the position has to survive."""
    target_ltv: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Loan to value that is aimed at; at most max_ltv x (1 - max_stake_spread_move)."""
    ltv_band: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Distance from the target at which the position is set anew."""
    rebalance: Literal["on", "off"]
    min_hold_days: Days
    """Days over which the carry of more leverage must pay for the round trip."""

    @model_validator(mode="after")
    def _check(self) -> LoopConfig:
        refuse(self._ltv_rules())
        return self

    def _ltv_rules(self) -> Iterator[Problem]:
        highest = self.max_ltv * (1.0 - self.max_stake_spread_move)
        if self.target_ltv > highest:
            text = (
                f"is {self.target_ltv:g}; at most max_ltv x (1 - max_stake_spread_move) ="
                f" {self.max_ltv:g} x (1 - {self.max_stake_spread_move:g}) = {highest:.6g} was expected"
            )
            yield Problem(("target_ltv",), text)
        if self.target_ltv + self.ltv_band >= self.max_ltv:
            room = f"{self.max_ltv - self.target_ltv:g}"
            text = f"is {self.ltv_band:g}; less than max_ltv - target_ltv = {room} was expected"
            yield Problem(("ltv_band",), text)


class LeveragedConfig(TargetConfig, LstConfig):
    """Staked ETH, levered."""

    loop: LoopConfig


class MarketNeutralConfig(TargetConfig, HedgeConfig, LstConfig):
    """Part of the equity as staked ETH, hedged by shorts that the rest margins."""

    asset: Literal["ETH"]
    spot_venue: str
    stake_allocation_percentage: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Fraction of equity that is staked; the rest is margin."""
    delta_drift_threshold: SmallFraction
    """Net delta as a fraction of equity that is never left, also while ether is unwound in a hurry; dust_delta or more.

    At rest the perps are adjusted from half of dust_delta on. Whatever is unwound loses some delta on the way, so both
    are above 0.
    """
    loop: LoopConfig | None
    """Leverage of the staked half; null for none."""

    @model_validator(mode="after")
    def _loops_leave_by_dex(self) -> MarketNeutralConfig:
        if self.loop is not None and self.unwind_route == "queue":
            text = (
                "is 'queue', which pays after days; the flash loan that unwinds the loop is repaid at once: use dex, or"
                " set loop to null"
            )
            raise Problems((Problem(("unwind_route",), text),))
        return self

    @model_validator(mode="after")
    def _leaves_room_to_unwind(self) -> MarketNeutralConfig:
        if self.dust_delta <= 0.0:
            text = (
                f"is {self.dust_delta:g}; what is unwound loses some delta on the way: a fraction above 0 was expected"
            )
            raise Problems((Problem(("dust_delta",), text),))
        if self.delta_drift_threshold < self.dust_delta:
            text = f"is {self.delta_drift_threshold:g}; at least dust_delta {self.dust_delta:g} was expected"
            raise Problems((Problem(("delta_drift_threshold",), text),))
        return self

    @property
    def margin_target(self) -> float:
        """Margin ratio (cash + uPnL) / notional at which a venue's short is opened."""
        return (1.0 - self.stake_allocation_percentage) / self.stake_allocation_percentage


class DirectionalConfig(Model):
    """Long, short or flat in one perpetual by a model's signal."""

    asset: Literal["BTC"]
    venue: str
    contract: Literal["linear", "inverse"]
    signal_threshold: Annotated[float, Field(gt=0.5, lt=1.0)]
    """Probability at or above which a direction counts as a signal."""
    confidence_threshold: Fraction
    max_position_size: Annotated[float, Field(gt=0.0, le=20.0)]
    """Notional as a multiple of equity."""
    sd_floor_bps: Positive
    sd_cap_bps: Positive
    """The standard deviation over the horizon is clipped to floor and cap."""
    take_profit_sd: Positive
    stop_loss_sd: Positive
    """Distance from entry in standard deviations."""
    slippage_tolerance: SmallFraction
    signal: SignalConfig

    @model_validator(mode="after")
    def _check(self) -> DirectionalConfig:
        refuse(self._distance_rules())
        return self

    def _distance_rules(self) -> Iterator[Problem]:
        if self.sd_floor_bps >= self.sd_cap_bps:
            text = f"is {self.sd_floor_bps:g}; less than sd_cap_bps {self.sd_cap_bps:g} was expected"
            yield Problem(("sd_floor_bps",), text)
        for name in ("take_profit_sd", "stop_loss_sd"):
            farthest = getattr(self, name) * self.sd_cap_bps / 1e4
            if farthest >= 1.0:
                text = (
                    f"is {getattr(self, name):g}: x sd_cap_bps {self.sd_cap_bps:g} it would be {farthest:.4g} of the"
                    " entry price away; less than 1 was expected"
                )
                yield Problem((name,), text)


StrategyConfig = LendingConfig | BasisConfig | StakingConfig | LeveragedConfig | MarketNeutralConfig | DirectionalConfig

STRATEGY_CONFIGS: Final[dict[str, type[StrategyConfig]]] = {
    "pure_lending": LendingConfig,
    "basis": BasisConfig,
    "staking": StakingConfig,
    "leveraged_staking": LeveragedConfig,
    "market_neutral": MarketNeutralConfig,
    "ml_directional": DirectionalConfig,
}
