"""Season rewards are paid when and as published, recomputed from the text of the files with the csv module."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.data import Dataset, Series, SyntheticGenerator, build_feed, load_for, requirements_of
from basis_actors.data.rewards import due_rewards
from basis_actors.errors import ConfigError, DataError
from basis_actors.messages.market import MarketSpec, RewardStamp

HOUR = 3600 * 10**9
DAY = 24 * HOUR
SPEC = MarketSpec(assets=("ETH", "EIGEN", "ETHFI"), staking=("weETH",), rewards=("weETH",))


@pytest.fixture(scope="module")
def states_of(venues, data_config, take_all):
    def make(dataset: Dataset, start: int, end: int, step: int = HOUR, spec: MarketSpec = SPEC):
        feed = build_feed(dataset, spec, start_ns=start, end_ns=end, step_ns=step, data=data_config, venues=venues)
        return list(take_all(feed))

    return make


def paid(states) -> list[RewardStamp]:
    return [stamp for state in states for stamp in state.rewards]


def day_ns(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


def eigen(*rows: tuple[date, date, float, float, float]) -> Series:
    """Rows of (first day, last day, published figure, EIGEN earned, ETH restaked)."""
    starts, ends, share, earned, restaked = zip(*rows, strict=True)
    columns = {
        "period_start": np.array([day_ns(day) / 1e9 for day in starts]),
        "eigen_per_eeth_weekly": np.array(share),
        "eigen_earned": np.array(earned),
        "eth_restaked": np.array(restaked),
        "eth_not_restaked": np.zeros(len(rows)),
    }
    return Series("rewards/eigen_weekly", np.array([day_ns(day) for day in ends]), columns, None)


def test_every_published_row_is_paid_once_and_at_its_time(real, states_of, csv_rows, at) -> None:
    stamps = paid(states_of(real, at("2024-08-01"), at("2025-06-30T23:00")))
    expected = []
    for row, (text, fields) in enumerate(csv_rows("rewards/eigen_weekly").items()):
        first, last = date.fromisoformat(fields["period_start"]), date.fromisoformat(text[:10])
        share = float(fields["eigen_per_eeth_weekly"])
        if row == 0:
            share = float(fields["eigen_earned"]) / (float(fields["eth_restaked"]) + float(fields["eth_not_restaked"]))
        expected.append(("EIGEN", monday_after(last + timedelta(days=1)), share, first, last))
    for text, fields in csv_rows("rewards/ethfi_topups").items():
        first, last = date.fromisoformat(fields["period_start"]), date.fromisoformat(fields["period_end"])
        topped = date.fromisoformat(text[:10])
        when = max(topped, monday_after(last + timedelta(days=1)))
        expected.append(("ETHFI", when, float(fields["ethfi_per_eeth_distributed"]), first, last))
    # The last row, of the period that ends on 2025-06-29, is paid after the end of the data.
    expected = sorted(row for row in expected if row[1] <= date(2025, 6, 30))
    assert len(expected) == 39 - 1 + 7
    assert sorted(
        (stamp.token, stamp.ns, stamp.per_eth, stamp.period_start_ns, stamp.period_end_ns) for stamp in stamps
    ) == [
        (token, day_ns(when), share, day_ns(first), day_ns(last) + DAY) for token, when, share, first, last in expected
    ]
    assert {stamp.lst for stamp in stamps} == {"weETH"}
    assert [stamp.ns for stamp in stamps] == sorted(stamp.ns for stamp in stamps)


def monday_after(day: date) -> date:
    while True:
        day += timedelta(days=1)
        if day.weekday() == 0:
            return day


def test_the_first_row_pays_what_52_days_earned_and_the_second_its_published_week(real, states_of, at) -> None:
    first, second = (stamp for stamp in paid(states_of(real, at("2024-10-01"), at("2024-10-15"))))
    assert first.ns == at("2024-10-07")
    assert first.per_eth == 2478088 / (1480684 + 532110)
    # The published figure of the first row is a sixth of that.
    assert first.per_eth == pytest.approx(6 * 0.205, rel=0.002)
    assert (first.period_end_ns - first.period_start_ns) / DAY == 52
    assert (second.ns, second.per_eth) == (at("2024-10-14"), 0.179)
    assert second.per_eth == pytest.approx(358681 / (1531605 + 474149), rel=0.002)
    assert (second.period_end_ns - second.period_start_ns) / DAY == 7


def test_a_topup_comes_at_its_stamp_when_that_is_after_the_monday(real, states_of, at) -> None:
    stamps = [stamp for stamp in paid(states_of(real, at("2024-12-01"), at("2024-12-12"))) if stamp.token == "ETHFI"]
    assert [(stamp.ns, stamp.per_eth) for stamp in stamps] == [(at("2024-12-05"), 0.188), (at("2024-12-12"), 0.157)]
    assert stamps[1].period_end_ns == at("2024-12-02")


@pytest.mark.parametrize(
    ("last_day", "monday"),
    [
        (date(2024, 10, 5), date(2024, 10, 7)),  # a Saturday: Sunday is the day after
        (date(2024, 10, 6), date(2024, 10, 14)),  # a Sunday: the day after is a Monday, which is not after itself
        (date(2024, 10, 7), date(2024, 10, 14)),
        (date(2024, 10, 4), date(2024, 10, 7)),
    ],
)
def test_the_monday_is_strictly_after_the_last_day_and_one(last_day: date, monday: date) -> None:
    (stamp,) = due_rewards("weETH", eigen((last_day - timedelta(days=6), last_day, 0.2, 1.0, 5.0)))
    assert stamp.ns == day_ns(monday)


@pytest.mark.parametrize(("days", "per_eth"), [(7, 0.2), (8, 0.2), (14, 0.2), (15, 0.25), (52, 0.25)])
def test_a_row_over_more_than_two_weeks_pays_its_sum(days: int, per_eth: float) -> None:
    last = date(2024, 10, 5)
    (stamp,) = due_rewards("weETH", eigen((last - timedelta(days=days - 1), last, 0.2, 250.0, 1000.0)))
    assert stamp.per_eth == per_eth


@pytest.mark.parametrize("step", [300 * 10**9, HOUR, 5 * HOUR, DAY, 3 * DAY])
def test_a_payment_comes_at_the_first_tick_at_or_after_it(real, states_of, at, step: int) -> None:
    start = at("2024-10-06")
    states = states_of(real, start, start + 9 * DAY // step * step, step)
    due = at("2024-10-07")
    (tick,) = (state.ns for state in states if any(stamp.ns == due for stamp in state.rewards))
    assert tick == start + -(-(due - start) // step) * step


def test_the_first_tick_pays_only_what_is_due_exactly_then(real, states_of, at) -> None:
    assert len(paid(states_of(real, at("2024-10-07"), at("2024-10-08")))) == 1
    assert paid(states_of(real, at("2024-10-07T01:00"), at("2024-10-08"))) == []


def test_states_without_a_payment_share_one_empty_tuple(real, states_of, at) -> None:
    states = states_of(real, at("2024-10-08"), at("2024-10-10"))
    assert all(state.rewards == () for state in states)


@pytest.fixture(scope="module")
def autumn(real, states_of, at):
    start = at("2024-10-01")
    return start, states_of(real, start, at("2024-12-20"))


@settings(max_examples=12, deadline=None)
@given(hours=st.integers(0, 80 * 24))
def test_cutting_the_real_history_changes_no_payment_and_no_price_before_the_cut(
    real, autumn, states_of, hours: int
) -> None:
    start, whole = autumn
    moment = start + hours * HOUR
    delays = {"_spot": HOUR, "_rate": HOUR}
    series = {}
    for name, one in real.series.items():
        keep = one.ns + delays.get(name[-5:], 0) <= moment
        columns = {column: values[keep] for column, values in one.columns.items()}
        series[name] = Series(name, one.ns[keep], columns, one.step_ns)
    assert states_of(Dataset(series, "cut"), start, moment) == whole[: hours + 1]


def test_data_without_rewards_pays_none_and_says_so(real, venues, data_config, take_all, at) -> None:
    series = {name: one for name, one in real.series.items() if not name.startswith("rewards/eigen")}
    feed = build_feed(
        Dataset(series, "cut"), SPEC, start_ns=at("2024-10-01"), end_ns=at("2024-10-20"), step_ns=HOUR,
        data=data_config, venues=venues,
    )  # fmt: skip
    assert feed.report.absent == ("rewards of weETH: rewards/eigen_weekly not in the data",)
    assert {stamp.token for stamp in paid(take_all(feed))} == {"ETHFI"}


def test_wsteth_earns_none_and_needs_no_series(venues) -> None:
    assert requirements_of(MarketSpec(assets=(), rewards=("wstETH",)), venues).optional == ()


def test_rewards_of_an_unknown_token_are_refused(venues) -> None:
    with pytest.raises(ConfigError, match="rewards of 'rETH' are not known; expected one of weETH, wstETH") as caught:
        requirements_of(MarketSpec(assets=(), rewards=("rETH",)), venues)
    assert caught.value.code == "CONFIG-003"


def test_what_rewards_need_is_loaded_where_it_is(data_folder, venues) -> None:
    dataset = load_for(data_folder, SPEC, venues)
    assert {name for name in dataset.series if name.startswith(("rewards", "dex"))} == {
        "rewards/eigen_weekly",
        "rewards/ethfi_topups",
        "dex/uniswap_v3/EIGENWETH_spot",
        "dex/uniswap_v3/ETHFIWETH_spot",
    }


def test_a_period_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(DataError, match=r"row 1 .*starts on 2024-10-06 and ends on 2024-10-05; expected") as caught:
        due_rewards("weETH", eigen((date(2024, 10, 6), date(2024, 10, 5), 0.2, 1.0, 5.0)))
    assert caught.value.code == "DATA-002"


def test_a_sum_that_nobody_shares_is_refused() -> None:
    with pytest.raises(DataError, match=r"row 1 .*eth_restaked \+ eth_not_restaked = 0 ETH; expected more than 0"):
        due_rewards("weETH", eigen((date(2024, 8, 15), date(2024, 10, 5), 0.2, 1.0, 0.0)))


def test_another_series_holds_no_rewards() -> None:
    with pytest.raises(ValueError, match="gas/ethereum_gas holds no rewards"):
        due_rewards("weETH", Series("gas/ethereum_gas", np.array([], dtype=np.int64), {}, None))


@pytest.mark.parametrize("step_seconds", [900, 3600, 86400])
def test_the_synthetic_market_pays_every_monday(states_of, step_seconds: int) -> None:
    generator = SyntheticGenerator(3, step_seconds)
    start, end = generator.epoch_ns, generator.epoch_ns + 60 * DAY
    states = states_of(generator.generate(start, end), start, end, step_seconds * 10**9)
    stamps = [stamp for stamp in paid(states) if stamp.token == "EIGEN"]
    # The first Saturday is 2024-01-06; 2024-01-01 is a Monday.
    assert [stamp.ns for stamp in stamps] == [start + 7 * week * DAY for week in range(1, 9)]
    assert all(0.13 < stamp.per_eth < 0.27 for stamp in stamps)
    assert {stamp.period_end_ns - stamp.period_start_ns for stamp in stamps} == {7 * DAY}
    assert any(stamp.token == "ETHFI" for stamp in paid(states))
    assert {"EIGEN", "ETHFI"} <= set(states[-1].prices)


def test_synthetic_rewards_are_as_large_as_measured_ones(real) -> None:
    measured = real.series["rewards/eigen_weekly"].columns
    found = []
    for seed in range(8):
        generator = SyntheticGenerator(seed, 86400)
        dataset = generator.generate(generator.epoch_ns, generator.epoch_ns + 39 * 7 * DAY)
        found.append(dataset.series["rewards/eigen_weekly"].columns)
    for column in ("eigen_per_eeth_weekly", "eth_restaked"):
        level = np.mean([np.median(columns[column]) for columns in found])
        # Weeks of one market move together for two months, so eight markets know their level to about 6 %.
        assert level == pytest.approx(np.median(measured[column]), rel=0.12), column
    spread = np.mean([np.std(np.log(columns["eigen_per_eeth_weekly"])) for columns in found])
    assert spread == pytest.approx(np.std(np.log(measured["eigen_per_eeth_weekly"])), rel=0.5)
