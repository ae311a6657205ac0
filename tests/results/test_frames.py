"""A run as pandas objects, against the events that were written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.messages.events import PnLCalculation, PositionSnapshot
from basis_actors.results.frames import RunFrames

Make = Callable[..., PnLCalculation]


@pytest.fixture
def frames(tmp_path: Path, calculation: Make) -> RunFrames:
    """Two ticks; at the first an order costs 10."""
    run_dir = LogDirectoryManager.create_run_logs("frames", 1, "m", "s", 1.0, tmp_path)
    logger = DomainEventLogger(run_dir, "frames", 1)
    moments = [calculation(hour, 1.0).timestamp for hour in (0, 1)]
    for event in (
        PositionSnapshot(moments[0], {"wallet:BaseToken:USDT": 100_000.0}, None, "simulated", "tick"),
        calculation(0, 100_000.0, attribution={"fees": 0.0}),
        PositionSnapshot(moments[0], {"aave:aToken:aUSDT": 99_990.0}, None, "simulated", "execution_manager"),
        calculation(0, 99_990.0, trigger="execution_manager", attribution={"fees": -10.0}),
        PositionSnapshot(moments[1], {"aave:aToken:aUSDT": 99_995.0}, None, "simulated", "tick"),
        calculation(1, 99_995.0, attribution={"fees": 0.0, "lending": 5.0}),
    ):
        logger.log(event)
    anyio.run(logger.close)
    return RunFrames(run_dir)


def test_equity_is_that_at_the_end_of_each_tick(frames: RunFrames) -> None:
    assert frames.equity.to_list() == [99_990.0, 99_995.0]
    assert frames.equity.index.is_unique
    assert str(frames.equity.index.tz) == "UTC"  # type: ignore[attr-defined]


def test_attribution_of_a_tick_includes_its_orders_and_sums_to_the_change_of_equity(frames: RunFrames) -> None:
    table = frames.attribution
    assert table.to_dict("list") == {"fees": [-10.0, 0.0], "lending": [0.0, 5.0]}
    assert table.to_numpy().sum() == frames.equity.iloc[-1] - 100_000.0


def test_positions_that_are_not_held_are_zero(frames: RunFrames) -> None:
    assert frames.positions.to_dict("list") == {
        "wallet:BaseToken:USDT": [0.0, 0.0],
        "aave:aToken:aUSDT": [99_990.0, 99_995.0],
    }


def test_events_are_rows(frames: RunFrames) -> None:
    assert frames.events(PnLCalculation)["equity"].to_list() == [100_000.0, 99_990.0, 99_995.0]
