"""A run whose component fails ends as a failure: named in an event, logs on disk, positions as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.engine.play import utc

from basis_actors.actors import exposure_monitor, pnl_monitor, position_monitor, risk_monitor
from basis_actors.errors import BasisError
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.strategies.pure_lending import PureLending

TICKS = 10


def broken(function: Any, after: int) -> Any:
    """The same function, which fails when it is called for the last time but so many."""
    calls = 0

    def failing(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise ZeroDivisionError("nobody thought of this")
        return function(*args, **more)

    return failing


def run(tmp_path: Path, runtime: str) -> tuple[Path, RunSummary]:
    request = BacktestRequest(
        mode="pure_lending_usdt",
        start=utc("2024-01-01"),
        end=utc("2024-01-05"),
        out=tmp_path,
        runtime=runtime,  # type: ignore[arg-type]
    )
    backtest = Backtest(prepare(request))
    return backtest.run_dir, backtest.run()


def events(run_dir: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "events" / f"{name}.jsonl").read_text().splitlines()]


PLACES = [
    pytest.param(pnl_monitor, "attribute", "pnl_monitor", id="pnl monitor"),
    pytest.param(risk_monitor, "Findings", "risk_monitor", id="risk monitor"),
    pytest.param(exposure_monitor, "AssetExposure", "exposure_monitor", id="exposure monitor"),
    pytest.param(position_monitor, "value_book", "position_monitor", id="position monitor"),
    pytest.param(PureLending, "decide", "strategy_manager", id="strategy"),
]


CODES = {
    "position_monitor": "POS-003",
    "exposure_monitor": "EXP-001",
    "pnl_monitor": "PNL-001",
    "risk_monitor": "RISK-006",
}
"""Of those that calculate."""


@pytest.mark.parametrize("runtime", ["sim", "live"])
@pytest.mark.parametrize(("place", "name", "component"), PLACES)
def test_a_failing_component_ends_the_run_with_everything_on_disk(
    place: Any, name: str, component: str, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, broken(getattr(place, name), after=TICKS))
    run_dir, summary = run(tmp_path, runtime)
    assert summary.partial
    assert summary.failure is not None
    assert "nobody thought of this" in summary.failure
    assert json.loads((run_dir / "metadata.json").read_text())["status"] == "failed"

    (error,) = [e for e in events(run_dir, "system_errors") if e["component"] == component]
    assert error["error_code"] == CODES.get(component, "ENGINE-002")
    assert "ZeroDivisionError" in error["stack_trace"]
    log = (run_dir / f"{component}.log").read_text().splitlines()
    assert any("nobody thought of this" in line for line in log)

    decisions = events(run_dir, "strategy_decisions")
    assert len(decisions) >= TICKS // 2 - 1, "what was decided before is in the log"
    last = events(run_dir, "positions")[-1]["positions"]
    assert sum(last.values()) == pytest.approx(100_000.0, rel=0.01), "the positions are as they were"
    numbers = sorted(e["sequence"] for path in (run_dir / "events").iterdir() for e in events(run_dir, path.stem))
    assert numbers == list(range(len(numbers))), "no event is missing"


@pytest.mark.parametrize("runtime", ["sim", "live"])
def test_an_error_with_a_code_keeps_its_code(runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decide(_self: PureLending, _situation: object) -> object:
        raise BasisError("STRAT-001", "no target for this position")

    monkeypatch.setattr(PureLending, "decide", decide)
    run_dir, summary = run(tmp_path, runtime)
    assert summary.failure is not None
    codes = {(e["component"], e["error_code"]) for e in events(run_dir, "system_errors")}
    assert ("strategy_manager", "STRAT-001") in codes
    assert ("engine", "ENGINE-002") in codes, "the tick ended without a decision"
