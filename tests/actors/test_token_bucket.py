"""How often something may happen, against a plain count of what was allowed in every window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from basis_actors.actors.token_bucket import TokenBucket

SECOND = 10**9


def test_the_burst_goes_at_once_then_one_a_minute() -> None:
    bucket = TokenBucket(3, 1.0, 0)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_ns(0) == 60 * SECOND
    assert not bucket.take(60 * SECOND - 1)
    assert bucket.take(60 * SECOND)
    assert not bucket.take(60 * SECOND)


def test_a_long_pause_fills_it_and_no_more() -> None:
    bucket = TokenBucket(2, 1.0, 0)
    assert [bucket.take(0), bucket.take(0)] == [True, True]
    assert [bucket.take(10**15) for _ in range(3)] == [True, True, False]


def test_what_is_reserved_is_left_for_who_may_have_it() -> None:
    bucket = TokenBucket(3, 6.0, 0)
    assert [bucket.take(0, leave=2), bucket.take(0, leave=2)] == [True, False]
    assert bucket.wait_ns(0, leave=2) == 10 * SECOND
    assert [bucket.take(0), bucket.take(0), bucket.take(0)] == [True, True, False]


@given(
    burst=st.integers(1, 5),
    per_minute=st.floats(0.01, 1000.0),
    steps=st.lists(st.integers(0, 200 * SECOND), max_size=60),
)
def test_no_window_ever_has_more_than_the_burst_and_what_grew(burst: int, per_minute: float, steps: list[int]) -> None:
    bucket, now, taken = TokenBucket(burst, per_minute, 0), 0, list[int]()
    for step in steps:
        now += step
        while bucket.take(now):
            taken.append(now)
    token_ns = round(60 * SECOND / per_minute)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            grown = (taken[last] - taken[first]) / token_ns
            assert last - first + 1 <= burst + grown


@given(per_minute=st.floats(0.01, 1000.0), now=st.integers(0, 10**18), leave=st.integers(0, 3))
def test_waiting_as_long_as_it_says_is_enough_and_a_nanosecond_less_is_not(
    per_minute: float, now: int, leave: int
) -> None:
    bucket = TokenBucket(4, per_minute, now)
    while bucket.take(now, leave):
        pass
    wait = bucket.wait_ns(now, leave)
    assert wait > 0
    assert not bucket.take(now + wait - 1, leave)
    assert bucket.take(now + wait, leave)
