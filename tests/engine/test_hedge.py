"""A basis run stays hedged, spends money on moving money only when there is reason to, and pays what is asked back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.engine.play import ALWAYS_IN, Played, flow

from basis_actors.messages.events import (
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    RiskAssessment,
    StrategyDecision,
)

Play = Callable[..., Played]
DUST = 0.002
LOW_LIMITS = ("risk_limits.margin_ratio_reduce=0.05", "risk_limits.margin_ratio_exit_half=0.03")


def is_hedged_from_the_entry_on(run: Played) -> None:
    """|net delta| within the dust limit at every calculation, transit included, once both legs stand."""
    assert run.failure is None
    entered = False
    for event in run.events:
        if isinstance(event, OperationExecutionEvent) and event.operation_type == "perp_trade":
            entered = True
        if isinstance(event, ExposureSnapshot) and entered:
            assert event.net_delta_usd is not None
            assert abs(event.net_delta_usd) <= DUST * event.share_class_value, event.timestamp
    assert entered


@pytest.mark.parametrize("mode", ["btc_basis", "eth_basis"])
@pytest.mark.parametrize("leverage", [1.0, 2.0, 5.0])
def test_net_delta_stays_within_dust(mode: str, leverage: float, history: Path, played: Play) -> None:
    run = played(
        mode,
        data=history,
        start="2024-02-01",
        end="2024-03-10",
        settings=[ALWAYS_IN, f"strategy_config.leverage={leverage}", *(LOW_LIMITS if leverage > 2.0 else ())],
    )
    is_hedged_from_the_entry_on(run)


@pytest.mark.parametrize("mode", ["btc_basis", "eth_basis", "usdt_market_neutral", "usdt_market_neutral_no_leverage"])
def test_spot_and_short_can_be_paid_from_one_account(mode: str, history: Path, played: Play) -> None:
    """Cash of a unified account that margins a short buys no spot as well."""
    settings = [ALWAYS_IN, "strategy_config.spot_venue=bybit"]
    run = played(mode, data=history, start="2024-05-12", end="2024-07-01", settings=settings)
    is_hedged_from_the_entry_on(run)
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}
    assert not run.codes
    ratios = [ratio for risk in run.of(RiskAssessment) for ratio in risk.margin_ratio.values()]
    assert min(ratios) > 0.3, "no leg comes near the ratio that risk reduces at"


@pytest.mark.parametrize("settings", [(), (ALWAYS_IN, "risk_limits.max_drawdown=0.001")])
def test_everything_asked_back_from_a_book_in_cash_is_not_paid_while_gas_is_owed(
    settings: tuple[str, ...], played: Play
) -> None:
    """What the wallet holds is more than equity then: paying it out would leave a debt and nothing else."""
    flows = [flow("2024-01-05", -100_000.0), flow("2024-01-10", 100_000.0)]
    run = played("btc_basis", end="2024-01-14", flows=flows, settings=settings)
    assert run.failure is None
    assert min(pnl.equity for pnl in run.of(PnLCalculation) if pnl.timestamp > run.flows[0].timestamp) > 99_000.0
    refused = {text for decision in run.of(StrategyDecision) for text in decision.constraints_violated}
    assert any(text.startswith("EXEC-004: a withdrawal of 100000.00 USDT is more than equity") for text in refused)


@pytest.mark.parametrize("capital", [500.0, 5_000.0, 20_000_000.0])
def test_small_and_large_capital_stays_hedged_and_no_order_is_refused(
    capital: float, history: Path, played: Play
) -> None:
    run = played("eth_basis", data=history, start="2024-02-01", end="2024-02-20", settings=[ALWAYS_IN], capital=capital)
    is_hedged_from_the_entry_on(run)
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}


def test_too_little_capital_stays_where_it_is(history: Path, played: Play) -> None:
    run = played("btc_basis", data=history, start="2024-02-01", end="2024-02-03", settings=[ALWAYS_IN], capital=20.0)
    assert run.failure is None
    assert run.of(OperationExecutionEvent) == []
    assert run.of(PnLCalculation)[-1].equity == 20.0
    assert all("too little" in decision.reasoning for decision in run.of(StrategyDecision))


def test_a_venue_joins_when_its_data_begin_and_the_hedge_holds(history: Path, played: Play) -> None:
    """OKX has ETH perps without a hole from October 2024 on; until then the others carry the hedge alone."""
    run = played("eth_basis", data=history, start="2024-09-20", end="2024-11-20", settings=[ALWAYS_IN])
    is_hedged_from_the_entry_on(run)
    without = [d.timestamp for d in run.of(StrategyDecision) if "okx" in d.market_conditions["left_out"]]
    assert without[0] == run.of(StrategyDecision)[0].timestamp
    trades = [order for order in run.of(OperationExecutionEvent) if order.operation_type == "perp_trade"]
    joined = next(order for order in trades if order.venue == "okx")
    assert joined.timestamp > without[-1]
    assert {order.venue for order in trades if order.timestamp <= without[-1]} == {"binance", "bybit"}


def test_a_falling_price_leaves_margin_as_profit_and_opens_nothing_it_cannot_pay_for(
    history: Path, played: Play
) -> None:
    """From December 2024 ETH loses more than half: the margin of the shorts is profit, with no cash for fees."""
    run = played("eth_basis", data=history, start="2024-12-10", end="2025-04-15", settings=[ALWAYS_IN])
    is_hedged_from_the_entry_on(run)
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}
    assert len(run.of(OperationExecutionEvent)) < 400


WITHDRAWALS = (
    (flow("2024-02-05T00:30", -30_000.0),),
    (flow("2024-02-05T00:30", -17.123456),),
    (flow("2024-02-01T02:00", -60_000.0), flow("2024-02-10", -30_000.0)),
    (flow("2024-02-03", 80_000.0), flow("2024-02-03T01:00", -120_000.0), flow("2024-02-09", 45_000.0)),
    tuple(flow(f"2024-02-0{day}", -8_000.5) for day in range(2, 9)),
)


@pytest.mark.parametrize("always_in", [True, False])
@pytest.mark.parametrize("flows", WITHDRAWALS)
@pytest.mark.parametrize("mode", ["btc_basis", "eth_basis"])
def test_what_the_owner_asks_back_is_paid_within_a_day_and_the_rest_stays_hedged(
    mode: str, flows: tuple[object, ...], always_in: bool, history: Path, played: Play
) -> None:
    config = (
        [ALWAYS_IN]
        if always_in
        else [
            "strategy_config.funding_threshold=-1.0",
            "strategy_config.exit_threshold=-1.0",
        ]
    )
    run = played(mode, data=history, start="2024-02-01", end="2024-02-14", flows=flows, settings=config)
    is_hedged_from_the_entry_on(run)
    asked = [f for f in run.flows if f.amount < 0]
    paid = [
        (event.timestamp, -delta.delta_amount)
        for event in run.of(ExecutionDeltaEvent)
        if event.source == "withdrawal"
        for delta in event.deltas
    ]
    assert sum(amount for _, amount in paid) == pytest.approx(-sum(f.amount for f in asked), rel=1e-12)
    for wanted in asked:
        owed = -sum(f.amount for f in asked if f.timestamp <= wanted.timestamp)
        done = sum(a for when, a in paid if (when - wanted.timestamp).total_seconds() <= 86_400)
        assert done >= owed - 1e-6, wanted.timestamp


def test_a_withdrawal_of_more_than_there_is_is_refused_with_words_and_the_run_goes_on(
    history: Path, played: Play
) -> None:
    run = played(
        "btc_basis",
        data=history,
        start="2024-02-01",
        end="2024-02-05",
        flows=[flow("2024-02-03", -500_000.0)],
        settings=[ALWAYS_IN],
    )
    is_hedged_from_the_entry_on(run)
    assert not [event for event in run.of(ExecutionDeltaEvent) if event.source == "withdrawal"]
    (refused,) = run.of(StrategyDecision)[-1].constraints_violated
    assert refused == "EXEC-004: a withdrawal of 500000.00 USDT is more than equity after the cost of an exit"


@pytest.mark.parametrize("mode", ["btc_basis", "eth_basis"])
def test_money_does_not_go_to_and_fro(mode: str, history: Path, played: Play) -> None:
    """A deposit far larger than the position is spread once and opened; then transfers are rare again."""
    run = played(
        mode,
        data=history,
        start="2024-02-01",
        end="2024-03-01",
        settings=[ALWAYS_IN],
        capital=20_000.0,
        flows=[flow("2024-02-10", 400_000.0)],
    )
    is_hedged_from_the_entry_on(run)
    kinds = Counter(order.operation_type for order in run.of(OperationExecutionEvent))
    assert kinds["transfer"] <= 60
    moves = [d for d in run.of(StrategyDecision) if d.action_taken == "transfer"]
    released = [d for d in moves if "above" in d.reasoning and 10 <= d.timestamp.day <= 12]
    assert len(released) <= 1
    last = run.of(PositionSnapshot)[-1].positions
    assert last.get("wallet:BaseToken:USDT", 0.0) < 0.02 * run.of(PnLCalculation)[-1].equity, "the deposit is at work"


def test_small_remainders_are_not_sent_around(history: Path, played: Play) -> None:
    """Each transfer from the wallet costs gas: a few cents that are missing are no reason to wait for them."""
    run = played("btc_basis", data=history, start="2024-02-16", end="2024-02-18", settings=[ALWAYS_IN], capital=1_000.0)
    is_hedged_from_the_entry_on(run)
    transfers = [
        order
        for order in run.of(OperationExecutionEvent)
        if order.operation_type == "transfer" and order.source_venue == "wallet"
    ]
    assert all(-min(order.actual_deltas.values()) >= 10.0 for order in transfers)
    assert len(transfers) <= 6


def test_lending_fills_its_gas_reserve_again(history: Path, played: Play) -> None:
    """Many withdrawals pay gas out of the reserve; none of them is refused for want of gas."""
    flows = [flow(f"2024-03-{day:02d}T05:00", -1.0) for day in range(2, 22)]
    run = played("pure_lending_eth", data=history, start="2024-03-01", end="2024-03-22", flows=flows)
    assert run.failure is None
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}
    paid = [e for e in run.of(ExecutionDeltaEvent) if e.source == "withdrawal"]
    assert len(paid) == 20


def test_a_withdrawal_waits_while_its_gas_is_dearer_than_the_reserve(history: Path, played: Play) -> None:
    """On 13 April 2024 gas cost ten times its usual price: more than the wallet kept for it."""
    run = played(
        "pure_lending_eth", data=history, start="2024-04-12", end="2024-04-15", flows=[flow("2024-04-13T21:00", -0.6)]
    )
    assert run.failure is None
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}
    assert any("cheaper gas" in decision.reasoning for decision in run.of(StrategyDecision))
    (paid,) = [event for event in run.of(ExecutionDeltaEvent) if event.source == "withdrawal"]
    assert f"{paid.timestamp:%d %H}" > "13 21"


def test_a_venue_joins_with_its_share_at_the_first_rebalance_after_its_data_begin(history: Path, played: Play) -> None:
    run = played(
        "eth_basis",
        data=history,
        start="2024-09-25",
        end="2024-11-22",
        settings=[ALWAYS_IN, "strategy_config.position_deviation_threshold=0.005"],
    )
    is_hedged_from_the_entry_on(run)
    decisions = run.of(StrategyDecision)
    rebalanced = [
        decision.timestamp for decision in decisions if "since the position was last set" in decision.reasoning
    ]
    joined = next(time for time in rebalanced if time >= datetime(2024, 10, 1, tzinfo=UTC))
    shorts = [
        {key.split(":")[0]: -size for key, size in snapshot.positions.items() if ":PerpPosition:" in key}
        for snapshot in run.of(PositionSnapshot)
        if snapshot.timestamp in (joined, joined + timedelta(hours=6))
    ]
    assert shorts[0].get("okx", 0.0) == 0.0
    assert shorts[-1]["okx"] / sum(shorts[-1].values()) == pytest.approx(0.3, abs=0.05)


def test_the_rounding_of_several_arrivals_does_not_count_as_money_under_way(played: Play) -> None:
    """Four transfers arrive together, the last of a cent: their sum leaves a trace that is more than dust of a cent."""
    flows = (flow("2024-01-11", 25_000.0), flow("2024-01-12T06:00", -10_000.0))
    run = played("btc_basis", start="2024-01-10", end="2024-01-14", flows=flows, settings=[ALWAYS_IN])
    assert not any(key.startswith("transit:") for key in run.of(PositionSnapshot)[-1].positions)
    assert [event.timestamp for event in run.of(ExecutionDeltaEvent) if event.source == "withdrawal"]
