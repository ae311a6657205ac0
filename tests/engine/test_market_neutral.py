"""A market-neutral run enters in stages, stays hedged at every tick, keeps its margin, and pays what is asked back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.play import Played, flow

from basis_actors.config.scenarios import load_scenario
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PositionSnapshot,
    RiskAssessment,
    StrategyDecision,
)

Play = Callable[..., Played]
PLAIN, LEVERED = "usdt_market_neutral_no_leverage", "usdt_market_neutral"
BOTH = pytest.mark.parametrize("mode", [PLAIN, LEVERED])
DUST, BAND = 0.002, 0.02


def worst_delta(run: Played, *, at_ticks: bool = False) -> float:
    """Largest |net delta| / equity from the end of the entry on, transit included."""
    worst, entered = 0.0, False
    for event in run.events:
        entered = entered or (isinstance(event, OperationExecutionEvent) and event.operation_type == "spot_trade")
        if isinstance(event, ExposureSnapshot) and entered and (not at_ticks or event.trigger_source == "tick"):
            assert event.net_delta_usd is not None
            worst = max(worst, abs(event.net_delta_usd) / event.share_class_value)
    assert entered
    return worst


def is_in_order(run: Played) -> None:
    """Hedged, explained, and nothing refused."""
    assert run.failure is None
    assert worst_delta(run) <= DUST
    assert run.worst_residual <= 1e-9
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}


def operations(run: Played) -> list[str]:
    return [order.operation_type for order in run.of(OperationExecutionEvent)]


@BOTH
def test_the_entry_goes_stage_by_stage(mode: str, history: Path, played: Play) -> None:
    """Each stage waits for what the one before it has sent; the hedge stands from the moment ether is held."""
    run = played(mode, data=history, start="2024-06-01", end="2024-06-01T08:00")
    is_in_order(run)
    done = operations(run)
    loop = ["flash_borrow", "stake", "supply", "borrow", "flash_repay"]
    last = ["stake"] if mode == PLAIN else loop
    assert done == ["transfer"] * 3 + ["perp_trade"] * 2 + ["spot_trade"] * 2 + ["transfer", *last]
    times = [order.timestamp for order in run.of(OperationExecutionEvent)]
    assert [time.hour for time in dict.fromkeys(times)] == [0, 1, 2, 3], "20 minutes on the way, ticks of an hour"
    groups = run.of(AtomicOperationGroupEvent)
    assert [group.mode for group in groups] == (["compensated"] if mode == PLAIN else ["compensated", "atomic"])
    assert all("okx" in decision.market_conditions["left_out"] for decision in run.of(StrategyDecision))
    held = run.of(PositionSnapshot)[-1].positions
    assert held["bybit:PerpPosition:ETH-PERP"] / held["binance:PerpPosition:ETH-PERP"] == pytest.approx(0.75, abs=0.01)


@BOTH
@pytest.mark.parametrize(
    ("start", "end"), [("2024-05-13", "2024-07-12"), ("2024-08-01", "2024-09-05"), ("2025-04-05", "2025-05-15")]
)
def test_real_history_never_moves_delta_out_of_dust(
    mode: str, start: str, end: str, history: Path, played: Play
) -> None:
    """A rise of a fifth in a day, a fall of a quarter, and the spring of 2025, which had both."""
    run = played(mode, data=history, start=start, end=end)
    is_in_order(run)
    assert not [event for event in run.of(ExecutionDeltaEvent) if event.source == "liquidation"]
    ratios = [ratio for risk in run.of(RiskAssessment) for ratio in risk.margin_ratio.values()]
    assert min(ratios) > 0.4


@pytest.mark.parametrize(
    "settings",
    [
        ["strategy_config.loop.flash_venue=aave_v3"],
        ["strategy_config.loop.target_ltv=0.65"],
        ["strategy_config.lst_type=wstETH", "strategy_config.staking_venue=lido"],
        ["strategy_config.reward_venue=uniswap"],
        ["enable_market_impact=false"],
    ],
)
def test_other_lenders_tokens_and_leverage_stay_within_dust(settings: list[str], history: Path, played: Play) -> None:
    """A flash fee and swapped rewards change delta by more than dust, so as much of the hedge goes ahead of them."""
    run = played(LEVERED, data=history, start="2024-09-25", end="2024-10-16", settings=settings)
    is_in_order(run)


@pytest.mark.parametrize("capital", [7_000.0, 5_000_000.0])
def test_small_and_large_capital_stay_within_dust(capital: float, history: Path, played: Play) -> None:
    run = played(PLAIN, data=history, start="2024-05-13", end="2024-06-20", capital=capital)
    is_in_order(run)


@BOTH
def test_a_rally_of_sixty_percent_in_a_week_is_paid_for_by_unwinding(mode: str, tmp_path: Path, played: Play) -> None:
    shock = tmp_path / "rally.yaml"
    shock.write_text(
        "scenario: eth_rally\ndescription: ETH gains 60 % in a week.\nshocks:\n"
        "  - {kind: price, start_hours: 240, assets: [ETH], change: 0.6, over_hours: 168}\n"
    )
    run = played(mode, start="2024-01-01", end="2024-01-25", scenario=load_scenario(shock))
    is_in_order(run)
    ratios = [ratio for risk in run.of(RiskAssessment) for ratio in risk.margin_ratio.values()]
    assert min(ratios) > 0.4
    unwound = [d for d in run.of(StrategyDecision) if "unwinding" in d.reasoning]
    assert len(unwound) >= 2
    for decision in unwound:
        figures = decision.market_conditions
        assert figures["unwind_cost"] > 0.0
        leverage = figures["unwound_collateral"] / figures["freed"]
        assert leverage == pytest.approx(1.003, abs=2e-3) if mode == PLAIN else leverage > 1.0 / (1.0 - 0.909)


@BOTH
@pytest.mark.parametrize("size", [-30_000.0, -60_000.0, 50_000.0])
def test_money_asked_back_is_paid_within_a_day_and_money_paid_in_is_put_to_work(
    mode: str, size: float, history: Path, played: Play
) -> None:
    run = played(mode, data=history, start="2024-06-01", end="2024-06-09", flows=[flow("2024-06-05T00:30", size)])
    is_in_order(run)
    paid = [
        (event.timestamp, -sum(delta.delta_amount for delta in event.deltas))
        for event in run.of(ExecutionDeltaEvent)
        if event.source == "withdrawal"
    ]
    assert sum(amount for _, amount in paid) == pytest.approx(max(0.0, -size))
    assert all((time - flow("2024-06-05", 1.0).timestamp).total_seconds() < 86_400.0 for time, _ in paid)
    shorts = [
        -sum(size for key, size in event.positions.items() if ":PerpPosition:" in key)
        for event in run.of(PositionSnapshot)
    ]
    before = next(
        short for event, short in zip(run.of(PositionSnapshot), shorts, strict=True) if event.timestamp.day == 4
    )
    assert shorts[-1] / before == pytest.approx(1.0 + size / 100_000.0, abs=0.04)


@BOTH
@pytest.mark.parametrize("size", [-90_000.0, -95_000.0])
def test_almost_everything_is_paid_within_a_day_and_what_is_too_little_to_hedge_stays_as_cash(
    mode: str, size: float, history: Path, played: Play
) -> None:
    run = played(mode, data=history, start="2024-06-18", end="2024-06-22", flows=[flow("2024-06-20", size)])
    is_in_order(run)
    (paid,) = [event for event in run.of(ExecutionDeltaEvent) if event.source == "withdrawal"]
    assert paid.deltas[0].delta_amount == pytest.approx(size)
    assert (paid.timestamp - flow("2024-06-20", 1.0).timestamp).total_seconds() < 86_400.0
    assert len(operations(run)) < 180
    left = run.of(PositionSnapshot)[-1].positions
    shorts = -sum(amount for key, amount in left.items() if ":PerpPosition:" in key)
    assert (shorts == 0.0) is (size == -95_000.0), "dust of 5,000 USDT is less than a smallest order"


def test_season_rewards_end_as_cash_of_the_exchange(history: Path, played: Play) -> None:
    run = played(LEVERED, data=history, start="2024-09-25", end="2024-10-10")
    is_in_order(run)
    received = [event for event in run.of(ExecutionDeltaEvent) if event.source == "reward"]
    assert received
    sales = [d for d in run.of(StrategyDecision) if d.action_taken == "sell_dust"]
    assert len(sales) >= 2, "one sends the tokens, the next sells them"
    sold = [order for order in run.of(OperationExecutionEvent) if "binance:BaseToken:EIGEN" in order.actual_deltas]
    assert [order.operation_type for order in sold] == ["spot_trade"]
    assert sold[0].actual_deltas["binance:BaseToken:USDT"] > 0.0


def test_a_venue_joins_at_the_first_rebalance_after_its_data_begin(history: Path, played: Play) -> None:
    run = played(
        PLAIN,
        data=history,
        start="2024-09-25",
        end="2024-11-22",
        settings=["strategy_config.position_deviation_threshold=0.005"],
    )
    is_in_order(run)
    trades = [order for order in run.of(OperationExecutionEvent) if order.operation_type == "perp_trade"]
    joined = next(order for order in trades if order.venue == "okx")
    left_out = [d.timestamp for d in run.of(StrategyDecision) if "okx" in d.market_conditions["left_out"]]
    assert left_out[0] == run.of(StrategyDecision)[0].timestamp
    assert joined.timestamp > min(time for time in (d.timestamp for d in run.of(StrategyDecision)) if time.month == 10)
    last = run.of(PositionSnapshot)[-1].positions
    total = sum(size for key, size in last.items() if ":PerpPosition:" in key)
    assert 0.2 < last["okx:PerpPosition:ETH-PERP"] / total < 0.35, "most of its 0.3 at once"


@pytest.mark.parametrize("mode", [PLAIN, LEVERED, "eth_basis"])
def test_a_risk_that_stays_critical_turns_everything_back_into_cash_in_the_wallet(
    mode: str, history: Path, played: Play
) -> None:
    """Delta is never outside its band on the way out, and within dust at every tick."""
    # Without costs: an entry that would break the limit by itself is not made.
    settings = ["risk_limits.max_drawdown=0.00002"]
    if mode == "eth_basis":
        settings.append("strategy_config.always_in=true")
    run = played(mode, data=history, start="2024-06-01", end="2024-06-04", settings=settings, frictionless=True)
    assert run.failure is None
    assert worst_delta(run) <= BAND
    assert worst_delta(run, at_ticks=True) <= DUST
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}
    exits = [d for d in run.of(StrategyDecision) if d.decision_type == "emergency_exit"]
    assert exits
    assert "trading is stopped" in run.of(StrategyDecision)[-1].reasoning
    left = {key: amount for key, amount in run.of(PositionSnapshot)[-1].positions.items() if abs(amount) > 0.05}
    assert list(left) == ["wallet:BaseToken:USDT"]
    assert left["wallet:BaseToken:USDT"] > 95_000.0
