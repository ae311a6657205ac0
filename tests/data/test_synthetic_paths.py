"""Paths have the law they claim: stationary, continuous over midnights and hours, the same seen from any window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from basis_actors.data.synthetic_bars import BarGrid, Extremes, bars
from basis_actors.data.synthetic_paths import Draws, Paths, blend, quantile_map


def correlation(path: np.ndarray, lag: int) -> float:
    return float(np.mean(path[lag:] * path[:-lag]) / np.mean(path * path))


@pytest.mark.parametrize("per_day", [24, 96])
@pytest.mark.parametrize("days", [0.05, 0.5, 3.0])
def test_a_path_has_the_variance_and_correlation_of_an_ornstein_uhlenbeck_process(days: float, per_day: int) -> None:
    paths = Paths(Draws(1), 40, 4000, per_day)
    path = paths.wander("test", days)
    assert path.size == 4000 * per_day
    # An estimate over T days has about T / (2 x days) independent values; four standard errors are allowed.
    error = 4.0 * math.sqrt(2.0 * max(days, 1.0 / per_day) / 4000.0)
    assert path.mean() == pytest.approx(0.0, abs=error)
    assert path.var() == pytest.approx(1.0, abs=error * math.sqrt(2.0))
    for lag in (1, 3, per_day // 24, 5 * per_day // 24, per_day):
        assert correlation(path, lag) == pytest.approx(math.exp(-lag / per_day / days), abs=error * 1.5), lag


def test_steps_over_midnight_are_like_steps_inside_a_day() -> None:
    path = Paths(Draws(2), 0, 6000, 24).wander("test", 0.2).reshape(6000, 24)
    inside = np.diff(path[:, 10:12], axis=1).var()
    over = (path[1:, 0] - path[:-1, -1]).var()
    expected = 2.0 * (1.0 - math.exp(-1.0 / 24.0 / 0.2))
    # The variance of 6,000 normal numbers is known to 1.8 %; four standard errors are allowed.
    assert inside == pytest.approx(expected, rel=0.075)
    assert over == pytest.approx(expected, rel=0.075)


def test_hours_are_the_same_whatever_lies_between_them_and_whatever_the_window() -> None:
    hourly = Paths(Draws(3), 5, 80, 24).wander("test", 0.7)
    fine = Paths(Draws(3), 35, 20, 480).wander("test", 0.7)
    np.testing.assert_array_equal(fine[::20], hourly[30 * 24 : 50 * 24])


def test_names_seeds_and_blocks_have_numbers_of_their_own() -> None:
    draws = Draws(4)
    whole = draws.normal("a", 0, 100, 24)
    np.testing.assert_array_equal(draws.normal("a", 31, 40, 24), whole[31:71])
    samples = [whole[:32].ravel(), whole[32:64].ravel(), draws.normal("b", 0, 32, 24).ravel()]
    samples.append(Draws(5).normal("a", 0, 32, 24).ravel())
    correlations = np.corrcoef(samples) - np.eye(4)
    # 768 numbers: a standard error of 0.036.
    assert np.abs(correlations).max() < 4 * 0.036


def test_a_smoothed_path_keeps_variance_1_and_moves_less() -> None:
    paths = Paths(Draws(6), 0, 4000, 24)
    rough, smooth = paths.wander("test", 2.0), paths.smooth("test", 2.0, 24)
    # 4,000 days hold about 1,000 independent values.
    assert smooth.var() == pytest.approx(1.0, abs=4.0 * math.sqrt(2.0 / 1000.0))
    assert np.diff(smooth[30:]).std() < np.diff(rough).std() / 3.0
    np.testing.assert_array_equal(smooth[:23], rough[:23])


def test_blended_shares_add_up_to_the_variance() -> None:
    one, two = (np.random.default_rng(seed).standard_normal(200_000) for seed in (1, 2))
    assert blend([(0.3, one), (0.7, two)]).var() == pytest.approx(1.0, abs=0.02)


def test_a_quantile_table_gives_its_values_at_its_probabilities() -> None:
    table = ((0.01, -5.0), (0.25, -1.0), (0.5, 0.0), (0.9, 4.0), (0.99, 9.0))
    values = quantile_map(np.random.default_rng(1).standard_normal(400_000), table)
    for probability, value in table[1:-1]:
        assert np.mean(values <= value) == pytest.approx(probability, abs=0.004)
    assert values.min() == -5.0
    assert values.max() == 9.0


def test_extremes_of_bars_are_those_of_a_finely_sampled_random_walk() -> None:
    walks, steps = 4000, 4096
    generator = np.random.default_rng(3)
    paths = np.cumsum(generator.standard_normal((walks, steps)), axis=1) / math.sqrt(steps)
    sampled = np.maximum(paths.max(axis=1), 0.0)
    ends = np.concatenate(([0.0], np.cumsum(paths[:, -1])))
    draw = generator.exponential(size=(2, walks + 1))
    columns = bars(ends, Extremes(np.ones(walks + 1), draw[0], draw[1]), BarGrid(0, walks, 1), None)
    drawn = np.log(columns["high"] / columns["open"])
    # The maximum of a walk of n steps lies 0.5826 / sqrt(n) below that of Brownian motion (Siegmund's correction).
    grid = 0.5826 / math.sqrt(steps)
    for probability in (0.1, 0.25, 0.5, 0.75, 0.9):
        there, here = np.quantile(sampled, probability) + grid, np.quantile(drawn, probability)
        assert here == pytest.approx(there, abs=0.06), probability
    assert drawn.mean() == pytest.approx(math.sqrt(2.0 / math.pi), abs=4.0 * 0.6 / math.sqrt(walks))
