"""Peak memory of a run over one year and over four, each in a process of its own, on the synthetic market.

(Real history is not four years long.) The market is written to files by another process first, so that making it does
not count. The arrays of the data set grow with the window by nature: what has to stay flat is the rest.
Run it as `python benchmarks/memory_peak.py [--quick] [--json]`.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from basis_actors.data import Dataset, SyntheticGenerator, write_dataset
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import DEFAULT_SEED, BacktestRequest, prepare
from basis_actors.times import ns_from_utc
from engine_baseline import run_naive
from measuring import START, Options, Row, fresh_process, report

_YEAR_DAYS, _QUICK_DAYS = 366, 7
_MIB = 2**20
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def measure(options: Options) -> Sequence[Row]:
    """Peaks, input arrays, and what is left of the peaks without them."""
    year = _QUICK_DAYS if options.quick else _YEAR_DAYS
    with tempfile.TemporaryDirectory(prefix="basis-bench-") as folder:
        _child("make", folder, 4 * year)
        one, one_arrays = _child("run", folder, year)
        four, four_arrays = _child("run", folder, 4 * year)
        naive, _ = _child("naive", folder, year)
    rest = four - four_arrays, one - one_arrays
    return [
        _row("memory, one year, peak", one, naive, "naive engine, one year"),
        _row("memory, four years, peak", four, one, "one year"),
        _row("memory, four years, input arrays", four_arrays, one_arrays, "one year"),
        _row("memory, four years, peak beyond the input arrays", *rest, "one year; at most 1.15× is wanted"),
    ]


def _row(measure: str, value: float, baseline: float, compared_with: str) -> Row:
    return Row(
        measure=measure,
        value=value / _MIB,
        unit="MiB",
        baseline=baseline / _MIB,
        ratio=value / baseline,
        compared_with=compared_with,
    )


def _child(what: str, folder: str, days: int) -> tuple[int, int]:
    """Do one thing in a fresh process: its peak memory, and the input arrays (bytes)."""
    peak, arrays = json.loads(fresh_process([__file__, f"--child={what}", folder, str(days)]))
    return peak, arrays


def _be_child(what: str, folder: Path, days: int) -> None:
    """What the fresh process does."""
    end = START + timedelta(days=days)
    if what == "make":
        market = SyntheticGenerator(DEFAULT_SEED, 3600).generate(ns_from_utc(START), ns_from_utc(end))
        for fraction in (4, 1):
            last_day = START + timedelta(days=days // fraction)
            write_dataset(_until(market, ns_from_utc(last_day)), folder / str(days // fraction))
        arrays = 0
    else:
        request = BacktestRequest(
            mode="btc_basis", data=folder / str(days), start=START, end=end, out=folder / f"{what}-{days}"
        )
        prepared = prepare(request)
        arrays = sum(
            series.ns.nbytes + sum(column.nbytes for column in series.columns.values())
            for series in prepared.dataset.series.values()
        )
        if what == "naive":
            request.out.mkdir()
            run_naive(prepared, request.out)
        elif (summary := Backtest(prepared).run()).partial:
            raise RuntimeError(f"the run failed: {summary.failure}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
    print(json.dumps([peak, arrays]))


def _until(market: Dataset, last_ns: int) -> Dataset:
    """The rows of a market up to and including a moment."""
    cut = {}
    for name, series in market.series.items():
        rows = series.ns <= last_ns
        columns = {column: values[rows] for column, values in series.columns.items()}
        cut[name] = type(series)(name, series.ns[rows], columns, series.step_ns)
    return Dataset(cut, market.origin, market.seed, market.hashes)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].startswith("--child="):
        _be_child(sys.argv[1].removeprefix("--child="), Path(sys.argv[2]), int(sys.argv[3]))
    else:
        report("Peak memory.", measure)
