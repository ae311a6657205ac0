"""The data report names gaps, problems and stand-ins of a folder; the feed's report those of a window."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from basis_actors.data import Dataset, FeedReport, Series, build_feed, check_dataset, write_dataset
from basis_actors.data.catalogue import split_stem
from basis_actors.errors import DataError
from basis_actors.messages.market import MarketSpec

HOUR = 3600 * 10**9
DAY = 24 * HOUR


def test_gaps_of_the_real_history_are_those_of_its_manifest(data_folder: Path) -> None:
    report = check_dataset(data_folder)
    assert report.ok
    assert report.unknown_files == ()
    found = {series.file: series for series in report.series}
    for name, entry in json.loads((data_folder / "MANIFEST.json").read_text())["files"].items():
        if not name.endswith(".csv.gz"):
            continue
        series = found[name]
        assert (series.rows, series.first, series.last) == (
            entry["rows"], entry["first_timestamp"], entry["last_timestamp"],
        )  # fmt: skip
        assert series.gap_hours == (entry["missing_hours"] or 0)
        if entry.get("gaps"):
            assert [[gap["first"], gap["last"]] for gap in series.to_dict()["gaps"]] == entry["gaps"]


def test_the_report_names_the_holes_of_okx(data_folder: Path) -> None:
    report = {series.name: series for series in check_dataset(data_folder).series}
    assert [str(gap) for gap in report["cex/okx/ETHUSDT_perp"].gaps] == [
        "2024-08-31T16:00:00Z to 2024-09-30T15:00:00Z, 720 rows, 720 h",
        "2025-03-31T16:00:00Z to 2025-04-30T15:00:00Z, 720 rows, 720 h",
    ]
    assert len(report["cex/okx/BTCUSDT_funding"].gaps) == 14


def test_the_report_names_what_stands_in(data_folder: Path) -> None:
    proxies = check_dataset(data_folder).proxies
    assert "cex/bybit/BTCUSDT_mark is not there: cex/bybit/BTCUSDT_perp stands in for the mark of bybit" in proxies
    assert "cex/okx/BTCUSDT_perp is not there: okx is left out of BTC hedges" in proxies


def test_the_report_is_plain_data(data_folder: Path) -> None:
    report = check_dataset(data_folder).to_dict()
    assert json.loads(json.dumps(report)) == report


def test_a_bad_series_does_not_hide_the_others(tmp_path: Path, bars) -> None:
    good, bad = "cex/binance/BTCUSDT_spot", "cex/bybit/BTCUSDT_spot"
    write_dataset(Dataset({name: bars(name, 0, [5.0, 6.0, 7.0]) for name in (good, bad)}, "made up"), tmp_path)
    path = tmp_path / f"{bad}_1h.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode().replace("6.0,7.0,5.0,6.0", "6.0,-7.0,5.0,nan")
    path.write_bytes(gzip.compress(text.encode()))
    (tmp_path / "cex/binance/btc.csv.gz").write_bytes(b"")
    report = check_dataset(tmp_path)
    assert not report.ok
    problems = {series.name: series.problems for series in report.series}
    assert problems[good] == ()
    assert len(problems[bad]) == 2
    assert "row 2 (1970-01-01T01:00:00Z), column 'high': -7.0" in problems[bad][0]
    assert report.unknown_files == ("cex/binance/btc.csv.gz",)
    assert any("sha256" in line for line in report.manifest_problems)


def test_a_file_that_the_manifest_lists_and_nobody_has_is_a_problem(tmp_path: Path, bars) -> None:
    names = ("cex/binance/BTCUSDT_spot", "cex/bybit/BTCUSDT_spot")
    write_dataset(Dataset({name: bars(name, 0, [5.0, 6.0]) for name in names}, "made up"), tmp_path)
    (tmp_path / f"{names[1]}_1h.csv.gz").unlink()
    assert check_dataset(tmp_path).manifest_problems == (
        "cex/bybit/BTCUSDT_spot_1h.csv.gz: listed in MANIFEST.json and not there",
    )


def test_a_missing_folder_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        check_dataset(tmp_path / "nowhere")
    assert caught.value.code == "DATA-003"


def test_a_run_reports_the_gaps_of_its_window(real: Dataset, eth_spec, venues, data_config, at) -> None:
    feed = build_feed(
        real,
        eth_spec,
        start_ns=at("2024-07-01"),
        end_ns=at("2024-10-01"),
        step_ns=HOUR,
        data=data_config,
        venues=venues,
    )
    report = feed.report
    gaps = {use.name: [str(gap) for gap in use.gaps] for use in report.series}
    assert gaps["cex/okx/ETHUSDT_perp"] == [
        "2024-07-01T00:00:00Z to 2024-07-31T23:00:00Z, 744 rows, 744 h",
        "2024-08-31T16:00:00Z to 2024-09-30T15:00:00Z, 720 rows, 720 h",
    ]
    assert gaps["cex/okx/ETHUSDT_funding"] == ["2024-07-31T16:00:00Z to 2024-08-31T08:00:00Z, 93 rows, 744 h"]
    assert gaps["cex/binance/ETHUSDT_spot"] == []
    assert report.missed_funding == {"binance:ETH-PERP": 0, "bybit:ETH-PERP": 0, "okx:ETH-PERP": 93}
    assert any(line.startswith("okx:BTC-PERP: left out") for line in report.absent)
    assert any(line.startswith("bybit:ETH-PERP mark:") for line in report.proxies)
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.hashes == real.hashes


def test_a_series_that_ends_early_has_a_gap_up_to_the_end_of_the_window(bars, venues, data_config) -> None:
    series = {
        "cex/binance/BTCUSDT_spot": bars("cex/binance/BTCUSDT_spot", 0, [5.0] * 48),
        "cex/bybit/BTCUSDT_spot": bars("cex/bybit/BTCUSDT_spot", 2 * HOUR, [5.0] * 10),
    }
    feed = build_feed(
        Dataset(series, "made up"),
        MarketSpec(assets=("BTC",)),
        start_ns=0,
        end_ns=24 * HOUR,
        step_ns=HOUR,
        data=data_config,
        venues=venues,
    )
    gaps = {use.name: [str(gap) for gap in use.gaps] for use in feed.report.series}
    assert gaps["cex/binance/BTCUSDT_spot"] == []
    assert gaps["cex/bybit/BTCUSDT_spot"] == [
        "1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z, 2 rows, 2 h",
        "1970-01-01T12:00:00Z to 1970-01-01T23:00:00Z, 12 rows, 12 h",
    ]


FUNDING = "cex/bybit/BTCUSDT_funding"
RATES = "aave_v3/USDT_rates"


def reported(bars, venues, data_config, last_funding: int, last_rates: int) -> FeedReport:
    """Of ten days of bars, with funding up to an hour and rates up to a day."""
    index = np.linspace(1.0, 1.01, last_rates + 1)
    rate = dict.fromkeys(
        ("liquidity_rate_apr", "variable_borrow_rate_apr", "utilization", "total_supplied", "total_variable_debt"),
        np.full(last_rates + 1, 0.5),
    ) | {"liquidity_index": index, "variable_borrow_index": index, "block_number": np.arange(last_rates + 1.0)}
    funding = np.arange(0, last_funding + 1, 8, dtype=np.int64) * HOUR
    series = {
        "cex/binance/BTCUSDT_spot": bars("cex/binance/BTCUSDT_spot", 0, [5.0] * 240),
        "cex/bybit/BTCUSDT_perp": bars("cex/bybit/BTCUSDT_perp", 0, [5.0] * 240),
        FUNDING: Series(FUNDING, funding, {"funding_rate": np.full(funding.size, 1e-4)}, None),
        RATES: Series(RATES, np.arange(last_rates + 1, dtype=np.int64) * DAY, rate, DAY),
    }
    spec = MarketSpec(assets=("BTC",), perps=("bybit:BTC-PERP",), reserves=("USDT",))
    feed = build_feed(
        Dataset(series, "made up"), spec, start_ns=0, end_ns=10 * DAY, step_ns=HOUR, data=data_config, venues=venues
    )
    return feed.report


def test_data_that_end_where_the_window_does_are_complete(bars, venues, data_config) -> None:
    """The last tick is the first moment that they do not cover: what is stamped exactly then comes after it."""
    report = reported(bars, venues, data_config, last_funding=232, last_rates=9)
    assert (report.missed_funding, report.gap_hours) == ({"bybit:BTC-PERP": 0}, {})


def test_data_that_end_one_row_earlier_are_not(bars, venues, data_config) -> None:
    report = reported(bars, venues, data_config, last_funding=224, last_rates=8)
    assert report.missed_funding == {"bybit:BTC-PERP": 2}
    assert report.gap_hours == {FUNDING: 16.0, RATES: 48.0}


def test_every_file_of_the_real_history_is_in_the_layout(data_folder: Path) -> None:
    for path in data_folder.rglob("*.csv.gz"):
        stem = path.relative_to(data_folder).as_posix().removesuffix(".csv.gz")
        assert split_stem(stem) is not None, stem
