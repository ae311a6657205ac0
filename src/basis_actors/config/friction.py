"""Defines runs without friction: the same configuration with the costs of acting set to zero."""

from __future__ import annotations

from typing import Any

from basis_actors.config.run import RunConfig
from basis_actors.config.venues import ChainVenue, DexVenue, ExchangeVenue, FlashVenue, LendingVenue, VenueConfig

__all__ = ["without_friction", "without_impact"]

_FREE = {"maker_fee": 0.0, "taker_fee": 0.0}
_NO_IMPACT = (0.0, 0.0, 0.0)


def without_friction(run: RunConfig) -> RunConfig:
    """`run` without trading, withdrawal, swap and flash-loan fees, gas, gas reserve and price impact.

    Prices, lots, margin, delays and limits stay, and so do liquidation fees: they are part of what a liquidation is,
    not of what trading costs.
    """
    config = run.mode.strategy_config
    if hasattr(config, "gas_reserve_eth"):
        config = config.model_copy(update={"gas_reserve_eth": 0.0})
    mode = run.mode.model_copy(update={"strategy_config": config})
    venues = {name: _free(venue) for name, venue in run.venues.items()}
    return RunConfig(mode=mode, venues=venues, share_class=run.share_class)


def _free(venue: VenueConfig) -> VenueConfig:
    update: dict[str, Any] = {}
    if isinstance(venue, ExchangeVenue):
        for book in ("spot", "perp", "inverse_perp"):
            section = getattr(venue, book)
            update[book] = section and section.model_copy(update=_FREE)
        update["withdrawal_fees"] = dict.fromkeys(venue.withdrawal_fees, 0.0)
    if isinstance(venue, DexVenue):
        update["fee_bps"] = dict.fromkeys(venue.fee_bps, 0.0)
    if isinstance(venue, ChainVenue):
        update["gas_units"] = dict.fromkeys(venue.gas_units, 0)
    if isinstance(venue, LendingVenue):
        update["flash_loan_fee_bps"] = 0.0
    if isinstance(venue, FlashVenue):
        update["fee_bps"] = 0.0
    return without_impact(venue).model_copy(update=update)


def without_impact(venue: VenueConfig) -> VenueConfig:
    """`venue` with fills at its reference price."""
    if isinstance(venue, ExchangeVenue | DexVenue):
        return venue.model_copy(update={"impact_bps": dict.fromkeys(venue.impact_bps, _NO_IMPACT)})
    return venue
