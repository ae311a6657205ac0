"""Loading refuses what is not what the layout says, and names file, row, stamp, column and what was expected."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from basis_actors.data import check_dataset, load_dataset
from basis_actors.data.catalogue import file_stem, split_stem
from basis_actors.data.stamps import DAY, HOUR
from basis_actors.errors import DataError

SPOT = "cex/binance/BTCUSDT_spot"
FUNDING = "cex/binance/BTCUSDT_funding"
APY = "staking/etherfi_eeth_apy"
GOOD_SPOT = """timestamp,open,high,low,close,volume
2024-01-01T00:00:00Z,100.0,110.0,90.0,105.0,7.0
2024-01-01T01:00:00Z,105.0,112.0,101.0,111.0,8.0
2024-01-01T02:00:00Z,111.0,111.0,100.0,100.5,9.0
"""


def put(folder: Path, stem: str, text: str | bytes) -> Path:
    path = folder / f"{stem}.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode() if isinstance(text, str) else text))
    return path


def refusal(folder: Path, *names: str) -> DataError:
    with pytest.raises(DataError) as caught:
        load_dataset(folder, names or None)
    return caught.value


def test_numbers_stamps_step_and_hash_are_those_of_the_file(tmp_path: Path) -> None:
    path = put(tmp_path, f"{SPOT}_1h", GOOD_SPOT)
    dataset = load_dataset(tmp_path)
    series = dataset.series[SPOT]
    assert series.ns.tolist() == [1704067200 * 10**9 + hour * HOUR for hour in range(3)]
    assert series.columns["close"].tolist() == [105.0, 111.0, 100.5]
    assert series.step_ns == HOUR
    assert dataset.hashes == {f"{SPOT}_1h.csv.gz": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert (dataset.origin, dataset.seed) == (str(tmp_path), None)


def test_only_the_named_series_are_read(tmp_path: Path) -> None:
    put(tmp_path, f"{SPOT}_1h", GOOD_SPOT)
    put(tmp_path, FUNDING, "this is no table at all")
    assert list(load_dataset(tmp_path, [SPOT]).series) == [SPOT]
    assert list(load_dataset(tmp_path, [SPOT], optional=["cex/okx/BTCUSDT_perp"]).series) == [SPOT]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert error.code == "DATA-003"
    assert str(tmp_path / "nowhere") in str(error)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    assert "not a folder" in str(refusal(tmp_path / "data"))


def test_a_folder_without_series_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    error = refusal(tmp_path)
    assert error.code == "DATA-003"
    assert "cex/binance/BTCUSDT_spot_1h.csv.gz" in str(error)


def test_a_missing_series_names_the_path_and_what_there_is(tmp_path: Path) -> None:
    put(tmp_path, f"{SPOT}_1h", GOOD_SPOT)
    error = refusal(tmp_path, SPOT, "cex/binance/BTCUSDT_perp")
    assert error.code == "DATA-003"
    assert f"{tmp_path}/cex/binance/BTCUSDT_perp_1h.csv.gz" in str(error)
    assert f"The folder has: {SPOT}" in str(error)


def test_a_name_outside_the_layout_is_refused(tmp_path: Path) -> None:
    put(tmp_path, f"{SPOT}_1h", GOOD_SPOT)
    assert "not in the data layout" in str(refusal(tmp_path, "cex/binance/BTCUSDT_candles"))


def test_one_series_in_two_files_is_refused(tmp_path: Path) -> None:
    put(tmp_path, f"{SPOT}_1h", GOOD_SPOT)
    put(tmp_path, f"{SPOT}_2h", GOOD_SPOT)
    error = refusal(tmp_path)
    assert error.code == "DATA-002"
    assert f"{SPOT}_1h.csv.gz" in str(error)
    assert f"{SPOT}_2h.csv.gz" in str(error)


@pytest.mark.parametrize(
    ("find", "replace", "expected"),
    [
        ("T02:00:00Z,111.0", "T01:00:00Z,111.0", ["row 3 (2024-01-01T01:00:00Z)", "the same as in row 2"]),
        ("2024-01-01T02", "2023-12-31T02", ["row 3 (2023-12-31T02:00:00Z)", "earlier than the row before"]),
        ("112.0", "nan", ["row 2 (2024-01-01T01:00:00Z)", "'high'", "not a number", "greater than 0"]),
        ("112.0", "", ["row 2 (2024-01-01T01:00:00Z)", "'high'", "blank"]),
        ("112.0", "inf", ["row 2 (2024-01-01T01:00:00Z)", "'high'", "inf"]),
        ("90.0", "-90.0", ["row 1 (2024-01-01T00:00:00Z)", "'low'", "-90.0", "greater than 0"]),
        ("90.0", "0", ["row 1 (2024-01-01T00:00:00Z)", "'low'", "0.0", "greater than 0"]),
        ("110.0", "104.0", ["row 1 (2024-01-01T00:00:00Z)", "impossible bar", "high 104.0"]),
        ("101.0", "106.0", ["row 2 (2024-01-01T01:00:00Z)", "impossible bar", "low 106.0"]),
        ("7.0", "-7.0", ["row 1 (2024-01-01T00:00:00Z)", "'volume'", "0 or more"]),
        ("112.0", "1O2", ["row 2 (2024-01-01T01:00:00Z)", "'high'", "'1O2' is not a number"]),
        ("T01:00:00Z", "T01:00:00", ["row 2", "'timestamp'", "'2024-01-01T01:00:00' is not a stamp", "Z"]),
        ("T01:00:00Z", "T01:00:30Z", ["row 2 (2024-01-01T01:00:30Z)", "not on the grid", "1h"]),
        ("T01:00:00Z", "T01:30:00Z", ["row 2 (2024-01-01T01:30:00Z)", "not on the grid", "1h"]),
        ("2024-01-01T01:00:00Z,", ",", ["row 2", "timestamp"]),
        (",8.0", "", ["row 2", "5 fields", "expected 6"]),
        ("close", "clse", ["'close'", "missing", "the nearest there is 'clse'"]),
        ("volume", "volumes", ["'volumes'", "nearest that has a meaning is 'volume'"]),
        ("volume", "close", ["twice"]),
    ],
)
def test_a_bad_table_is_refused_with_its_place(tmp_path: Path, find: str, replace: str, expected: list[str]) -> None:
    path = put(tmp_path, f"{SPOT}_1h", GOOD_SPOT.replace(find, replace, 1))
    error = refusal(tmp_path)
    assert error.code == "DATA-002"
    for part in (str(path), *expected):
        assert part in str(error)


def test_bytes_that_are_not_gzip_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path, f"{SPOT}_1h", GOOD_SPOT)
    path.write_bytes(GOOD_SPOT.encode())
    assert "not a readable gzip file" in str(refusal(tmp_path))


def test_a_cut_off_gzip_file_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, f"{SPOT}_1h", GOOD_SPOT)
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a readable gzip file" in str(refusal(tmp_path))


def test_bytes_that_are_not_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{SPOT}_1h.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 but no more")
    assert "not a readable Parquet file" in str(refusal(tmp_path))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    put(tmp_path, f"{SPOT}_1h", "")
    assert "the file is empty; expected a header" in str(refusal(tmp_path))


def test_a_header_without_rows_is_a_series_that_has_not_begun(tmp_path: Path) -> None:
    put(tmp_path, f"{SPOT}_1h", GOOD_SPOT.splitlines()[0] + "\n")
    assert load_dataset(tmp_path).series[SPOT].ns.size == 0


def test_blanks_are_allowed_where_a_column_is_optional(tmp_path: Path) -> None:
    put(
        tmp_path,
        APY,
        "timestamp,base_apy_pct,reward_apy_pct\n2024-06-05T00:00:00Z,3.49,\n2024-06-06T00:00:00Z,2.07,1\n",
    )
    rewards = load_dataset(tmp_path).series[APY].columns["reward_apy_pct"]
    assert np.isnan(rewards[0])
    assert rewards[1] == 1.0


def test_negative_funding_is_no_error(tmp_path: Path) -> None:
    put(tmp_path, FUNDING, "timestamp,funding_rate\n2024-01-01T00:00:00Z,-0.0001\n")
    assert load_dataset(tmp_path).series[FUNDING].columns["funding_rate"].tolist() == [-0.0001]


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    put(tmp_path, f"{SPOT}_1h", b"\xef\xbb\xbf" + GOOD_SPOT.replace("\n", "\r\n").encode())
    assert load_dataset(tmp_path).series[SPOT].columns["close"].tolist() == [105.0, 111.0, 100.5]


def test_every_number_of_the_real_history_is_that_of_its_text(data_folder: Path, csv_rows) -> None:
    dataset = load_dataset(data_folder, ["aave_v3/USDT_rates", "cex/okx/ETHUSDT_funding"])
    for name, series in dataset.series.items():
        rows = csv_rows(name)
        for column, values in series.columns.items():
            assert values.tolist() == [float(row[column]) for row in rows.values()]


def test_rows_and_hashes_of_the_real_history_are_those_of_its_manifest(data_folder: Path, real) -> None:
    manifest = json.loads((data_folder / "MANIFEST.json").read_text())["files"]
    tables = {name: entry for name, entry in manifest.items() if name.endswith(".csv.gz")}
    assert real.hashes == {name: entry["sha256"] for name, entry in tables.items()}
    by_name = {split_stem(name.removesuffix(".csv.gz"))[0]: entry for name, entry in tables.items()}
    assert {name: series.ns.size for name, series in real.series.items()} == {
        name: entry["rows"] for name, entry in by_name.items()
    }


@pytest.mark.parametrize(
    ("stem", "name", "step_ns"),
    [
        ("cex/binance/BTCUSDT_spot_1h", SPOT, HOUR),
        ("cex/okx/ETHUSDT_mark_15m", "cex/okx/ETHUSDT_mark", HOUR // 4),
        (FUNDING, FUNDING, None),
        ("aave_v3/USDT_rates", "aave_v3/USDT_rates", DAY),
        ("aave_v3/USDT_rates_1h", "aave_v3/USDT_rates", HOUR),
        ("staking/weETH_market_rate_24h_median", "staking/weETH_market_rate", HOUR),
        ("gas/ethereum_gas_2h", "gas/ethereum_gas", 2 * HOUR),
        ("rewards/eigen_weekly", "rewards/eigen_weekly", None),
    ],
)
def test_a_file_name_gives_series_and_step_and_back(stem: str, name: str, step_ns: int | None) -> None:
    assert split_stem(stem) == (name, step_ns)
    assert file_stem(name, step_ns) == stem


@pytest.mark.parametrize("stem", ["cex/binance/BTCUSDT_spot", "gas/ethereum_gas", "notes", f"{FUNDING}_8h"])
def test_a_file_name_outside_the_layout_means_nothing(stem: str) -> None:
    assert split_stem(stem) is None


@pytest.mark.parametrize("factor", [100, 1 / 20])
def test_a_price_in_another_unit_than_others_of_the_asset_is_refused(tmp_path: Path, factor: float) -> None:
    bars = "timestamp,open,high,low,close\n2024-01-01T00:00:00Z,42000,42000,42000,42000\n"
    other = bars.replace("42000", str(42000 * factor)).replace("00:00:00Z", "01:00:00Z")
    for venue in ("binance", "bybit"):
        put(tmp_path, f"cex/{venue}/BTCUSDT_spot_1h", bars)
    put(tmp_path, "cex/okx/BTCUSDT_perp_1h", bars + other.splitlines()[1] + "\n")
    assert len(load_dataset(tmp_path).series) == 3, "what only one of them has is not compared"
    put(tmp_path, "cex/binance/BTCUSDT_spot_1h", bars + bars.splitlines()[1].replace("00:00:00Z", "01:00:00Z") + "\n")
    expected = (
        f"row 2 (2024-01-01T01:00:00Z), column 'close': {42000.0 * factor!r}, and 42000.0 in cex/binance/BTCUSDT_spot;"
    )
    assert expected in refusal(tmp_path).message
    wrong = {entry.name: entry.problems for entry in check_dataset(tmp_path).series if entry.problems}
    assert list(wrong) == ["cex/okx/BTCUSDT_perp"]
    assert expected in wrong["cex/okx/BTCUSDT_perp"][0]


def test_a_manifest_that_nests_without_end_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "cex/okx/BTCUSDT_mark_1h", "timestamp,open,high,low,close\n")
    (tmp_path / "MANIFEST.json").write_text("[" * 100_000)
    assert "not readable as JSON" in refusal(tmp_path).message
    with pytest.raises(DataError, match="not readable as JSON"):
        check_dataset(tmp_path)
