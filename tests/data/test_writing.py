"""A data set that is written and read back is the same to the last bit, in both formats, as the same bytes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from basis_actors.data import Dataset, Series, check_dataset, load_dataset, write_dataset
from basis_actors.data.stamps import HOUR, MINUTE
from basis_actors.errors import DataError

positive = st.floats(min_value=5e-324, max_value=1e300, allow_nan=False)
number = st.floats(allow_nan=False, allow_infinity=False)
FORMATS = ("csv.gz", "parquet")


def same(one: Dataset, other: Dataset) -> None:
    assert list(one.series) == list(other.series)
    for name, series in one.series.items():
        back = other.series[name]
        assert back.step_ns == series.step_ns
        assert back.ns.tolist() == series.ns.tolist()
        assert sorted(back.columns) == sorted(series.columns)
        for column, values in series.columns.items():
            np.testing.assert_array_equal(back.columns[column].view(np.int64), values.view(np.int64), column)


def funding(rates: list[float], marks: list[float]) -> Series:
    ns = np.arange(len(rates), dtype=np.int64) * 8 * HOUR
    columns = {"funding_rate": np.array(rates), "mark_price": np.array(marks)}
    return Series("cex/binance/BTCUSDT_funding", ns, columns, None)


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_real_history_survives_writing(real: Dataset, tmp_path: Path, fmt: str) -> None:
    hashes = write_dataset(real, tmp_path, fmt)
    back = load_dataset(tmp_path)
    same(real, back)
    assert back.hashes == hashes
    assert check_dataset(tmp_path).ok


@pytest.mark.parametrize("fmt", FORMATS)
@given(rates=arrays(np.float64, 5, elements=number), marks=arrays(np.float64, 5, elements=positive))
@settings(max_examples=30)
def test_any_numbers_survive_writing(tmp_path_factory, fmt: str, rates, marks) -> None:
    folder = tmp_path_factory.mktemp("written")
    dataset = Dataset({"cex/binance/BTCUSDT_funding": funding(rates.tolist(), marks.tolist())}, "made up")
    write_dataset(dataset, folder, fmt)
    same(dataset, load_dataset(folder))


@pytest.mark.parametrize("fmt", FORMATS)
def test_blanks_dates_integers_and_empty_series_survive_writing(tmp_path: Path, fmt: str) -> None:
    day = 1704067200
    stamps = np.array([day, day + 86400 * 7], dtype=np.int64) * 10**9
    rewards = {
        "period_start": np.array([day - 7 * 86400.0, float(day)]),
        "eigen_per_eeth_weekly": np.array([0.205, 0.1]),
        "eigen_earned": np.array([2478088.0, 1.0]),
        "eth_restaked": np.array([1480684.0, 2.0]),
        "eth_not_restaked": np.array([532110.0, 0.0]),
    }
    oracle = {"price": np.array([0.99965, 1.00009]), "block_number": np.array([18908894.0, np.nan])}
    series = [
        Series("cex/binance/BTCUSDT_mark", np.array([], dtype=np.int64),
               {name: np.array([]) for name in ("open", "high", "low", "close")}, 15 * MINUTE),
        Series("oracle/USDT_USD", stamps, oracle, 24 * HOUR),
        Series("rewards/eigen_weekly", stamps, rewards, None),
    ]  # fmt: skip
    dataset = Dataset({one.name: one for one in series}, "made up")
    write_dataset(dataset, tmp_path, fmt)
    same(dataset, load_dataset(tmp_path))


def test_csv_holds_the_shortest_text_of_each_number(tmp_path: Path) -> None:
    write_dataset(Dataset({"f": funding([0.1, -1e-05], [42313.9, 3.0])}, "made up"), tmp_path)
    text = gzip.decompress((tmp_path / "cex/binance/BTCUSDT_funding.csv.gz").read_bytes()).decode()
    assert text == (
        "timestamp,funding_rate,mark_price\n1970-01-01T00:00:00Z,0.1,42313.9\n1970-01-01T08:00:00Z,-1e-05,3.0\n"
    )


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_data_gives_the_same_bytes(tmp_path: Path, fmt: str) -> None:
    dataset = Dataset({"f": funding([0.1, 0.2], [1.0, 2.0])}, "synthetic, seed 7", seed=7)
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        write_dataset(dataset, folder, fmt)
        written.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert written[0] == written[1]


def test_a_folder_of_synthetic_data_says_so_when_it_is_read(tmp_path: Path) -> None:
    write_dataset(Dataset({"f": funding([0.1], [1.0])}, "synthetic, seed 7", seed=7), tmp_path)
    back = load_dataset(tmp_path)
    assert back.seed == 7
    assert back.origin == f"{tmp_path} (synthetic, seed 7)"


def test_the_manifest_tells_rows_stamps_units_and_hashes(tmp_path: Path) -> None:
    hashes = write_dataset(Dataset({"f": funding([0.1, 0.2], [1.0, 2.0])}, "made up"), tmp_path)
    manifest = json.loads((tmp_path / "MANIFEST.json").read_text())
    entry = manifest["files"]["cex/binance/BTCUSDT_funding.csv.gz"]
    assert (entry["rows"], entry["first_timestamp"]) == (2, "1970-01-01T00:00:00Z")
    assert entry["last_timestamp"] == "1970-01-01T08:00:00Z"
    assert entry["sha256"] == hashes["cex/binance/BTCUSDT_funding.csv.gz"]
    assert list(entry["columns"]) == ["timestamp", "funding_rate", "mark_price"]


def test_nothing_is_left_beside_the_files(tmp_path: Path) -> None:
    write_dataset(Dataset({"f": funding([0.1], [1.0])}, "made up"), tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "BTCUSDT_funding.csv.gz",
        "MANIFEST.json",
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def synthetic(rates: list[float]) -> Dataset:
    return Dataset({"f": funding(rates, [1.0] * len(rates))}, "synthetic, seed 7", seed=7)


def test_a_synthetic_market_is_replaced_on_request_only(tmp_path: Path) -> None:
    write_dataset(synthetic([0.1]), tmp_path)
    before = content(tmp_path)
    with pytest.raises(DataError, match=r"holds a synthetic market of 1 series already.*--force") as caught:
        write_dataset(synthetic([0.2]), tmp_path)
    assert caught.value.code == "DATA-003"
    assert content(tmp_path) == before
    write_dataset(synthetic([0.2]), tmp_path, replace=True)
    assert load_dataset(tmp_path).series["cex/binance/BTCUSDT_funding"].columns["funding_rate"].tolist() == [0.2]


@pytest.mark.parametrize("replace", [False, True])
def test_history_is_never_replaced(tmp_path: Path, replace: bool) -> None:
    write_dataset(Dataset({"f": funding([0.1], [1.0])}, "collected"), tmp_path)
    before = content(tmp_path)
    with pytest.raises(DataError, match=r"not a synthetic market: it holds 1 series \(cex/binance/BTC") as caught:
        write_dataset(synthetic([0.2]), tmp_path, replace=replace)
    assert caught.value.code == "DATA-003"
    assert content(tmp_path) == before


def test_a_synthetic_market_with_a_series_of_history_in_it_is_not_replaced(tmp_path: Path) -> None:
    write_dataset(synthetic([0.1]), tmp_path)
    write_dataset(Dataset({"f": funding([0.3], [1.0])}, "collected"), tmp_path / "other")
    file = "cex/binance/BTCUSDT_funding.csv.gz"
    (tmp_path / "other" / file).replace(tmp_path / file)
    before = content(tmp_path)
    with pytest.raises(DataError, match="holds series beside or instead of those of the synthetic market"):
        write_dataset(synthetic([0.1]), tmp_path, replace=True)
    assert content(tmp_path) == before


@pytest.mark.parametrize("manifest", ["{", "[]", '{"seed": 7}', '{"seed": 7, "files": {"a": 1}}', '{"seed": null}'])
def test_a_manifest_that_does_not_name_a_synthetic_market_protects_the_folder(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "MANIFEST.json").write_text(manifest)
    with pytest.raises(DataError, match=r"not a synthetic market: it holds MANIFEST\.json"):
        write_dataset(synthetic([0.1]), tmp_path, replace=True)


def test_a_folder_with_other_series_is_not_mixed_with_new_ones(tmp_path: Path, bars) -> None:
    write_dataset(synthetic([0.1]), tmp_path)
    other = bars("cex/binance/BTCUSDT_spot", 0, [1.5])
    with pytest.raises(DataError, match=r"holds other series \(cex/binance/BTCUSDT_funding") as caught:
        write_dataset(Dataset({"s": other}, "made up"), tmp_path, replace=True)
    assert caught.value.code == "DATA-002"


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2 .*'mark_price'.*-2.0"):
        write_dataset(Dataset({"f": funding([0.1, 0.2], [1.0, -2.0])}, "made up"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected one of csv\.gz, parquet"):
        write_dataset(Dataset({}, "made up"), tmp_path, "feather")  # type: ignore[arg-type]
