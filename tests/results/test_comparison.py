"""Two results side by side."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.results.runs import run_directory

from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.results.comparison import ABSENT, Comparison
from basis_actors.results.store import ResultStore


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    """A hedged position, the same with less leverage on another market for a day less, and a mode counted in ether."""
    folder = tmp_path_factory.mktemp("pair")
    store = ResultStore(folder / "results")
    store.make(run_directory(folder, "one", always_in=True, days=4))
    store.make(
        run_directory(folder, "two", always_in=True, days=3, seed=8, overrides={"strategy_config.leverage": 1.5})
    )
    store.make(run_directory(folder, "ether", "pure_lending_eth", days=3))
    return store


def test_numbers_and_attribution_have_differences(pair: ResultStore) -> None:
    comparison = pair.compare("one", "two")
    one, two = pair.load("one").summary, pair.load("two").summary
    numbers = {row.name: row for row in comparison.numbers}
    assert numbers["total_return"].difference == two.total_return - one.total_return
    assert (numbers["ticks"].first, numbers["ticks"].second, numbers["ticks"].difference) == (97, 73, -24)
    assert numbers["lowest_health_factor"].difference is None
    parts = {row.name: row for row in comparison.attribution}
    assert parts.keys() == {*one.attribution, "residual"}
    assert parts["fees"].difference == two.attribution["fees"] - one.attribution["fees"]
    assert sum(row.second or 0.0 for row in comparison.attribution) == pytest.approx(two.total_pnl, abs=1e-6)


def test_configuration_and_data_that_differ_are_named_with_both_values(pair: ResultStore) -> None:
    comparison = pair.compare("one", "two")
    differing = {row.name: (row.first, row.second) for row in comparison.config}
    assert differing == {
        "options.end": ("2024-01-05T00:00:00Z", "2024-01-04T00:00:00Z"),
        "options.seed": (7, 8),
        "mode.strategy_config.leverage": (2.0, 1.5),
    }
    (row,) = comparison.data
    assert (row.name, row.first, row.second) == ("market", "synthetic, seed 7", "synthetic, seed 8")


def test_files_that_differ_are_named_with_their_hashes(pair: ResultStore, tmp_path: Path) -> None:
    generator = SyntheticGenerator(3, 3600)
    store = ResultStore(tmp_path / "results")
    for name, price in (("three", 3), ("four", 4)):
        market = SyntheticGenerator(price, 3600).generate(generator.epoch_ns, generator.epoch_ns + 3 * DAY)
        write_dataset(market, tmp_path / name)
        store.make(run_directory(tmp_path / "logs", name, "pure_lending_usdt", days=2, data=tmp_path / name))
    rows = {row.name: row for row in store.compare("three", "four").data}
    row = rows["aave_v3/USDT_rates.csv.gz"]
    files = [(tmp_path / name / row.name).read_bytes() for name in ("three", "four")]
    assert [row.first, row.second] == [hashlib.sha256(raw).hexdigest() for raw in files]


def test_a_branch_that_one_of_them_lacks_is_one_difference(pair: ResultStore) -> None:
    differing = {row.name: (row.first, row.second) for row in pair.compare("one", "ether").config}
    first, second = differing["venues.binance"]
    assert (first["venue"], second) == ("binance", ABSENT)
    assert differing["venues.aave_v3"][0] == ABSENT
    assert not any(name.startswith("venues.binance.") for name in differing)


def test_amounts_in_two_currencies_have_no_difference(pair: ResultStore) -> None:
    numbers = {row.name: row.difference for row in pair.compare("one", "ether").numbers}
    assert numbers["equity_end"] is None
    assert numbers["total_return"] is not None
    assert all(row.difference is None for row in pair.compare("one", "ether").attribution)


def test_a_result_does_not_differ_from_itself(pair: ResultStore) -> None:
    comparison: Comparison = pair.compare("one", "one")
    assert comparison.config == comparison.data == []
    assert {row.difference for row in (*comparison.numbers, *comparison.attribution)} <= {0.0, None}


def test_a_result_without_its_configuration_cannot_be_compared(pair: ResultStore, tmp_path: Path) -> None:
    from basis_actors.errors import BasisError

    store = ResultStore(tmp_path / "results")
    made = store.make(run_directory(tmp_path, "bare", "pure_lending_eth", days=1))
    (made.path / "config.yaml").unlink()
    with pytest.raises(BasisError, match=r"LOG-003: .*config.yaml cannot be read"):
        store.compare("bare", "bare")
