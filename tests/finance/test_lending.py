"""Scaled balances and health, against exact rational arithmetic and the published formulas."""

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.finance.lending import (
    health_factor,
    index_ratio,
    liquidation_call,
    loan_to_value,
    scaled_amount,
    shown_amount,
)

amounts = st.floats(1e-6, 1e12)
indices = st.floats(1.0, 10.0)


@given(amounts, indices, indices)
def test_interest_is_the_ratio_of_the_indices(amount: float, before: float, after: float) -> None:
    exact = Fraction(amount) / Fraction(before) * Fraction(after)
    shown = shown_amount(scaled_amount(amount, before), after)
    assert shown == pytest.approx(float(exact), rel=1e-15)
    assert shown == pytest.approx(amount * index_ratio(before, after), rel=1e-15)


@given(amounts, indices)
def test_what_is_supplied_is_shown_at_once_whatever_the_index(amount: float, index: float) -> None:
    assert shown_amount(scaled_amount(amount, index), index) == pytest.approx(amount, rel=1e-15)


@pytest.mark.parametrize("index", [0.0, -1.0, float("nan")])
def test_an_index_that_is_no_index_is_refused(index: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        scaled_amount(1.0, index)
    with pytest.raises(ValueError, match="greater than 0"):
        index_ratio(1.0, index)


@given(st.floats(0.05, 0.93))
def test_health_of_a_one_shot_loop_is_threshold_over_ltv(ltv: float) -> None:
    equity = 100.0
    supplied, owed = equity / (1.0 - ltv), equity * ltv / (1.0 - ltv)
    assert loan_to_value(supplied, owed) == pytest.approx(ltv, rel=1e-14)
    assert health_factor([(supplied, 0.95)], owed) == pytest.approx(0.95 / ltv, rel=1e-14)
    assert supplied / equity == pytest.approx(1.0 / (1.0 - ltv), rel=1e-14)


def test_without_debt_nothing_can_be_unhealthy() -> None:
    assert health_factor([], 0.0) == inf
    assert loan_to_value(0.0, 0.0) == 0.0
    assert loan_to_value(0.0, 1.0) == inf


def test_half_the_debt_may_be_liquidated_and_all_of_it_below_the_second_limit() -> None:
    gentle = liquidation_call(1000.0, 1300.0, health=0.97, bonus=0.05, close_factor=0.5, full_below=0.95)
    assert gentle == (500.0, 525.0)
    harsh = liquidation_call(1000.0, 1300.0, health=0.94, bonus=0.05, close_factor=0.5, full_below=0.95)
    assert harsh == (1000.0, 1050.0)


@given(amounts, amounts, st.floats(0.1, 0.999), st.floats(0.0, 0.2))
def test_a_liquidator_never_takes_more_than_there_is(
    debt: float, collateral: float, health: float, bonus: float
) -> None:
    call = liquidation_call(debt, collateral, health=health, bonus=bonus, close_factor=0.5, full_below=0.95)
    assert 0.0 <= call.repaid <= debt
    assert 0.0 <= call.seized <= collateral
    assert call.seized == pytest.approx(call.repaid * (1.0 + bonus), rel=1e-12)


def test_a_healthy_account_cannot_be_liquidated() -> None:
    with pytest.raises(ValueError, match="below 1"):
        liquidation_call(1.0, 2.0, health=1.0, bonus=0.05, close_factor=0.5, full_below=0.95)
