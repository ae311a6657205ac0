"""Runs every mode over all the history that it can run on, and prints what came of it as a Markdown table.

Run it as `make table`, or `python benchmarks/mode_table.py [MODE ...] [--data DIR] [--days N] [--json]`; without data
it is the synthetic market. Directional modes train inside the run, which needs the extra `ml`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec

from basis_actors.cli.progress import progress_display
from basis_actors.config import mode_names
from basis_actors.results.summary import RunSummary, too_short_to_annualise
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.times import utc_from_ns

HEAD = (
    "mode", "window", "share class", "return", "a year", "drawdown", "Sharpe", "largest components", "orders",
    "liquidations",
)  # fmt: skip
COMPONENTS = 3
"""How many components of attribution are shown."""


def run(mode: str, data: Path | None, days: int | None, out: Path, place: str) -> RunSummary:
    """One mode over its widest window, or the first `days` of it. Raises RuntimeError for a run that failed."""
    request = BacktestRequest(mode=mode, data=data, out=out, write_events=False)
    with progress_display(f"{place} {mode}", wanted=True) as display:
        display.loading()
        prepared = prepare(request)
        if days is not None:
            begin = utc_from_ns(prepared.feed.ticks[0])
            prepared = prepare(replace(request, start=begin, end=begin + timedelta(days=days)))
        summary = Backtest(prepared).run(display.update)
    if summary.failure is not None:
        raise RuntimeError(f"{mode} failed: {summary.failure}")
    return summary


def cells(summary: RunSummary) -> tuple[str, ...]:
    """The row of one run."""
    assert summary.start is not None
    assert summary.end is not None
    stopped = "" if summary.stopped is None else f" (stopped: {summary.stopped.partition(':')[0]})"
    return (
        f"`{summary.mode}`{stopped}",
        f"{summary.start:%Y-%m-%d} – {summary.end:%Y-%m-%d}",
        f"{summary.share_class} ({summary.currency})",
        _percent(summary.total_return),
        too_short_to_annualise(summary.start, summary.end) or _percent(summary.annualised_return),
        f"{summary.max_drawdown:.2%}",
        "–" if summary.sharpe is None else f"{summary.sharpe:.2f}",
        _components(summary),
        f"{summary.orders:,}",
        f"{summary.liquidations:,}",
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2%}"


def _components(summary: RunSummary) -> str:
    """The largest components, as shares of the capital at the start."""
    start = summary.equity_start or 1.0
    shares = {name: amount / start for name, amount in summary.attribution.items()}
    largest = sorted(shares, key=lambda name: -abs(shares[name]))[:COMPONENTS]
    return ", ".join(f"{name} {shares[name]:+.2%}" for name in largest if abs(shares[name]) >= 5e-5)


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """A table that reads as text too."""
    width = [max(len(line[column]) for line in (HEAD, *rows)) for column in range(len(HEAD))]
    lines = [[text.ljust(size) for text, size in zip(line, width, strict=True)] for line in (HEAD, *rows)]
    lines.insert(1, ["-" * size for size in width])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Every mode over all the history that it can run on.")
    parser.add_argument("modes", nargs="*", metavar="MODE", help="modes to run; all of them unless given")
    parser.add_argument("--data", type=Path, help="folder of market history; the synthetic market unless given")
    parser.add_argument("--days", type=int, help="only the first days of each window")
    parser.add_argument("--json", action="store_true", help="print every summary in full")
    given = parser.parse_args()
    names = given.modes or mode_names()
    with tempfile.TemporaryDirectory(prefix="basis-table-") as folder:
        found = []
        for number, mode in enumerate(names, start=1):
            print(f"running: {mode}", file=sys.stderr)
            found.append(run(mode, given.data, given.days, Path(folder), f"{number}/{len(names)}"))
    if given.json:
        print(json.dumps([msgspec.to_builtins(msgspec.structs.replace(one, run_dir=None)) for one in found]))
    else:
        print(markdown([cells(summary) for summary in found]))


if __name__ == "__main__":
    main()
