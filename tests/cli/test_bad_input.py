"""Whatever cannot be run is refused with exit code 2 and one message that says what, where and what to do."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from basis_actors.config import mode_names

Run = Callable[..., Result]
SPOT = "cex/binance/BTCUSDT_spot_1h.csv.gz"


def refused(result: Result, code: str, *words: str) -> None:
    """One line with the code and these words, nothing on standard output, and no trace of Python."""
    assert result.exit_code == 2, result.stdout + result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {code}: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert not list(Path().glob("logs/*")), "a run that was refused leaves nothing behind"


def test_an_unknown_mode_lists_the_ten_and_is_never_replaced(run: Run) -> None:
    result = run("backtest", "btc_bass")
    refused(result, "CONFIG-001", "'btc_bass'", "nearest: btc_basis", *mode_names())
    assert len(mode_names()) == 10


def test_signals_that_cannot_be_had_are_refused_before_anything_is_made(run: Run) -> None:
    mode, key = "ml_btc_directional_usdt_margin", "strategy_config.signal"
    file = ("--set", f"{key}.file={{path: gone.csv, staleness_seconds: 3600}}", "--set", f"{key}.source=file")
    refused(run("backtest", mode, *file), "DATA-003", "signals 'gone.csv' cannot be read", str(Path.cwd()))
    refused(run("backtest", mode, *file[2:]), "CONFIG-002", f"{key}.file: missing key; source file needs it")
    http = "{url: 'http://localhost/', poll_seconds: 1, timeout_seconds: 1, retries: 0, retry_seconds: 1,"
    given = ("--set", f"{key}.http={http} staleness_seconds: 60}}", "--set", f"{key}.source=http")
    refused(run("backtest", mode, *given), "CONFIG-003", "answers in live trading only", "walk_forward_logistic")


@pytest.mark.parametrize("command", [("kill",), ("status",), ("live", "btc_basis", "--paper")])
def test_a_folder_whose_name_is_no_utf8_is_refused(command: tuple[str, ...], run: Run) -> None:
    folder = os.fsdecode(b"st\xff")
    Path(folder, "btc_basis").mkdir(parents=True)
    Path(folder, "btc_basis", "state.lock").touch(mode=0o600)
    refused(run(*command, "--state", folder), "CONFIG-003", "st\\udcff", "is no UTF-8")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--start", "2024-02-01", "--end", "2024-01-01"), "DATA-002", ("start 2024-02-01", "after end 2024-01-01")),
        (("--start", "last week"), "CONFIG-003", ("--start 'last week'", "2024-01-01T08:00")),
        (("--end", "2024-13-01"), "CONFIG-003", ("--end '2024-13-01'",)),
        (("--start", "2024-01-01T00:30"), "DATA-002", ("tick grid of 3600 s", "nearest earlier tick")),
        (("--start", "2020-01-01", "--end", "2020-02-01"), "DATA-002", ("begins at 2024-01-01",)),
        (("--end", "9999-12-31"), "DATA-002", ("shorter window",)),
        (("--capital", "0"), "CONFIG-003", ("capital is 0.0", "USDT")),
        (("--capital", "-5"), "CONFIG-003", ("capital is -5.0",)),
        (("--capital", "nan"), "CONFIG-003", ("capital is nan",)),
        (("--capital", "inf"), "CONFIG-003", ("capital is inf",)),
        (("--data", "nowhere"), "DATA-003", ("nowhere does not exist",)),
        (("--data", __file__), "DATA-003", ("is not a folder",)),
        (("--data", "anywhere", "--seed", "3"), "CONFIG-003", ("--seed 3", "leave one out")),
        (("--seed", "-1"), "DATA-002", ("seed -1",)),
        (("--flows", "2024-05-01=5000"), "CONFIG-003", ("2024-05-01T00:00:00Z is outside the window 2024-01-01",)),
        (("--flows", "2024-01-01=5000"), "CONFIG-003", ("the capital itself lands at the start",)),
        (("--flows", "2024-01-02=0"), "CONFIG-003", ("2024-01-02",)),
        (("--flows", "2024-01-02=nan"), "CONFIG-003", ("2024-01-02",)),
        (("--flows", "2024-01-02=five"), "CONFIG-003", ("'2024-01-02=five'", "time=amount")),
        (("--flows", "plans.csv"), "CONFIG-003", ("plans.csv", "cannot be read")),
        (("--flows", "2024-01-02"), "CONFIG-003", ("flow '2024-01-02' has a time and no amount", "2024-01-02=5000")),
        (("--set", "strategy_config.leverag=1"), "CONFIG-003", ("strategy_config.leverag", "nearest", "leverage")),
        (("--set", "leverage"), "CONFIG-003", ("--set leverage", "key.path=value")),
        (("--config", "mine.yaml"), "CONFIG-003", ("mine.yaml", "cannot be read")),
        (("--correlation-id", "../up"), "LOG-003", ("'../up'", "cannot name a folder")),
        (("--correlation-id", ""), "LOG-003", ("correlation id '' cannot name a folder",)),
        (("--correlation-id", "", "--no-results"), "LOG-003", ("correlation id '' cannot name a folder",)),
        (("--out", "/proc/nobody"), "LOG-003", ("/proc/nobody", "choose another log folder")),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(
    run: Run, arguments: tuple[str, ...], code: str, words: tuple[str, ...]
) -> None:
    refused(run("backtest", "btc_basis", *arguments), code, *words)


def test_always_in_is_refused_where_there_is_no_entry_test(run: Run) -> None:
    refused(run("backtest", "pure_lending_usdt", "--always-in"), "CONFIG-003", "pure_lending_usdt", "--always-in")


def test_a_line_in_a_file_of_flows_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "flows.csv").write_text("timestamp,amount\n2024-01-02,100\n2024-01-03;200\n")
    refused(run("backtest", "btc_basis", "--flows", "flows.csv"), "CONFIG-003", "flows.csv, line 3", "2024-01-03;200")


@pytest.mark.parametrize(
    "arguments",
    [
        ("backtest",),
        ("backtest", "btc_basis", "--capital", "much"),
        ("backtest", "btc_basis", "--runtime", "fast"),
        ("backtest", "btc_basis", "--log-level", "loud"),
        ("backtest", "btc_basis", "--nonsense"),
        ("modes", "btc_basis"),
        ("data", "check"),
        ("unheard-of",),
    ],
)
def test_usage_errors_end_with_2_as_well(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage" in result.stderr


def test_a_window_outside_the_data_is_told_what_there_is(run: Run, market_folder: Path) -> None:
    window = ("--start", "2024-01-05", "--end", "2024-02-01")
    result = run("backtest", "btc_basis", "--data", market_folder, *window)
    refused(result, "DATA-003", "2024-02-01", "there is 2024-01-01T00:00:00Z to before 2024-01-11")
    result = run("backtest", "btc_basis", "--data", market_folder, "--start", "2030-01-01")
    refused(result, "DATA-002", "start 2030-01-01T00:00:00Z is after 2024-01-11T01:00:00Z, where ", " ends")


def damaged(folder: Path, tmp_path: Path, damage: Callable[[list[str]], list[str]]) -> Path:
    """A copy of the folder whose spot series is changed, line by line, the header first."""
    copy = tmp_path / "market"
    shutil.copytree(folder, copy)
    (copy / "MANIFEST.json").unlink()
    lines = gzip.decompress((copy / SPOT).read_bytes()).decode().splitlines()
    (copy / SPOT).write_bytes(gzip.compress(("\n".join(damage(lines)) + "\n").encode()))
    return copy


def field(lines: list[str], row: int, column: str, value: str) -> list[str]:
    """The lines with one field of a row replaced."""
    cells = lines[row].split(",")
    cells[lines[0].split(",").index(column)] = value
    return [*lines[:row], ",".join(cells), *lines[row + 1 :]]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], ("2024-01-01T0",)),
        (lambda lines: [*lines[:5], lines[5], *lines[5:]], ("2024-01-01T04:00:00Z",)),
        (lambda lines: field(lines, 5, "close", "nan"), ("close", "2024-01-01T04:00:00Z")),
        (lambda lines: field(lines, 5, "close", ""), ("close", "2024-01-01T04:00:00Z")),
        (lambda lines: field(lines, 5, "low", "-3.0"), ("low", "2024-01-01T04:00:00Z")),
        (lambda lines: field(lines, 5, "close", "0"), ("close", "2024-01-01T04:00:00Z")),
        (lambda lines: [lines[0].replace("close", "last"), *lines[1:]], ("close",)),
        (lambda lines: [*lines[:5], "yesterday" + lines[5][20:], *lines[6:]], ("yesterday",)),
    ],
    ids=["unsorted", "duplicated", "nan", "blank", "negative", "zero", "wrong column", "no time"],
)
def test_a_series_that_is_not_what_the_layout_says_is_refused(
    run: Run, market_folder: Path, tmp_path: Path, damage: Callable[[list[str]], list[str]], words: tuple[str, ...]
) -> None:
    folder = damaged(market_folder, tmp_path, damage)
    refused(run("backtest", "btc_basis", "--data", folder), "DATA-002", SPOT, *words)
    check = run("data", "check", folder)
    assert check.exit_code == 2
    for word in words:
        assert word in check.stdout


def test_a_series_that_is_missing_is_named_with_the_place_looked_at(
    run: Run, market_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "market"
    shutil.copytree(market_folder, copy)
    (copy / SPOT).unlink()
    refused(run("backtest", "btc_basis", "--data", copy), "DATA-003", "cex/binance/BTCUSDT_spot", str(copy))


def test_an_interrupted_download_is_not_read_as_far_as_it_goes(run: Run, market_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "market"
    shutil.copytree(market_folder, copy)
    file = copy / SPOT
    file.write_bytes(file.read_bytes()[:-20])
    refused(run("backtest", "btc_basis", "--data", copy), "DATA-002", SPOT)
