"""Checks the numbers of a series: order of stamps, grid, finite and possible values. It reads no file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.catalogue import Rule, SeriesKind
from basis_actors.data.stamps import MINUTE, iso, step_text

__all__ = ["Problem", "problems_of"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a series, at the first row where it shows."""

    row: int | None
    """Counts data rows from 1; None for a problem of the whole file."""
    stamp: str | None
    column: str | None
    text: str
    """What was found and what was expected."""
    count: int = 1
    """Rows with the same problem."""

    def __str__(self) -> str:
        place = [] if self.row is None else [f"row {self.row} ({self.stamp})"]
        place += [] if self.column is None else [f"column {self.column!r}"]
        more = f" ({self.count} rows in all)" if self.count > 1 else ""
        return f"{', '.join(place)}: {self.text}{more}" if place else f"{self.text}{more}"


def problems_of(
    kind: SeriesKind, ns: NDArray[np.int64], columns: dict[str, NDArray[np.float64]], step_ns: int | None
) -> Iterator[Problem]:
    """Yield what is wrong with the rows of a series, at most one problem of each sort, most basic first.

    `ns` are stamps in nanoseconds; columns have the same length; NaN stands for a blank. A series without rows has
    no problems here: it has simply not begun.
    """
    yield from _stamps(kind, ns, step_ns)
    for name, values in columns.items():
        column = kind.column(name)
        if column is None:
            continue
        blank = np.isnan(values)
        if column.required:
            yield from _first(ns, blank, name, values, f"expected {column.rule}")
        bad = np.isinf(values)
        if column.rule is Rule.PRICE:
            bad |= values <= 0.0
        elif column.rule is Rule.AMOUNT:
            bad |= values < 0.0
        yield from _first(ns, bad & ~blank, name, values, f"expected {column.rule}")
    if "open" in columns:
        yield from _bars(ns, columns)


def _stamps(kind: SeriesKind, ns: NDArray[np.int64], step_ns: int | None) -> Iterator[Problem]:
    distance = np.diff(ns)
    twice = np.flatnonzero(distance == 0)
    if twice.size:
        text = f"the stamp is the same as in row {int(twice[0]) + 1}; expected each stamp once"
        yield Problem(int(twice[0]) + 2, iso(ns[twice[0] + 1]), "timestamp", text, int(twice.size))
    back = np.flatnonzero(distance < 0)
    if back.size:
        text = f"earlier than the row before ({iso(ns[back[0]])}); expected rows sorted by time"
        yield Problem(int(back[0]) + 2, iso(ns[back[0] + 1]), "timestamp", text, int(back.size))
    grid = step_ns if kind.gridded and step_ns is not None else MINUTE
    off = np.flatnonzero(ns % grid)
    if off.size:
        text = f"not on the grid; expected a multiple of {step_text(grid)} since 1970-01-01T00:00:00Z"
        yield Problem(int(off[0]) + 1, iso(ns[off[0]]), "timestamp", text, int(off.size))


def _bars(ns: NDArray[np.int64], columns: dict[str, NDArray[np.float64]]) -> Iterator[Problem]:
    opened, high, low, close = (columns[name] for name in ("open", "high", "low", "close"))
    wrong = np.flatnonzero((low > np.minimum(opened, close)) | (high < np.maximum(opened, close)))
    if wrong.size:
        row = int(wrong[0])
        text = (
            f"impossible bar, open {opened[row]!s} high {high[row]!s} low {low[row]!s} close {close[row]!s}; "
            "expected low <= open, close <= high"
        )
        yield Problem(row + 1, iso(ns[row]), None, text, int(wrong.size))


def _first(
    ns: NDArray[np.int64], bad: NDArray[np.bool_], name: str, values: NDArray[np.float64], expected: str
) -> Iterator[Problem]:
    rows = np.flatnonzero(bad)
    if rows.size:
        row = int(rows[0])
        found = "blank or not a number" if np.isnan(values[row]) else f"{values[row]!s}"
        yield Problem(row + 1, iso(ns[row]), name, f"{found}; {expected}", int(rows.size))
