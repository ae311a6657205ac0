"""Defines what a hedged strategy has to know of its venues, read off the configuration once."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from basis_actors.config import RunConfig
from basis_actors.finance.costs import impact_bps
from basis_actors.strategies.order_writer import exchange, margin_key, spot_cash_key, spot_market

__all__ = ["HedgeTerms", "LegTerms", "hedge_terms"]


class LegTerms(msgspec.Struct, frozen=True):
    """One perpetual of one venue."""

    venue: str
    perp: str
    """Name in the market: `binance:BTC-PERP`."""
    position_key: str
    margin_key: str
    lot: float
    minimum_notional: float
    """Smallest order, USDT."""
    fee: float
    """Taker fee, fraction of notional."""
    impact: tuple[float, float, float]
    """bps by size class."""

    def cost(self, size_usd: float) -> float:
        """Fee and impact of a market order of this size, as a fraction of notional at the price before impact."""
        return _cost(self.fee, impact_bps(size_usd, self.impact))


class HedgeTerms(msgspec.Struct, frozen=True):
    """The spot market, the perps that hedge it, and where their money is."""

    asset: str
    spot_venue: str
    spot_market: str
    """Name in the market: `binance:BTC`."""
    spot_key: str
    spot_cash_key: str
    transit_key: str
    """Key of the asset while it is on its way between venues."""
    spot_lot: float
    minimum_notional: float
    """Smallest spot order, USDT."""
    spot_fee: float
    spot_impact: tuple[float, float, float]
    legs: dict[str, LegTerms]
    """By venue, in the order of the allocation; venues without this perpetual are not in it."""
    domains: dict[str, str]
    """Account domain by venue."""
    withdrawal_fees: dict[str, float]
    """USDT that taking money out costs, by domain."""

    def spot_cost(self, size_usd: float) -> float:
        """Fee and impact of a market order of this size, as a fraction of notional at the price before impact."""
        return _cost(self.spot_fee, impact_bps(size_usd, self.spot_impact))

    def domain_of(self, key: str) -> str:
        """Account domain of a position key."""
        return self.domains[key.split(":", 1)[0]]


def hedge_terms(run: RunConfig, asset: str, spot_venue: str, venues: Iterable[str]) -> HedgeTerms:
    """Read the terms of spot on `spot_venue` and of perps on `venues`.

    Raises BasisError STRAT-003 for a venue that is no exchange or has no spot market of the asset.
    """
    legs: dict[str, LegTerms] = {}
    symbol = f"{asset}-PERP"
    for venue in venues:
        config = exchange(run, venue)
        if config.perp is None or asset not in config.perp.markets:
            continue
        legs[venue] = LegTerms(
            venue=venue,
            perp=f"{venue}:{symbol}",
            position_key=f"{venue}:PerpPosition:{symbol}",
            margin_key=margin_key(run, venue),
            lot=config.perp.markets[asset].lot,
            minimum_notional=config.minimum_notional,
            fee=config.perp.taker_fee,
            impact=config.impact_bps[symbol],
        )
    home = exchange(run, spot_venue)
    market = spot_market(run, spot_venue, asset)
    return HedgeTerms(
        asset=asset,
        spot_venue=spot_venue,
        spot_market=f"{spot_venue}:{asset}",
        spot_key=f"{spot_venue}:BaseToken:{asset}",
        spot_cash_key=spot_cash_key(spot_venue),
        transit_key=f"transit:BaseToken:{asset}",
        spot_lot=market.lot,
        minimum_notional=home.minimum_notional,
        spot_fee=0.0 if home.spot is None else home.spot.taker_fee,
        spot_impact=home.impact_bps[f"{asset}/USDT"],
        legs=legs,
        domains={name: venue.domain for name, venue in run.venues.items()},
        withdrawal_fees={
            exchange(run, venue).domain: exchange(run, venue).withdrawal_fees["USDT"]
            for venue in dict.fromkeys((spot_venue, *legs))
        },
    )


def _cost(fee: float, impact: float) -> float:
    """What a buyer pays beyond the price before impact; `fee` is a fraction of what is paid, `impact` in bps."""
    return (1.0 + fee) * (1.0 + impact / 1e4) - 1.0
