"""Defines what a strategy remembers of funding: the last settled rates of each perp, missing ones left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from basis_actors.messages.market import FundingStamp

__all__ = ["FundingWindow"]


class FundingWindow:
    """The last `length` settled funding rates of each perp, in fractions per interval."""

    def __init__(self, length: int, minimum: int) -> None:
        self._length = length
        self._minimum = minimum
        self._rates: dict[str, deque[float]] = {}
        self._means: dict[str, float] = {}
        self._mean: tuple[Mapping[str, float], float | None] | None = None
        """The last answer and the weights it was for, until a rate is added."""

    def add(self, stamps: Iterable[FundingStamp]) -> None:
        """Take note of stamps, in order of time; a missing rate is skipped, it is not a zero."""
        for stamp in stamps:
            if stamp.rate is None:
                continue
            rates = self._rates.setdefault(stamp.perp, deque(maxlen=self._length))
            rates.append(stamp.rate)
            self._means[stamp.perp] = sum(rates) / len(rates)
            self._mean = None

    def mean(self, weights: Mapping[str, float]) -> float | None:
        """Weighted mean over perps, the weights renormalised over those with at least the minimum of known rates.

        None when no perp has enough. `weights` are not to be changed afterwards.
        """
        if self._mean is None or self._mean[0] is not weights:
            self._mean = weights, self._weighted(weights)
        return self._mean[1]

    def _weighted(self, weights: Mapping[str, float]) -> float | None:
        total = weighted = 0.0
        for perp, weight in weights.items():
            rates = self._rates.get(perp)
            if rates is None or len(rates) < self._minimum:
                continue
            total += weight
            weighted += weight * self._means[perp]
        return weighted / total if total > 0.0 else None
