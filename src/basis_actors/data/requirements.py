"""Says which series a market spec needs, and loads exactly those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from basis_actors.data.catalogue import kind_of
from basis_actors.data.dataset import Dataset
from basis_actors.data.loading import load_dataset
from basis_actors.errors import ConfigError
from basis_actors.messages.market import MarketSpec

if TYPE_CHECKING:
    from basis_actors.config.venues import PerpConfig, VenueConfig

__all__ = [
    "POOL_PRICED",
    "REFERENCE_VENUES",
    "REWARD_SERIES",
    "PerpSeries",
    "PoolSeries",
    "Requirements",
    "load_for",
    "requirements_of",
]

REFERENCE_VENUES: Final = ("binance", "bybit")
"""Where the reference price of an asset comes from, in order of preference."""
POOL_PRICED: Final = ("EIGEN", "ETHFI")
"""Assets without an exchange series: their price is that of their Uniswap pool against WETH x that of ETH."""
REWARD_SERIES: Final[dict[str, tuple[str, ...]]] = {
    "weETH": ("rewards/eigen_weekly", "rewards/ethfi_topups"),
    "wstETH": (),
}
"""Series of season rewards, by liquid staking token; wstETH earns none."""
_GAS: Final = "gas/ethereum_gas"
_LENDING: Final = "aave_v3"
"""Whose reserve a token without a venue is."""


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
    inverse: bool
    """Whether it is a coin-margined perpetual, for which the series of the linear one stand in."""
    optional: bool
    """Whether the perpetual is left out, instead of refused, when a series of it is missing."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every series it needs, once each."""
        return tuple(dict.fromkeys((self.last, self.mark, self.funding)))


@dataclass(frozen=True, slots=True)
class PoolSeries:
    """The series behind a price that comes from a pool against WETH."""

    asset: str
    pool: str
    """Pool bars, WETH per token."""
    eth: tuple[str, ...]
    """Where the reference price of ETH comes from, as in `Requirements.prices`."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """The series behind a market spec."""

    prices: dict[str, tuple[str, ...]]
    """By asset; one of them is enough, the first is preferred."""
    pool_prices: dict[str, PoolSeries]
    """By asset, those of `POOL_PRICED`; without the pool the asset has no price."""
    spot: dict[str, str]
    pool_spot: dict[str, PoolSeries]
    """By market, those whose configuration says `price: uniswap`."""
    perps: tuple[PerpSeries, ...]
    reserves: dict[str, str]
    staking: dict[str, tuple[str, str]]
    """Exchange rate and market rate by LST."""
    oracle: dict[str, str]
    gas: str | None
    rewards: dict[str, tuple[str, ...]]
    """By LST; one that is missing pays nothing."""

    @property
    def begins(self) -> tuple[str, ...]:
        """Series without which a mode can do nothing: before the last of them has begun it could only wait."""
        rates = [rate for rate, _ in self.staking.values()]
        return tuple(dict.fromkeys([*self.reserves.values(), *self.oracle.values(), *rates]))

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
        pools = (*self.pool_prices.values(), *self.pool_spot.values())
        names += [name for pool in pools for name in (pool.pool, *pool.eth)]
        names += [name for series in self.rewards.values() for name in series]
        return tuple(name for name in dict.fromkeys(names) if name not in self.required)


def requirements_of(spec: MarketSpec, venues: Mapping[str, VenueConfig]) -> Requirements:
    """The series that `spec` needs.

    Raises ConfigError CONFIG-004 when a perpetual names a venue or market that `venues` does not configure,
    CONFIG-003 for a name that is none.
    """
    spot: dict[str, str] = {}
    pool_spot: dict[str, PoolSeries] = {}
    for market, venue, asset in map(_split, spec.spot):
        if _from_pool(venues.get(venue), asset):
            pool_spot[market] = _pool(asset)
        else:
            spot[market] = f"cex/{venue}/{asset}USDT_spot"
    return Requirements(
        prices={asset: _reference(asset) for asset in spec.assets if asset not in ("USDT", *POOL_PRICED)},
        pool_prices={asset: _pool(asset) for asset in spec.assets if asset in POOL_PRICED},
        spot=spot,
        pool_spot=pool_spot,
        perps=tuple(_perp(name, venues) for name in spec.perps),
        reserves={name: _rates(name) for name in spec.reserves},
        staking={lst: (f"oracle/{lst}_ETH", f"staking/{lst}_market_rate") for lst in spec.staking},
        oracle={token: f"oracle/{token}_USD" for token in spec.oracle},
        gas=_GAS if spec.gas else None,
        rewards={lst: _rewards(lst) for lst in spec.rewards},
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


def _reference(asset: str) -> tuple[str, ...]:
    return tuple(f"cex/{venue}/{asset}USDT_spot" for venue in REFERENCE_VENUES)


def _pool(asset: str) -> PoolSeries:
    return PoolSeries(asset, f"dex/uniswap_v3/{asset}WETH_spot", _reference("ETH"))


def _from_pool(venue: VenueConfig | None, asset: str) -> bool:
    if venue is None or venue.kind != "exchange" or venue.spot is None or asset not in venue.spot.markets:
        return False
    return venue.spot.markets[asset].price == "uniswap"


def _rates(name: str) -> str:
    """Series of a reserve: `WETH` is one of Aave, `morpho:WETH` one of Morpho."""
    ledger, _, token = name.rpartition(":")
    series = f"{ledger or _LENDING}/{token}_rates"
    if kind_of(series) is None:
        raise ConfigError(
            "CONFIG-003", f"reserve {name!r} is not a name; expected a token such as WETH, or morpho:WETH for Morpho"
        )
    return series


def _rewards(lst: str) -> tuple[str, ...]:
    if lst not in REWARD_SERIES:
        known = ", ".join(REWARD_SERIES)
        raise ConfigError("CONFIG-003", f"rewards of {lst!r} are not known; expected one of {known}")
    return REWARD_SERIES[lst]


def _perp(name: str, venues: Mapping[str, VenueConfig]) -> PerpSeries:
    _, venue, symbol = _split(name)
    pair = symbol.removesuffix("-PERP")
    if pair == symbol:
        raise ConfigError("CONFIG-003", f"perpetual {name!r} is not a name; expected such as binance:BTC-PERP")
    asset = pair.removesuffix("USD")
    inverse = asset != pair
    book = "inverse_perp" if inverse else "perp"
    config = venues.get(venue)
    section: PerpConfig | None = None
    if config is not None and config.kind == "exchange":
        section = config.inverse_perp if inverse else config.perp
    if section is None:
        what = "coin-margined perpetuals" if inverse else "perpetuals"
        configured = ", ".join(sorted(venues)) or "none"
        raise ConfigError(
            "CONFIG-004",
            f"perpetual {name}: venue {venue!r} has no {what} in the configuration; configured: {configured}",
        )
    market = section.markets.get(asset)
    if market is None:
        there = ", ".join(sorted(section.markets)) or "none"
        raise ConfigError(
            "CONFIG-004",
            f"perpetual {name}: venue {venue} has no market {asset!r} under {book}.markets; there is: {there}",
        )
    root = f"cex/{venue}/{asset}USDT"
    proxy = market.mark == "perp_close"
    return PerpSeries(
        perp=name,
        last=f"{root}_perp",
        mark=f"{root}_perp" if proxy else f"{root}_mark",
        funding=f"{root}_funding",
        mark_is_proxy=proxy,
        inverse=inverse,
        optional=market.optional,
    )
