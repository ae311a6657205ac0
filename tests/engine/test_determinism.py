"""The same input gives the same bytes, the other runtime the same lines, and later data change nothing before them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.play import ALWAYS_IN, FOUR_MODES, flow, utc

from basis_actors.data import Dataset, load_dataset, write_dataset
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.times import ns_from_utc

NOT_THE_SAME = ("sequence", "real_utc_time", "execution_duration_ms", "total_duration_ms", "reconciliation_duration_ms")


def event_files(folder: Path, mode: str, **more: Any) -> dict[str, bytes]:
    """Run a mode with a fixed clock, and give what each event file holds; seals hold what runtimes number apart."""
    start, end = utc(more.pop("start")), utc(more.pop("end"))
    request = BacktestRequest(
        mode=mode, start=start, end=end, out=folder, correlation_id="same", fixed_clock=True, **more
    )
    backtest = Backtest(prepare(request))
    summary = backtest.run()
    assert summary.failure is None
    files = {path.name: path.read_bytes() for path in sorted((backtest.run_dir / "events").iterdir())}
    assert files.pop("seals.jsonl")
    return files


def without_numbers(content: bytes) -> list[str]:
    """The lines of a file without what may differ between runtimes."""
    lines = []
    for line in content.splitlines():
        event = json.loads(line)
        lines.append(json.dumps({name: value for name, value in event.items() if name not in NOT_THE_SAME}))
    return lines


def options(mode: str) -> dict[str, Any]:
    unit = 40.0 if mode == "pure_lending_eth" else 100_000.0
    flows = (flow("2024-01-04T01:30", 0.2 * unit), flow("2024-01-07T02:00", -0.5 * unit))
    return {
        "start": "2024-01-01",
        "end": "2024-01-10",
        "flows": flows,
        "settings": (ALWAYS_IN,) if "basis" in mode else (),
        "seed": 5,
    }


@pytest.mark.parametrize("mode", FOUR_MODES)
def test_two_runs_with_the_same_input_write_the_same_bytes(mode: str, tmp_path: Path) -> None:
    first = event_files(tmp_path / "first", mode, **options(mode))
    second = event_files(tmp_path / "second", mode, **options(mode))
    assert first == second
    assert len(first) == 12
    assert first["pnl_calculations.jsonl"]


@pytest.mark.parametrize("mode", FOUR_MODES)
def test_the_live_runtime_gives_the_same_lines_in_every_file(mode: str, tmp_path: Path) -> None:
    sim = event_files(tmp_path / "sim", mode, **options(mode))
    live = event_files(tmp_path / "live", mode, runtime="live", **options(mode))
    assert sorted(sim) == sorted(live)
    for name in sim:
        assert without_numbers(sim[name]) == without_numbers(live[name]), name


def cut(dataset: Dataset, after_ns: int) -> Dataset:
    """The data as they were known at a moment: bars that had closed, stamps that had come."""
    kept = {}
    for name, series in dataset.series.items():
        known = series.ns + (series.step_ns or 0) if name.startswith(("cex/", "dex/")) else series.ns
        rows = int(np.searchsorted(known, after_ns, side="right"))
        columns = {column: values[:rows] for column, values in series.columns.items()}
        kept[name] = replace(series, ns=series.ns[:rows], columns=columns)
    return replace(dataset, series=kept, hashes={})


def lines_up_to(files: dict[str, bytes], moment: str) -> dict[str, list[bytes]]:
    """Every line that is not later than a moment."""
    return {name: list(_until(content, moment)) for name, content in files.items()}


def _until(content: bytes, moment: str) -> Iterator[bytes]:
    for line in content.splitlines():
        if json.loads(line)["timestamp"] <= moment:
            yield line


def prefix_holds(
    history: Path, folder: Path, mode: str, start: str, at: str, end: str, series: tuple[str, ...], **more: Any
) -> None:
    """A run on data that end at `at` has the lines that the run on longer data has up to there."""
    whole = load_dataset(history, None)
    part = replace(whole, series={name: s for name, s in whole.series.items() if name.startswith(series)})
    moment = utc(at)
    short_folder, long_folder = folder / "short", folder / "long"
    write_dataset(cut(part, ns_from_utc(moment)), short_folder, "parquet")
    write_dataset(cut(part, ns_from_utc(utc(end))), long_folder, "parquet")
    until = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    short = event_files(folder / "a", mode, data=short_folder, start=start, end=at, **more)
    long = event_files(folder / "b", mode, data=long_folder, start=start, end=end, **more)
    upto = lines_up_to(long, until)
    for name, lines in lines_up_to(short, until).items():
        assert lines == upto[name], name
    assert len(short["pnl_calculations.jsonl"]) < len(long["pnl_calculations.jsonl"])


SERIES = {
    "btc_basis": ("cex/binance/BTC", "cex/bybit/BTC", "cex/binance/ETHUSDT_spot", "gas/"),
    "eth_basis": ("cex/binance/ETH", "cex/bybit/ETH", "cex/okx/ETH", "gas/"),
    "pure_lending_usdt": ("aave_v3/USDT", "oracle/USDT", "cex/binance/ETHUSDT_spot", "gas/"),
    "pure_lending_eth": ("aave_v3/WETH", "oracle/WETH", "cex/binance/ETHUSDT_spot", "gas/"),
}


@pytest.mark.parametrize("at", ["2024-07-31T20:00", "2024-08-01T12:00", "2024-08-02T05:00"])
def test_eth_basis_does_not_know_of_a_venue_before_its_data_begin(at: str, history: Path, tmp_path: Path) -> None:
    prefix_holds(
        history,
        tmp_path,
        "eth_basis",
        "2024-07-25",
        at,
        "2024-08-06",
        SERIES["eth_basis"],
        settings=[ALWAYS_IN],
    )


@pytest.mark.parametrize("mode", FOUR_MODES)
def test_cutting_the_data_changes_no_line_before_the_cut(mode: str, history: Path, tmp_path: Path) -> None:
    chance = random.Random(mode)
    start = utc("2024-01-15") + timedelta(days=chance.randrange(0, 400))
    at = start + timedelta(hours=chance.randrange(24, 20 * 24))
    end = at + timedelta(hours=chance.randrange(1, 100))
    names = [f"{moment:%Y-%m-%dT%H:%M}" for moment in (start, at, end)]
    config = (ALWAYS_IN,) if "basis" in mode else ()
    prefix_holds(history, tmp_path, mode, names[0], names[1], names[2], SERIES[mode], settings=config)


@pytest.mark.long
@pytest.mark.parametrize("mode", FOUR_MODES)
def test_cutting_the_data_anywhere_changes_no_line_before_the_cut(
    mode: str, history: Path, tmp_path: Path, form: str
) -> None:
    """The short form cuts twice, the full one 15 times."""
    for seed in range(2 if form == "short" else 15):
        chance = random.Random(1_000 * seed + FOUR_MODES.index(mode))
        start = utc("2024-01-15") + timedelta(days=chance.randrange(0, 300))
        at = start + timedelta(hours=chance.randrange(1, 120 * 24))
        end = at + timedelta(hours=chance.randrange(1, 30 * 24))
        names = [f"{moment:%Y-%m-%dT%H:%M}" for moment in (start, at, end)]
        prefix_holds(history, tmp_path / str(seed), mode, names[0], names[1], names[2], SERIES[mode])
