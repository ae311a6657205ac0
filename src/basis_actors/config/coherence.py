"""Defines what the parts of a configuration must say together: strategy, limits, venues and share class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from basis_actors.config.model import Problem
from basis_actors.config.models import ModeConfig, RiskLimits, ShareClassConfig
from basis_actors.config.spelling import hint
from basis_actors.config.strategies import (
    BasisConfig,
    DirectionalConfig,
    HedgeConfig,
    LendingConfig,
    LeveragedConfig,
    LoopConfig,
    LstConfig,
    MarketNeutralConfig,
    StrategyConfig,
)
from basis_actors.config.venues import (
    ChainVenue,
    CustomVenue,
    ExchangeVenue,
    FlashVenue,
    LendingVenue,
    StakingVenue,
    VenueConfig,
    pair_limits,
)

__all__ = ["mode_problems", "run_problems"]

_HERE: Final = "strategy_config"
_KINDS: Final = {
    "spot_venue": "exchange",
    "venue": "exchange",
    "staking_venue": "staking",
    "dex_venue": "dex",
    "lending_venue": "lending",
}
"""Kind of venue that each field of a strategy names."""
_LOOP_KINDS: Final = ("lending", "flash")
"""Pools lend by flash loan as well, and a lender of flash loans may have markets."""


def mode_problems(mode: ModeConfig) -> Iterator[Problem]:
    """What one mode says against itself: venues that it does not list, margin bands that cannot work, limits."""
    for path, venue in _named_venues(mode):
        if venue not in mode.venues:
            listed = f"{', '.join(mode.venues)}{hint(venue, mode.venues)}"
            yield Problem(path, f"names venue {venue!r}, which the mode does not list; venues: {listed}")
    config, limits = mode.strategy_config, mode.risk_limits
    if isinstance(config, BasisConfig | MarketNeutralConfig):
        yield from _margin_problems(config, limits)
    loop = _loop_of(mode)
    if loop is not None:
        for name in ("health_factor_reduce", "health_factor_emergency"):
            if getattr(limits, name) is None:
                yield _missing_limit(name, "a health factor above 1", "a leveraged strategy")
    if isinstance(config, LstConfig) and limits.max_peg_deviation is None:
        yield _missing_limit("max_peg_deviation", "a fraction", "a strategy that holds a staking token")
    if isinstance(config, MarketNeutralConfig) and limits.max_venue_share is None:
        yield _missing_limit("max_venue_share", "a fraction of equity", "a strategy that uses many venues")
    if isinstance(config, DirectionalConfig):
        yield from _directional_problems(config, mode)


def _directional_problems(config: DirectionalConfig, mode: ModeConfig) -> Iterator[Problem]:
    limits = mode.risk_limits
    if limits.max_asset_exposure is None:
        yield _missing_limit("max_asset_exposure", "a multiple of equity", "a strategy that takes a direction")
    opened = 1.0 / config.max_position_size
    if opened <= limits.margin_ratio_reduce:
        text = (
            f"is {config.max_position_size:g}: a position would be opened at a margin ratio of {opened:.4g}, but risk"
            f" already reduces at risk_limits.margin_ratio_reduce {limits.margin_ratio_reduce:g}; less was expected"
        )
        yield Problem((_HERE, "max_position_size"), text)
    horizon = config.signal.horizon_hours * 3600
    if horizon % mode.tick_interval_seconds:
        text = f"is {horizon} s; a multiple of tick_interval_seconds {mode.tick_interval_seconds} was expected"
        yield Problem((_HERE, "signal", "horizon_hours"), text)


def _missing_limit(name: str, expected: str, who: str) -> Problem:
    return Problem(("risk_limits", name), f"missing key; {who} needs it: {expected} was expected", missing=True)


def _loop_of(mode: ModeConfig) -> LoopConfig | None:
    config = mode.strategy_config
    return config.loop if isinstance(config, LeveragedConfig | MarketNeutralConfig) else None


def _named_venues(mode: ModeConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Venues that a strategy of the package names; what the keys of any other mean is its own business."""
    config = mode.strategy_config
    if not isinstance(config, StrategyConfig):
        return
    for name in (*_KINDS, "reward_venue"):
        venue = getattr(config, name, None)
        if venue is not None:
            yield (_HERE, name), venue
    loop = _loop_of(mode)
    if loop is not None:
        yield (_HERE, "loop", "lending_venue"), loop.lending_venue
        yield (_HERE, "loop", "flash_venue"), loop.flash_venue
    if isinstance(config, HedgeConfig):
        for venue in config.hedge_allocation:
            yield (_HERE, "hedge_allocation", venue), venue


