"""A short through the rally of 2024: kept safe by transfers, or liquidated with an event when nobody moves money."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.play import ALWAYS_IN, Played

from basis_actors.messages.events import (
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    RiskAssessment,
    StrategyDecision,
)

NO_HELP = (
    ALWAYS_IN,
    "strategy_config.margin_rebalance=false",
    "risk_limits.enforce=false",
    "risk_limits.margin_ratio_reduce=0.05",
    "risk_limits.margin_ratio_exit_half=0.03",
)


def liquidations(run: Played) -> list[ExecutionDeltaEvent]:
    return [event for event in run.of(ExecutionDeltaEvent) if event.source == "liquidation"]


@pytest.mark.parametrize("leverage", [1.0, 2.0])
def test_a_short_is_kept_safe_by_transfers_through_the_rally(
    leverage: float, history: Path, played: Callable[..., Played]
) -> None:
    run = played(
        "btc_basis",
        data=history,
        start="2024-01-20",
        end="2024-03-15",
        settings=[ALWAYS_IN, f"strategy_config.leverage={leverage}"],
    )
    assert run.failure is None
    assert liquidations(run) == []
    topped_up = [d for d in run.of(StrategyDecision) if "margin ratio below" in d.reasoning]
    assert topped_up, "the rally of half a price takes the ratio out of its band"
    transfers = [order for order in run.of(OperationExecutionEvent) if order.operation_type == "transfer"]
    assert {order.target_venue for order in transfers} >= {"binance", "bybit"}
    assert run.worst_residual <= 1e-9


@pytest.mark.parametrize(
    ("leverage", "start", "end"), [(2.0, "2024-02-01", "2024-03-12"), (1.0, "2024-01-20", "2024-12-20")]
)
def test_a_short_that_nobody_helps_is_liquidated_and_the_book_is_levelled(
    leverage: float, start: str, end: str, history: Path, played: Callable[..., Played]
) -> None:
    config = [*NO_HELP, f"strategy_config.leverage={leverage}"]
    run = played("btc_basis", data=history, start=start, end=end, settings=config)
    assert run.failure is None
    (first, *_) = liquidations(run)
    closed = [delta for delta in first.deltas if delta.position_key.endswith("BTC-PERP")]
    assert closed
    assert all(delta.delta_amount > 0 and delta.price for delta in closed), "a short is bought back, at a price"
    critical = [risk for risk in run.of(RiskAssessment) if any("liquidat" in breach for breach in risk.breaches)]
    assert critical, "the risk monitor names a liquidation"
    assert {risk.risk_level for risk in critical} == {"critical"}

    assert run.worst_residual <= 1e-9
    assert run.of(PnLCalculation)[-1].attribution_total["liquidation"] != 0.0

    at = next(n for n, event in enumerate(run.events) if event is first)
    after = run.events[at:]
    hit = next(event for event in after if isinstance(event, ExposureSnapshot))
    assert abs(hit.net_delta_usd or 0.0) > 0.1 * hit.share_class_value, "the spot leg stands alone for a moment"
    levelled = next(e for e in after if isinstance(e, ExposureSnapshot) and e.trigger_source == "execution_manager")
    assert abs(levelled.net_delta_usd or 0.0) < 0.002 * levelled.share_class_value
    decision = next(event for event in after if isinstance(event, StrategyDecision))
    assert "net delta is not zero" in decision.reasoning
    venue = closed[0].position_key.split(":")[0]
    cash_key = "binance:Margin:USDT" if venue == "binance" else f"{venue}:BaseToken:USDT"
    book = next(event for event in after if isinstance(event, PositionSnapshot))
    assert book.positions.get(cash_key, 0.0) >= 0.0, "an account never ends below zero"


def test_what_passes_by_itself_is_stamped_between_the_tick_before_and_the_tick_that_tells_it(
    history: Path, played: Callable[..., Played]
) -> None:
    """Whoever reads the log up to a moment reads the same whatever comes later: here with liquidations and arrivals."""
    settings = (
        "strategy_config.stake_allocation_percentage=0.9",
        "strategy_config.margin_rebalance=false",
        "risk_limits.enforce=false",
    )
    run = played(
        "usdt_market_neutral_no_leverage",
        data=history,
        start="2024-05-13T06:00",
        end="2024-05-24",
        settings=settings,
    )
    assert run.failure is None
    assert len({event.timestamp for event in liquidations(run)}) >= 1
    assert run.worst_residual <= 1e-9
    ordered = {order.operation_id for order in run.of(OperationExecutionEvent)}
    before = told = None
    for event in run.events:
        if isinstance(event, PositionSnapshot) and event.trigger_source == "tick":
            assert told is None or told <= event.timestamp
            before, told = event.timestamp, None
        elif isinstance(event, ExecutionDeltaEvent) and before is not None:
            of_an_order = event.operation_id in ordered and event.source != "transfer"
            assert event.timestamp > before or (event.timestamp == before and event.operation_id in ordered)
            told = told if of_an_order else event.timestamp
