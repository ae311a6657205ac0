"""Calculations of a made-up run, and the directory of a real one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.results.runs import FLOWS, run_directory

from basis_actors.messages.events import PnLCalculation
from basis_actors.results.store import ResultStore

START = datetime(2024, 1, 1, tzinfo=UTC)
CAPITAL = 100_000.0


@pytest.fixture(scope="session")
def calculation() -> Callable[..., PnLCalculation]:
    """Makes the calculation of a book that began with 100,000: its equity after so many hours, and the flows so far."""

    def make(hours: float, equity: float, flows: float = 0.0, trigger: str = "tick", **changes: Any) -> PnLCalculation:
        total = equity - CAPITAL - flows
        fields: dict[str, Any] = {
            "equity": equity,
            "total_pnl": total,
            "realized_pnl": total,
            "unrealized_pnl": 0.0,
            "attribution": {},
            "attribution_total": {"funding": total + 5.0, "fees": -5.0},
            "residual": 0.0,
            "residual_total": 0.0,
            "external_flows": flows,
            "fees_paid": 5.0,
            "funding_received": total + 5.0,
            "pnl_by_venue": {},
            "pnl_by_asset": {},
            "marks": {},
            "trigger_source": trigger,
        }
        return PnLCalculation(timestamp=START + timedelta(hours=hours), **{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of nine days of a hedged position with a deposit and a withdrawal. Tests do not change it."""
    return run_directory(tmp_path_factory.mktemp("logs"), "first", always_in=True, flows=FLOWS)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, run_dir: Path) -> ResultStore:
    """A store with the result of that run. Tests do not change it."""
    store = ResultStore(tmp_path_factory.mktemp("results"))
    store.make(run_dir)
    return store
