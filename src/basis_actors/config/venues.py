"""Defines what an exchange charges, allows and requires, and which kinds of venues there are.

Fees, rates, margins and thresholds are fractions, impact is in basis points (bps) of notional, one way.
Every number is an assumption or a snapshot; `sources` says where it is from, `proxies` what it stands in for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from basis_actors.config.chain_venues import (
    GAS_OPERATIONS,
    ChainVenue,
    DexVenue,
    EModeConfig,
    FlashVenue,
    GasOperation,
    LendingVenue,
    LoanMarketConfig,
    PairLimits,
    ReserveConfig,
    StakingVenue,
    pair_limits,
)
from basis_actors.config.exchange_api import ApiConfig, address_problems
from basis_actors.config.model import (
    Count,
    Fraction,
    Model,
    NonNegative,
    Positive,
    Problem,
    Seconds,
    SecondsOrZero,
    SmallFraction,
    refuse,
)
from basis_actors.config.plugins import adapter_class
from basis_actors.config.venue_base import ImpactSteps, VenueBase

__all__ = [
    "GAS_OPERATIONS",
    "VENUE_KINDS",
    "AccountConfig",
    "Bracket",
    "ChainVenue",
    "CustomVenue",
    "DexVenue",
    "EModeConfig",
    "ExchangeVenue",
    "FlashVenue",
    "GasOperation",
    "ImpactSteps",
    "LendingVenue",
    "LoanMarketConfig",
    "PairLimits",
    "PerpConfig",
    "PerpMarket",
    "ReserveConfig",
    "SpotConfig",
    "SpotMarket",
    "StakingVenue",
    "VenueBase",
    "VenueConfig",
    "pair_limits",
]


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


class AccountConfig(Model):
    """How patient a live account is with its exchange; seconds unless said otherwise."""

    order_seconds: Seconds
    """An order that is open for longer is cancelled; what it has filled stays."""
    receive_window_seconds: Seconds
    """The exchange refuses a request that reaches it later than this."""
    absence_seconds: Seconds
    """Beyond the receive window: before that an order that is not found may still turn up."""
    absence_queries: Count
    """Answers in a row that know nothing of an order before it is taken for never arrived; a count."""
    steady_reads: Count
    """Reads that show the same difference before the exchange is believed; a count."""
    read_pause_seconds: Seconds
    """Between two reads."""
    overlap_seconds: Seconds
    """How far back trades and payments are read again, because an exchange may show them late."""
    lookback_seconds: Seconds
    """How far back they are read when a process begins."""
    recovery_seconds: Seconds
    """How long a start waits for an exchange that does not answer."""
    tolerance: SmallFraction
    """Relative difference between ledger and exchange that is rounding; a fraction."""
    max_unexplained: Fraction
    """Most that is booked at once of what nothing explains, as a fraction of what is booked at the account."""
    unexplained_seconds: Seconds
    """How long an exchange has to show the same before more than that is believed."""
    market_rules_seconds: Seconds
    """What the exchange requires of orders is read again when it is older than this."""
    late_transfer_seconds: Seconds
    """After that a transfer that has not arrived is an error, which is said again each time it passes."""


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
    transfer_delay_seconds: SecondsOrZero
    """From and to other domains; a transfer inside the venue arrives at once."""
    withdrawal_fees: dict[str, NonNegative]
    """By token, in tokens."""
    account_terms: AccountConfig
    """How a live account is read."""
    api: ApiConfig | None = None
    """How it is asked when it is traded live; a venue without that is traded on paper only."""
    urls: dict[str, str] = Field(default_factory=dict)
    """Addresses that replace the exchange's own, by the names in `exchange_api.ADDRESSES`."""

    @model_validator(mode="after")
    def _check(self) -> ExchangeVenue:
        refuse((*self._without_impact(), *address_problems(self.venue, self.urls)))
        return self

    def _without_impact(self) -> Iterator[Problem]:
        markets = [f"{base}/USDT" for base in (self.spot.markets if self.spot else ())]
        markets += [f"{base}-PERP" for base in (self.perp.markets if self.perp else ())]
        markets += [f"{base}USD-PERP" for base in (self.inverse_perp.markets if self.inverse_perp else ())]
        for market in markets:
            if market not in self.impact_bps:
                yield Problem(("impact_bps", market), "missing key; three numbers in bps were expected", missing=True)


class CustomVenue(VenueBase):
    """A venue whose client is a class outside the package; an account domain of its own."""

    kind: Literal["custom"]
    adapter: str
    """`package.module:Class`, with the methods of `ports.VenueClient` and `from_config(config, clock)`."""
    transfer_delay_seconds: SecondsOrZero
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
