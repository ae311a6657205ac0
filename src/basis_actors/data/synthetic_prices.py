"""Generates spot prices: random walks whose variance clusters, with weekly and daily rhythm and fat tails.

Log variance is a sum of slow, daily and fast components and independent flicker. The daily skeleton fixes each day's
return and variance; hours and finer steps share them out, so prices at full hours agree whatever the step. Volumes
follow volatility.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from basis_actors.config.synthetic import Coin, Component, PricedAsset, PriceModel
from basis_actors.data.synthetic_paths import Array, Paths

__all__ = ["Rhythm", "SpotPath", "Walks"]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How the variance of one coin is spread over time."""

    day: Array
    """Variance of each day over the average, from the origin to the end of the window."""
    hour: Array
    """Share of each hour in its day's variance, shape (days of the window, 24)."""
    step: Array
    """Share of each step in its hour's variance, shape (hours of the window, steps per hour)."""


@dataclass(frozen=True, slots=True)
class SpotPath:
    """A path of log prices with the variance of the log return of every step from one moment to the next."""

    log_price: Array
    variance: Array


@dataclass(frozen=True, slots=True)
class Walks:
    """Random walks of one window. `epoch` is the day, counted from the origin, at which prices stand at their level."""

    model: PriceModel
    paths: Paths
    weekday: int
    """Weekday of the origin, Monday 0."""
    epoch: int
    demand: Array
    """Demand at every midnight from the origin."""

    def coins(self) -> tuple[dict[Coin, SpotPath], dict[Coin, Rhythm]]:
        """Spot paths of all coins, correlated, and their rhythms."""
        shared: tuple[Array, ...] | None = None
        spots, rhythms = {}, {}
        for name, asset in self.model.assets.items():
            rhythms[name] = self.rhythm(name)
            own = self._normals(name)
            if shared is None:
                shared = own
            else:
                load = self.model.correlation
                rest = math.sqrt(1.0 - load * load)
                own = tuple(load * common + rest * part for common, part in zip(shared, own, strict=True))
            spots[name] = self._walk(asset, rhythms[name], own, asset.asymmetry)
        return spots, rhythms

    def token(self, name: str, asset: PricedAsset, rhythm: Rhythm) -> SpotPath:
        """An independent walk with the rhythm of a coin."""
        return self._walk(asset, rhythm, self._normals(name), 0.0)

    def rhythm(self, name: Coin) -> Rhythm:
        """How the variance of the coin `name` is spread over time."""
        variance, asset = self.model.variance, self.model.assets[name]
        since = self.paths.since_origin(24)
        slow = math.sqrt(1.0 - variance.demand**2) * self._midnights("slow", name, variance.slow.days, since)
        slow += variance.demand * self.demand
        daily = self._midnights("daily", name, variance.daily.days, since)
        week = np.array(self.model.weekday) / np.mean(self.model.weekday)
        spread = variance.slow.sd**2 + variance.daily.sd**2
        log_day = variance.slow.sd * slow + variance.daily.sd * daily - spread / 2.0
        day = week[(self.weekday + np.arange(log_day.size)) % 7] * np.exp(log_day)

        hours = self.paths.hourly
        fast = self._shared("fast", name, lambda path: hours.wander(path, variance.fast.days))
        flicker = self._shared("flicker", name, hours.white)
        weight = np.exp(variance.fast.sd * fast + asset.flicker * flicker).reshape(-1, 24)
        weight *= np.array(self.model.hour)
        weight /= weight.sum(axis=1, keepdims=True)
        return Rhythm(day, weight, self._step_shares(name))

    def volume(self, name: str, typical: float, spot: SpotPath, annual: float) -> Array:
        """Volume of every step in base units; `typical` is the median of an hour, `annual` the yearly volatility."""
        steps = self.paths.per_day // 24
        average = annual * annual / 365.0 / self.paths.per_day
        relative = np.log(spot.variance / average) / 2.0
        lasting, flicker = self.model.volume_noise.lasting, self.model.volume_noise.flicker
        noise = lasting.sd * self.paths.wander(f"volume/{name}", lasting.days)
        noise += flicker * self.paths.white(f"volume/{name}")
        return np.round(typical / steps * np.exp(self.model.volume_power * relative + noise), 6)

    def difference(self, name: str, component: Component) -> Array:
        """A stationary difference of log prices from its size in bp."""
        return component.sd * 1e-4 * self.paths.wander(name, component.days)

    def _walk(self, asset: PricedAsset, rhythm: Rhythm, normals: tuple[Array, ...], asymmetry: float) -> SpotPath:
        by_day, by_hour, by_step = normals
        paths = self.paths
        variance = asset.volatility**2 / 365.0 * rhythm.day
        returns = asset.drift / 365.0 + np.sqrt(variance) * by_day
        level = np.concatenate(([0.0], np.cumsum(returns)))
        midnight = math.log(asset.level) + level[:-1] - level[self.epoch]
        split, spread = _share_out(returns[paths.first :], variance[paths.first :], rhythm.hour, by_hour)
        split += asymmetry * self._surprise(variance[paths.first :], rhythm.hour)
        if paths.per_day > 24:
            split, spread = _share_out(split, spread, rhythm.step, by_step)
        inside = np.cumsum(split.reshape(paths.days, paths.per_day), axis=1)
        path = np.empty_like(inside)
        path[:, 0] = midnight[paths.first :]
        path[:, 1:] = midnight[paths.first :, None] + inside[:, :-1]
        return SpotPath(path.ravel(), spread)

    def _surprise(self, variance: Array, shares: Array) -> Array:
        """By how much each hour's variance falls short of what the hour of day lets expect, as a return.

        In units of the usual hour's variance times its sd; adds up to nothing over a day. A multiple of it makes
        violent hours fall more often than they rise.
        """
        usual = np.array(self.model.hour) / np.sum(self.model.hour)
        surprise: Array = np.sqrt(24.0 * variance)[:, None] * (usual - shares)
        return surprise.ravel()

    def _normals(self, name: str) -> tuple[Array, ...]:
        since, paths = self.paths.since_origin(24), self.paths
        by_day = paths.draws.normal(f"price/{name}/days", 0, since.days, 1).ravel()
        by_hour = paths.hourly.white(f"price/{name}/hours")
        by_step = paths.white(f"price/{name}/steps") if paths.per_day > 24 else by_hour
        return by_day, by_hour, by_step

    def _step_shares(self, name: str) -> Array:
        steps = self.paths.per_day // 24
        if steps == 1:
            return np.ones((self.paths.days * 24, 1))
        flicker = self._shared("minute", name, self.paths.white)
        weight = np.exp(self.model.variance.minute_flicker * flicker).reshape(-1, steps)
        shares: Array = weight / weight.sum(axis=1, keepdims=True)
        return shares

    def _midnights(self, part: str, name: str, days: float, since: Paths) -> Array:
        return self._shared(part, name, lambda path: since.midnights(path, days)[:-1])

    def _shared(self, part: str, name: str, make: Callable[[str], Array]) -> Array:
        load = self.model.variance.shared
        return load * make(f"variance/{part}") + math.sqrt(1.0 - load * load) * make(f"variance/{part}/{name}")


def _share_out(total: Array, variance: Array, shares: Array, normals: Array) -> tuple[Array, Array]:
    """Split returns over steps so that they add up: independent shocks, conditioned on their sum."""
    spread = variance[:, None] * shares
    shocks = np.sqrt(spread) * normals.reshape(shares.shape)
    missing = total - shocks.sum(axis=1)
    return (shocks + shares * missing[:, None]).ravel(), spread.ravel()
