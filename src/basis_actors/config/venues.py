"""Defines what a venue charges, allows and requires: exchanges, the chain, and the protocols on it.

Fees, rates, margins and thresholds are fractions, impact is in basis points (bps) of notional, one way.
Every number is an assumption or a snapshot; `sources` says where it is from, `proxies` what it stands in for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from basis_actors.config.model import Fraction, Model, NonNegative, Positive, Problem, SmallFraction, refuse
from basis_actors.config.plugins import adapter_class

__all__ = [
    "GAS_OPERATIONS",
    "VENUE_KINDS",
    "Bracket",
    "ChainVenue",
    "CustomVenue",
    "DexVenue",
    "EModeConfig",
    "ExchangeVenue",
    "FlashVenue",
    "ImpactSteps",
    "LendingVenue",
    "PerpConfig",
    "PerpMarket",
    "ReserveConfig",
    "SpotConfig",
    "SpotMarket",
    "StakingVenue",
    "VenueBase",
    "VenueConfig",
]

ImpactSteps = tuple[NonNegative, NonNegative, NonNegative]
"""Price impact in bps for sizes up to 10,000 USD, up to 100,000 USD, and larger."""

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


class VenueBase(Model):
    """What all venues have."""

    venue: str
    """Name in orders, equal to the file's name."""
    domain: str
    """Account domain that carries out its orders: an exchange, or a chain for all protocols on it."""
    proxies: tuple[str, ...]
    """What stands in for something the venue does not publish; shown in the data report and the summary."""
    sources: tuple[str, ...]
    """Where the numbers are from."""


class SpotMarket(Model):
    """Sizes of one spot market."""

    lot: Positive
    """Smallest step of an amount, base units."""
    min_amount: NonNegative
    """Smallest amount of an order, base units."""
    price: Literal["series", "uniswap"]
    """The venue's own bars, or as a proxy the close of the Uniswap pool against WETH x the reference price of ETH."""


class Bracket(Model):
    """One row of a margin table: maintenance = notional x rate - amount for a notional in [floor, cap)."""

    floor: NonNegative
    """Quote currency."""
    cap: Positive
    """Quote currency."""
    rate: Fraction
    amount: NonNegative
    """Quote currency; makes maintenance continuous over brackets."""
    max_leverage: Positive


class PerpMarket(Model):
    """Sizes, margin table and mark of one perpetual."""

    lot: Positive
    """Smallest step of a size: base units, for an inverse perp USD."""
    min_amount: NonNegative
    """Smallest size of an order, in the unit of `lot`."""
    optional: bool
    """Whether the data may lack this market; it is then left out of hedges and named in the report."""
    mark: Literal["series", "perp_close"]
    """The venue's mark series, or the perp's last close as a proxy."""
    brackets_from: str | None = None
    """Venue whose table stands in; None when the numbers are the venue's own."""
    brackets: tuple[Bracket, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> PerpMarket:
        refuse(self._gaps())
        return self

    def _gaps(self) -> Iterator[Problem]:
        floor = 0.0
        for index, bracket in enumerate(self.brackets):
            if bracket.floor != floor:
                where = ("brackets", str(index), "floor")
                yield Problem(where, f"is {bracket.floor:g}; brackets have no gaps: {floor:g} was expected")
            if bracket.cap <= bracket.floor:
                where = ("brackets", str(index), "cap")
                yield Problem(where, f"is {bracket.cap:g}; more than the floor {bracket.floor:g} was expected")
            floor = bracket.cap


class SpotConfig(Model):
    """Spot trading of one exchange."""

    maker_fee: SmallFraction
    taker_fee: SmallFraction
    markets: dict[str, SpotMarket]
    """By base asset, against USDT."""


class PerpConfig(Model):
    """Trading of perpetuals on one exchange."""

    maker_fee: SmallFraction
    taker_fee: SmallFraction
    markets: dict[str, PerpMarket]
    """By base asset."""


class ExchangeVenue(VenueBase):
    """A centralised exchange."""

    kind: Literal["exchange"]
    account: Literal["split", "unified"]
    """Spot and futures wallets apart with free transfers between them, or one account for both."""
    spot: SpotConfig | None
    """Spot markets; null where the venue's spot is not used."""
    perp: PerpConfig | None
    """Linear perpetuals, margined in USDT."""
    inverse_perp: PerpConfig | None
    """Inverse perpetuals, margined in the base asset."""
    minimum_notional: NonNegative
    """Smallest order, USDT."""
    impact_bps: dict[str, ImpactSteps]
    """By market: `BTC/USDT` for spot, `BTC-PERP` for perpetuals."""
    liquidation_fee: SmallFraction
    """Fraction of the liquidated notional."""
    transfer_delay_seconds: NonNegative
    """From and to other domains; a transfer inside the venue arrives at once."""
    withdrawal_fees: dict[str, NonNegative]
    """By token, in tokens."""

    @model_validator(mode="after")
    def _check(self) -> ExchangeVenue:
        refuse(self._without_impact())
        return self

    def _without_impact(self) -> Iterator[Problem]:
        markets = [f"{base}/USDT" for base in (self.spot.markets if self.spot else ())]
        markets += [f"{base}-PERP" for base in (self.perp.markets if self.perp else ())]
        markets += [f"{base}USD-PERP" for base in (self.inverse_perp.markets if self.inverse_perp else ())]
        for market in markets:
            if market not in self.impact_bps:
                yield Problem(("impact_bps", market), "missing key; three numbers in bps were expected", missing=True)


class ChainVenue(VenueBase):
    """The owner's wallet on a chain, and what using the chain costs."""

    kind: Literal["chain"]
    gas_units: dict[GasOperation, Annotated[int, Field(ge=0)]]
    """Gas units by operation; all of `GAS_OPERATIONS`. `transfer` is an ERC-20, `transfer_eth` the native coin."""
    priority_fee_cap_gwei: NonNegative
    """Highest tip that is paid."""
    transfer_delay_seconds: NonNegative
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
    ledger_name: str
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
    unstake_delay_days: NonNegative
    """From the request to the claim through the protocol's queue."""


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


class FlashVenue(VenueBase):
    """A lender of flash loans."""

    kind: Literal["flash"]
    tokens: tuple[str, ...]
    """What it lends."""
    fee_bps: NonNegative


class CustomVenue(VenueBase):
    """A venue whose client is a class outside the package; an account domain of its own."""

    kind: Literal["custom"]
    adapter: str
    """`package.module:Class`, with the methods of `ports.VenueClient` and `from_config(config, clock)`."""
    transfer_delay_seconds: NonNegative
    """From and to other domains."""
    settings: SerializeAsAny[Model]
    """The `Config` of that class."""

    @field_validator("adapter")
    @classmethod
    def _can_be_used(cls, adapter: str) -> str:
        adapter_class(adapter)
        return adapter

    @field_validator("settings", mode="wrap")
    @classmethod
    def _of_the_adapter(cls, value: Any, _handler: Any, info: ValidationInfo) -> Any:
        adapter = info.data.get("adapter")
        if adapter is None:
            raise PydanticCustomError("unchecked", "cannot be checked while adapter is not valid")
        return adapter_class(adapter)[1].model_validate(value)


VenueConfig = ExchangeVenue | ChainVenue | LendingVenue | StakingVenue | DexVenue | FlashVenue | CustomVenue

VENUE_KINDS: Final[dict[str, type[VenueConfig]]] = {
    "exchange": ExchangeVenue,
    "chain": ChainVenue,
    "lending": LendingVenue,
    "staking": StakingVenue,
    "dex": DexVenue,
    "flash": FlashVenue,
    "custom": CustomVenue,
}
