"""Whole runs of the modes that hold staked ETH: attribution closes, the owner is paid, and the pool is never owed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as limited
from hypothesis import strategies as st
from tests.engine.play import Played, flow, play, utc

from basis_actors.messages.book import Flow
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    RiskAssessment,
    StrategyDecision,
)

Play = Callable[..., Played]
TOLERANCE = 1e-9
TOKENS = {"weETH": "etherfi", "wstETH": "lido"}
FLOWS = (flow("2024-09-06T03:30", 10.0), flow("2024-10-12T12:00", -14.25), flow("2024-10-20T05:00", -3.5))


def settings(lst: str, route: str = "dex", *more: str) -> list[str]:
    return [
        f"strategy_config.lst_type={lst}",
        f"strategy_config.staking_venue={TOKENS[lst]}",
        f"strategy_config.unwind_route={route}",
        *more,
    ]


def closes(run: Played) -> None:
    """Nothing failed, every order was done, and attribution explains equity at every calculation and in sum."""
    assert run.failure is None
    assert run.worst_residual <= TOLERANCE
    last = run.of(PnLCalculation)[-1]
    assert abs(last.residual_total) <= TOLERANCE * last.equity
    assert last.total_pnl == pytest.approx(math.fsum(last.attribution_total.values()), abs=TOLERANCE * last.equity)
    assert {event.status for event in run.of(OperationExecutionEvent)} <= {"confirmed"}


def paid(run: Played) -> float:
    """What the owner has got."""
    return -sum(
        delta.delta_amount
        for event in run.of(ExecutionDeltaEvent)
        if event.source == "withdrawal"
        for delta in event.deltas
    )


def nothing_is_overdrawn(run: Played) -> None:
    """No balance of a mode without perps or payables is negative, and no flash loan is open between transactions."""
    for snapshot in run.of(PositionSnapshot):
        assert all(amount >= -1e-9 for amount in snapshot.positions.values()), snapshot.positions
        assert abs(snapshot.positions.get("morpho:flashDebt:WETH", 0.0)) <= 1e-9


@pytest.mark.parametrize("route", ["dex", "queue"])
@pytest.mark.parametrize("lst", TOKENS)
@pytest.mark.parametrize("mode", ["eth_staking_only", "eth_leveraged"])
def test_attribution_closes_on_real_history_with_deposits_and_withdrawals(
    mode: str, lst: str, route: str, history: Path, played: Play
) -> None:
    # By the queue a loop frees collateral week by week, for as much debt as the week before has repaid.
    end = "2024-12-10" if (mode, route) == ("eth_leveraged", "queue") else "2024-11-08"
    cautious = ["strategy_config.loop.target_ltv=0.65"] if mode == "eth_leveraged" and route == "queue" else []
    run = played(
        mode,
        data=history,
        start="2024-08-20",
        end=end,
        flows=FLOWS,
        settings=settings(lst, route, *cautious),
    )
    closes(run)
    nothing_is_overdrawn(run)
    assert paid(run) == pytest.approx(17.75, rel=1e-9)
    used = {event.operation_type for event in run.of(OperationExecutionEvent)}
    assert ("unstake" in used) == (route == "queue")
    if lst == "wstETH":
        assert run.of(PnLCalculation)[-1].attribution_total["rewards"] == 0.0


def test_a_deposit_is_levered_without_a_gas_reserve(played: Play) -> None:
    """Rounding does not leave the flash loan short, though nothing but its gas stays in the wallet."""
    run = played(
        "eth_leveraged",
        end="2024-01-15",
        flows=(flow("2024-01-10", 100.0),),
        settings=["strategy_config.gas_reserve_eth=0"],
    )
    closes(run)
    assert len(run.of(AtomicOperationGroupEvent)) >= 2, "the entry, and the deposit"


@pytest.mark.parametrize("frictionless", [False, True], ids=["with costs", "frictionless"])
@pytest.mark.parametrize("lst", TOKENS)
@pytest.mark.parametrize("mode", ["eth_staking_only", "eth_leveraged"])
def test_attribution_closes_on_the_synthetic_market(mode: str, lst: str, frictionless: bool, played: Play) -> None:
    flows = (flow("2024-01-06T03:30", 8.0), flow("2024-01-12T12:00", -14.25), flow("2024-01-20", 0.002))
    run = played(
        mode,
        start="2024-01-01",
        end="2024-01-25",
        frictionless=frictionless,
        seed=11,
        flows=flows,
        settings=settings(lst),
    )
    closes(run)
    nothing_is_overdrawn(run)
    assert paid(run) == pytest.approx(14.25, rel=1e-9)


@pytest.mark.parametrize("mode", ["eth_staking_only", "eth_leveraged"])
def test_rewards_are_sold_and_put_to_work(mode: str, history: Path, played: Play) -> None:
    """From the token received to ETH staked again; what is left in the wallet is worth less than its sale."""
    run = played(
        mode,
        data=history,
        start="2024-09-20",
        end="2024-11-15",
        frictionless=True,
        settings=settings("weETH", "dex", "strategy_config.dust_delta=0.0002"),
    )
    closes(run)
    decisions = run.of(StrategyDecision)
    sales = [number for number, decision in enumerate(decisions) if decision.action_taken == "sell_dust"]
    assert sales
    for number in sales[:-1]:
        following = decisions[number + 1 : number + 3]
        assert "entry_partial" in {decision.action_taken for decision in following}
    sold = [event for event in run.of(OperationExecutionEvent) if event.source_token in ("EIGEN", "ETHFI")]
    assert {event.operation_type for event in sold} == {"swap"}
    assert run.of(PnLCalculation)[-1].attribution_total["rewards"] > 0.0


def test_a_loop_stays_inside_its_band_and_is_never_liquidated(history: Path, played: Play) -> None:
    run = played("eth_leveraged", data=history, start="2024-08-20", end="2024-12-10", settings=settings("wstETH"))
    closes(run)
    ltvs = [view.ltv_ratio for view in run.of(RiskAssessment) if view.ltv_ratio]
    assert max(ltvs) <= 0.909 + 0.01 + 1e-6
    assert "liquidation" not in {event.source for event in run.of(ExecutionDeltaEvent)}


def test_a_narrow_band_is_kept_from_both_sides(history: Path, played: Play) -> None:
    """Debt grows by the hour and the token's rate by the day, so the loan crosses so narrow a band both ways."""
    band, interest_of_an_hour = 3e-5, 5e-6
    run = played(
        "eth_leveraged",
        data=history,
        start="2024-06-12",
        end="2024-08-01",
        frictionless=True,
        settings=settings("wstETH", "dex", f"strategy_config.loop.ltv_band={band}"),
    )
    closes(run)
    kinds = [" ".join(group.operation_types) for group in run.of(AtomicOperationGroupEvent)]
    assert kinds.count("flash_borrow stake supply borrow flash_repay") > 1
    assert kinds.count("flash_borrow repay withdraw swap flash_repay") > 1
    assert max(view.ltv_ratio for view in run.of(RiskAssessment) if view.ltv_ratio) < 0.909 + band + interest_of_an_hour


