"""Features look back, labels look ahead and say so, and the history keeps the grid of ticks."""

from __future__ import annotations

from statistics import pstdev, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals.markets import HOUR, START

from basis_actors.signals.features import features_at, horizon_sd, labels_of, lookback, newest_features
from basis_actors.signals.history import MarketHistory

HORIZON = 24


def some_rows(count: int, seed: int = 1) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return np.column_stack(
        [
            10.0 + np.cumsum(chance.normal(0.0, 0.01, count)),
            chance.normal(1e-4, 1e-4, count),
            chance.normal(0.0, 1e-3, count),
        ]
    )


def test_features_of_a_row_are_what_their_definitions_say() -> None:
    rows = some_rows(400)
    at = 300
    price, funding, basis = rows.T.tolist()
    returns = [price[at] - price[at - window] for window in (1, 4, 12, 24, 72, 168)]
    steps = [price[place] - price[place - 1] for place in range(at - 167, at + 1)]
    expected = [
        *returns,
        pstdev(steps[-24:]),
        pstdev(steps),
        funding[at],
        sum(funding[at - 167 : at + 1]) / 168,
        basis[at],
    ]
    assert features_at(rows, at, HORIZON)[0].tolist() == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(min_value=200, max_value=399), horizon=st.integers(min_value=1, max_value=24))
def test_features_of_a_row_do_not_change_with_what_comes_after(cut: int, horizon: int) -> None:
    rows = some_rows(400)
    begin = lookback(horizon)
    whole = features_at(rows, begin, horizon)[: cut - begin]
    assert np.array_equal(whole, features_at(rows[:cut], begin, horizon))
    assert newest_features(rows[:cut], horizon).tolist() == pytest.approx(whole[-1].tolist(), rel=1e-9, abs=1e-12)


def test_features_need_their_past() -> None:
    with pytest.raises(ValueError, match="features of row 168 need 169 rows before it"):
        features_at(some_rows(400), 168, HORIZON)
    with pytest.raises(ValueError, match="features of row 168 need 169 rows before it"):
        newest_features(some_rows(169), HORIZON)


def test_a_label_says_whether_the_price_is_higher_one_horizon_later() -> None:
    rows = np.array([[price, 0.0, 0.0] for price in (1.0, 2.0, 2.0, 1.0, 3.0, np.nan)])
    found = labels_of(rows, 2)
    assert found[:3].tolist() == [1.0, 0.0, 1.0]
    assert np.isnan(found[3:]).all(), "a label whose end is not known is not a label"
    assert np.isnan(labels_of(rows, 10)).all()


def test_the_standard_deviation_is_that_of_returns_over_the_horizon() -> None:
    rows = some_rows(400)
    price = rows[:, 0].tolist()
    expected = stdev(price[place] - price[place - HORIZON] for place in range(400 - 100, 400))
    assert horizon_sd(rows, HORIZON, 100) == pytest.approx(expected, rel=1e-12)


def test_there_is_no_standard_deviation_without_movement_or_prices() -> None:
    still = np.zeros((200, 3))
    assert horizon_sd(still, HORIZON, 100) is None
    gaps = some_rows(200)
    gaps[130:, 0] = np.nan
    assert horizon_sd(gaps, HORIZON, 100) is None
    assert horizon_sd(some_rows(20), HORIZON, 100) is None


@settings(max_examples=20, deadline=None)
@given(count=st.integers(min_value=1, max_value=200), keep=st.integers(min_value=1, max_value=40))
def test_the_newest_rows_are_kept_in_bounded_memory(count: int, keep: int) -> None:
    history = MarketHistory(keep, HOUR)
    for place in range(count):
        history.add(START + place * HOUR, float(place), 0.5, -0.5)
    prices = history.rows[:, 0].tolist()
    assert min(keep, count) <= len(history) <= 2 * keep
    assert prices == [float(place) for place in range(count - len(prices), count)]


def test_a_missed_tick_is_a_row_of_blanks() -> None:
    history = MarketHistory(10, HOUR)
    history.add(START, 1.0, 2.0, 3.0)
    history.add(START + 3 * HOUR, 4.0, 5.0, 6.0)
    assert len(history) == 4
    assert np.isnan(history.rows[1:3]).all()
    assert history.rows[3].tolist() == [4.0, 5.0, 6.0]
    with pytest.raises(ValueError, match="rows come in order of time"):
        history.add(START + 3 * HOUR, 4.0, 5.0, 6.0)
