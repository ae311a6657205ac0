"""Metrics against the standard library's statistics and against cases done by hand."""

import statistics
from math import exp, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.finance.metrics import (
    SHORTEST_TO_ANNUALISE,
    annualised_return,
    daily_returns,
    flow_adjusted_index,
    growth_factor,
    is_midnight,
    max_drawdown,
    midnight_samples,
    sharpe_ratio,
    total_return,
    volatility,
)

DAY = 86_400 * 1_000_000_000
growth = st.lists(st.floats(0.9, 1.1), min_size=1, max_size=30)


@given(growth, st.lists(st.floats(-50.0, 500.0), min_size=30, max_size=30))
def test_flows_change_no_return(factors: list[float], flows: list[float]) -> None:
    equity, paid, alone = [100.0], [0.0], 1.0
    for factor, flow in zip(factors, flows, strict=False):
        alone *= factor
        kept = max(flow, 1.0 - equity[-1] * factor)
        equity.append(equity[-1] * factor + kept)
        paid.append(kept)
    assert flow_adjusted_index(equity, paid)[-1] == pytest.approx(alone, rel=1e-9)


def test_a_deposit_is_no_profit_and_a_withdrawal_no_loss() -> None:
    assert flow_adjusted_index([100.0, 200.0, 150.0], [100.0, 100.0, -50.0]) == [1.0, 1.0, 1.0]
    assert growth_factor(100.0, 115.0, 10.0) == 1.05


def test_growth_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        growth_factor(0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="each point needs both"):
        flow_adjusted_index([1.0], [])


def test_only_midnights_count() -> None:
    stamps = [DAY, DAY + 1, 2 * DAY, 2 * DAY + DAY // 2]
    assert [is_midnight(ns) for ns in stamps] == [True, False, True, False]
    assert midnight_samples(stamps, [1.0, 0.1, 2.0, 0.2]) == [1.0, 2.0]


def test_a_dip_within_the_day_is_no_headline_drawdown() -> None:
    hours = [DAY + hour * DAY // 24 for hour in range(49)]
    index = [1.0 if is_midnight(ns) else 0.5 for ns in hours]
    assert max_drawdown(index) == 0.5
    assert max_drawdown(midnight_samples(hours, index)) == 0.0


@given(growth)
def test_drawdown_is_the_worst_pair_of_points(factors: list[float]) -> None:
    index = [1.0]
    for factor in factors:
        index.append(index[-1] * factor)
    worst = max(1.0 - index[j] / index[i] for i in range(len(index)) for j in range(i, len(index)))
    assert max_drawdown(index) == pytest.approx(max(0.0, worst), abs=1e-12)


@given(st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=60).filter(lambda rows: statistics.stdev(rows) > 1e-6))
def test_volatility_and_sharpe_are_those_of_the_textbook(returns: list[float]) -> None:
    deviation = statistics.stdev(returns)
    assert volatility(returns) == pytest.approx(deviation * sqrt(365), rel=1e-9)
    assert sharpe_ratio(returns) == pytest.approx(statistics.mean(returns) / deviation * sqrt(365), rel=1e-6, abs=1e-9)


def test_what_is_not_defined_is_none() -> None:
    assert volatility([0.01]) is None
    assert sharpe_ratio([]) is None
    assert sharpe_ratio([0.0, 0.0, 0.0]) is None
    assert annualised_return(0.1, 0.0) is None
    assert annualised_return(-1.0, 40.0) is None
    assert annualised_return(1e200, 40.0) is None
    with pytest.raises(ValueError, match="empty"):
        total_return([])


def test_less_than_thirty_days_are_not_compounded_to_a_year() -> None:
    """One percent of a day would be 3,678 percent of a year."""
    assert annualised_return(0.01, 1.0) is None
    assert annualised_return(0.01, SHORTEST_TO_ANNUALISE - 1.0 / 24.0) is None
    assert annualised_return(0.01, SHORTEST_TO_ANNUALISE) == pytest.approx(exp(log(1.01) * 365.0 / 30.0) - 1.0)


def test_a_year_of_ten_percent_is_ten_percent_and_half_a_year_of_it_twenty_one() -> None:
    assert total_return([1.0, 1.05, 1.1]) == pytest.approx(0.1)
    assert annualised_return(0.1, 365.0) == pytest.approx(0.1)
    assert annualised_return(0.1, 182.5) == pytest.approx(0.21)
    assert daily_returns([1.0, 1.1, 0.99]) == pytest.approx([0.1, -0.1])
