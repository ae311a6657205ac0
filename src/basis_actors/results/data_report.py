"""Defines what a run says of its data: every series it used, what was missing in it, and what stood in for what.

Its JSON form is `data_report.json` of a run directory and of a result; `data_report_schema` documents it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from basis_actors.times import utc_from_ns

if TYPE_CHECKING:
    from basis_actors.data.dataset import Dataset
    from basis_actors.data.feed_report import FeedReport, SeriesUse
    from basis_actors.data.gaps import Gap

__all__ = ["MissingRows", "RunDataReport", "SeriesUsed", "data_report", "data_report_schema"]


def _about(text: str) -> Meta:
    return Meta(description=text)


class MissingRows(msgspec.Struct, frozen=True):
    """A stretch of rows that should be there and are not."""

    first: Annotated[datetime, _about("Stamp of the first missing row.")]
    last: Annotated[datetime, _about("Stamp of the last missing row.")]
    rows: Annotated[int, _about("Missing rows.")]
    hours: Annotated[float, _about("Hours that they would cover.")]


class SeriesUsed(msgspec.Struct, frozen=True, kw_only=True):
    """One series that the run could read."""

    name: Annotated[str, _about("Logical name, such as cex/binance/BTCUSDT_spot.")]
    file: Annotated[str | None, _about("Its file inside the data folder; null on the synthetic market.")]
    sha256: Annotated[str | None, _about("Of that file; null on the synthetic market.")]
    first: Annotated[datetime | None, _about("First stamp in the data, also before the window; null without rows.")]
    last: Annotated[datetime | None, _about("Last stamp in the data, also after the window; null without rows.")]
    rows: Annotated[int, _about("Rows stamped within the window and known at its end.")]
    step: Annotated[str | None, _about("Distance of its rows, such as 1h; null for a series without a grid.")]
    missing_hours: Annotated[float, _about("Hours that all gaps together cover.")]
    gaps: Annotated[list[MissingRows], _about("What is missing within the window; of funding, rates that were due.")]


class RunDataReport(msgspec.Struct, frozen=True, kw_only=True):
    """The data behind a run, as far as its window goes. Times are UTC."""

    origin: Annotated[str, _about("Where the market came from: a folder, or synthetic with its seed.")]
    synthetic_seed: Annotated[int | None, _about("Seed of the synthetic market; null for real data.")]
    start: Annotated[datetime, _about("First tick.")]
    end: Annotated[datetime, _about("Last tick.")]
    ticks: Annotated[int, _about("Ticks of the window.")]
    series: Annotated[list[SeriesUsed], _about("Every series used, by name.")]
    hashes: Annotated[
        dict[str, str],
        _about(
            "sha256 by file of everything that was loaded: the data folder's files and those that the strategy follows;"
            " of the generator's parameters on the synthetic market."
        ),
    ]
    missed_funding: Annotated[dict[str, int], _about("Due funding settlements without a rate, by perp; 0 where none.")]
    proxies: Annotated[list[str], _about("Series that stood in for others.")]
    absent: Annotated[list[str], _about("What the mode asked for, is not there and was done without.")]
    borrowed_rules: Annotated[list[str], _about("Rules of one venue that stood in for those of another.")]

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """Everything that a person should know to be different from what the mode asked for."""
        return (*self.proxies, *self.absent, *self.borrowed_rules)


def data_report(
    feed: FeedReport, dataset: Dataset, *, followed: Mapping[str, str], borrowed: Sequence[str]
) -> RunDataReport:
    """Say what a feed made of `dataset` is based on.

    `followed` are hashes of the files that the strategy reads beside it, `borrowed` the rules that stand in for others.
    """
    files = dict(_files(dataset.hashes))
    return RunDataReport(
        origin=feed.origin,
        synthetic_seed=feed.seed,
        start=datetime.fromisoformat(feed.start),
        end=datetime.fromisoformat(feed.end),
        ticks=feed.ticks,
        series=[_series(use, dataset, files.get(use.name)) for use in feed.series],
        hashes={**dataset.hashes, **followed},
        missed_funding=dict(feed.missed_funding),
        proxies=list(feed.proxies),
        absent=list(feed.absent),
        borrowed_rules=list(borrowed),
    )


def _files(hashes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Series name and file of each file of a data folder."""
    from basis_actors.data.catalogue import split_stem
    from basis_actors.data.files import ENDINGS

    for file in hashes:
        ending = next((ending for ending in ENDINGS if file.endswith(ending)), None)
        parts = None if ending is None else split_stem(file.removesuffix(ending))
        if parts is not None:
            yield parts[0], file


def _series(use: SeriesUse, dataset: Dataset, file: str | None) -> SeriesUsed:
    from basis_actors.data.stamps import step_text

    series = dataset.series[use.name]
    gaps = [_missing(gap) for gap in use.gaps]
    return SeriesUsed(
        name=use.name,
        file=file,
        sha256=None if file is None else dataset.hashes[file],
        first=None if use.first is None else datetime.fromisoformat(use.first),
        last=None if use.last is None else datetime.fromisoformat(use.last),
        rows=use.rows,
        step=None if series.step_ns is None else step_text(series.step_ns),
        missing_hours=sum(gap.hours for gap in gaps),
        gaps=gaps,
    )


def _missing(gap: Gap) -> MissingRows:
    return MissingRows(utc_from_ns(gap.first_ns), utc_from_ns(gap.last_ns), gap.rows, gap.hours)


def data_report_schema() -> dict[str, Any]:
    """JSON schema of `RunDataReport`, with a description of every field."""
    return msgspec.json.schema(RunDataReport)
