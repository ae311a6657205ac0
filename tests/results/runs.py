"""Short runs on the synthetic market, whose directories the tests of the results store begin with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from basis_actors.messages.book import Flow
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

START = datetime(2024, 1, 1, tzinfo=UTC)
FLOWS = (Flow(datetime(2024, 1, 4, tzinfo=UTC), 20_000.0), Flow(datetime(2024, 1, 6, tzinfo=UTC), -5_000.0))


def run_directory(out: Path, name: str, mode: str = "btc_basis", days: int = 9, **changes: Any) -> Path:
    """The directory of a run that has ended."""
    request = BacktestRequest(
        mode=mode, out=out, correlation_id=name, start=START, end=START.replace(day=1 + days), **changes
    )
    backtest = Backtest(prepare(request))
    assert backtest.run().failure is None
    return backtest.run_dir
