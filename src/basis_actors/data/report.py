"""Reports on a data folder: what each series covers, its gaps, what is wrong with it, and what stands in for what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from basis_actors.data.agreement import disagreements
from basis_actors.data.dataset import Series
from basis_actors.data.files import SeriesFile, discover, unknown_files
from basis_actors.data.funding import due_rows
from basis_actors.data.gaps import Gap, grid_gaps, run_gaps
from basis_actors.data.loading import MANIFEST, read_series
from basis_actors.data.quotes import has_pool_size
from basis_actors.data.requirements import POOL_PRICED, REWARD_SERIES
from basis_actors.data.stamps import iso, step_text
from basis_actors.errors import DataError

__all__ = ["DataReport", "SeriesReport", "check_dataset"]

_VENUES: Final = ("binance", "bybit", "okx")
_ASSETS: Final = ("BTC", "ETH")


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """One series of a folder."""

    name: str
    file: str
    kind: str
    rows: int
    first: str | None
    last: str | None
    step: str | None
    """`1h`; None for a series without a grid."""
    gaps: tuple[Gap, ...]
    """Missing rows between the first and the last; of funding, rates that were due."""
    problems: tuple[str, ...]
    """What is wrong, with row, stamp, column and what was expected; a file with one is refused when it is loaded."""
    sha256: str

    @property
    def gap_hours(self) -> float:
        """Hours missing in all gaps."""
        return sum(gap.hours for gap in self.gaps)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "file": self.file,
            "kind": self.kind,
            "rows": self.rows,
            "first": self.first,
            "last": self.last,
            "step": self.step,
            "gap_hours": self.gap_hours,
            "gaps": [gap.to_dict() for gap in self.gaps],
            "problems": list(self.problems),
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class DataReport:
    """A data folder."""

    folder: str
    series: tuple[SeriesReport, ...]
    unknown_files: tuple[str, ...]
    """Tables whose name the layout does not know; they are never read."""
    manifest_problems: tuple[str, ...]
    """Where the folder differs from its own MANIFEST.json."""
    proxies: tuple[str, ...]
    """What the folder lacks and what stands in."""

    @property
    def ok(self) -> bool:
        """Whether every series can be loaded and agrees with the manifest."""
        return not self.manifest_problems and not any(series.problems for series in self.series)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "folder": self.folder,
            "ok": self.ok,
            "series": [series.to_dict() for series in self.series],
            "unknown_files": list(self.unknown_files),
            "manifest_problems": list(self.manifest_problems),
            "proxies": list(self.proxies),
        }


def check_dataset(folder: str | Path) -> DataReport:
    """Read every series of `folder` and report on it; a series with problems does not stop the others.

    Raises DataError when the folder is missing, holds no series, or holds one series twice.
    """
    root = Path(folder)
    found = discover(root)
    read = {name: read_series(file) for name, file in found.items()}
    loaded = {name: series for name, (series, _, _) in read.items()}
    sound = {name: series for name, (series, _, problems) in read.items() if series is not None and not problems}
    between = dict(disagreements(sound))
    reports = []
    for name, (series, digest, problems) in read.items():
        told = problems if name not in between else (between[name],)
        reports.append(_report(found[name], series, digest, tuple(map(str, told))))
    return DataReport(
        folder=str(root),
        series=tuple(reports),
        unknown_files=unknown_files(root),
        manifest_problems=tuple(_against_manifest(root, {report.file: report for report in reports})),
        proxies=tuple(_stand_ins(loaded)),
    )


def _report(file: SeriesFile, series: Series | None, digest: str, problems: tuple[str, ...]) -> SeriesReport:
    rows = 0 if series is None else int(series.ns.size)
    return SeriesReport(
        name=file.name,
        file=file.relative,
        kind=file.kind.name,
        rows=rows,
        first=iso(series.ns[0]) if series is not None and rows else None,
        last=iso(series.ns[-1]) if series is not None and rows else None,
        step=None if file.step_ns is None else step_text(file.step_ns),
        gaps=() if series is None or rows == 0 or problems else _gaps(file, series),
        problems=problems,
        sha256=digest,
    )


def _gaps(file: SeriesFile, series: Series) -> tuple[Gap, ...]:
    if file.kind.name == "funding":
        due, rows = due_rows(series.ns.tolist(), int(series.ns[-1]))
        return run_gaps(np.array(due, dtype=np.int64), np.array(rows) < 0)
    if series.step_ns is None:
        return ()
    return grid_gaps(series.ns, series.step_ns, int(series.ns[0]), int(series.ns[-1]))


def _against_manifest(root: Path, reports: Mapping[str, SeriesReport]) -> Iterator[str]:
    path = root / MANIFEST
    if not path.is_file():
        return
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise DataError(
            "DATA-002", f"{path}: not readable as JSON ({problem}); remove it or write it again"
        ) from problem
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        yield f"{MANIFEST}: no object 'files'; expected one entry for each file"
        return
    for relative, entry in sorted(files.items()):
        if not isinstance(entry, dict):
            yield f"{relative}: its entry in {MANIFEST} is not an object; expected rows and sha256"
            continue
        report = reports.get(relative)
        if report is None:
            if not (root / relative).is_file():
                yield f"{relative}: listed in {MANIFEST} and not there"
            continue
        if report.sha256 != entry.get("sha256"):
            yield f"{relative}: sha256 is {report.sha256}; {MANIFEST} says {entry.get('sha256')}"
        if report.rows != entry.get("rows"):
            yield f"{relative}: {report.rows} rows; {MANIFEST} says {entry.get('rows')}"
    for relative in sorted(set(reports) - set(files)):
        yield f"{relative}: not listed in {MANIFEST}"


def _stand_ins(series: Mapping[str, Series | None]) -> Iterator[str]:
    for venue in _VENUES:
        for asset in _ASSETS:
            root = f"cex/{venue}/{asset}USDT"
            if f"{root}_spot" not in series:
                yield f"{root}_spot is not there: no {asset} spot on {venue}, and no price of it from there"
            if f"{root}_perp" not in series:
                yield f"{root}_perp is not there: {venue} is left out of {asset} hedges"
                continue
            if f"{root}_mark" not in series:
                yield f"{root}_mark is not there: {root}_perp stands in for the mark of {venue}"
            funding = series.get(f"{root}_funding")
            if funding is None:
                yield f"{root}_funding is not there: {venue} is left out of {asset} hedges"
            elif "mark_price" not in funding.columns:
                yield f"{root}_funding has no mark_price: the mark known at each stamp stands in"
    for asset in POOL_PRICED:
        pool = f"dex/uniswap_v3/{asset}WETH_spot"
        if pool in series:
            yield f"{pool} x the reference price of ETH stands in for the price of {asset} on every venue"
        else:
            yield f"{pool} is not there: {asset} has no price and counts as 0"
    for lst, rewards in REWARD_SERIES.items():
        for name in rewards:
            if name not in series:
                yield f"{name} is not there: {lst} earns no such rewards"
    if "cex/binance/BTCUSDT_perp" in series:
        yield "cex/binance/BTCUSDT stands in for COIN-M BTCUSD: price, mark and funding, with 1 USDT = 1 USD"
    if "morpho/WETH_rates" not in series:
        yield "morpho/WETH_rates is not there: nothing is supplied to or borrowed from Morpho"
    for name, loaded in series.items():
        if loaded is not None and "utilization" in loaded.columns and not has_pool_size(loaded):
            yield f"{name} lacks total_supplied or total_variable_debt: no order is too large for that pool"
        if loaded is not None and loaded.ns.size == 0:
            yield f"{name} has no rows: it counts as not begun"
