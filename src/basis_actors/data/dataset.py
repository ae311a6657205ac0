"""Defines a data set in memory: named series of numbers over time, wherever they came from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dataset", "Series"]


@dataclass(frozen=True, slots=True)
class Series:
    """One series: strictly increasing stamps and columns of the same length."""

    name: str
    """Logical name, the path without step and suffix: `cex/binance/BTCUSDT_spot`, `aave_v3/USDT_rates`."""
    ns: NDArray[np.int64]
    """Stamps in nanoseconds since the epoch, UTC. Bars carry their opening time, funding its settlement time."""
    columns: dict[str, NDArray[np.float64]]
    step_ns: int | None
    """Distance of bars; None for series without a grid, such as funding and rewards."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """All series of one source."""

    series: dict[str, Series]
    origin: str
    """What a person is told about where it comes from: a folder, or `synthetic, seed 7`."""
    seed: int | None = None
    """Seed of a synthetic data set, None for real data."""
    hashes: dict[str, str] = field(default_factory=dict)
    """sha256 of each file, by its path inside the folder; of the generator's parameters for synthetic data."""
