"""Defines what a person is told about the data behind a run: gaps in the window, missed funding, stand-ins, hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from basis_actors.data.catalogue import kind_of
from basis_actors.data.columns import delay_of
from basis_actors.data.dataset import Dataset, Series
from basis_actors.data.funding import DueFunding
from basis_actors.data.gaps import Gap, grid_gaps, run_gaps
from basis_actors.data.stamps import iso

__all__ = ["FeedReport", "SeriesUse", "report_feed"]


@dataclass(frozen=True, slots=True)
class SeriesUse:
    """One series of a run, as far as the window goes."""

    name: str
    first: str | None
    """First stamp in the data, also outside the window; None for a series without rows."""
    last: str | None
    rows: int
    """Rows stamped within the window and known at its end."""
    gaps: tuple[Gap, ...]
    """Rows that would be stamped so and do not exist, also before the series begins and after it ends; but not the one
    next row of a series that ends where the window does, stamped with the last tick."""

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        gaps = [gap.to_dict() for gap in self.gaps]
        return {"name": self.name, "first": self.first, "last": self.last, "rows": self.rows, "gaps": gaps}


@dataclass(frozen=True, slots=True)
class FeedReport:
    """The data behind a run. It looks at the whole window, so nothing that decides may read it."""

    origin: str
    seed: int | None
    start: str
    end: str
    ticks: int
    series: tuple[SeriesUse, ...]
    missed_funding: dict[str, int]
    """Due rates missing within the window, by perpetual; counted as gaps are."""
    proxies: tuple[str, ...]
    """What stands in for what."""
    absent: tuple[str, ...]
    """What the spec asked for and the data does not have."""
    hashes: dict[str, str]

    @property
    def gap_hours(self) -> dict[str, float]:
        """Hours missing within the window, by series; series without gaps are left out."""
        return {use.name: sum(gap.hours for gap in use.gaps) for use in self.series if use.gaps}

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "origin": self.origin,
            "seed": self.seed,
            "start": self.start,
            "end": self.end,
            "ticks": self.ticks,
            "series": [use.to_dict() for use in self.series],
            "gap_hours": self.gap_hours,
            "missed_funding": self.missed_funding,
            "proxies": list(self.proxies),
            "absent": list(self.absent),
            "hashes": self.hashes,
        }


def report_feed(
    dataset: Dataset,
    used: Iterable[str],
    funding: Iterable[DueFunding],
    ticks: range,
    proxies: Iterable[str],
    absent: Iterable[str],
) -> FeedReport:
    """Report on the series called `used` within the window of `ticks`; `funding` as in the feed."""
    start_ns, end_ns = ticks[0], ticks[-1]
    windows = [_window(dues, dataset.series[dues.series], start_ns, end_ns) for dues in funding]
    due = {window.series: window for window in windows}
    missed = {window.perp: int(np.isnan(window.rate).sum()) for window in windows}
    return FeedReport(
        origin=dataset.origin,
        seed=dataset.seed,
        start=iso(start_ns),
        end=iso(end_ns),
        ticks=len(ticks),
        series=tuple(_use(dataset.series[name], due.get(name), start_ns, end_ns) for name in sorted(set(used))),
        missed_funding=missed,
        proxies=tuple(proxies),
        absent=tuple(absent),
        hashes=dataset.hashes,
    )


def _use(series: Series, due: DueFunding | None, start_ns: int, end_ns: int) -> SeriesUse:
    last_ns = end_ns - delay_of(series)
    rows = int(((series.ns >= start_ns) & (series.ns <= last_ns)).sum())
    gaps: tuple[Gap, ...] = ()
    if due is not None:
        gaps = run_gaps(due.ns, np.isnan(due.rate))
    elif series.step_ns is not None and kind_of(series.name) is not None:
        gaps = grid_gaps(series.ns, series.step_ns, start_ns, last_ns)
        if gaps and gaps[-1].first_ns == end_ns and _ends_before(series, end_ns):
            gaps = gaps[:-1]
    first, last = (iso(series.ns[0]), iso(series.ns[-1])) if series.ns.size else (None, None)
    return SeriesUse(series.name, first, last, rows, gaps)


def _window(due: DueFunding, series: Series, start_ns: int, end_ns: int) -> DueFunding:
    """What fell due within the window; without the last stamp where the series ends one interval before it."""
    begin, end = np.searchsorted(due.ns, [start_ns, end_ns + 1]).tolist()
    last = end - 1
    if begin < end and due.ns[last] == end_ns and due.missed[last] == 1 and _ends_before(series, end_ns):
        end = last
    part = slice(begin, end)
    return DueFunding(due.perp, due.series, due.ns[part], due.rate[part], due.mark[part], due.missed[part])


def _ends_before(series: Series, end_ns: int) -> bool:
    """Whether data that cover a window up to its end, and not beyond it, would end like this."""
    return bool(series.ns.size) and int(series.ns[-1]) < end_ns
