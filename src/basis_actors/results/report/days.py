"""Takes a run apart by day and month: the return of each, and which days were the worst."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import pandas as pd

from basis_actors.results.report.record import RunRecord

__all__ = ["DayReturn", "day_returns", "month_returns", "worst_days"]


class DayReturn(msgspec.Struct, frozen=True):
    """What one day came to, from 00:00 UTC before its orders to the next 00:00 UTC before those.

    The last day goes on to the end of the run, the orders of its last tick included.
    """

    begins: datetime
    """00:00 UTC."""
    change: float
    """Flow-adjusted return, a fraction."""
    pnl: float
    """In the share class."""
    whole: bool
    """False for the first and the last day of a run that does not begin and end at 00:00 UTC."""
    components: dict[str, float]
    """Where `pnl` came from."""


def day_returns(record: RunRecord) -> list[DayReturn]:
    """Every day of the run, in order; their returns compound to that of the run.

    What the first tick itself did, before which there was no book, belongs to the first day.
    """
    pnl, growth = record.pnl, record.growth
    if not record.has_course:
        return []
    first, last = pnl.index[0], pnl.index[-1]
    inner = pd.date_range(first.floor("D") + pd.Timedelta(days=1), last.floor("D"), freq="D")
    edges = [first, *inner, *([last] if last > last.floor("D") or not len(inner) else [])]
    parts = record.log_components
    found = []
    places = [_place(pnl.index, edge) for edge in edges]
    places[-1] = len(pnl) - 1
    for (since, until), (start, end) in zip(pairwise(edges), pairwise(places), strict=True):
        before = 1.0 if start == 0 else float(growth.iloc[start])
        earned = 0.0 if start == 0 else float(pnl["total_pnl"].iloc[start])
        moved = parts.iloc[end] - (0.0 if start == 0 else parts.iloc[start])
        found.append(
            DayReturn(
                begins=since.floor("D").to_pydatetime(),
                change=float(growth.iloc[end]) / before - 1.0 if before else 0.0,
                pnl=float(pnl["total_pnl"].iloc[end]) - earned,
                whole=(until - since) == pd.Timedelta(days=1),
                components={str(name): float(value) for name, value in moved.items() if value},
            )
        )
    return found


def _place(index: pd.Index[Any], edge: pd.Timestamp) -> int:
    """The first calculation at `edge`, or the last before it where there is none."""
    place = int(index.searchsorted(edge, side="left"))
    return place if place < len(index) and index[place] == edge else place - 1


def month_returns(days: list[DayReturn]) -> dict[tuple[int, int], float]:
    """Return by year and month; days compound."""
    grown: dict[tuple[int, int], float] = {}
    for day in days:
        month = (day.begins.year, day.begins.month)
        grown[month] = grown.get(month, 1.0) * (1.0 + day.change)
    return {month: growth - 1.0 for month, growth in grown.items()}


def worst_days(days: list[DayReturn], most: int) -> list[DayReturn]:
    """The `most` days with the lowest return, lowest first; only such as lost something."""
    return sorted((day for day in days if day.change < 0.0), key=lambda day: (day.change, day.begins))[:most]
