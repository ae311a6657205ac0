"""Shared by the tests of data: the folder of real history, the shipped venue configuration, and small helpers."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from basis_actors.config import DataConfig, VenueConfig, load_mode
from basis_actors.data import Dataset, HistoricalFeed, Series, load_dataset
from basis_actors.messages.market import MarketSpec, MarketState
from basis_actors.times import ns_from_utc

HOUR = 3600 * 10**9


def _take_all(feed: HistoricalFeed) -> Iterator[MarketState]:
    ns = feed.next_tick(None)
    while ns is not None:
        yield feed.take(ns)
        ns = feed.next_tick(ns)


@pytest.fixture(scope="session")
def take_all() -> Callable[[HistoricalFeed], Iterator[MarketState]]:
    """Drives a feed as the engine does."""
    return _take_all


@pytest.fixture(scope="session")
def at() -> Callable[[str], int]:
    """Nanoseconds of a UTC time such as `2024-01-01T08:00`."""
    return lambda text: ns_from_utc(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real history: BASIS_ACTORS_DATA, else shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("BASIS_ACTORS_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real history is not at {folder}; set BASIS_ACTORS_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def real(data_folder: Path) -> Dataset:
    return load_dataset(data_folder)


@pytest.fixture(scope="session")
def csv_rows(data_folder: Path) -> Callable[[str], dict[str, dict[str, str]]]:
    """The rows of a file by stamp, read with the csv module."""

    def read(relative: str) -> dict[str, dict[str, str]]:
        with gzip.open(data_folder / f"{relative}.csv.gz", "rt", encoding="ascii", newline="") as stream:
            return {row["timestamp"]: row for row in csv.DictReader(stream)}

    return read


@pytest.fixture(scope="session")
def venues() -> dict[str, VenueConfig]:
    return dict(load_mode("eth_basis").venues)


@pytest.fixture(scope="session")
def data_config() -> DataConfig:
    return load_mode("eth_basis").mode.data


@pytest.fixture(scope="session")
def eth_spec() -> MarketSpec:
    """Everything a mode on ETH can ask for."""
    return MarketSpec(
        assets=("BTC", "ETH", "USDT"),
        spot=("binance:ETH",),
        perps=("binance:ETH-PERP", "bybit:ETH-PERP", "okx:ETH-PERP", "okx:BTC-PERP"),
        reserves=("USDT", "WETH", "weETH"),
        staking=("weETH", "wstETH"),
        oracle=("USDT", "WETH"),
        gas=True,
    )


@pytest.fixture(scope="session")
def bars() -> Callable[..., Series]:
    """Makes hourly (or other) bars whose high and low are 1 above and below their closes."""

    def make(name: str, first_ns: int, closes: list[float | None], step_ns: int = HOUR) -> Series:
        rows = [(first_ns + i * step_ns, close) for i, close in enumerate(closes) if close is not None]
        close = np.array([value for _, value in rows], dtype=np.float64)
        columns = {"open": close.copy(), "high": close + 1.0, "low": close - 1.0, "close": close}
        return Series(name, np.array([ns for ns, _ in rows], dtype=np.int64), columns, step_ns)

    return make
