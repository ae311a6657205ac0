"""Funding comes at its own stamps; what was due and did not come is found without looking ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.data import Dataset, Series, build_feed
from basis_actors.data.funding import due_funding, due_rows
from basis_actors.messages.market import FundingStamp, MarketSpec

HOUR = 3600 * 10**9
PERP = "binance:BTC-PERP"
ROOT = "cex/binance/BTCUSDT"


def due(hours: list[int], end: int) -> list[tuple[int, bool]]:
    """Due hours up to `end`, and whether each was settled."""
    stamps, rows = due_rows([hour * HOUR for hour in hours], end * HOUR)
    return [(ns // HOUR, row >= 0) for ns, row in zip(stamps, rows, strict=True)]


def test_a_regular_series_has_no_absences() -> None:
    assert due([0, 8, 16, 24], 31) == [(0, True), (8, True), (16, True), (24, True)]


def test_a_hole_is_filled_with_absences_and_does_not_change_the_interval() -> None:
    assert due([0, 8, 32, 40], 40) == [(0, True), (8, True), (16, False), (24, False), (32, True), (40, True)]


def test_a_series_that_stops_goes_on_being_missed() -> None:
    assert due([0, 8], 32) == [(0, True), (8, True), (16, False), (24, False), (32, False)]


def test_one_stamp_alone_gives_no_interval_to_miss() -> None:
    assert due([0], 100) == [(0, True)]


def test_a_shorter_interval_is_learned_at_once() -> None:
    assert due([0, 8, 12, 16], 20) == [(0, True), (8, True), (12, True), (16, True), (20, False)]


def test_a_longer_interval_is_learned_when_it_comes_twice() -> None:
    assert due([0, 4, 12, 20, 28], 36) == [
        (0, True), (4, True), (8, False), (12, True), (16, False), (20, True), (28, True), (36, False),
    ]  # fmt: skip


def test_two_holes_of_different_length_do_not_change_the_interval() -> None:
    settled = [hour for hour, came in due([0, 8, 32, 48, 56], 64) if came]
    absent = [hour for hour, came in due([0, 8, 32, 48, 56], 64) if not came]
    assert settled == [0, 8, 32, 48, 56]
    assert absent == [16, 24, 40, 64]


steps = st.lists(st.sampled_from([1, 2, 4, 8, 8, 8, 16, 24]), max_size=25)


@given(steps, st.integers(0, 200))
def test_later_stamps_change_nothing_that_was_due_before(gaps: list[int], cut: int) -> None:
    stamps = np.cumsum([0, *gaps]).tolist()
    whole = [row for row in due(stamps, 400) if row[0] <= cut]
    assert due([stamp for stamp in stamps if stamp <= cut], cut) == whole


@given(steps)
def test_every_real_stamp_is_settled_once_in_order(gaps: list[int]) -> None:
    stamps = np.cumsum([0, *gaps]).tolist()
    rows = due(stamps, stamps[-1])
    assert [hour for hour, came in rows if came] == stamps
    assert [hour for hour, _ in rows] == sorted({hour for hour, _ in rows})


def funding_of(hours: list[int], mark_price: list[float] | None = None) -> Series:
    columns = {"funding_rate": np.arange(1.0, len(hours) + 1.0) / 1e4}
    if mark_price is not None:
        columns["mark_price"] = np.array(mark_price)
    return Series(f"{ROOT}_funding", np.array(hours, dtype=np.int64) * HOUR, columns, None)


@pytest.fixture
def market(bars, venues, data_config):
    """A feed of one perpetual over `hours` of bars with closes 100, 101, ..."""

    def make(funding: Series, start: int, end: int, step: int = 1, hours: int = 72):
        closes = [100.0 + hour for hour in range(hours)]
        series = {f"{ROOT}_{kind}": bars(f"{ROOT}_{kind}", 0, closes) for kind in ("spot", "perp", "mark")}
        return build_feed(
            Dataset(series | {funding.name: funding}, "made up"),
            MarketSpec(assets=("BTC",), perps=(PERP,)),
            start_ns=start * HOUR,
            end_ns=end * HOUR,
            step_ns=step * HOUR,
            data=data_config,
            venues=venues,
        )

    return make


def test_the_first_tick_settles_only_what_is_stamped_exactly_then(market, take_all) -> None:
    assert next(take_all(market(funding_of([0, 8, 16]), 9, 9))).funding == ()
    (stamp,) = next(take_all(market(funding_of([0, 8, 16]), 8, 8))).funding
    assert (stamp.ns, stamp.rate) == (8 * HOUR, 0.0002)


def test_a_tick_longer_than_the_interval_settles_every_stamp_in_it(market, take_all) -> None:
    states = list(take_all(market(funding_of([0, 8, 16, 24, 32, 40, 48]), 0, 48, step=24)))
    assert [[stamp.ns // HOUR for stamp in state.funding] for state in states] == [[0], [8, 16, 24], [32, 40, 48]]


def test_the_mark_of_a_stamp_is_that_of_the_series_or_the_one_known_then(market, take_all) -> None:
    states = list(take_all(market(funding_of([0, 8, 16], [50.0, float("nan"), 70.0]), 0, 16)))
    # The bar that closes at 08:00 opened at 07:00 and closed at 107.
    assert [stamp.mark for state in states for stamp in state.funding] == [50.0, 107.0, 70.0]
    states = list(take_all(market(funding_of([0, 8, 16]), 0, 16)))
    assert [stamp.mark for state in states for stamp in state.funding] == [None, 107.0, 115.0]


def test_missing_rates_are_told_at_their_time_counted_and_reset(market, take_all) -> None:
    states = list(take_all(market(funding_of([0, 8, 40, 48]), 8, 48)))
    told = {stamp.ns // HOUR: stamp.rate for state in states for stamp in state.funding}
    assert told == {8: 0.0002, 16: None, 24: None, 32: None, 40: 0.0003, 48: 0.0004}
    missed = {state.ns // HOUR: state.funding_missed[PERP] for state in states}
    assert [missed[hour] for hour in (8, 15, 16, 24, 32, 39, 40, 48)] == [0, 0, 1, 2, 3, 3, 0, 0]


def test_rates_missing_before_the_start_are_counted_at_the_first_tick(market, take_all) -> None:
    assert next(take_all(market(funding_of([0, 8]), 25, 25))).funding_missed == {PERP: 2}


def test_a_series_that_has_not_begun_has_no_count(market, take_all) -> None:
    states = list(take_all(market(funding_of([24, 32]), 8, 24)))
    assert states[0].funding_missed == {}
    assert states[-1].funding_missed == {PERP: 0}


def test_warm_up_reaches_back_to_the_asked_number_of_settled_rates(market) -> None:
    feed = market(funding_of([0, 8, 16, 40, 48]), 48, 48)
    assert [(stamp.ns // HOUR, stamp.rate) for stamp in feed.warmup_funding(PERP, 2)] == [
        (16, 0.0003), (24, None), (32, None), (40, 0.0004),
    ]  # fmt: skip
    assert len(feed.warmup_funding(PERP, 100)) == 6
    assert feed.warmup_funding(PERP, 0) == ()
    assert feed.warmup_funding("okx:BTC-PERP", 5) == ()


def test_warm_up_of_the_real_history_is_what_the_file_says(real, csv_rows, eth_spec, venues, data_config, at) -> None:
    feed = build_feed(
        real,
        eth_spec,
        start_ns=at("2024-03-01"),
        end_ns=at("2024-03-02"),
        step_ns=HOUR,
        data=data_config,
        venues=venues,
    )
    rows = csv_rows("cex/binance/ETHUSDT_funding")
    expected = [
        FundingStamp(at(stamp.rstrip("Z")), "binance:ETH-PERP", float(row["funding_rate"]), float(row["mark_price"]))
        for stamp, row in rows.items()
        if stamp < "2024-03-01T00:00:00Z"
    ]
    assert list(feed.warmup_funding("binance:ETH-PERP", 21)) == expected[-21:]


def test_the_holes_of_okx_are_counted(real) -> None:
    series, mark = real.series["cex/okx/ETHUSDT_funding"], real.series["cex/okx/ETHUSDT_mark"]
    due_all = due_funding("okx:ETH-PERP", series, mark, HOUR, int(series.ns[-1]))
    # 31 days and 13 days with three settlements each
    assert int(np.isnan(due_all.rate).sum()) == 93 + 39
    assert int(due_all.missed.max()) == 93
