"""`basis-actors data generate` and `data check`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from basis_actors.data import load_dataset

Run = Callable[..., Result]
WINDOW = ("--start", "2024-01-02", "--end", "2024-01-04")


@pytest.mark.parametrize(("fmt", "ending"), [("csv.gz", ".csv.gz"), ("parquet", ".parquet")])
def test_what_is_generated_can_be_checked_and_run(run: Run, fmt: str, ending: str) -> None:
    made = run("data", "generate", "market", "--seed", 11, *WINDOW, "--format", fmt)
    assert made.exit_code == 0
    assert "synthetic, seed 11" in made.stdout
    assert len(list(Path("market").rglob(f"*{ending}"))) == len(load_dataset("market").series)
    check = run("data", "check", "market")
    assert check.exit_code == 0
    assert "all can be used" in check.stdout
    result = run("backtest", "pure_lending_eth", "--data", "market", "--start", "2024-01-02", "--json")
    assert json.loads(result.stdout)["synthetic_seed"] == 11


def test_the_folder_holds_the_same_market_that_a_run_without_files_sees(run: Run) -> None:
    run("data", "generate", "market", "--seed", 5, "--start", "2024-01-01", "--end", "2024-01-04")
    window = ("--end", "2024-01-03", "--always-in", "--json")
    embedded = json.loads(run("backtest", "btc_basis", "--seed", 5, *window).stdout)
    files = json.loads(run("backtest", "btc_basis", "--data", "market", *window).stdout)
    assert files["equity_end"] == embedded["equity_end"]
    assert files["attribution"] == embedded["attribution"]


def test_the_step_is_that_of_exchange_bars(run: Run) -> None:
    run("data", "generate", "market", *WINDOW, "--step", "15m")
    series = load_dataset("market", ["cex/binance/BTCUSDT_spot"]).series["cex/binance/BTCUSDT_spot"]
    assert series.ns.size == 2 * 96 + 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--step", "7m"), "DATA-002", ("420 s",)),
        (("--step", "often"), "DATA-002", ("--step: 'often'",)),
        (("--seed", "-4"), "DATA-002", ("seed -4",)),
        (("--start", "2020-01-01"), "DATA-002", ("begins at 2024-01-01",)),
        (("--start", "2024-02-01", "--end", "2024-01-01"), "DATA-002", ("2024-01-01",)),
        (("--end", "soon"), "CONFIG-003", ("--end 'soon'",)),
    ],
)
def test_a_market_that_cannot_be_generated_is_refused(
    run: Run, arguments: tuple[str, ...], code: str, words: tuple[str, ...]
) -> None:
    result = run("data", "generate", "market", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {code}: ")
    assert all(word in result.stderr for word in words)
    assert not Path("market").exists()


def test_two_markets_are_not_mixed_in_one_folder(run: Run, market_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(market_folder, tmp_path / "market")
    result = run("data", "generate", "market", "--step", "1m", "--end", "2024-01-02", "--force")
    assert result.exit_code == 2
    assert (
        "holds other series (cex/binance/BTCUSDT_mark_1h.csv.gz, cex/binance/BTCUSDT_perp_1h.csv.gz and 17 more)"
        in (result.stderr)
    )


def test_a_folder_that_is_not_empty_is_left_alone(run: Run, market_folder: Path, tmp_path: Path) -> None:
    history = tmp_path / "history"
    shutil.copytree(market_folder, history)
    (history / "MANIFEST.json").unlink()
    before = {path: path.read_bytes() for path in history.rglob("*") if path.is_file()}
    for options in ((), ("--force",)):
        result = run("data", "generate", history, *WINDOW, *options)
        assert result.exit_code == 2
        assert result.stderr.startswith(
            f"Error: DATA-003: {history} is not empty and not a synthetic market: it holds 45"
        )
        assert len(result.stderr) < 300
    assert {path: path.read_bytes() for path in history.rglob("*") if path.is_file()} == before


def test_a_synthetic_market_is_replaced_with_force_only(run: Run) -> None:
    run("data", "generate", "market", *WINDOW)
    again = ("data", "generate", "market", "--seed", 8, *WINDOW)
    refused = run(*again)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: DATA-003: market holds a synthetic market of 45 series already")
    assert load_dataset("market").seed == 7
    assert run(*again, "--force").exit_code == 0
    assert load_dataset("market").seed == 8


def test_a_folder_that_cannot_be_written_is_named(run: Run) -> None:
    result = run("data", "generate", "/proc/nobody", "--end", "2024-01-02")
    assert result.exit_code == 2
    assert "/proc/nobody" in result.stderr


def test_check_reports_gaps_and_stand_ins_and_says_where_it_looked(
    run: Run, market_folder: Path, tmp_path: Path
) -> None:
    import gzip

    copy = tmp_path / "market"
    shutil.copytree(market_folder, copy)
    (copy / "MANIFEST.json").unlink()
    file = copy / "cex/binance/BTCUSDT_spot_1h.csv.gz"
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    file.write_bytes(gzip.compress(("\n".join([*lines[:30], *lines[34:]]) + "\n").encode()))
    (copy / "cex/binance/notes.csv.gz").write_bytes(gzip.compress(b"a,b\n"))
    result = run("data", "check", copy)
    assert result.exit_code == 0
    assert "cex/binance/BTCUSDT_spot  2024-01-02 05:00  2024-01-02 08:00     4" in result.stdout
    assert "cex/binance/notes.csv.gz" in result.stdout
    assert "Stand-ins" in result.stdout
    assert str(copy) in result.stdout

    report = json.loads(run("data", "check", copy, "--json").stdout)
    (spot,) = [series for series in report["series"] if series["name"] == "cex/binance/BTCUSDT_spot"]
    assert (report["ok"], spot["rows"], spot["gap_hours"]) == (True, 10 * 24 + 1 - 4, 4.0)


def test_a_folder_that_is_not_what_its_manifest_says_cannot_be_used(
    run: Run, market_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "market"
    shutil.copytree(market_folder, copy)
    (copy / "gas/ethereum_gas_2h.csv.gz").unlink()
    result = run("data", "check", copy)
    assert result.exit_code == 2
    assert "Not as MANIFEST.json says" in result.stdout
    assert "gas/ethereum_gas_2h.csv.gz" in result.stdout


def test_a_missing_folder_is_refused(run: Run) -> None:
    result = run("data", "check", "nowhere")
    assert result.exit_code == 2
    assert "nowhere does not exist" in result.stderr
