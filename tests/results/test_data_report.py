"""The data report of a run, against the files themselves."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.logs.test_schemas import fits

from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.results.data_report import data_report_schema
from basis_actors.results.run_files import read_data_report
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of files; three hours of a spot series and one funding rate are missing on the fifth."""
    folder = tmp_path_factory.mktemp("market")
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 10 * DAY), folder)
    leave_out(folder / "cex/bybit/BTCUSDT_spot_1h.csv.gz", ("2024-01-05T10", "2024-01-05T11", "2024-01-05T12"))
    leave_out(folder / "cex/okx/BTCUSDT_funding.csv.gz", ("2024-01-05T08",))
    (folder / "MANIFEST.json").unlink(missing_ok=True)
    return folder


def leave_out(path: Path, stamps: tuple[str, ...]) -> None:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
    kept = [line for line in lines if not line.replace(" ", "T").startswith(stamps)]
    assert len(lines) - len(kept) == len(stamps)
    path.write_bytes(gzip.compress("".join(kept).encode()))


@pytest.fixture(scope="module")
def run_dir(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    request = BacktestRequest(
        mode="btc_basis", data=market, out=tmp_path_factory.mktemp("logs"), end=datetime(2024, 1, 8, tzinfo=UTC)
    )
    backtest = Backtest(prepare(request))
    backtest.run()
    return backtest.run_dir


def test_every_series_is_named_with_its_file_hash_and_rows(run_dir: Path, market: Path) -> None:
    report = read_data_report(run_dir)
    assert report.origin.startswith(str(market))
    assert (report.start, report.ticks) == (datetime(2024, 1, 1, tzinfo=UTC), 169)
    assert len(report.series) > 8
    for series in report.series:
        assert series.file is not None
        raw = (market / series.file).read_bytes()
        assert series.sha256 == hashlib.sha256(raw).hexdigest() == report.hashes[series.file]
        stamps = [line.split(",")[0] for line in gzip.decompress(raw).decode().splitlines()[1:]]
        assert series.first == datetime.fromisoformat(stamps[0])
        assert series.last == datetime.fromisoformat(stamps[-1])
        assert 0 < series.rows <= len(stamps)


def test_gaps_and_missed_funding_are_said(run_dir: Path) -> None:
    report = read_data_report(run_dir)
    gaps = {series.name: series for series in report.series if series.gaps}
    assert gaps.keys() == {"cex/bybit/BTCUSDT_spot", "cex/okx/BTCUSDT_funding"}
    spot = gaps["cex/bybit/BTCUSDT_spot"]
    assert (spot.step, spot.missing_hours, [gap.rows for gap in spot.gaps]) == ("1h", 3.0, [3])
    assert spot.gaps[0].first == datetime(2024, 1, 5, 10, tzinfo=UTC)
    assert spot.gaps[0].last == datetime(2024, 1, 5, 12, tzinfo=UTC)
    assert report.missed_funding == {"binance:BTC-PERP": 0, "bybit:BTC-PERP": 0, "okx:BTC-PERP": 1}
    assert "okx:BTC-PERP brackets: those of binance" in report.borrowed_rules


def test_the_summary_shows_the_same_stand_ins(run_dir: Path) -> None:
    summary = json.loads((run_dir / "summary.json").read_bytes())
    assert summary["proxies"] == list(read_data_report(run_dir).stand_ins)
    assert summary["data_gaps"] == {
        series.name: series.missing_hours for series in read_data_report(run_dir).series if series.gaps
    }


def test_the_synthetic_market_has_a_seed_and_no_files(tmp_path: Path) -> None:
    run = Backtest(prepare(BacktestRequest(mode="pure_lending_eth", seed=5, out=tmp_path)))
    report = read_data_report(run.run_dir)
    assert report.synthetic_seed == 5
    assert {series.file for series in report.series} == {series.sha256 for series in report.series} == {None}
    assert all(series.rows for series in report.series)


def test_the_file_fits_its_schema_and_every_field_is_described(run_dir: Path) -> None:
    schema = data_report_schema()
    given = json.loads((run_dir / "data_report.json").read_bytes())
    assert fits(given, schema, schema["$defs"])
    assert not fits(given | {"ticks": "many"}, schema, schema["$defs"])
    for definition in schema["$defs"].values():
        assert all("description" in field for field in definition["properties"].values())
