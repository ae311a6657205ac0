"""Checks the window of a feed: whole ticks on the grid, and inside what the data covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import gcd
from typing import TYPE_CHECKING

from basis_actors.data.columns import delay_of
from basis_actors.data.dataset import Dataset
from basis_actors.data.requirements import requirements_of
from basis_actors.data.stamps import DAY, iso
from basis_actors.errors import DataError
from basis_actors.messages.market import MarketSpec
from basis_actors.times import NS_PER_SECOND

if TYPE_CHECKING:
    from basis_actors.config.venues import VenueConfig

__all__ = ["check_window", "ticks_of", "window_of"]


def window_of(dataset: Dataset, spec: MarketSpec, venues: Mapping[str, VenueConfig], step_ns: int) -> tuple[int, int]:
    """The window in which a mode with `spec` can run on the data: first and last tick in ns, both on the tick grid.

    It begins where the data does, but not before the last of the lending, oracle and staking rates that the spec
    names: without one of them a mode can only wait. Other series may begin later; their venue or price joins then. It
    ends with the last tick that every series covers without which there is no feed. Raises DataError DATA-003 when
    the data has no row of any series that the spec names, or no time that all of those cover.
    """
    needs = requirements_of(spec, venues)
    names = [name for name in (*needs.required, *needs.optional) if name in dataset.series]
    first_ns, until_ns = _span(dataset, names)
    begun = [int(series.ns[0]) for name in needs.begins if (series := dataset.series.get(name)) and series.ns.size]
    first_ns = max(first_ns, *begun) if begun else first_ns
    grid = gcd(step_ns, DAY)
    start_ns = -(-first_ns // grid) * grid
    alternatives = [*((name,) for name in needs.required), *needs.prices.values()]
    end_ns = min([until_ns - 1, *(end for names in alternatives if (end := _covered(dataset, names)) is not None)])
    if end_ns < start_ns:
        raise DataError(
            "DATA-003",
            f"the series that are needed have no time in common in {dataset.origin}: the last begins at"
            f" {iso(start_ns)}, the first ends at {iso(end_ns)}; see `basis-actors data check`",
        )
    return start_ns, end_ns - (end_ns - start_ns) % step_ns


def _covered(dataset: Dataset, names: Iterable[str]) -> int | None:
    """Until when the longest of some series is what it should be; None where none of them has rows on a grid.

    A bar that should have closed at the last tick has to be there. What is stamped exactly then comes after it.
    """
    ends = []
    for name in names:
        series = dataset.series.get(name)
        if series is not None and series.ns.size and series.step_ns is not None:
            delay = delay_of(series)
            ends.append(int(series.ns[-1]) + delay + series.step_ns - (1 if delay else 0))
    return max(ends, default=None)


def check_window(dataset: Dataset, used: Iterable[str], ticks: range) -> None:
    """Raise DataError DATA-003 when `ticks` reach out of what the series called `used` cover, saying what there is."""
    first_ns, until_ns = _span(dataset, used)
    if ticks[0] < first_ns or ticks[-1] >= until_ns:
        raise DataError(
            "DATA-003",
            f"the window {iso(ticks[0])} to {iso(ticks[-1])} is outside the data ({dataset.origin}); there is "
            f"{iso(first_ns)} to before {iso(until_ns)}, choose start and end within it",
        )


def _span(dataset: Dataset, names: Iterable[str]) -> tuple[int, int]:
    """From the first stamp to the moment at which a row after the last one should have become known, which is out."""
    series = [one for name in names if (one := dataset.series[name]).ns.size]
    if not series:
        raise DataError("DATA-003", f"the series that are needed have no rows in {dataset.origin}")
    first_ns = min(int(one.ns[0]) for one in series)
    return first_ns, max(int(one.ns[-1]) + delay_of(one) + (one.step_ns or 1) for one in series)


def ticks_of(start_ns: int, end_ns: int, step_ns: int) -> range:
    """The ticks from start to end, both included. Raises DataError DATA-002 when that is no number of whole ticks."""
    if step_ns <= 0 or step_ns % NS_PER_SECOND:
        raise DataError("DATA-002", f"the tick interval is {step_ns} ns; expected a whole number of seconds above 0")
    if start_ns > end_ns:
        raise DataError(
            "DATA-002", f"start {iso(start_ns)} is after end {iso(end_ns)}; expected start at or before end"
        )
    seconds = step_ns // NS_PER_SECOND
    grid = gcd(step_ns, DAY)
    if start_ns % grid:
        raise DataError(
            "DATA-002",
            f"start {iso(start_ns)} is not on the tick grid of {seconds} s; the nearest earlier tick is "
            f"{iso(start_ns - start_ns % grid)}",
        )
    if (end_ns - start_ns) % step_ns:
        raise DataError(
            "DATA-002",
            f"end {iso(end_ns)} is not a whole number of ticks of {seconds} s after start {iso(start_ns)}; the nearest "
            f"earlier tick is {iso(end_ns - (end_ns - start_ns) % step_ns)}",
        )
    return range(start_ns, end_ns + 1, step_ns)
