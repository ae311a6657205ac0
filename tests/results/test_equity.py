"""`equity.csv` is enough to work out the daily numbers of the summary."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from basis_actors.logs.directory import EVENTS_FOLDER, LogDirectoryManager
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import PnLCalculation
from basis_actors.results.accumulator import RunStatistics
from basis_actors.results.equity import write_equity
from basis_actors.results.store import ResultStore

Make = Callable[..., PnLCalculation]


def daily(path: Path) -> pd.Series:
    """The index at each 00:00 UTC, as the documents say how to get it."""
    frame = pd.read_csv(path, index_col="timestamp", parse_dates=["timestamp"])
    days = frame.resample("D")
    before = days["index"].last().ffill().shift()
    return days["daily_index"].first().fillna(before).dropna()


def test_sharpe_volatility_and_drawdown_follow_from_the_equity_curve_alone(store: ResultStore) -> None:
    result = store.load("first")
    index = daily(result.path / "equity.csv")
    returns = index.pct_change().dropna()
    assert len(returns) > 3
    assert returns.std() * sqrt(365) == pytest.approx(result.summary.volatility, rel=1e-12)
    assert returns.mean() / returns.std() * sqrt(365) == pytest.approx(result.summary.sharpe, rel=1e-12)
    assert (1 - index / index.cummax()).max() == pytest.approx(result.summary.max_drawdown, rel=1e-12)


@pytest.mark.parametrize(
    ("hours", "days"),
    [
        ((0, 0, 23, 24, 24, 48), [1.0, 1.03, 1.05]),
        ((1, 23, 25), [1.01]),
        ((0, 72, 73), [1.0, 1.0, 1.0, 1.01]),
        ((0, 5, 72, 73), [1.0, 1.01, 1.01, 1.02]),
        ((12, 24), [1.01]),
    ],
)
def test_days_without_a_tick_at_midnight_are_told_as_well(
    hours: tuple[int, ...], days: list[float], calculation: Make, tmp_path: Path
) -> None:
    run_dir = LogDirectoryManager.create_run_logs("made", os.getpid(), "btc_basis", "basis", 1.0, tmp_path)
    events = [calculation(hour, 100_000.0 + 1_000.0 * place) for place, hour in enumerate(hours)]
    lines = [msgspec.json.encode(event) + b"\n" for event in events]
    (run_dir / EVENTS_FOLDER / f"{PnLCalculation.FILE}.jsonl").write_bytes(b"".join(lines))
    write_equity(EventLog(run_dir), tmp_path / "equity.csv")
    statistics = RunStatistics()
    for event in events:
        statistics.observe(event)
    found = daily(tmp_path / "equity.csv").tolist()
    assert found == pytest.approx(days, rel=1e-12)
    assert found == statistics.midnights
