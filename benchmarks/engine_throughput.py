"""Ticks per second of a year of hourly `btc_basis`, from the first tick published to the last event on disk.

Each run is paired with one of the same actors on the naive engine (`engine_baseline.py`), which has to come to the same
equity with the same events. Run it as `python benchmarks/engine_throughput.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import Runtime, prepare
from engine_baseline import run_naive
from measuring import Options, Row, pairs, quiet_start, report


def run_ours(options: Options, *, write_events: bool, runtime: Runtime = "sim") -> RunSummary:
    """One run of ours. Raises RuntimeError when it fails."""
    with quiet_start() as folder:
        summary = Backtest(prepare(options.request(folder, write_events=write_events, runtime=runtime))).run()
    if summary.partial:
        raise RuntimeError(f"the run failed: {summary.failure}")
    return summary


class Rates:
    """Ticks per second of either engine; every run has to come to the same end."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._outcome: tuple[float | None, int, int] | None = None

    def ours(self, runtime: Runtime = "sim", *, write_events: bool) -> float:
        """Of one run on a runtime of ours."""
        summary = run_ours(self._options, write_events=write_events, runtime=runtime)
        self._require_same((summary.equity_end, summary.ticks, summary.events))
        return summary.ticks / summary.seconds

    def naive(self, *, write_events: bool) -> float:
        """Of one run on the naive engine."""
        with quiet_start() as folder:
            seconds, found = run_naive(prepare(self._options.request(folder, write_events=write_events)), folder)
        self._require_same((found.last.equity if found.last else None, found.ticks, found.events.total()))
        return found.ticks / seconds

    def _require_same(self, outcome: tuple[float | None, int, int]) -> None:
        self._outcome = self._outcome or outcome
        if outcome != self._outcome:
            raise RuntimeError(f"runs differ in equity, ticks or events: {outcome} after {self._outcome}")


def measure(options: Options) -> Sequence[Row]:
    """Rows for the full event log, for none, and for the runtime of live trading."""
    rates = Rates(options)
    rates.ours(write_events=True)
    rows = []
    for log, write_events in (("full event log", True), ("no event log", False)):
        value, baseline, ratio = pairs(
            options.repeats,
            partial(rates.ours, write_events=write_events),
            partial(rates.naive, write_events=write_events),
        )
        rows.append(_row(f"engine, {log}", value, baseline, ratio, "naive engine: anyio streams, json lines"))
    live = max(1, options.repeats // 2)
    value, baseline, ratio = pairs(
        live, partial(rates.ours, "live", write_events=True), partial(rates.naive, write_events=True)
    )
    rows.append(_row("engine, full event log, Live runtime", value, baseline, ratio, "the same"))
    return rows


def _row(measure: str, value: float, baseline: float, ratio: float, compared_with: str) -> Row:
    return Row(
        measure=measure, value=value, unit="ticks/s", baseline=baseline, ratio=ratio, compared_with=compared_with
    )


if __name__ == "__main__":
    report("Ticks per second of the engine.", measure)
