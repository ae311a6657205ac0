"""`backtest` makes a result, and `results` lists, shows, compares, makes and deletes them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from basis_actors.cli.app import app
from basis_actors.logs.locate import find_run
from basis_actors.results.store import ResultStore
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.pure_lending import PureLending

Run = Callable[..., Result]
SHORT = ("pure_lending_usdt", "--end", "2024-01-03")
BASIS = ("btc_basis", "--end", "2024-01-04", "--always-in")


class Raising(PureLending):
    """Breaks at the first decision."""

    def decide(self, situation: Situation) -> Decision:
        raise ValueError("a wrong value")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the results of three runs. Tests do not change it."""
    folder = tmp_path_factory.mktemp("kept")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name, arguments in (
            ("ml_btc_directional_usdt_margin-20240101T000000-ab12", SHORT),
            ("careful", (*BASIS, "--set", "strategy_config.leverage=1.5")),
            ("usual", BASIS),
        ):
            done = CliRunner().invoke(app, ["backtest", *arguments, "--correlation-id", name, "--quiet"])
            assert done.exit_code == 0, done.output
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def kept(folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    """`run` in that folder, at 80 columns."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return run


def test_a_run_leaves_a_result_and_says_where(run: Run) -> None:
    summary = json.loads(run("backtest", *SHORT, "--json").stdout)
    place = Path(summary["result_dir"])
    assert place == Path("results") / summary["correlation_id"]
    assert find_run(place) == place / "logs"
    assert find_run(summary["correlation_id"], [Path("results")]) == place / "logs"
    shown = run("backtest", *SHORT, "--results", "elsewhere").stdout.splitlines()
    assert shown[-1].startswith("Result: elsewhere/pure_lending_usdt-")
    assert run("backtest", *SHORT, "--results", "elsewhere", "--quiet").stdout.startswith("logs/")
    assert len(ResultStore(Path("elsewhere")).list()) == 2


@pytest.mark.parametrize("option", ["--no-results", "--no-events"])
def test_no_result_is_made_where_none_is_wanted(run: Run, option: str) -> None:
    summary = json.loads(run("backtest", *SHORT, option, "--json").stdout)
    assert summary["result_dir"] is None
    assert not Path("results").exists()
    refused = run("backtest", *SHORT, option, "--results", "mine")
    assert refused.exit_code == 2
    assert (
        refused.stderr == f"Error: CONFIG-003: --results mine asks for a result, and {option} for none; leave one out\n"
    )


def test_a_name_that_has_a_result_is_refused_before_anything_is_run(run: Run) -> None:
    name = ("--correlation-id", "mine", "--quiet")
    assert run("backtest", *SHORT, *name, "--out", "a").exit_code == 0
    again = run("backtest", *SHORT, *name, "--out", "b")
    assert again.exit_code == 2
    assert "LOG-003: results/mine exists already: a run has one result" in again.stderr
    assert not Path("b").exists()
    assert run("backtest", *SHORT, *name, "--out", "b", "--no-results").exit_code == 0


@pytest.mark.parametrize("form", [(), ("--json",), ("--quiet",)])
def test_a_result_that_cannot_be_made_does_not_hide_what_the_run_came_to(run: Run, form: tuple[str, ...]) -> None:
    Path("results").write_text("a file")
    done = run("backtest", *SHORT, *form)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: LOG-003: folder of results results cannot be made")
    if form == ("--json",):
        assert json.loads(done.stdout)["result_dir"] is None
    elif form == ("--quiet",):
        assert Path(done.stdout.strip(), "summary.json").is_file()
    else:
        assert done.stdout.splitlines()[-1].startswith("Logs: ")


def test_a_failed_run_has_a_result_that_says_so(run: Run, register: Callable[[str, type[Strategy]], None]) -> None:
    register("pure_lending", Raising)
    failed = run("backtest", *SHORT, "--correlation-id", "broken")
    assert failed.exit_code == 1
    assert failed.stdout.splitlines()[-1] == "Result: results/broken"
    (row,) = json.loads(run("results", "list", "--json").stdout)
    assert (row["status"], row["total_return"]) == ("failed", 0.0)
    assert "a wrong value" in row["failure"]
    assert "FAILED" in run("results", "show", "broken").stdout


def test_ctrl_c_while_the_result_is_made_leaves_none_and_tells_of_the_run(tmp_path: Path) -> None:
    code = """
import signal
from basis_actors.results import building
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
building.write_equity = lambda *_: signal.raise_signal(signal.SIGINT)
from basis_actors.cli import main
main()
"""
    command = [sys.executable, "-c", code, "backtest", *SHORT, "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["partial"], summary["result_dir"]) == (False, None)
    assert done.stderr == f"Interrupted: no result was made in results; the log is in {summary['run_dir']}\n"
    assert list((tmp_path / "results").iterdir()) == []


def fits(text: str) -> bool:
    return all(len(line.rstrip()) <= 80 for line in text.splitlines() if "Error" not in line)


def test_the_list_has_a_row_a_result_with_the_newest_first(kept: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = kept("results", "list")
    assert done.exit_code == 0
    assert fits(done.stdout)
    positions = [done.stdout.index(name) for name in ("usual", "careful", "ml_btc_directional")]
    assert positions == sorted(positions)
    assert done.stdout.count("completed") == 3
    rows = json.loads(kept("results", "list", "--json").stdout)
    assert [row["id"] for row in rows][:2] == ["usual", "careful"]
    assert rows[1].keys() == {
        "id", "path", "mode", "share_class", "start", "end", "total_return", "max_drawdown", "sharpe", "status",
        "failure", "run_at", "bytes", "missing",
    }  # fmt: skip
    assert f"{rows[0]['total_return']:+.2%}" in done.stdout


def test_a_row_of_the_list_is_one_line_in_a_pipe(kept: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    head, _, *rows = kept("results", "list").stdout.splitlines()
    assert len(rows) == 3
    assert all("completed" in row for row in rows)
    assert "drawdown daily  intraday" in head
    careful = json.loads(kept("results", "show", "careful", "--json").stdout)["summary"]
    for name in ("max_drawdown", "max_drawdown_intraday"):
        assert f"{careful[name]:.2%}" in rows[1].split()


def test_the_two_drawdowns_are_told_apart(kept: Run) -> None:
    shown = kept("results", "show", "careful").stdout
    assert "Max drawdown, daily" in shown
    assert "  intraday" in shown
    compared = kept("results", "compare", "usual", "careful").stdout
    assert "max drawdown, daily" in compared
    assert "max drawdown, intraday" in compared


def test_an_empty_store_says_so(run: Run) -> None:
    assert run("results", "list").stdout == "no results in results\n"
    assert run("results", "list", "--json").stdout == "[]\n"


def test_show_prints_the_summary_as_the_run_did_and_every_file(kept: Run, folder: Path) -> None:
    done = kept("results", "show", "usual")
    assert fits(done.stdout)
    lines = done.stdout.splitlines()
    assert "Logs: results/usual/logs" in lines
    assert "Result: results/usual" in lines
    assert "btc_basis · usdt_stable" in lines[0]
    assert any(re.fullmatch(r"pnl_calculations( +[\d.]+ kB){3}", line) for line in lines)
    found = json.loads(kept("results", "show", "usual", "--json").stdout)
    place = folder / "results" / "usual"
    files = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert found["files"].keys() == files
    assert sum(found["files"].values()) == found["bytes"]
    assert found["summary"]["run_dir"] == "results/usual/logs"
    assert found["metadata"]["status"] == "completed"


def test_compare_shows_what_differs(kept: Run) -> None:
    done = kept("results", "compare", "usual", "careful")
    assert done.exit_code == 0
    assert fits(done.stdout)
    assert re.search(r"^mode.strategy_config.leverage +2.0 +1.5 *$", done.stdout, re.MULTILINE)
    assert "annualised return of A: not given under 30 days" in done.stdout
    assert "annualised return of B: not given under 30 days" in done.stdout
    found: dict[str, Any] = json.loads(kept("results", "compare", "usual", "careful", "--json").stdout)
    assert [row["name"] for row in found["config"]] == ["mode.strategy_config.leverage"]
    returns = next(row for row in found["numbers"] if row["name"] == "total_return")
    assert returns["difference"] == returns["second"] - returns["first"]
    long = kept("results", "compare", "usual", "results/ml_btc_directional_usdt_margin-20240101T000000-ab12")
    assert long.exit_code == 0
    assert fits(long.stdout)
    assert "keys" in long.stdout


def test_delete_asks_unless_told_not_to(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("backtest", *SHORT, "--correlation-id", "mine", "--quiet")
    runner = CliRunner()
    left = runner.invoke(app, ["results", "delete", "mine"], input="n\n")
    assert left.exit_code == 1
    assert "Delete results/mine (" in left.stderr
    assert "Left: nothing was deleted" in left.stderr
    assert runner.invoke(app, ["results", "delete", "mine"], input="").exit_code == 1
    assert Path("results/mine").exists()
    gone = runner.invoke(app, ["results", "delete", "mine"], input="y\n")
    assert gone.exit_code == 0
    assert gone.stdout.endswith("Deleted results/mine; the run directory that it was made of stays\n")
    assert not Path("results/mine").exists()
    run("backtest", *SHORT, "--correlation-id", "other", "--quiet")
    told = json.loads(run("results", "delete", "other", "--yes", "--json").stdout)
    assert told["deleted"] == "other"
    assert list(Path("results").iterdir()) == []
    assert Path("logs/mine").exists()


def test_a_result_that_is_gone_is_made_again_from_its_run(run: Run) -> None:
    run("backtest", *SHORT, "--correlation-id", "mine", "--quiet")
    before = {path.name: path.read_bytes() for path in Path("results/mine").iterdir() if path.suffix == ".csv"}
    again = run("results", "make", "mine")
    assert again.exit_code == 2
    assert "LOG-003: results/mine exists already" in again.stderr
    run("results", "delete", "mine", "--yes")
    made = run("results", "make", "mine")
    assert made.exit_code == 0
    assert made.stdout == "results/mine\n"
    assert {path.name: path.read_bytes() for path in Path("results/mine").iterdir() if path.suffix == ".csv"} == before
    told = json.loads(run("results", "make", "mine", "--root", "elsewhere", "--json").stdout)
    assert (told["id"], told["path"], told["missing"]) == ("mine", "elsewhere/mine", [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("make", "usuall"), "nearest: usual"),
        (("show", "usuall"), "nearest: usual"),
        (("compare", "usual", "carefull"), "nearest: careful"),
        (("delete", "usal", "--yes"), "nearest: usual"),
        (("show", "usual", "--root", "nowhere"), "there is no result 'usual' in nowhere"),
        (("list", "--root", "logs/usual"), "is not a run directory"),
        (("list", "--root", "a-file"), "cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(kept: Run, arguments: tuple[str, ...], said: str) -> None:
    Path("a-file").touch()
    done = kept("results", *arguments)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: LOG-003: ")
    assert said in done.stderr


def test_the_configuration_of_a_result_holds_no_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2hunter2"
    monkeypatch.setenv("BASIS_ACTORS_BINANCE__API_KEY", secret)
    Path("mine.yaml").write_text(f"description: key is {secret}, see https://me:pass-word@example.org/x\n")
    run("backtest", *SHORT, "--config", "mine.yaml", "--correlation-id", "mine", "--quiet")
    text = Path("results/mine/config.yaml").read_text()
    assert "[redacted]" in text
    assert secret not in text
    assert "pass-word" not in text
    for path in Path("results/mine").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "file", ["equity.csv", "report.html", "config.yaml", "parquet/positions.parquet", "csv/strategy_decisions.csv"]
)
def test_a_file_that_a_result_lacks_is_named(folder: Path, run: Run, tmp_path: Path, file: str) -> None:
    shutil.copytree(folder / "results", tmp_path / "results")
    (tmp_path / "results" / "careful" / file).unlink()
    lacks = f"results/careful is not as it was made: {file} missing"
    note = f"Note: {lacks}; delete it, and make it again with `results make`\n"
    for command in (("results", "list"), ("results", "show", "careful")):
        for form in ((), ("--json",)):
            result = run(*command, *form)
            assert (result.exit_code, result.stderr) == (0, note)
    rows = json.loads(run("results", "list", "--json").stdout)
    assert {row["id"]: row["missing"] for row in rows if row["missing"]} == {"careful": [file]}


@pytest.mark.parametrize("file", ["summary.json", "data_report.json", "logs/metadata.json"])
@pytest.mark.parametrize("text", [b"\xff", b"[" * 100_000], ids=["no UTF-8", "nested"])
def test_a_damaged_result_is_one_line_beside_the_others_and_can_be_deleted(
    folder: Path, run: Run, tmp_path: Path, file: str, text: bytes
) -> None:
    shutil.copytree(folder / "results", tmp_path / "results")
    damaged = tmp_path / "results" / "careful" / file
    damaged.write_bytes(text)
    code = "LOG-003" if file == "logs/metadata.json" else "LOG-004"
    said = f"Error: {code}: results/careful/{file} cannot be read"
    listed = run("results", "list", "--json")
    assert "usual" in listed.stdout
    whole = file == "data_report.json"
    assert ("careful" in listed.stdout) == whole
    for command in (("results", "show", "careful"), ("results", "compare", "usual", "careful")):
        result = run(*command)
        if result.exit_code:
            assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
            assert result.stderr.startswith(said)
        else:
            assert whole
    deleted = run("results", "delete", "careful", "--yes")
    assert deleted.exit_code == 0, deleted.stderr
    assert not damaged.parent.exists()


def test_log_and_result_in_one_folder_are_refused_before_anything_is_run(run: Run, tmp_path: Path) -> None:
    result = run("backtest", *SHORT, "--out", "both", "--results", "./both", "--quiet")
    assert result.exit_code == 2
    assert "both is to hold both the log and the result" in result.stderr
    assert not (tmp_path / "both").exists()