def test_risk_sees_the_loan_that_the_strategy_sees(history: Path, played: Play) -> None:
    """Both take health and loan to value from the oracle, by one formula, but each on its own."""
    run = played("eth_leveraged", data=history, start="2024-08-20", end="2024-08-25", settings=settings("weETH"))
    seen = {view.timestamp: view for view in run.of(RiskAssessment) if view.trigger_source == "tick"}
    compared = 0
    for decision in run.of(StrategyDecision)[2:]:
        view, state = seen[decision.timestamp], decision.portfolio_state
        assert state["ltv"] == pytest.approx(view.ltv_ratio, rel=1e-12)
        assert state["health_factor"] == pytest.approx(view.health_factor, rel=1e-12)
        compared += 1
    assert compared > 100


def test_an_unwind_takes_collateral_of_the_freed_equity_over_one_minus_ltv(history: Path, played: Play) -> None:
    """Without friction, and with the market at the protocol's rate, freeing x takes x / (1 - LTV) of collateral."""
    run = played(
        "eth_leveraged",
        data=history,
        start="2024-08-20",
        end="2024-08-25",
        flows=(flow("2024-08-22T12:00", -8.0),),
        frictionless=True,
        settings=settings("wstETH"),
    )
    closes(run)
    unwind = next(group for group in run.of(AtomicOperationGroupEvent) if "repay" in group.operation_types)
    assert unwind.operation_types == ("flash_borrow", "repay", "withdraw", "swap", "flash_repay")
    decision = next(decision for decision in run.of(StrategyDecision) if decision.market_conditions.get("unwind_cost"))
    state, market = decision.portfolio_state, decision.market_conditions
    withdrawn = next(event for event in run.of(OperationExecutionEvent) if event.operation_type == "withdraw")
    taken = -withdrawn.actual_deltas["aave:aToken:awstETH"] * market["eth_per_lst"]
    ltv = state["debt"] / state["collateral"]
    assert taken == pytest.approx((8.0 + market["unwind_cost"]) / (1.0 - ltv), rel=1e-9)
    after = [view.ltv_ratio for view in run.of(RiskAssessment) if view.ltv_ratio][-1]
    assert after == pytest.approx(ltv, abs=1e-4)


def whole_run(folder: Path, mode: str, seed: int) -> Played:
    """Two weeks of a random market with a random token, route, target and capital, and flows that may be impossible."""
    chance = random.Random(seed)
    start = utc("2024-01-01") + timedelta(days=chance.randrange(0, 500))
    end = start + timedelta(days=14)
    flows = [
        Flow(start + timedelta(seconds=chance.randrange(1, 14 * 86_400)), chance.choice([1.0, -1.0]) * amount)
        for amount in (40.0 * chance.choice([1e-4, 0.03, 0.5, 1.2]) * chance.random() for _ in range(5))
    ]
    chosen = settings(chance.choice(list(TOKENS)), chance.choice(["dex", "queue"]))
    if mode == "eth_leveraged":
        chosen.append(f"strategy_config.loop.target_ltv={chance.choice([0.3, 0.65, 0.9, 0.909])}")
        chosen.append(f"strategy_config.loop.flash_venue={chance.choice(['morpho', 'aave_v3'])}")
    return play(
        mode,
        folder,
        start=start.replace(tzinfo=None).isoformat(),
        end=end.replace(tzinfo=None).isoformat(),
        capital=40.0 * chance.choice([0.003, 0.1, 1.0, 30.0]),
        flows=flows,
        seed=seed,
        settings=chosen,
        frictionless=chance.random() < 0.3,
    )


@limited(max_examples=8, deadline=None, derandomize=True)
@given(mode=st.sampled_from(["eth_staking_only", "eth_leveraged"]), seed=st.integers(0, 10_000))
def test_value_is_conserved_in_random_runs(mode: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = whole_run(tmp_path_factory.mktemp("run"), mode, seed)
    closes(run)
    nothing_is_overdrawn(run)


@pytest.mark.long
def test_value_is_conserved_in_many_random_runs(tmp_path: Path, form: str) -> None:
    """The short form plays 10 runs, the full one 100."""
    for seed in range(10 if form == "short" else 100):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run = whole_run(folder, ("eth_staking_only", "eth_leveraged")[seed % 2], 30_000 + seed)
        closes(run)
        nothing_is_overdrawn(run)
