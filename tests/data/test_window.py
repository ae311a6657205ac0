"""The window of a mode that was given none: what the data cover entirely."""

from __future__ import annotations

import numpy as np
import pytest

from basis_actors.data import Dataset, Series, window_of
from basis_actors.errors import DataError
from basis_actors.messages.market import MarketSpec

HOUR = 3600 * 10**9
DAY = 24 * HOUR
SPOT, OTHER, RATE = "cex/binance/BTCUSDT_spot", "cex/bybit/BTCUSDT_spot", "oracle/USDT_USD"
SPEC = MarketSpec(assets=("BTC",), oracle=("USDT",))


def daily(first: int, days: int) -> Series:
    stamps = np.arange(first, first + days, dtype=np.int64) * DAY
    return Series(RATE, stamps, {"price": np.ones(days)}, DAY)


@pytest.mark.parametrize(
    ("bars_of", "days", "end"),
    [
        ({SPOT: 48}, 2, 48 * HOUR),
        ({SPOT: 48}, 20, 48 * HOUR),
        ({SPOT: 480}, 2, 48 * HOUR),
        ({SPOT: 10, OTHER: 40}, 20, 40 * HOUR),
    ],
    ids=["together", "the price ends first", "the rate ends first", "another venue has the price"],
)
def test_it_ends_with_the_last_tick_that_everything_needed_covers(
    bars, venues, bars_of: dict[str, int], days: int, end: int
) -> None:
    series = {name: bars(name, 0, [5.0] * count) for name, count in bars_of.items()} | {RATE: daily(0, days)}
    assert window_of(Dataset(series, "made up"), SPEC, venues, HOUR) == (0, end)


def test_data_without_a_common_time_have_no_window(bars, venues) -> None:
    series = {SPOT: bars(SPOT, 0, [5.0] * 24), RATE: daily(5, 2)}
    with pytest.raises(DataError, match=r"no time in common in made up: the last begins at 1970-01-06") as caught:
        window_of(Dataset(series, "made up"), SPEC, venues, HOUR)
    assert caught.value.code == "DATA-003"
