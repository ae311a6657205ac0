"""Defines what a hedged strategy has to know of its venues, read off the configuration once."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import msgspec

from basis_actors.config import BasisConfig, MarketNeutralConfig, RunConfig
from basis_actors.finance.costs import impact_bps
from basis_actors.strategies.order_writer import exchange, margin_key, spot_cash_key, spot_market

__all__ = ["Allocation", "HedgeTerms", "LegTerms", "Weights", "hedge_terms"]


class LegTerms(msgspec.Struct, frozen=True):
    """One perpetual of one venue."""

    venue: str
    perp: str
    """Name in the market: `binance:BTC-PERP`."""
    position_key: str
    margin_key: str
    purse_key: str
    """Cash at the exchange that is no margin before it is moved: what was deposited stands there first."""
    lot: float
    minimum_notional: float
    """Smallest order, USDT."""
    fee: float
    """Taker fee, fraction of notional."""
    impact: tuple[float, float, float]
    """bps by size class."""
    largest: float
    """Notional up to which the venue's margin table takes a short with the margin that ours are opened with, USDT."""

    def cost(self, size_usd: float) -> float:
        """Fee and impact of a market order of this size, as a fraction of notional at the price before impact."""
        return _cost(self.fee, impact_bps(size_usd, self.impact))


class Weights(msgspec.Struct, frozen=True):
    """Shares of the short over the venues that may take new risk; they sum to 1, and are empty when none may."""

    by_venue: dict[str, float]
    by_perp: dict[str, float]
    left_out: tuple[str, ...]
    """Venues of the allocation that may not."""


class Allocation:
    """Shares of the short by venue, as they are configured; `perps` has the venues that have the perpetual."""

    def __init__(self, shares: Mapping[str, float], perps: Mapping[str, str]) -> None:
        self._shares = shares
        self._perps = perps
        self._known: dict[tuple[str, ...], Weights] = {}
        """By venues: there are few sets of them, and one is the same for many ticks."""

    def over(self, able: tuple[str, ...]) -> Weights:
        """The shares, renormalised over some of the venues."""
        known = self._known.get(able)
        if known is None:
            shares = {venue: self._shares[venue] for venue in able if self._shares[venue] > 0.0}
            total = sum(shares.values())
            by_venue = {venue: share / total for venue, share in shares.items()}
            by_perp = {self._perps[venue]: weight for venue, weight in by_venue.items()}
            left_out = tuple(venue for venue in self._shares if venue not in by_venue)
            known = self._known[able] = Weights(by_venue, by_perp, left_out)
        return known


class HedgeTerms(msgspec.Struct, frozen=True):
    """The spot market, the perps that hedge it, where their money is, and how much margin they are held with."""

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
    allocation: Allocation
    missed_limit: int
    """Due funding rates missing in a row at which a venue takes no new risk."""
    domains: dict[str, str]
    """Account domain by venue."""
    withdrawal_fees: dict[str, float]
    """USDT that taking money out costs, by domain."""
    margin_target: float
    """Margin ratio that a short is opened with."""
    margin_floor: float
    """Lower end of the band of margin ratios."""
    margin_ceiling: float
    """Upper end of it."""
    exit_funding: float
    """Mean funding below which the position is left; minus infinity where it is always held."""
    shared_margin: str | None
    """Spot exchange whose cash margins its short as well; None where spot and short are paid from two accounts."""
    routes: frozenset[tuple[str, str]] | None = None
    """From which account domain to which other USDT can be sent; None where it can from each to each."""

    def spot_cost(self, size_usd: float) -> float:
        """Fee and impact of a market order of this size, as a fraction of notional at the price before impact."""
        return _cost(self.spot_fee, impact_bps(size_usd, self.spot_impact))

    def domain_of(self, key: str) -> str:
        """Account domain of a position key."""
        return self.domains[key.split(":", 1)[0]]

    def may_move(self, source: str, target: str) -> bool:
        """Whether cash can be sent from one account to another, by their position keys."""
        begins, ends = self.domain_of(source), self.domain_of(target)
        return self.routes is None or begins == ends or (begins, ends) in self.routes


def hedge_terms(run: RunConfig, hedge: BasisConfig | MarketNeutralConfig) -> HedgeTerms:
    """Read the terms of spot on the venue of the strategy and of perps on those of its allocation.

    Raises BasisError STRAT-003 for a venue that is no exchange or has no spot market of the asset.
    """
    asset, spot_venue = hedge.asset, hedge.spot_venue
    legs: dict[str, LegTerms] = {}
    symbol = f"{asset}-PERP"
    for venue in hedge.hedge_allocation:
        config = exchange(run, venue)
        if config.perp is None or asset not in config.perp.markets:
            continue
        caps = [row.cap for row in config.perp.markets[asset].brackets if row.max_leverage * hedge.margin_target >= 1.0]
        legs[venue] = LegTerms(
            venue=venue,
            perp=f"{venue}:{symbol}",
            position_key=f"{venue}:PerpPosition:{symbol}",
            margin_key=margin_key(run, venue),
            purse_key=f"{venue}:Funding:USDT",
            lot=config.perp.markets[asset].lot,
            minimum_notional=config.minimum_notional,
            fee=config.perp.taker_fee,
            impact=config.impact_bps[symbol],
            largest=max(caps, default=0.0),
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
        allocation=Allocation(hedge.hedge_allocation, {venue: leg.perp for venue, leg in legs.items()}),
        missed_limit=run.mode.data.funding_missed_limit,
        domains={name: venue.domain for name, venue in run.venues.items()},
        withdrawal_fees={
            exchange(run, venue).domain: exchange(run, venue).withdrawal_fees["USDT"]
            for venue in dict.fromkeys((spot_venue, *legs))
        },
        margin_target=hedge.margin_target,
        margin_floor=hedge.margin_band_low * hedge.margin_target,
        margin_ceiling=hedge.margin_band_high * hedge.margin_target,
        shared_margin=spot_venue if spot_venue in legs and home.account != "split" else None,
        exit_funding=-inf if hedge.always_in else hedge.exit_threshold,
    )


def _cost(fee: float, impact: float) -> float:
    """What a buyer pays beyond the price before impact; `fee` is a fraction of what is paid, `impact` in bps."""
    return (1.0 + fee) * (1.0 + impact / 1e4) - 1.0