def _margin_problems(config: BasisConfig | MarketNeutralConfig, limits: RiskLimits) -> Iterator[Problem]:
    if not config.margin_rebalance:
        return
    lowest = config.margin_band_low * config.margin_target
    if lowest <= limits.margin_ratio_reduce:
        knob = "leverage" if isinstance(config, BasisConfig) else "stake_allocation_percentage"
        text = (
            f"is {getattr(config, knob):g}: margin would be topped up at margin_band_low x target ="
            f" {config.margin_band_low:g} x {config.margin_target:.4g} = {lowest:.4g}, but risk already reduces at"
            f" risk_limits.margin_ratio_reduce {limits.margin_ratio_reduce:g}; a lower {knob} was expected"
        )
        yield Problem((_HERE, knob), text)


def run_problems(
    mode: ModeConfig, venues: Mapping[str, VenueConfig], share_class: ShareClassConfig
) -> Iterator[Problem]:
    """What a mode asks of its venues and share class and does not get. Paths are those of the mode."""
    currency = _currency_of(mode)
    if currency is not None and share_class.currency != currency:
        text = f"is {mode.share_class!r}, counted in {share_class.currency}; this strategy counts in {currency}"
        yield Problem(("share_class",), text)
    for path, venue in _named_venues(mode):
        kinds = _kinds_of(path)
        if kinds and venues[venue].kind not in kinds:
            wanted = " or ".join(kinds)
            yield Problem(path, f"is {venue!r}, a venue of kind {venues[venue].kind}; kind {wanted} was expected")
    for name, configured in venues.items():
        if configured.venue != name:
            text = f"is {configured.venue!r}; a venue keeps its name {name!r}: leave this out"
            yield Problem(("venue_configs", name, "venue"), text)
    yield from _domain_problems(venues)
    yield from _token_problems(mode, venues)
    yield from _market_problems(mode, venues)
    loop = _loop_of(mode)
    if loop is not None:
        yield from _pool_problems(mode, loop, venues[loop.lending_venue])
        yield from _flash_problems(venues[loop.flash_venue])


def _domain_problems(venues: Mapping[str, VenueConfig]) -> Iterator[Problem]:
    """An account is one domain: an exchange's is its name, a chain's is that of its wallet, and nobody shares it."""
    wallet = next((venue for venue in venues.values() if isinstance(venue, ChainVenue)), None)
    owners: dict[str, str] = {} if wallet is None else {wallet.domain: "the wallet and what is on its chain"}
    for name, venue in sorted(venues.items(), key=lambda item: isinstance(item[1], CustomVenue)):
        path = ("venue_configs", name, "domain")
        if isinstance(venue, ExchangeVenue) and venue.domain != name:
            text = f"is {venue.domain!r}; the account domain of an exchange is its name: {name!r} was expected"
            yield Problem(path, text)
        elif isinstance(venue, ExchangeVenue | CustomVenue):
            if venue.domain in owners:
                text = f"is {venue.domain!r}, the account domain of {owners[venue.domain]}; one of its own was expected"
                yield Problem(path, text)
            owners.setdefault(venue.domain, name)
        elif wallet is not None and venue.domain != wallet.domain:
            text = (
                f"is {venue.domain!r}, but {wallet.venue}, which holds the tokens, is on {wallet.domain!r}:"
                f" {wallet.domain!r} was expected here, or {venue.domain!r} there"
            )
            yield Problem(path, text)


def _token_problems(mode: ModeConfig, venues: Mapping[str, VenueConfig]) -> Iterator[Problem]:
    config = mode.strategy_config
    if not isinstance(config, LstConfig):
        return
    issuer = venues[config.staking_venue]
    if isinstance(issuer, StakingVenue) and issuer.lst != config.lst_type:
        text = f"is {issuer.lst!r}, but strategy_config.lst_type is {config.lst_type!r}: the same was expected"
        yield Problem(("venue_configs", issuer.venue, "lst"), text)


