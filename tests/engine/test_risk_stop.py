"""A limit that stays broken ends a mode in order, end to end: everything is closed, trading stops, the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.play import ALWAYS_IN, Played, utc
from tests.engine.test_all_modes import signals

from basis_actors.config import mode_names
from basis_actors.finance.keys import parse_key
from basis_actors.messages.events import (
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    ReconciliationEvent,
    RiskAssessment,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

START, END = "2024-10-25", "2024-11-04"
NO_LOSS = "risk_limits.max_drawdown=0.00002"
"""Less than what the first transaction costs, in every mode."""
LITTLE = "risk_limits.max_drawdown=0.0001"
HEDGED = ("btc_basis", "eth_basis", "usdt_market_neutral", "usdt_market_neutral_no_leverage")
"""An entry that costs more than the limit is not made there, so they run without costs and lose by the basis."""
AT_WORK = ("aToken", "debtToken", "LST", "UnstakeClaim", "PerpPosition", "InversePerp", "flashDebt")


def settings_of(mode: str, folder: Path) -> tuple[str, ...]:
    if mode.startswith("ml_"):
        return NO_LOSS, *signals(folder, utc(START), utc(END))
    if "basis" in mode:
        return LITTLE if mode == "btc_basis" else NO_LOSS, ALWAYS_IN
    return (NO_LOSS,)


@pytest.mark.parametrize("mode", mode_names())
def test_a_drawdown_that_stays_closes_the_book_and_stops_trading(
    mode: str, history: Path, tmp_path: Path, played: Callable[..., Played]
) -> None:
    settings, frictionless = settings_of(mode, tmp_path), mode in HEDGED
    run = played(mode, start=START, end=END, data=history, settings=settings, frictionless=frictionless)
    assert run.failure is None
    decisions = run.of(StrategyDecision)
    assert len(decisions) == run.ticks, "it goes on deciding, to do nothing"
    critical = [
        a.timestamp for a in run.of(RiskAssessment) if a.risk_level == "critical" and a.trigger_source == "tick"
    ]
    closing = [d for d in decisions if d.decision_type == "emergency_exit"]
    assert closing[0].timestamp == critical[2], "after as many ticks as risk_limits.escalation_ticks says"
    assert closing[-1].orders_generated == 0
    after = [d for d in decisions if d.timestamp > closing[-1].timestamp]
    assert after
    assert all(d.decision_type == "hold" and "trading is stopped" in d.reasoning for d in after)
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}
    left = {key: amount for key, amount in run.of(PositionSnapshot)[-1].positions.items() if amount}
    assert not [key for key in left if parse_key(key).kind in AT_WORK]
    assert run.codes == {"RISK-001"}
    (begun, stopped) = run.of(SystemErrorEvent)
    assert (begun.component, stopped.component) == ("risk_monitor", "engine")
    assert "drawdown" in stopped.message
    assert all(event.success for event in run.of(ReconciliationEvent))
    assert max(abs(pnl.residual) / pnl.equity for pnl in run.of(PnLCalculation)) <= 1e-9


def backtest(folder: Path, mode: str, **options: Any) -> Backtest:
    request = BacktestRequest(mode=mode, start=utc(START), end=utc(END), out=folder, **options)
    return Backtest(prepare(request))


def test_the_summary_says_why_and_the_run_is_no_failure(history: Path, tmp_path: Path) -> None:
    summary = backtest(tmp_path, "pure_lending_usdt", data=history, settings=(NO_LOSS,)).run()
    assert (summary.failure, summary.partial) == (None, False)
    assert summary.stopped is not None
    assert summary.stopped.startswith("RISK-001: risk was critical: drawdown")
    assert summary.decisions["emergency_exit"] >= 1
    assert summary.ticks == 241


def test_limits_that_are_not_enforced_stop_nothing(history: Path, tmp_path: Path) -> None:
    settings = (NO_LOSS, "risk_limits.enforce=false")
    summary = backtest(tmp_path, "pure_lending_usdt", data=history, settings=settings).run()
    assert (summary.failure, summary.stopped) == (None, None)
    assert summary.errors == {"RISK-001": 1}
