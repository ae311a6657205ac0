"""Ticks per second of every mode, hourly, with the full event log, from the first tick to the last event on disk.

In each round every mode runs once; its ratio is to a run of `btc_basis` in the same round, so that of `btc_basis`
itself shows how far two runs of the same differ. Directional modes take signals from a file; the training that they do
in their own configuration is timed apart.
Run it as `python benchmarks/mode_throughput.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

from basis_actors.config import DirectionalConfig, load_mode, mode_names
from basis_actors.data.stamps import HOUR, iso
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.signals import walk_forward
from basis_actors.signals.training import fit
from measuring import Options, Row, quiet_start, report

P = ParamSpec("P")
R = TypeVar("R")

REFERENCE = "btc_basis"
SIGNAL_HOURS = 24
_SEED = 7
"""Of the signals in the file: that they come and go is all that matters."""


def run(request: BacktestRequest) -> RunSummary:
    """One run. Raises RuntimeError when it fails."""
    summary = Backtest(prepare(request)).run()
    if summary.failure is not None:
        raise RuntimeError(f"{request.mode} failed: {summary.failure}")
    return summary


def measure(options: Options) -> Sequence[Row]:
    """A row a mode, and one for the training of each mode that trains."""
    rounds = max(1, options.repeats // 2)
    with tempfile.TemporaryDirectory(prefix="basis-bench-") as folder:
        signals = {mode: _file_signals(mode, options, Path(folder)) for mode in mode_names() if _is_directional(mode)}
        found: dict[str, list[tuple[float, float]]] = {mode: [] for mode in mode_names()}
        for _ in range(rounds):
            reference = _speed(REFERENCE, options, {})
            for mode, speeds in found.items():
                print(f"measuring: {mode}", file=sys.stderr)
                speeds.append((_speed(mode, options, signals.get(mode, {})), reference))
    rows = [_row(mode, speeds, "file signals, " if mode in signals else "") for mode, speeds in found.items()]
    return [*rows, *(_training(mode, options) for mode in signals)]


def _row(mode: str, speeds: list[tuple[float, float]], how: str) -> Row:
    return Row(
        measure=f"mode {mode}, {how}full event log",
        value=statistics.median(own for own, _ in speeds),
        unit="ticks/s",
        baseline=statistics.median(reference for _, reference in speeds),
        ratio=statistics.median(own / reference for own, reference in speeds),
        compared_with=f"{REFERENCE} in the same round",
    )


def _speed(mode: str, options: Options, overrides: dict[str, object]) -> float:
    with quiet_start() as folder:
        summary = run(options.mode_request(mode, folder, **overrides))
    return summary.ticks / summary.seconds


def _is_directional(mode: str) -> bool:
    return isinstance(load_mode(mode).mode.strategy_config, DirectionalConfig)


def _file_signals(mode: str, options: Options, folder: Path) -> dict[str, object]:
    """Overrides that make a directional mode follow a file with a signal a day."""
    file = folder / f"{mode}.csv"
    with quiet_start() as out:
        ticks = prepare(options.mode_request(mode, out)).feed.ticks
    chances = np.random.default_rng(_SEED)
    lines = [
        f"{iso(ns)},{chances.uniform():.6f},{chances.uniform(0.7, 1.0):.6f},{chances.uniform(0.01, 0.04):.6f}"
        for ns in range(ticks[0], ticks[-1], SIGNAL_HOURS * HOUR)
    ]
    file.write_text("\n".join(["timestamp,signal,confidence,sd", *lines, ""]))
    section = {"path": str(file), "staleness_seconds": float(SIGNAL_HOURS * 3600)}
    return {"strategy_config": {"signal": {"source": "file", "horizon_hours": SIGNAL_HOURS, "file": section}}}


def _training(mode: str, options: Options) -> Row:
    """Seconds that the fits of a run take, beside the run as a whole."""
    with quiet_start() as folder, _timed_fits() as spent:
        summary = run(options.mode_request(mode, folder))
    return Row(
        measure=f"mode {mode}, training of {len(spent)} models",
        value=sum(spent),
        unit="s",
        baseline=summary.seconds,
        ratio=sum(spent) / summary.seconds,
        compared_with="the whole run",
    )


@contextmanager
def _timed_fits() -> Iterator[list[float]]:
    """What each fit takes while it is entered, seconds."""
    spent: list[float] = []
    with patch.object(walk_forward, "fit", _timed(fit, spent)):
        yield spent


def _timed(work: Callable[P, R], spent: list[float]) -> Callable[P, R]:
    def timed(*arguments: P.args, **options: P.kwargs) -> R:
        begin = time.perf_counter()
        try:
            return work(*arguments, **options)
        finally:
            spent.append(time.perf_counter() - begin)

    return timed


if __name__ == "__main__":
    report("Ticks per second of every mode.", measure)
