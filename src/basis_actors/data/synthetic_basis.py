"""Generates perpetual prices over spot and the funding that follows from them.

The basis is a slow part, a quantile table read at a factor that markets share, and a fast part of about an hour.
Binance and Bybit settle premium + clamp(interest - premium, -band, band), the rule that both publish, with the premium
near the mean of the slow part over the eight hours before; settled OKX rates have their own table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from basis_actors.config.synthetic import BasisModel, Coin, FundingModel, PremiumNoise
from basis_actors.data.synthetic_paths import Array, Paths, blend, quantile_map

__all__ = ["BasisPaths", "Venue"]

Venue = Literal["binance", "bybit", "okx"]

_STAMPS = 3
"""Funding stamps a day."""


@dataclass(frozen=True, slots=True)
class BasisPaths:
    """Basis, mark difference and funding of one window; `demand` is given at every moment."""

    model: BasisModel
    funding: FundingModel
    paths: Paths
    demand: Array

    def slow(self, venue: Venue, asset: Coin) -> Array:
        """The part of the basis that lasts for days, bp."""
        model, paths = self.model, self.paths
        market = paths.wander(f"basis/slow/{venue}/{asset}", model.own_days)
        if venue == "okx":
            own = paths.wander("basis/slow/okx", model.okx_own_days)
            load = model.okx_demand
            rest = math.sqrt(1.0 - load * load - model.shares.asset)
            score = load * self.demand + rest * own + math.sqrt(model.shares.asset) * market
            return quantile_map(score, model.okx_slow)
        own = paths.wander(f"basis/slow/{venue}", model.own_days)
        common = 1.0 - model.shares.venue - model.shares.asset
        score = blend([(common, self.demand), (model.shares.venue, own), (model.shares.asset, market)])
        return quantile_map(score, model.slow)

    def basis(self, venue: Venue, asset: Coin, slow: Array) -> Array:
        """log(perp / spot) at every moment, bp, over the venue's own spot (Binance's for OKX), given its slow part."""
        if venue == "okx":
            return slow + self.model.okx_fast_sd * self._fast(venue, asset)
        levels, sizes = zip(*self.model.fast_sd, strict=True)
        size: Array = np.interp(slow, levels, sizes)
        return slow + size * self._fast(venue, asset)

    def last_over_mark(self, venue: Venue, asset: Coin) -> Array:
        """log(last / mark) of the perpetual at every moment, bp."""
        mark = self.model.mark
        return mark.mean + mark.sd[asset] * self.paths.wander(f"mark/{venue}/{asset}", mark.days)

    def rates(self, venue: Venue, asset: Coin, slow: Array) -> Array:
        """Funding at 00, 08 and 16 h of every day but the first, as fractions; `slow` is the slow part of the basis."""
        if venue == "okx":
            return np.round(1e-4 * quantile_map(self._okx_score(asset), self.funding.okx.rates), 12)
        hourly = slow[:: self.paths.per_day // 24]
        windows = np.lib.stride_tricks.sliding_window_view(hourly, 8).mean(axis=1)
        # The window that ends at moment T starts seven hours before it.
        mean = windows[24 - 7 :: 8]
        return np.round(1e-4 * self._clamped(mean, self.funding.venues[venue], f"{venue}/{asset}"), 8)

    def _clamped(self, mean: Array, noise: PremiumNoise, name: str) -> Array:
        draws = self.paths.draws.normal(f"funding/{name}", self.paths.first, self.paths.days, _STAMPS)[1:].ravel()
        premium = mean + np.where(mean < 0.0, noise.low, noise.high) * draws
        band = self.funding.band
        return premium + np.clip(self.funding.interest - premium, -band, band)

    def _okx_score(self, asset: Coin) -> Array:
        okx, paths = self.funding.okx, self.paths.hourly
        own = paths.wander("funding/okx", okx.own_days)[24::8]
        market = paths.wander(f"funding/okx/{asset}/slow", okx.own_days)[24::8]
        noise = paths.draws.normal(f"funding/okx/{asset}", paths.first, paths.days, _STAMPS)[1:].ravel()
        demand = self.demand[:: self.paths.per_day // 24][24::8]
        rest = 1.0 - okx.demand - okx.own - okx.asset
        return blend([(okx.demand, demand), (okx.own, own), (okx.asset, market), (rest, noise)])

    def _fast(self, venue: Venue, asset: Coin) -> Array:
        shares, days = self.model.fast_shares, self.model.fast_days
        rest = 1.0 - shares.common - shares.venue - shares.asset
        parts = {"": shares.common, f"/{venue}": shares.venue, f"//{asset}": shares.asset, f"/{venue}/{asset}": rest}
        return blend([(share, self.paths.wander(f"basis/fast{name}", days)) for name, share in parts.items()])
