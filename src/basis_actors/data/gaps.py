"""Finds the stamps that a series lacks, as ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.stamps import hours, iso

__all__ = ["Gap", "grid_gaps", "run_gaps"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of missing rows."""

    first_ns: int
    """Stamp of the first missing row."""
    last_ns: int
    """Stamp of the last missing row."""
    rows: int
    hours: float
    """Missing rows x step."""

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; times as ISO-8601."""
        return {"first": iso(self.first_ns), "last": iso(self.last_ns), "rows": self.rows, "hours": self.hours}

    def __str__(self) -> str:
        return f"{iso(self.first_ns)} to {iso(self.last_ns)}, {self.rows} rows, {self.hours:g} h"


def grid_gaps(ns: NDArray[np.int64], step_ns: int, first_ns: int, last_ns: int) -> tuple[Gap, ...]:
    """Missing stamps within [first_ns, last_ns] of a series with a row every `step_ns`.

    The grid before the first row and after the last one goes on from them; a series without rows lacks everything,
    on a grid that starts at `first_ns`.
    """
    return tuple(_grid_gaps(ns, step_ns, first_ns, last_ns))


def _grid_gaps(ns: NDArray[np.int64], step: int, first: int, last: int) -> Iterator[Gap]:
    if ns.size == 0:
        yield from _range(first, last + 1, step, first, last)
        return
    start = int(ns[0])
    yield from _range(start - (start - first) // step * step if start > first else start, start, step, first, last)
    for row in np.flatnonzero(np.diff(ns) > step).tolist():
        yield from _range(int(ns[row]) + step, int(ns[row + 1]), step, first, last)
    yield from _range(int(ns[-1]) + step, last + 1, step, first, last)


def _range(begin: int, end: int, step: int, first: int, last: int) -> Iterator[Gap]:
    """The gap of stamps begin, begin + step, ... before `end`, cut to [first, last]."""
    if begin < first:
        begin += -(-(first - begin) // step) * step
    end = min(end, last + 1)
    rows = -(-(end - begin) // step)
    if rows > 0:
        yield Gap(begin, begin + (rows - 1) * step, rows, hours(rows * step))


def run_gaps(ns: NDArray[np.int64], missing: NDArray[np.bool_]) -> tuple[Gap, ...]:
    """Runs of missing rows in a series of due stamps; `hours` is the time from the row before to the last missing."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], missing, [False])).astype(np.int8)))
    gaps = []
    for begin, end in edges.reshape(-1, 2).tolist():
        before = int(ns[begin - 1]) if begin else int(ns[begin])
        gaps.append(Gap(int(ns[begin]), int(ns[end - 1]), end - begin, hours(int(ns[end - 1]) - before)))
    return tuple(gaps)
