"""Season rewards: what was held over the period, wherever it lay, and nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.chain_worlds import ChainDesk, defi_desk
from tests.venues.worlds import DAY, HOUR, START

from basis_actors.errors import BasisError
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.market import RewardStamp
from basis_actors.messages.orders import OperationType
from basis_actors.venues.simulated.rewards import SeasonRewards

EIGEN = "wallet:BaseToken:EIGEN"


def stamp(
    first: int, last: int, paid: int, per_eth: float = 0.5, token: str = "EIGEN", lst: str = "weETH"
) -> RewardStamp:
    """A reward for the days from `first` up to, without, `last`, paid at the start of day `paid`; days since START."""
    return RewardStamp(START + paid * DAY, lst, token, per_eth, START + first * DAY, START + last * DAY)


def at_day(desk: ChainDesk, day: int) -> int:
    """Hours from the desk's last tick to the start of a day."""
    return 24 * day - desk.hour


def test_a_whole_period_held_is_paid_on_its_value_in_eth_at_the_stamp() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    (paid,) = desk.tick(hours=at_day(desk, 9), rewards=[stamp(1, 8, 9)], tokens={"EIGEN": 3.0})
    assert paid.source is DeltaSource.REWARD
    assert paid.timestamp.isoformat() == "2024-01-10T00:00:00+00:00"
    (delta,) = paid.deltas
    assert (delta.position_key, delta.price) == (EIGEN, 3.0)
    assert delta.delta_amount == pytest.approx(0.5 * 20.0 * 1.05, rel=1e-14)
    assert desk.report()[EIGEN] == delta.delta_amount


def test_a_token_without_a_price_is_received_all_the_same() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    (paid,) = desk.tick(hours=at_day(desk, 9), rewards=[stamp(1, 8, 9, token="ETHFI")])
    assert paid.deltas[0].price is None
    assert desk.report()["wallet:BaseToken:ETHFI"] > 0.0


def test_nothing_counts_as_held_before_the_run_began() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    (paid,) = desk.tick(hours=at_day(desk, 3), rewards=[stamp(-10, 2, 3)])
    assert paid.deltas[0].delta_amount == pytest.approx(0.5 * 21.0 * 2.0 / 12.0, rel=1e-14)


def test_who_held_nothing_in_the_period_is_paid_nothing() -> None:
    desk = defi_desk(free=True)
    desk.tick(hours=at_day(desk, 8))
    desk.send(desk.stake(21.0))
    assert desk.tick(hours=24, rewards=[stamp(1, 8, 9)]) == ()


def test_rewards_of_another_token_are_not_paid_here() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(12.0, "wstETH"))
    assert desk.tick(hours=at_day(desk, 9), rewards=[stamp(1, 8, 9), stamp(1, 8, 9, lst="wstETH")]) == ()


def test_supplied_tokens_count_and_claims_do_not() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(63.0))
    desk.send(desk.lend(OperationType.SUPPLY, 20.0, "weETH"))
    desk.send(desk.lend(OperationType.SUPPLY, 10.0, "weETH", venue="morpho"))
    desk.send(desk.unstake(15.0))
    settled = desk.tick(hours=at_day(desk, 9), rewards=[stamp(1, 8, 9)])
    reward = next(one for one in settled if one.source is DeltaSource.REWARD)
    assert reward.deltas[0].delta_amount == pytest.approx(0.5 * (60.0 - 15.0) * 1.05, rel=1e-14)


def test_a_period_that_is_not_over_is_refused() -> None:
    desk = defi_desk(free=True)
    with pytest.raises(BasisError, match="over when it is paid") as error:
        desk.tick(hours=at_day(desk, 3), rewards=[stamp(1, 8, 3)])
    assert error.value.code == "DATA-002"


def test_memory_is_bounded_and_a_period_that_is_too_old_is_named() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    for day in range(10, 1_000, 10):
        desk.tick(hours=at_day(desk, day))
    rewards = next(one for one in desk.venue._protocols if isinstance(one, SeasonRewards))  # type: ignore[attr-defined]
    assert len(rewards._times) == len(rewards._sums) == 400
    (paid,) = desk.tick(hours=at_day(desk, 1_000), rewards=[stamp(700, 990, 1_000)])
    assert paid.deltas[0].delta_amount == pytest.approx(10.5, rel=1e-12)
    with pytest.raises(BasisError, match="known from"):
        desk.tick(hours=24, rewards=[stamp(100, 990, 1_001)])


def test_a_restored_account_pays_the_same() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    desk.tick(hours=at_day(desk, 5))
    rewards = next(one for one in desk.venue._protocols if isinstance(one, SeasonRewards))  # type: ignore[attr-defined]
    before = rewards.snapshot()
    desk.tick(hours=at_day(desk, 7))
    after = rewards.snapshot()
    assert after != before
    rewards.restore(before)
    assert rewards.snapshot() == before


steps = st.lists(st.tuples(st.integers(1, 60), st.floats(0.02, 3.0), st.floats(1.0, 1.3)), min_size=3, max_size=25)


@given(steps, st.integers(0, 6), st.integers(1, 9))
def test_any_holding_is_paid_on_its_time_average(steps: list[tuple[int, float, float]], first: int, days: int) -> None:
    """Against the integral in exact fractions, hour by hour."""
    desk = defi_desk(free=True)
    held: list[Fraction] = []
    tokens, rate = Fraction(0), Fraction(1.05)
    for hours, stake, now in steps:
        held += [tokens * rate] * hours
        desk.tick(hours=hours, rates={"weETH": now})
        rate = Fraction(now)
        answer = desk.send(desk.stake(stake))
        tokens += Fraction(answer.actual_deltas["etherfi:LST:weETH"])
    end = first + days
    paid = max(desk.hour // 24 + 1, end)
    held += [tokens * rate] * (paid * 24 - desk.hour)
    average = sum(held[first * 24 : end * 24], Fraction(0)) / (days * 24)
    desk.tick(hours=paid * 24 - desk.hour, rewards=[stamp(first, end, paid)])
    assert desk.report().get(EIGEN, 0.0) == pytest.approx(float(average) * 0.5, rel=1e-12, abs=1e-12)


def test_a_period_that_begins_inside_a_day_is_counted_from_there() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    half = RewardStamp(START + 2 * DAY, "weETH", "EIGEN", 1.0, START + 12 * HOUR, START + 36 * HOUR)
    desk.tick(hours=48, rewards=[half])
    assert desk.report()[EIGEN] == pytest.approx(21.0, rel=1e-14)
