"""The description of the data layout names what the catalogue knows, and importing it is cheap."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

import basis_actors.data
from basis_actors.data import Dataset, build_feed
from basis_actors.data.catalogue import KINDS
from basis_actors.messages.market import MarketSpec

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE


@pytest.fixture(scope="module")
def description() -> str:
    return (Path(basis_actors.data.__file__).parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_column_is_described(description: str, kind) -> None:
    for column in kind.columns:
        assert (column.name if column.required else f"({column.name})") in description


def test_importing_the_data_package_loads_no_table_library() -> None:
    code = "import sys, basis_actors.data; print([m for m in ('pandas', 'pyarrow') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_memory_does_not_grow_with_the_number_of_ticks(bars, venues, data_config, take_all) -> None:
    dataset = Dataset({"cex/binance/BTCUSDT_spot": bars("cex/binance/BTCUSDT_spot", 0, [100.0] * 400)}, "made up")

    def peak(hours: int) -> int:
        feed = build_feed(
            dataset,
            MarketSpec(assets=("BTC",), spot=("binance:BTC",)),
            start_ns=0,
            end_ns=hours * HOUR,
            step_ns=MINUTE,
            data=data_config,
            venues=venues,
        )
        tracemalloc.start()
        try:
            for _ in take_all(feed):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(30)  # what is allocated once is not counted
    # 16,200 further states would be several megabytes.
    assert peak(300) <= peak(30) + 50_000
