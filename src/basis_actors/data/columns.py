"""Turns series into columns of quotes: for a chunk of ticks, what was known at each of them.

All of it is vectorised; a quote that does not change from one tick to the next is one object. The first row of a
chunk counts as changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.catalogue import kind_of
from basis_actors.data.dataset import Series

__all__ = ["Lane", "Track", "changes", "delay_of", "dictionaries", "expand", "floats", "with_blanks"]

T = TypeVar("T")
_Newest = tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.int64]]
_NEVER = np.iinfo(np.int64).max // 2


@dataclass(frozen=True, slots=True)
class Lane(Generic[T]):
    """One value for each tick of a chunk."""

    values: list[T | None]
    """None while not known, which is before everything else: what is known once stays known, however old."""
    changed: NDArray[np.bool_]
    """Whether the value differs from that of the tick before."""


def delay_of(series: Series) -> int:
    """Nanoseconds from the stamp of a row to the moment it is known: one step for bars and rolling statistics."""
    kind = kind_of(series.name)
    if kind is None or not kind.known_after_step:
        return 0
    if series.step_ns is None:
        raise ValueError(f"series {series.name} has no step; it is needed to know when its rows close")
    return series.step_ns


class Track:
    """A series with the moments its rows become known."""

    def __init__(self, series: Series, limit_ns: int) -> None:
        """`limit_ns` is for how long after it became known a row counts as fresh."""
        self.series = series
        self.delay_ns = delay_of(series)
        self._limit_ns = limit_ns
        self._empty = series.ns.size == 0
        self._ns = np.array([_NEVER], dtype=np.int64) if self._empty else series.ns
        self._ticks: NDArray[np.int64] | None = None
        self._newest: _Newest | None = None

    def column(self, name: str) -> NDArray[np.float64]:
        """A column with at least one row, so that it can be indexed where nothing is known."""
        return np.array([np.nan]) if self._empty else self.series.columns[name]

    def newest(self, ticks: NDArray[np.int64]) -> _Newest:
        """For each tick the newest row known then (-1 for none), whether it is fresh, and when it became known.

        Several lanes read the same series: asked again for the same array of ticks it gives the same answer, which
        nobody may change.
        """
        if self._newest is None or self._ticks is not ticks:
            row = self._ns.searchsorted(ticks - self.delay_ns, side="right") - 1
            known_ns = self._ns[np.maximum(row, 0)] + self.delay_ns
            self._ticks, self._newest = ticks, (row, (row >= 0) & (ticks - known_ns <= self._limit_ns), known_ns)
        return self._newest

    def count(self, ticks: NDArray[np.int64]) -> NDArray[np.intp]:
        """How many rows are known at each tick."""
        return self._ns.searchsorted(ticks - self.delay_ns, side="right")


def changes(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where any of the columns differs from the row before; the first row always does."""
    changed = np.ones(columns[0].size, dtype=np.bool_)
    changed[1:] = False
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def expand(changed: NDArray[np.bool_], build: Callable[[NDArray[np.intp]], list[T]]) -> list[T]:
    """Build the values of the changed rows and repeat each until the next change."""
    at = changed.nonzero()[0]
    built = build(at)
    if at.size == changed.size:
        return built
    return [built[position] for position in (np.cumsum(changed) - 1).tolist()]


def floats(values: NDArray[np.float64], missing: NDArray[np.bool_]) -> list[float | None]:
    """Python floats, None where missing."""
    return with_blanks(values.tolist(), missing)


def with_blanks(values: Iterable[T], missing: NDArray[np.bool_]) -> list[T | None]:
    """The values as a list, None where missing."""
    listed: list[T | None] = list(values)
    if missing.any():
        for row in np.flatnonzero(missing).tolist():
            listed[row] = None
    return listed


def dictionaries(names: Sequence[str], lanes: Sequence[Lane[T]], size: int) -> list[dict[str, T]]:
    """One dictionary for each tick, without the names that are not known; the same object while nothing changes."""
    if not names:
        return [{}] * size
    changed = np.logical_or.reduce([lane.changed for lane in lanes])

    def build(at: NDArray[np.intp]) -> list[dict[str, T]]:
        columns = [lane.values for lane in lanes]
        rows: Iterable[tuple[T | None, ...]] = zip(*columns, strict=True)
        if at.size != size:
            rows = ([column[row] for column in columns] for row in at.tolist())  # type: ignore[misc]
        if all(column[0] is not None for column in columns):
            return [dict(zip(names, row)) for row in rows]  # type: ignore[arg-type]  # noqa: B905 - one lane a name
        return [{name: value for name, value in zip(names, row, strict=True) if value is not None} for row in rows]

    return expand(changed, build)
