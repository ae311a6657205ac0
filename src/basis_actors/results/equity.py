"""Writes the equity curve of a run, a row for the end of each tick."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import PnLCalculation
from basis_actors.results.accumulator import RunStatistics

__all__ = ["EQUITY_COLUMNS", "EQUITY_FILE", "write_equity"]

EQUITY_FILE: Final = "equity.csv"
EQUITY_COLUMNS: Final = ("timestamp", "equity", "index", "drawdown", "external_flows", "daily_index")


def write_equity(log: EventLog, path: Path) -> None:
    """Write `path` with the columns of `EQUITY_COLUMNS`, the state after the orders of each tick.

    Equity and external flows (deposits minus withdrawals since the start, without the capital) are in the share class.
    The index is flow-adjusted growth since the start, 1 there; drawdown is its fall from the highest value at any
    calculation so far, as a fraction of that. `daily_index`, on the first row of a day, is the index at 00:00 UTC of
    that day, before the orders of a tick there: from one to the next are the returns of which Sharpe ratio, volatility
    and headline drawdown are made. A day without a row has the index of the row before it. Raises OSError, and as
    `EventLog.events`.
    """
    with path.open("w", encoding="utf-8", newline="") as text:
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(EQUITY_COLUMNS)
        rows.writerows(_rows(log))


def _rows(log: EventLog) -> Iterator[tuple[object, ...]]:
    statistics = RunStatistics()
    peak = statistics.growth
    last: PnLCalculation | None = None
    row: tuple[object, ...] = ()
    days = 0
    daily: float | None = None
    for calculation in log.events(PnLCalculation):
        if last is not None and calculation.timestamp != last.timestamp:
            yield row
            daily = None
        last = calculation
        statistics.observe(calculation)
        index = statistics.growth
        peak = max(peak, index)
        if len(statistics.midnights) > days:
            days, daily = len(statistics.midnights), statistics.midnights[-1]
        moment = calculation.timestamp.isoformat().replace("+00:00", "Z")
        row = (moment, calculation.equity, index, 1.0 - index / peak, calculation.external_flows, daily)
    if last is not None:
        yield row
