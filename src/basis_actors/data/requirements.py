"""Says which series a market spec needs, and loads exactly those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from basis_actors.data.dataset import Dataset
from basis_actors.data.loading import load_dataset
from basis_actors.errors import ConfigError
from basis_actors.messages.market import MarketSpec

if TYPE_CHECKING:
    from basis_actors.config.venues import VenueConfig

__all__ = ["REFERENCE_VENUES", "PerpSeries", "Requirements", "load_for", "requirements_of"]

REFERENCE_VENUES: Final = ("binance", "bybit")
"""Where the reference price of an asset comes from, in order of preference."""
_GAS: Final = "gas/ethereum_gas"


@dataclass(frozen=True, slots=True)
class PerpSeries:
    """The series of one perpetual."""

    perp: str
    """`binance:BTC-PERP`."""
    last: str
    mark: str
    """The venue's mark bars, or its last-price bars where the configuration says `mark: perp_close`."""
    funding: str
    mark_is_proxy: bool
    optional: bool
    """Whether the perpetual is left out, instead of refused, when a series of it is missing."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every series it needs, once each."""
        return tuple(dict.fromkeys((self.last, self.mark, self.funding)))


@dataclass(frozen=True, slots=True)
class Requirements:
    """The series behind a market spec."""

    prices: dict[str, tuple[str, ...]]
    """By asset; one of them is enough, the first is preferred."""
    spot: dict[str, str]
    perps: tuple[PerpSeries, ...]
    reserves: dict[str, str]
    staking: dict[str, tuple[str, str]]
    """Exchange rate and market rate by LST."""
    oracle: dict[str, str]
    gas: str | None

    @property
    def required(self) -> tuple[str, ...]:
        """Series without which there is no feed."""
        names = [*self.spot.values(), *self.reserves.values(), *self.oracle.values()]
        names += [name for pair in self.staking.values() for name in pair]
        names += [name for perp in self.perps if not perp.optional for name in perp.names]
        names += [] if self.gas is None else [self.gas]
        return tuple(dict.fromkeys(names))

    @property
    def optional(self) -> tuple[str, ...]:
        """Series that are used when they are there."""
        names = [name for candidates in self.prices.values() for name in candidates]
        names += [name for perp in self.perps if perp.optional for name in perp.names]
        return tuple(name for name in dict.fromkeys(names) if name not in self.required)


def requirements_of(spec: MarketSpec, venues: Mapping[str, VenueConfig]) -> Requirements:
    """The series that `spec` needs.

    Raises ConfigError CONFIG-004 when a perpetual names a venue or market that `venues` does not configure.
    """
    return Requirements(
        prices={
            asset: tuple(f"cex/{venue}/{asset}USDT_spot" for venue in REFERENCE_VENUES)
            for asset in spec.assets
            if asset != "USDT"
        },
        spot={market: f"cex/{venue}/{asset}USDT_spot" for market, venue, asset in map(_split, spec.spot)},
        perps=tuple(_perp(name, venues) for name in spec.perps),
        reserves={token: f"aave_v3/{token}_rates" for token in spec.reserves},
        staking={lst: (f"oracle/{lst}_ETH", f"staking/{lst}_market_rate") for lst in spec.staking},
        oracle={token: f"oracle/{token}_USD" for token in spec.oracle},
        gas=_GAS if spec.gas else None,
    )


def load_for(folder: str | Path, spec: MarketSpec, venues: Mapping[str, VenueConfig]) -> Dataset:
    """Load from `folder` the series that `spec` needs, no others. Raises DataError as `load_dataset` does."""
    needs = requirements_of(spec, venues)
    return load_dataset(folder, needs.required, optional=needs.optional)


def _split(market: str) -> tuple[str, str, str]:
    venue, _, symbol = market.partition(":")
    if not venue or not symbol:
        raise ConfigError("CONFIG-003", f"market {market!r} is not a name; expected venue:symbol such as binance:BTC")
    return market, venue, symbol


def _perp(name: str, venues: Mapping[str, VenueConfig]) -> PerpSeries:
    _, venue, symbol = _split(name)
    asset = symbol.removesuffix("-PERP")
    if asset == symbol:
        raise ConfigError("CONFIG-003", f"perpetual {name!r} is not a name; expected such as binance:BTC-PERP")
    config = venues.get(venue)
    if config is None or config.kind != "exchange" or config.perp is None:
        configured = ", ".join(sorted(venues)) or "none"
        raise ConfigError(
            "CONFIG-004",
            f"perpetual {name}: venue {venue!r} has no perpetuals in the configuration; configured: {configured}",
        )
    market = config.perp.markets.get(asset)
    if market is None:
        there = ", ".join(sorted(config.perp.markets)) or "none"
        raise ConfigError(
            "CONFIG-004",
            f"perpetual {name}: venue {venue} has no market {asset!r} under perp.markets; there is: {there}",
        )
    root = f"cex/{venue}/{asset}USDT"
    proxy = market.mark == "perp_close"
    return PerpSeries(
        perp=name,
        last=f"{root}_perp",
        mark=f"{root}_perp" if proxy else f"{root}_mark",
        funding=f"{root}_funding",
        mark_is_proxy=proxy,
        optional=market.optional,
    )