def _kinds_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """Kinds of venue that the field at `path` may name; empty where any will do."""
    if "hedge_allocation" in path:
        return ("exchange",)
    if "loop" in path:
        return _LOOP_KINDS
    return (_KINDS[path[-1]],) if path[-1] in _KINDS else ()


def _currency_of(mode: ModeConfig) -> str | None:
    """What a strategy of the package counts in; any other counts in whatever its mode says."""
    config = mode.strategy_config
    if not isinstance(config, StrategyConfig):
        return None
    if isinstance(config, LendingConfig):
        return config.asset
    if isinstance(config, DirectionalConfig):
        return "USDT" if config.contract == "linear" else config.asset
    return "USDT" if isinstance(config, HedgeConfig) else "ETH"


def _market_problems(mode: ModeConfig, venues: Mapping[str, VenueConfig]) -> Iterator[Problem]:
    config = mode.strategy_config
    if isinstance(config, LendingConfig):
        pool, reserve = venues[config.lending_venue], "WETH" if config.asset == "ETH" else config.asset
        if isinstance(pool, LendingVenue) and reserve not in pool.reserves:
            yield Problem((_HERE, "asset"), f"is {config.asset!r}; {pool.venue} has no reserve {reserve}")
    if isinstance(config, BasisConfig | MarketNeutralConfig):
        spot = venues[config.spot_venue]
        if isinstance(spot, ExchangeVenue) and (spot.spot is None or config.asset not in spot.spot.markets):
            yield Problem((_HERE, "spot_venue"), f"is {spot.venue!r}, which has no spot market {config.asset}/USDT")
        for name in config.hedge_allocation:
            hedge = venues[name]
            if isinstance(hedge, ExchangeVenue) and (hedge.perp is None or config.asset not in hedge.perp.markets):
                path = (_HERE, "hedge_allocation", name)
                yield Problem(path, f"names {name!r}, which has no market {config.asset}-PERP")
    if isinstance(config, DirectionalConfig):
        venue = venues[config.venue]
        book = "perp" if config.contract == "linear" else "inverse_perp"
        markets = getattr(venue, book, None)
        if isinstance(venue, ExchangeVenue) and (markets is None or config.asset not in markets.markets):
            yield Problem((_HERE, "venue"), f"is {venue.venue!r}, which has no {book} market {config.asset}")


def _pool_problems(mode: ModeConfig, loop: LoopConfig, pool: VenueConfig) -> Iterator[Problem]:
    config = mode.strategy_config
    if pool.kind not in _LOOP_KINDS or not isinstance(config, LstConfig):
        return
    limits = pair_limits(pool, config.lst_type, "WETH")
    what = "e-mode" if isinstance(pool, LendingVenue) else "market"
    if limits is None:
        text = f"is {pool.venue!r}, which has no {what} with collateral {config.lst_type} and debt WETH"
        yield Problem((_HERE, "loop", "lending_venue"), text)
        return
    if loop.max_ltv > limits.ltv:
        text = f"is {loop.max_ltv:g}; at most {limits.ltv:g}, the {what} LTV of {pool.venue}, was expected"
        yield Problem((_HERE, "loop", "max_ltv"), text)
    reduce = mode.risk_limits.health_factor_reduce
    at_band = limits.liquidation_threshold / (loop.target_ltv + loop.ltv_band)
    if reduce is not None and at_band <= reduce:
        text = (
            f"is {reduce:g}; the health factor at target_ltv + ltv_band is {limits.liquidation_threshold:g} /"
            f" {loop.target_ltv + loop.ltv_band:g} = {at_band:.4g}, and a limit below that was expected"
        )
        yield Problem(("risk_limits", "health_factor_reduce"), text)


def _flash_problems(lender: VenueConfig) -> Iterator[Problem]:
    if not isinstance(lender, FlashVenue | LendingVenue):
        return
    lent = lender.tokens if isinstance(lender, FlashVenue) else tuple(lender.reserves)
    if "WETH" not in lent:
        text = f"is {lender.venue!r}, which lends {', '.join(lent) or 'nothing'}; a lender of WETH was expected"
        yield Problem((_HERE, "loop", "flash_venue"), text)
