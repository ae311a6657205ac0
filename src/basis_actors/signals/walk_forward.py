"""Defines signals of a model that is trained inside the run, again and again, on nothing but what was seen so far."""

from __future__ import annotations

from math import log, nan
from typing import Final

import numpy as np

from basis_actors.config import WalkForwardSignals
from basis_actors.messages.market import MarketState
from basis_actors.messages.signals import Signal
from basis_actors.signals.features import features_at, horizon_sd, labels_of, lookback, newest_features
from basis_actors.signals.history import MarketHistory
from basis_actors.signals.source import SignalSource
from basis_actors.signals.training import DirectionModel, fit
from basis_actors.times import NS_PER_SECOND

__all__ = ["WalkForwardSource"]

_DAY_NS: Final = 86_400 * NS_PER_SECOND


class WalkForwardSource(SignalSource):
    """A logistic regression on the past of one perpetual; silent until `warm_up_days` have been seen."""

    def __init__(self, config: WalkForwardSignals, *, perp: str, asset: str, step_ns: int, horizon_ns: int) -> None:
        """`perp` and `asset` are names of the market; the horizon is a whole number of steps."""
        self._config = config
        self._perp = perp
        self._asset = asset
        self._step_ns = step_ns
        self._horizon = horizon_ns // step_ns
        self._window = config.training_days * _DAY_NS // step_ns
        self._sd_window = max(2, config.sd_days * _DAY_NS // step_ns)
        self._history = MarketHistory(self._window + self._horizon + lookback(self._horizon) + 1, step_ns)
        self._funding = nan
        self._first_ns: int | None = None
        self._trained_ns: int | None = None
        self._model: DirectionModel | None = None

    def at(self, market: MarketState) -> Signal | None:
        """Take note of the tick, train when it is time to, and say what the model makes of it."""
        self._remember(market)
        if self._first_ns is None:
            self._first_ns = market.ns
        seen = (market.ns - self._first_ns) / _DAY_NS
        if seen < self._config.warm_up_days:
            self.silence = f"warming up: {seen:.1f} of {self._config.warm_up_days} days seen"
            return None
        since = None if self._trained_ns is None else market.ns - self._trained_ns
        if since is None or since >= self._config.retrain_days * _DAY_NS:
            self._model = self._train(market.ns)
            self._trained_ns = market.ns
        return self._forecast(market.ns)

    def _remember(self, market: MarketState) -> None:
        for stamp in market.funding:
            if stamp.perp == self._perp and stamp.rate is not None:
                self._funding = stamp.rate
        quote, reference = market.perps.get(self._perp), market.prices.get(self._asset)
        if quote is None or quote.last is None or not quote.last_fresh or reference is None:
            self._history.add(market.ns, nan, self._funding, nan)
            return
        self._history.add(market.ns, log(quote.last), self._funding, quote.last / reference - 1.0)

    def _train(self, now_ns: int) -> DirectionModel | None:
        """A model of the training window that ends now."""
        rows, horizon = self._history.rows, self._horizon
        begin = max(lookback(horizon), len(rows) - horizon - self._window)
        features = features_at(rows, begin, horizon)
        labels = labels_of(rows, horizon)[begin:]
        places = np.arange(begin, len(rows))
        known_ns = now_ns - (len(rows) - 1 - places - horizon) * self._step_ns
        usable = ~np.isnan(labels) & ~np.isnan(features).any(axis=1)
        return fit(
            features[usable],
            labels[usable],
            known_ns[usable],
            now_ns,
            overlap=horizon,
            penalty=self._config.penalty,
            seed=self._config.seed,
        )

    def _forecast(self, ns: int) -> Signal | None:
        if self._model is None:
            self.silence = "the model could not be trained: the window holds no two different directions"
            return None
        rows = self._history.rows
        features = newest_features(rows, self._horizon)
        sd = horizon_sd(rows, self._horizon, self._sd_window)
        if np.isnan(features).any() or sd is None:
            self.silence = "prices, funding or volatility of the last days are not all known"
            return None
        said = self._model.forecast(features)
        self.silence = ""
        return Signal(ns, said.rise, said.confidence, sd)
