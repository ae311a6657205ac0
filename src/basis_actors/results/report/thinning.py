"""Leaves out of long series what no screen can show, and never their extremes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["MOST_POINTS", "extremes", "thinned", "thinned_stack"]

MOST_POINTS: Final = 10_000
"""What one chart shows at most, over all its lines."""


def extremes(values: npt.NDArray[Any], buckets: int) -> npt.NDArray[np.intp]:
    """Places of the lowest and highest value of each of `buckets` equal stretches, of both ends, and of gaps.

    Of a stretch in which some values are missing (NaN) one of those is kept, so that a gap stays a gap.
    """
    if not len(values):
        return np.empty(0, dtype=np.intp)
    length = -(-len(values) // max(buckets, 1))
    rows = -(-len(values) // length)
    padding = rows * length - len(values)
    block = np.pad(values.astype(float), (0, padding), constant_values=np.nan).reshape(rows, length)
    gaps = np.pad(np.isnan(values), (0, padding)).reshape(rows, length)
    begins = np.arange(rows) * length
    known = ~np.isnan(block).all(axis=1)
    kept = (
        np.array([0, len(values) - 1]),
        (begins + np.where(np.isnan(block), np.inf, block).argmin(axis=1))[known],
        (begins + np.where(np.isnan(block), -np.inf, block).argmax(axis=1))[known],
        (begins + gaps.argmax(axis=1))[gaps.any(axis=1)],
    )
    return np.unique(np.concatenate(kept)).astype(np.intp)


def thinned(series: pd.Series[Any], lines: int = 1) -> pd.Series[Any]:
    """A line of a chart that has `lines` of them."""
    most = MOST_POINTS // max(lines, 1)
    if len(series) <= most:
        return series
    return series.iloc[extremes(series.to_numpy(dtype=float), most // 2)]


def thinned_stack(frame: pd.DataFrame) -> pd.DataFrame:
    """Areas that lie on each other, which need the same moments: those at which either side reaches an extreme."""
    most = MOST_POINTS // max(len(frame.columns), 1)
    if len(frame) <= most:
        return frame
    sides = (frame.clip(lower=0.0).sum(axis=1), frame.clip(upper=0.0).sum(axis=1))
    kept = [extremes(side.to_numpy(dtype=float), max(most // 4, 1)) for side in sides]
    return frame.iloc[np.unique(np.concatenate(kept))]
