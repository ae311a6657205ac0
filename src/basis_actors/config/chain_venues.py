"""Defines what the chain and the protocols on it charge, allow and require.

Fees, rates and thresholds are fractions unless a name says bps; impact is in basis points of notional, one way.
Every number is an assumption or a snapshot; `sources` says where it is from, `proxies` what it stands in for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, model_validator

from basis_actors.config.model import DaysOrZero, Fraction, Model, NonNegative, Positive, Problem, SecondsOrZero, refuse
from basis_actors.config.venue_base import ImpactSteps, VenueBase
from basis_actors.finance.lending import liquidation_incentive

__all__ = [
    "GAS_OPERATIONS",
    "ChainVenue",
    "DexVenue",
    "EModeConfig",
    "FlashVenue",
    "GasOperation",
    "LendingVenue",
    "LoanMarketConfig",
    "PairLimits",
    "ReserveConfig",
    "StakingVenue",
    "pair_limits",
]

GasOperation = Literal[
    "stake",
    "unstake",
    "swap",
    "supply",
    "withdraw",
    "borrow",
    "repay",
    "transfer",
    "transfer_eth",
    "atomic_entry",
    "atomic_unwind",
]
GAS_OPERATIONS: Final[tuple[str, ...]] = (
    "stake",
    "unstake",
    "swap",
    "supply",
    "withdraw",
    "borrow",
    "repay",
    "transfer",
    "transfer_eth",
    "atomic_entry",
    "atomic_unwind",
)


class ChainVenue(VenueBase):
    """The owner's wallet on a chain, and what using the chain costs."""

    kind: Literal["chain"]
    gas_units: dict[GasOperation, Annotated[int, Field(ge=0)]]
    """Gas units by operation; all of `GAS_OPERATIONS`. `transfer` is an ERC-20, `transfer_eth` the native coin."""
    priority_fee_cap_gwei: NonNegative
    """Highest tip that is paid."""
    transfer_delay_seconds: SecondsOrZero
    """From the wallet to another domain."""

    @model_validator(mode="after")
    def _check(self) -> ChainVenue:
        refuse(
            Problem(("gas_units", name), "missing key; a whole number of gas units was expected", missing=True)
            for name in GAS_OPERATIONS
            if name not in self.gas_units
        )
        return self


class ReserveConfig(Model):
    """Risk parameters of one reserve of a lending pool."""

    ltv: Fraction
    """Highest loan to value when borrowing against it."""
    liquidation_threshold: Fraction
    liquidation_bonus: Fraction
    """What a liquidator gets on top of the debt it repays."""
    reserve_factor: Fraction
    """Share of the borrowers' interest that the protocol keeps."""
    optimal_utilization: Fraction
    collateral: bool
    borrowable: bool


class EModeConfig(Model):
    """Parameters for collateral and debt of one efficiency category."""

    ltv: Fraction
    liquidation_threshold: Fraction
    liquidation_bonus: Fraction
    collateral: tuple[str, ...]
    debt: tuple[str, ...]


class LendingVenue(VenueBase):
    """A lending pool."""

    kind: Literal["lending"]
    ledger_name: Literal["aave"]
    """First part of its position keys."""
    reserves: dict[str, ReserveConfig]
    """By underlying token."""
    emode: dict[str, EModeConfig]
    """By category."""
    close_factor: Fraction
    """Share of the debt that one liquidation may repay."""
    full_close_health_factor: Positive
    """Health factor below which a liquidation may repay all of it."""
    flash_loan_fee_bps: NonNegative

    @model_validator(mode="after")
    def _check(self) -> LendingVenue:
        refuse(self._thresholds())
        return self

    def _thresholds(self) -> Iterator[Problem]:
        tables: tuple[tuple[str, dict[str, ReserveConfig] | dict[str, EModeConfig]], ...] = (
            ("reserves", self.reserves),
            ("emode", self.emode),
        )
        for table, rows in tables:
            for name, row in rows.items():
                if row.ltv > row.liquidation_threshold:
                    threshold = f"{row.liquidation_threshold:g}"
                    text = f"is {row.ltv:g}; at most the liquidation_threshold {threshold} was expected"
                    yield Problem((table, name, "ltv"), text)


class StakingVenue(VenueBase):
    """A liquid staking protocol."""

    kind: Literal["staking"]
    lst: Literal["weETH", "wstETH"]
    """The token it issues."""
    min_stake: Positive
    """ETH."""
    unstake_delay_days: DaysOrZero
    """From the request to the claim through the protocol's queue."""
    reward_tokens: tuple[Literal["EIGEN", "ETHFI"], ...]
    """What it pays on top to those who held its token over a season; empty for nothing."""


class DexVenue(VenueBase):
    """A decentralised exchange."""

    kind: Literal["dex"]
    fee_bps: dict[str, NonNegative]
    """Fee tier of the pool, by pair."""
    max_slippage_bps: Positive
    """A swap at a worse price reverts."""
    impact_bps: dict[str, ImpactSteps]
    """By pair."""

    @model_validator(mode="after")
    def _check(self) -> DexVenue:
        refuse(
            Problem(("impact_bps", pair), "missing key; three numbers in bps were expected", missing=True)
            for pair in self.fee_bps
            if pair not in self.impact_bps
        )
        return self


class LoanMarketConfig(Model):
    """One isolated market: one collateral, one token to borrow. The collateral earns nothing."""

    lltv: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Highest loan to value, at which the loan is liquidated, too."""


class FlashVenue(VenueBase):
    """A lender of flash loans, with isolated lending markets where it has any."""

    kind: Literal["flash"]
    tokens: tuple[str, ...]
    """What it lends."""
    fee_bps: NonNegative
    markets: dict[str, LoanMarketConfig]
    """By `collateral/loan` (`weETH/WETH`); empty for a lender of flash loans alone."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Collateral and loan of each market."""
        return tuple((collateral, loan) for collateral, loan in (name.split("/") for name in self.markets))

    @model_validator(mode="after")
    def _check(self) -> FlashVenue:
        refuse(
            Problem(("markets", name), "is no pair; a name like weETH/WETH, collateral/loan, was expected")
            for name in self.markets
            if len(name.split("/")) != 2 or not all(name.split("/"))
        )
        return self


class PairLimits(NamedTuple):
    """What collateral counts for against debt in one token, fractions of its value."""

    ltv: float
    liquidation_threshold: float
    liquidation_bonus: float


def pair_limits(venue: VenueBase, collateral: str, debt: str) -> PairLimits | None:
    """Limits of a loan of `debt` against `collateral` where the venue treats the two as a pair, else None.

    At a pool it is the e-mode category with the highest loan to value that holds both; at isolated markets the market,
    whose liquidation bonus is the incentive factor less 1.
    """
    if isinstance(venue, LendingVenue):
        rows = [row for row in venue.emode.values() if collateral in row.collateral and debt in row.debt]
        if not rows:
            return None
        best = max(rows, key=lambda row: row.ltv)
        return PairLimits(best.ltv, best.liquidation_threshold, best.liquidation_bonus)
    market = venue.markets.get(f"{collateral}/{debt}") if isinstance(venue, FlashVenue) else None
    if market is None:
        return None
    return PairLimits(market.lltv, market.lltv, liquidation_incentive(market.lltv) - 1.0)
