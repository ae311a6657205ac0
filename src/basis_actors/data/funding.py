"""Finds when funding was due and whether it came, from the stamps alone and without looking ahead.

The interval is read from the data. It is the distance of the first two stamps; a shorter distance replaces it at
once, a longer one when it comes twice in a row (once could be a hole). A rate is missing when the interval after
the last due stamp has passed and the series has no row then. A venue that lengthens its interval therefore shows
absences until the second long interval has passed: whoever does not know the new interval yet cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basis_actors.data.dataset import Series
from basis_actors.messages.market import FundingStamp

__all__ = ["DueFunding", "due_funding", "due_rows"]


@dataclass(frozen=True, slots=True)
class DueFunding:
    """Every funding stamp of one perpetual that fell due, settled or missing, in time order."""

    perp: str
    series: str
    ns: NDArray[np.int64]
    rate: NDArray[np.float64]
    """Fraction of notional; NaN when the due rate is missing."""
    mark: NDArray[np.float64]
    """USDT; NaN while no mark is known."""
    missed: NDArray[np.int64]
    """Rates missing in a row up to and including this stamp."""

    def stamp(self, row: int) -> FundingStamp:
        """Row `row` as a message."""
        rate, mark = float(self.rate[row]), float(self.mark[row])
        return FundingStamp(
            int(self.ns[row]), self.perp, None if rate != rate else rate, None if mark != mark else mark
        )

    def before(self, ns: int, count: int) -> tuple[FundingStamp, ...]:
        """The stamps before `ns`, oldest first, back to the one that makes `count` settled ones."""
        end = int(np.searchsorted(self.ns, ns, side="left"))
        settled = np.flatnonzero(~np.isnan(self.rate[:end]))
        if count <= 0 or end == 0:
            return ()
        begin = int(settled[-count]) if settled.size >= count else 0
        return tuple(self.stamp(row) for row in range(begin, end))


def due_funding(perp: str, funding: Series, mark: Series, mark_delay_ns: int, end_ns: int) -> DueFunding:
    """Every stamp of `perp` that fell due up to `end_ns`.

    The mark of a stamp is the series' own `mark_price`; where it has none, the close of the newest bar of `mark` that
    had closed (opening time + `mark_delay_ns`) at or before the stamp.
    """
    stamps, rows = due_rows(funding.ns[: np.searchsorted(funding.ns, end_ns, side="right")].tolist(), end_ns)
    ns = np.array(stamps, dtype=np.int64)
    row = np.array(rows, dtype=np.int64)
    missing = row < 0
    rate = np.full(ns.size, np.nan)
    rate[~missing] = funding.columns["funding_rate"][row[~missing]]
    own = np.full(ns.size, np.nan)
    if "mark_price" in funding.columns:
        own[~missing] = funding.columns["mark_price"][row[~missing]]
    known = np.full(ns.size, np.nan)
    newest = np.searchsorted(mark.ns, ns - mark_delay_ns, side="right") - 1
    known[newest >= 0] = mark.columns["close"][newest[newest >= 0]]
    return DueFunding(perp, funding.name, ns, rate, np.where(np.isnan(own), known, own), _in_a_row(missing))


def due_rows(stamps: list[int], end_ns: int) -> tuple[list[int], list[int]]:
    """Due stamps up to `end_ns` and the row of `stamps` that settled each, -1 for none; no stamp is after `end_ns`."""
    due: list[int] = []
    rows: list[int] = []
    interval = gap_before = 0
    for row, ns in enumerate(stamps):
        if due:
            gap = ns - stamps[row - 1]
            absent = range(stamps[row - 1] + interval, ns, interval) if interval else range(0)
            due.extend(absent)
            rows.extend([-1] * len(absent))
            if not interval or gap < interval or gap == gap_before:
                interval = gap
            gap_before = gap
        due.append(ns)
        rows.append(row)
    if interval:
        absent = range(stamps[-1] + interval, end_ns + 1, interval)
        due.extend(absent)
        rows.extend([-1] * len(absent))
    return due, rows


def _in_a_row(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    position = np.arange(missing.size)
    last_settled = np.maximum.accumulate(np.where(missing, -1, position)) if missing.size else position
    return position - last_settled
