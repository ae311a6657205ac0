"""What is left out of long series is never their extremes, their ends or their gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.results.report.thinning import MOST_POINTS, extremes, thinned, thinned_stack

VALUES = st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(float("nan"))), min_size=1, max_size=200)


@given(VALUES, st.integers(1, 60))
def test_ends_extremes_and_gaps_are_kept(values: list[float], buckets: int) -> None:
    array = np.array(values)
    kept = extremes(array, buckets)
    assert list(kept) == sorted(set(kept))
    assert {0, len(values) - 1} <= set(kept)
    assert len(kept) <= 3 * buckets + 2
    if not np.isnan(array).all():
        assert np.nanmin(array[kept]) == np.nanmin(array)
        assert np.nanmax(array[kept]) == np.nanmax(array)
    assert np.isnan(array).any() == np.isnan(array[kept]).any()


def test_a_single_spike_of_a_long_series_is_still_there() -> None:
    index = pd.date_range("2024-01-01", periods=500_000, freq="min", tz="UTC")
    series = pd.Series(0.0, index=index)
    series.iloc[123_456] = -7.0
    shown = thinned(series, lines=2)
    assert len(shown) <= MOST_POINTS // 2 + 2
    assert shown.loc[index[123_456]] == -7.0


def test_a_short_series_is_as_it_was() -> None:
    series = pd.Series(range(MOST_POINTS), dtype=float)
    assert thinned(series) is series


def test_stacked_areas_share_their_moments_and_keep_both_sides() -> None:
    index = pd.date_range("2024-01-01", periods=50_000, freq="h", tz="UTC")
    frame = pd.DataFrame({"up": 1.0, "down": -1.0}, index=index)
    frame.iloc[777, 0], frame.iloc[31_000, 1] = 9.0, -9.0
    shown = thinned_stack(frame)
    assert len(shown) * 2 <= MOST_POINTS + 8
    assert shown["up"].max() == 9.0
    assert shown["down"].min() == -9.0


def test_nothing_stays_nothing() -> None:
    assert len(extremes(np.array([]), 5)) == 0
