"""The feed equals a plain one, and nothing that is known after a tick changes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.data.plain_feed import HOUR, SPEC, Made, PlainFeed, delay, known, markets

from basis_actors.data import Dataset, Series, build_feed
from basis_actors.messages.market import MarketState


def states_of(dataset: Dataset, ticks: range, take_all, venues, data_config) -> list[MarketState]:
    feed = build_feed(
        dataset, SPEC, start_ns=ticks[0], end_ns=ticks[-1], step_ns=ticks.step, data=data_config, venues=venues
    )
    assert feed.ticks == ticks
    return list(take_all(feed))


def cut(dataset: Dataset, moment: int) -> Dataset:
    """Without the rows that become known after `moment`."""
    series = {}
    for name, one in dataset.series.items():
        keep = one.ns + delay(one) <= moment
        columns = {column: values[keep] for column, values in one.columns.items()}
        series[name] = Series(name, one.ns[keep], columns, one.step_ns)
    return Dataset(series, dataset.origin)


def altered_after(dataset: Dataset, moment: int, random: np.random.Generator) -> Dataset:
    """With other numbers in, and some fewer of, the rows that become known after `moment`."""
    series = {}
    for name, one in dataset.series.items():
        later = one.ns + delay(one) > moment
        keep = ~later | (random.random(one.ns.size) < 0.8)
        columns = {}
        for column, values in one.columns.items():
            other = later & (not column.startswith("period_"))
            changed = np.where(other, values * random.uniform(0.5, 2.0, values.size), values)
            columns[column] = changed[keep]
        series[name] = Series(name, one.ns[keep], columns, one.step_ns)
    return Dataset(series, dataset.origin)


SETTINGS = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(markets())
def test_the_feed_equals_the_plain_feed(take_all, venues, data_config, market: Made) -> None:
    dataset, ticks = market.dataset, market.ticks
    plain = PlainFeed(dataset, ticks[0], ticks.step, data_config.staleness_seconds)
    states = states_of(dataset, ticks, take_all, venues, data_config)
    assert [state.ns for state in states] == list(ticks)
    for state in states[:2] + states[-2:] + states[:: max(1, len(states) // 8)]:
        assert state == plain.state(state.ns)
    # Payments are rare: every one of the window is compared, and comes at the first tick at or after it.
    assert [(state.ns, stamp) for state in states for stamp in state.rewards] == [
        (stamp.ns + -stamp.ns % ticks.step, stamp) for stamp in plain.rewards(ticks[-1]) if stamp.ns >= ticks[0]
    ]


@SETTINGS
@given(markets(), st.integers(0, 2**32 - 1))
def test_cutting_the_data_after_a_tick_changes_nothing_up_to_it(
    take_all, venues, data_config, market, seed: int
) -> None:
    dataset, ticks = market.dataset, market.ticks
    moment = ticks[seed % len(ticks)]
    # Without a closed bar of the reference price and of the spot market the cut data gives no feed.
    assume(moment >= 4 * HOUR and known(dataset, "cex/binance/BTCUSDT_spot", moment))
    whole = states_of(dataset, ticks, take_all, venues, data_config)
    window = range(ticks[0], moment + 1, ticks.step)
    assert states_of(cut(dataset, moment), window, take_all, venues, data_config) == whole[: len(window)]


@SETTINGS
@given(markets(), st.integers(0, 2**32 - 1))
def test_other_numbers_after_a_tick_change_nothing_up_to_it(
    take_all, venues, data_config, market: Made, seed: int
) -> None:
    dataset, ticks = market.dataset, market.ticks
    random = np.random.default_rng(seed)
    moment = ticks[int(random.integers(len(ticks)))]
    window = range(ticks[0], moment + 1, ticks.step)
    other = altered_after(dataset, moment, random)
    assert states_of(other, window, take_all, venues, data_config) == states_of(
        dataset, window, take_all, venues, data_config
    )


@pytest.fixture(scope="session")
def summer(real, eth_spec, venues, data_config, take_all, at):
    """States of eth_basis-like ticks over the summer in which the OKX perpetual appears."""
    start, end = at("2024-05-10"), at("2024-09-02")
    feed = build_feed(real, eth_spec, start_ns=start, end_ns=end, step_ns=HOUR, data=data_config, venues=venues)
    return start, list(take_all(feed))


@settings(max_examples=12, deadline=None)
@given(hours=st.integers(24, 115 * 24))
def test_cutting_the_real_history_changes_nothing_before_the_cut(
    real, summer, eth_spec, venues, data_config, take_all, hours: int
) -> None:
    start, whole = summer
    moment = start + hours * HOUR
    feed = build_feed(
        cut(real, moment), eth_spec, start_ns=start, end_ns=moment, step_ns=HOUR, data=data_config, venues=venues
    )
    assert list(take_all(feed)) == whole[: hours + 1]


def test_the_perpetual_of_okx_appears_when_its_first_bar_closes(summer, at) -> None:
    _, states = summer
    by_ns = {state.ns: state for state in states}
    before, after = by_ns[at("2024-08-01T00:00")], by_ns[at("2024-08-01T01:00")]
    assert before.perps["okx:ETH-PERP"].last is None
    assert before.perps["okx:ETH-PERP"].mark is not None
    assert after.perps["okx:ETH-PERP"].last_fresh
    assert "okx:BTC-PERP" not in after.perps
