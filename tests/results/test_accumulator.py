"""Statistics gathered from passing events, against what the same events say when looked at all at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.finance.metrics import flow_adjusted_index, max_drawdown
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    DomainEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    HealthStatusEvent,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    RiskAssessment,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.messages.execution import DeltaSource, ExecutionStatus, PositionDelta
from basis_actors.messages.orders import ExecutionMode, OperationType
from basis_actors.results.accumulator import RunStatistics

START = datetime(2024, 1, 1, tzinfo=UTC)
Make = Callable[..., PnLCalculation]


def gathered(*events: DomainEvent) -> RunStatistics:
    statistics = RunStatistics()
    for event in events:
        statistics.observe(event)
    return statistics


def book(hours: float, **positions: float) -> PositionSnapshot:
    ledger = {key.replace("__", ":").replace("_PERP", "-PERP"): amount for key, amount in positions.items()}
    return PositionSnapshot(START + timedelta(hours=hours), ledger, None, "simulated", "tick")


class TestGrowth:
    def test_without_flows_it_is_equity_over_equity(self, calculation: Make) -> None:
        statistics = gathered(*(calculation(hour, 100_000.0 + hour**2) for hour in range(50)))
        assert statistics.equity_start == 100_000.0
        assert statistics.growth == (100_000.0 + 49**2) / 100_000.0

    def test_a_deposit_is_no_profit(self, calculation: Make) -> None:
        statistics = gathered(
            calculation(0, 100_000.0), calculation(1, 110_000.0), calculation(2, 165_000.0, 55_000.0),
            calculation(3, 181_500.0, 55_000.0),
        )  # fmt: skip
        assert statistics.growth == pytest.approx(1.1 * 1.0 * 1.1, rel=1e-15)

    def test_a_withdrawal_is_no_loss(self, calculation: Make) -> None:
        statistics = gathered(calculation(0, 100_000.0), calculation(1, 40_000.0, -60_000.0))
        assert statistics.growth == 1.0
        assert statistics.max_drawdown == 0.0

    def test_costs_of_the_first_orders_count(self, calculation: Make) -> None:
        statistics = gathered(calculation(0, 100_000.0), calculation(0, 99_900.0, trigger="execution_manager"))
        assert statistics.equity_start == 100_000.0
        assert statistics.growth == 0.999

    def test_it_begins_when_there_is_equity(self, calculation: Make) -> None:
        empty = calculation(0, 0.0, total_pnl=0.0)
        statistics = gathered(empty, calculation(1, 100_000.0))
        assert statistics.first is not None
        assert statistics.first.timestamp == START + timedelta(hours=1)

    def test_what_is_lost_stays_lost(self, calculation: Make) -> None:
        statistics = gathered(
            calculation(0, 100_000.0),
            calculation(1, -10.0),
            calculation(2, 990.0, 1000.0),
            calculation(3, 1980.0, 1000.0),
        )
        assert statistics.growth == 0.0
        assert statistics.max_drawdown == pytest.approx(1.0001, rel=1e-12)

    @given(st.lists(st.tuples(st.floats(0.9, 1.1), st.sampled_from([0.0, 0.0, 0.0, 5e3, -2e3, 1e5])), max_size=60))
    def test_it_is_the_chain_of_growth_factors(self, calculation: Make, steps: list[tuple[float, float]]) -> None:
        equity, flows, total = [100_000.0], [0.0], [0.0]
        for factor, flow in steps:
            equity.append(equity[-1] * factor + flow)
            flows.append(flow)
            total.append(total[-1] + flow)
        statistics = gathered(*(calculation(n, *point) for n, point in enumerate(zip(equity, total, strict=True))))
        index = flow_adjusted_index(equity, flows)
        assert statistics.growth == pytest.approx(index[-1], rel=1e-12)
        assert statistics.max_drawdown == pytest.approx(max_drawdown(index), rel=1e-9, abs=1e-12)
        assert statistics.midnights == pytest.approx(index[::24], rel=1e-12)


class TestMidnights:
    def test_one_point_a_day_before_the_orders_of_midnight(self, calculation: Make) -> None:
        statistics = gathered(
            calculation(0, 100_000.0),
            calculation(0, 99_000.0, trigger="execution_manager"),
            calculation(23, 99_500.0),
            calculation(24, 101_000.0),
            calculation(24, 100_500.0, trigger="execution_manager"),
            calculation(48, 102_000.0),
        )
        assert statistics.midnights == [1.0, 1.01, 1.02]

    def test_a_run_that_starts_at_noon_has_its_first_point_at_midnight(self, calculation: Make) -> None:
        statistics = gathered(calculation(12, 100_000.0), calculation(24, 103_000.0))
        assert statistics.midnights == [1.03]

    def test_without_a_tick_at_midnight_the_last_value_before_it_counts(self, calculation: Make) -> None:
        statistics = gathered(calculation(1, 100_000.0), calculation(23, 101_000.0), calculation(25, 150_000.0))
        assert statistics.midnights == [1.01]

    def test_every_midnight_that_passes_has_a_point(self, calculation: Make) -> None:
        statistics = gathered(calculation(0, 100_000.0), calculation(72, 103_000.0))
        assert statistics.midnights == [1.0, 1.0, 1.0, 1.03]


class TestDrawdown:
    def test_it_is_measured_from_the_peak_over_every_calculation(self, calculation: Make) -> None:
        equity = [100_000.0, 120_000.0, 90_000.0, 110_000.0, 130_000.0, 117_000.0]
        statistics = gathered(*(calculation(hour, value) for hour, value in enumerate(equity)))
        assert statistics.max_drawdown == pytest.approx(0.25, rel=1e-12)

    def test_a_loss_from_the_start_is_a_drawdown(self, calculation: Make) -> None:
        assert gathered(calculation(0, 100_000.0), calculation(1, 99_000.0)).max_drawdown == pytest.approx(0.01)


class TestResidual:
    def test_the_largest_counts_relative_to_equity_whatever_its_sign(self, calculation: Make) -> None:
        statistics = gathered(
            calculation(0, 100_000.0, residual=1e-3, residual_total=1e-3),
            calculation(1, 100_000.0, residual=-5e-3, residual_total=-4e-3),
            calculation(2, 100_000.0, residual=1e-4, residual_total=-3.9e-3),
        )
        assert statistics.max_residual == pytest.approx(5e-8)
        assert statistics.max_residual_total == pytest.approx(4e-8)

    def test_a_residual_without_equity_is_infinite(self, calculation: Make) -> None:
        statistics = gathered(calculation(0, 100_000.0), calculation(1, 0.0, residual=1.0))
        assert statistics.max_residual == float("inf")


class TestTimeInvested:
    def test_it_is_the_share_of_time_in_which_more_than_cash_was_held(self) -> None:
        cash = {"wallet__BaseToken__USDT": 1.0, "gas__Payable__USDT": -1.0, "binance__Margin__USDT": 5.0}
        short = {**cash, "binance__PerpPosition__BTC_PERP": -0.5}
        statistics = gathered(book(0, **cash), book(1, **short), book(2, **short), book(4, **cash))
        assert statistics.time_invested == 3 / 4

    def test_what_is_held_after_the_orders_of_a_tick_counts_for_the_time_until_the_next(self) -> None:
        statistics = gathered(book(0, wallet__BaseToken__USDT=1.0), book(0, aave__aToken__aUSDT=1.0), book(1))
        assert statistics.time_invested == 1.0

    def test_a_closed_position_is_not_held(self) -> None:
        assert gathered(book(0, binance__PerpPosition__BTC_PERP=0.0), book(1)).time_invested == 0.0

    def test_a_position_that_is_left_and_entered_again_counts_each_time_and_one_may_follow_another(self) -> None:
        cash, first = {"wallet__BaseToken__USDT": 1.0}, {"aave__aToken__aUSDT": 1.0}
        second = {"binance__PerpPosition__BTC_PERP": -0.5}
        books = [cash, first, cash, first, {**first, **second}, second, cash]
        assert gathered(*(book(hour, **held) for hour, held in enumerate(books)), book(8)).time_invested == 4 / 8

    def test_one_moment_is_no_time(self) -> None:
        assert gathered(book(0, aave__aToken__aUSDT=1.0)).time_invested is None


class TestCounts:
    def test_ticks_are_decisions(self) -> None:
        def decide(kind: str) -> StrategyDecision:
            return StrategyDecision(START, kind, "none", "tick", 0, "", {}, {}, "low")

        statistics = gathered(*map(decide, ["entry", "hold", "hold", "exit"]))
        assert statistics.ticks == 4
        assert statistics.decisions == {"entry": 1, "hold": 2, "exit": 1}

    def test_orders_groups_and_rejections(self) -> None:
        def operation(status: ExecutionStatus) -> OperationExecutionEvent:
            return OperationExecutionEvent(
                timestamp=START, operation_id="o", operation_type=OperationType.SUPPLY, venue="aave_v3",
                source_venue="wallet", target_venue="aave_v3", source_token="USDT", target_token="aUSDT",
                status=status, expected_deltas=(), actual_deltas={}, fee_amount=0.0, fee_currency=None,
                execution_duration_ms=0.0, simulated=True,
            )  # fmt: skip

        group = AtomicOperationGroupEvent(
            timestamp=START, atomic_group_id="g", mode=ExecutionMode.ATOMIC, operation_ids=(), operation_types=(),
            all_succeeded=False, rollback_occurred=True, group_status="rolled_back", total_gas_fees=0.0,
            total_duration_ms=0.0,
        )  # fmt: skip
        confirmed, failed = operation(ExecutionStatus.CONFIRMED), operation(ExecutionStatus.FAILED)
        statistics = gathered(confirmed, failed, confirmed, group)
        assert statistics.operations == {"confirmed": 2, "failed": 1}
        assert statistics.rejections == 1
        assert statistics.groups == {"rolled_back": 1}

    def test_liquidations_are_deltas_with_that_source(self) -> None:
        def delta(source: DeltaSource) -> ExecutionDeltaEvent:
            return ExecutionDeltaEvent(START, source, (PositionDelta("binance:Margin:USDT", -1.0),), "binance", 0)

        assert gathered(delta(DeltaSource.FUNDING), delta(DeltaSource.LIQUIDATION)).liquidations == 1

    def test_errors_by_code_and_severity(self) -> None:
        def error(code: str, severity: str) -> SystemErrorEvent:
            return SystemErrorEvent(timestamp=START, component="c", error_code=code, severity=severity, message="m")

        said = [("VEN-001", "MEDIUM"), ("VEN-001", "HIGH"), ("VEN-001", "LOW"), ("DATA-002", "MEDIUM")]
        statistics = gathered(*(error(*each) for each in said))
        assert statistics.errors == {"VEN-001": 3, "DATA-002": 1}
        assert statistics.worst_errors == {"VEN-001": "HIGH", "DATA-002": "MEDIUM"}

    def test_events_that_tell_nothing_are_counted_all_the_same(self) -> None:
        health = HealthStatusEvent(
            timestamp=START, component="c", status="healthy", checks={}, error_count=0, inbox_depth=0,
            last_message_age_ms=None,
        )  # fmt: skip
        assert gathered(health, health).events == {"HealthStatusEvent": 2}


def test_memory_grows_by_one_number_a_day(calculation: Make) -> None:
    def size(days: int) -> int:
        statistics = gathered(
            *(
                event
                for hour in range(days * 24)
                for event in (calculation(hour, 1e5 + hour), book(hour, x__LST__y=1.0))
            )
        )
        plain = [value for value in vars(statistics).values() if value is not statistics.midnights]
        assert len(statistics.midnights) == days
        return sum(map(sys.getsizeof, plain))

    sizes = [size(days) for days in (10, 20, 40)]
    assert all(later - earlier < 100 for earlier, later in pairwise(sizes))


class TestRisk:
    def test_the_lowest_health_and_margin_of_all_assessments_are_kept(self) -> None:
        def assessment(health: float | None, **ratios: float) -> RiskAssessment:
            return RiskAssessment(START, "low", ratios, (), (), "tick", health_factor=health)

        statistics = gathered(
            assessment(None),
            assessment(1.05, binance=0.5, bybit=0.41),
            assessment(1.02, binance=0.38),
            assessment(None, bybit=0.6),
            assessment(1.3),
        )
        assert (statistics.lowest_health_factor, statistics.lowest_margin_ratio) == (1.02, 0.38)

    def test_without_loans_and_perps_there_is_no_lowest(self) -> None:
        statistics = gathered(RiskAssessment(START, "low", {}, (), (), "tick"))
        assert (statistics.lowest_health_factor, statistics.lowest_margin_ratio) == (None, None)

    def test_hours_count_as_unhedged_by_how_the_book_was_left(self) -> None:
        statistics = RunStatistics(delta_band=0.02)
        views: list[tuple[float, float | None]] = [
            (0, 0.0),  # hedged for an hour
            (1, 2_500.0),  # the tick finds it unhedged, its orders hedge it: no time has passed
            (1, 0.0),
            (2, -2_500.0),  # left unhedged for three hours
            (5, 1_999.0),  # inside the band
            (6, None),  # not known for two hours
            (8, 0.0),
        ]
        for hours, delta in views:
            moment = START + timedelta(hours=hours)
            statistics.observe(ExposureSnapshot(moment, delta, {}, 100_000.0, 100_000.0, "tick"))
        assert statistics.unhedged_hours == 5.0

    def test_a_mode_that_hedges_nothing_has_no_unhedged_hours(self) -> None:
        assert gathered(ExposureSnapshot(START, 5e4, {}, 1e5, 1e5, "tick")).unhedged_hours is None


class TestWaiting:
    @staticmethod
    def hold(hours: float, why: str) -> StrategyDecision:
        return StrategyDecision(START + timedelta(hours=hours), "hold", "none", "tick", 0, why, {}, {}, "low")

    def test_a_run_that_never_held_anything_knows_what_it_waited_for(self) -> None:
        statistics = gathered(*(event for hour in range(5) for event in (book(hour), self.hold(hour, f"day {hour}"))))
        assert statistics.never_invested
        assert statistics.waits.most_common(3) == [("day 4", 5)]

    def test_once_something_was_held_nothing_is_waited_for(self) -> None:
        held = book(1, binance__PerpPosition__BTC_PERP=-1.0)
        statistics = gathered(book(0), self.hold(0, "too early"), held, book(2), self.hold(2, "over"), book(3))
        assert not statistics.never_invested
        assert not statistics.waits

    def test_before_time_has_passed_nothing_is_said(self) -> None:
        assert not gathered(book(0), self.hold(0, "too early")).never_invested


def test_the_first_message_of_each_error_is_kept() -> None:
    def error(code: str, message: str) -> SystemErrorEvent:
        return SystemErrorEvent(timestamp=START, component="c", error_code=code, severity="HIGH", message=message)

    statistics = gathered(error("RISK-006", "peg unknown"), error("RISK-006", "peg lost"), error("EXP-003", "price"))
    assert statistics.first_errors == {"RISK-006": "peg unknown", "EXP-003": "price"}
