"""`basis-actors backtest`: what it prints, what it leaves behind, and which exit code it ends with."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import Result

from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import OperationExecutionEvent, PositionSnapshot, SystemErrorEvent
from basis_actors.results.summary import RunSummary
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.strategies.pure_lending import PureLending

Run = Callable[..., Result]
Summary = Callable[..., dict[str, Any]]
SHORT = ("pure_lending_usdt", "--end", "2024-01-03")
BTC = "binance:BaseToken:BTC"
INVESTED = ("btc_basis", "--end", "2024-01-03", "--always-in")


class Raising(PureLending):
    """Breaks at the third decision, when the capital is at work."""

    decisions = 0

    def decide(self, situation: Situation) -> Decision:
        self.decisions += 1
        if self.decisions == 3:
            raise TypeError("unsupported operand: None and float")
        return super().decide(situation)


class Overdrawing(PureLending):
    """Wants to lend ten times what there is, once."""

    asked = False

    def decide(self, situation: Situation) -> Decision:
        idle = situation.held("wallet:BaseToken:USDT")
        if self.asked or not idle:
            return Decision.hold("that was enough", invested=False)
        self.asked = True
        order = OrderWriter(self.run, situation, 0.0).supply("USDT", 10 * idle)
        return Decision(
            decision_type="entry", action="entry_full", reasoning="borrowed courage", invested=False, orders=(order,)
        )


def test_the_summary_is_printed_with_the_place_of_the_log(run: Run) -> None:
    result = run("backtest", *SHORT)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "pure_lending_usdt" in lines[0]
    assert any("Equity at end" in line for line in lines)
    assert "synthetic, seed 7: generated prices, not history" in result.stdout
    place = Path(lines[-2].removeprefix("Logs: "))
    assert lines[-1] == f"Result: results/{place.parent.name}"
    assert LogDirectoryManager.read_metadata(place).status is RunStatus.COMPLETED
    assert result.stderr == ""


def test_nothing_that_is_piped_has_colour_codes_or_a_progress_bar(run: Run) -> None:
    for arguments in (("backtest", *SHORT), ("modes",), ("config", "check"), ("backtest", "nope"), ("--help",)):
        result = run(*arguments)
        assert "\x1b" not in result.stdout + result.stderr


def test_json_is_one_line_and_all_that_standard_output_gets(run: Run) -> None:
    result = run("backtest", *SHORT, "--json")
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""
    summary = msgspec.json.decode(result.stdout, type=RunSummary)
    named = {
        "mode", "share_class", "equity_start", "equity_end", "total_return", "max_drawdown", "sharpe", "attribution",
        "max_residual", "ticks", "ticks_per_second", "orders", "rejections", "liquidations", "errors", "partial",
        "run_dir",
    }  # fmt: skip
    assert named <= json.loads(result.stdout).keys()
    assert summary.ticks == 49
    assert summary.run_dir is not None
    assert (Path(summary.run_dir) / "summary.json").is_file()


def test_quiet_prints_the_run_directory_alone(run: Run) -> None:
    result = run("backtest", *SHORT, "--quiet")
    assert LogDirectoryManager.read_metadata(Path(result.stdout.strip())).mode == "pure_lending_usdt"
    assert result.stderr == ""


def test_both_ends_of_the_window_are_ticks_and_times_are_utc_however_they_are_written(summary: Summary) -> None:
    forms = ("2024-01-02T06:00", "2024-01-02T06:00:00Z", "2024-01-02T08:00+02:00", "2024-01-02 06:00")
    for form in forms:
        found = summary("pure_lending_eth", "--start", form, "--end", "2024-01-02T09:00")
        assert (found["start"], found["end"], found["ticks"]) == ("2024-01-02T06:00:00Z", "2024-01-02T09:00:00Z", 4)


def test_capital_is_what_the_run_starts_with(summary: Summary) -> None:
    assert summary(*SHORT, "--capital", "2500.5")["equity_start"] == 2500.5


def test_frictionless_costs_nothing(summary: Summary) -> None:
    paid = summary(*INVESTED)["attribution"]
    free = summary(*INVESTED, "--frictionless")["attribution"]
    assert paid["fees"] < 0.0
    assert paid["gas"] < 0.0
    assert paid["slippage"] < 0.0
    assert free["fees"] == free["gas"] == 0.0
    # Perps fill at the last price and are valued at the mark, so a little of either sign is left without impact.
    assert abs(free["slippage"]) < 0.05 * abs(paid["slippage"])


def test_always_in_enters_where_funding_would_not(summary: Summary) -> None:
    settings = ("--set", "strategy_config.funding_threshold=0.5")
    assert summary("btc_basis", "--end", "2024-01-03", *settings)["time_invested"] == 0.0
    assert summary(*INVESTED, *settings)["time_invested"] > 0.5


def test_flows_from_the_line_and_from_a_file_add_up(summary: Summary, tmp_path: Path) -> None:
    file = tmp_path / "flows.csv"
    file.write_text("timestamp,amount\n# the owner's plan\n2024-01-02T00:00,5000\n\n2024-01-02T12:00Z,-1000\n")
    found = summary(*SHORT, "--flows", file, "--flows", "2024-01-01T05:00=250.5")
    assert found["external_flows"] == pytest.approx(4250.5, abs=1e-9)
    assert found["equity_end"] == pytest.approx(104_250.5, rel=1e-3)


def test_settings_lie_over_files_and_files_over_each_other(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("strategy_config: {leverage: 1.5}\nrisk_limits: {max_delta_drift: 0.03}\n")
    (tmp_path / "two.yaml").write_text("strategy_config: {leverage: 1.25}\n")

    def bought(*arguments: str) -> float:
        place = Path(run("backtest", *INVESTED, *arguments, "--quiet").stdout.strip())
        return max(snapshot.positions.get(BTC, 0.0) for snapshot in EventLog(place).events(PositionSnapshot))

    files = ("--config", "one.yaml", "--config", "two.yaml")
    at = {leverage: bought("--set", f"strategy_config.leverage={leverage}") for leverage in ("1.0", "1.25", "1.5")}
    assert at["1.0"] < at["1.25"] < at["1.5"]
    assert bought(*files) == at["1.25"]
    assert bought(*files, "--set", "strategy_config.leverage=1.0") == at["1.0"]


def test_real_data_are_named_as_the_origin(summary: Summary, market_folder: Path) -> None:
    found = summary("eth_basis", "--data", market_folder, "--end", "2024-01-04")
    assert found["data_origin"] == f"{market_folder} (synthetic, seed 3)"


def test_no_events_leaves_the_summary_and_no_event_files(summary: Summary) -> None:
    with_events, without = summary(*SHORT), summary(*SHORT, "--no-events")
    assert without["equity_end"] == with_events["equity_end"]
    assert without["events"] == with_events["events"]
    assert list((Path(without["run_dir"]) / "events").iterdir()) == []


def test_the_log_level_decides_what_component_logs_say(summary: Summary) -> None:
    loud, silent = summary(*SHORT, "--log-level", "info"), summary(*SHORT, "--log-level", "error")
    assert "run started" in (Path(loud["run_dir"]) / "engine.log").read_text()
    assert (Path(silent["run_dir"]) / "engine.log").read_text() == ""


def test_the_correlation_id_names_the_run_and_a_name_is_used_once(run: Run) -> None:
    name = ("--correlation-id", "first-try", "--fixed-clock", "--quiet")
    assert run("backtest", *SHORT, *name).stdout == "logs/first-try/0\n"
    again = run("backtest", *SHORT, *name)
    assert again.exit_code == 2
    assert "LOG-003" in again.stderr
    assert LogDirectoryManager.read_metadata(Path("logs/first-try/0")).status is RunStatus.COMPLETED


def test_the_same_input_gives_the_same_bytes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, files = [], []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        outputs.append(run("backtest", *INVESTED, "--fixed-clock", "--correlation-id", "same", "--json").stdout)
        logs = Path("logs")
        files.append({str(path): path.read_bytes() for path in sorted(logs.rglob("*")) if path.is_file()})
    assert outputs[0] == outputs[1]
    assert files[0] == files[1]
    assert len(files[0]["logs/same/0/events/operation_executions.jsonl"].splitlines()) > 4


def test_the_live_runtime_comes_to_the_same_numbers(summary: Summary) -> None:
    sim, live = (summary(*INVESTED, "--runtime", runtime) for runtime in ("sim", "live"))
    assert (sim["runtime"], live["runtime"]) == ("sim", "live")
    same = ("equity_end", "attribution", "orders", "decisions", "events", "ticks", "max_residual", "partial")
    assert {name: sim[name] for name in same} == {name: live[name] for name in same}


@pytest.mark.parametrize("runtime", ["sim", "live"])
def test_a_strategy_that_raises_fails_the_run_and_leaves_everything_in_order(
    run: Run, register: Callable[[str, type[Strategy]], None], runtime: str
) -> None:
    register("pure_lending", Raising)
    result = run("backtest", *SHORT, "--json", "--runtime", runtime)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["partial"] is True
    assert "strategy_manager" in found["failure"]
    assert "TypeError: unsupported operand: None and float" in found["failure"]
    assert found["errors"]["ENGINE-002"] >= 1
    assert result.stderr == f"Failed: {found['failure']}; the log is in {found['run_dir']}\n"

    run_dir = Path(found["run_dir"])
    metadata = LogDirectoryManager.read_metadata(run_dir)
    assert metadata.status is RunStatus.FAILED
    assert metadata.failure == found["failure"]
    log = EventLog(run_dir)
    errors = list(log.events(SystemErrorEvent))
    assert errors[0].component == "strategy_manager"
    assert "in decide" in (errors[0].stack_trace or "")
    assert [event.sequence for event in log.all()] == list(range(found["events"]))
    assert log.torn == log.missing == ()
    # The capital had been lent two ticks before, and so it still is.
    held = list(log.events(PositionSnapshot))[-1].positions
    assert held["aave:aToken:aUSDT"] == pytest.approx(100_000.0, rel=1e-3)
    assert '"error_code":"ENGINE-002"' in (run_dir / "strategy_manager.log").read_text()


def test_a_failed_run_shows_its_summary_to_people_too(
    run: Run, register: Callable[[str, type[Strategy]], None]
) -> None:
    register("pure_lending", Raising)
    result = run("backtest", *SHORT)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert "Equity at end" in result.stdout
    assert result.stderr.startswith("Failed: ")
    assert "Traceback" not in result.stdout + result.stderr


def test_an_order_that_would_overdraw_is_refused_and_the_run_is_not_called_done(
    run: Run, register: Callable[[str, type[Strategy]], None]
) -> None:
    register("pure_lending", Overdrawing)
    result = run("backtest", *SHORT, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["rejections"], found["errors"]) == (1, {"EXEC-004": 1})
    assert found["ticks"] == 49
    assert "EXEC-004" in found["failure"]
    assert found["equity_end"] == found["equity_start"]
    log = EventLog(Path(found["run_dir"]))
    (operation,) = log.events(OperationExecutionEvent)
    assert operation.error_code == "EXEC-004"
    assert "1000000" in (operation.error_message or "")
    assert {tuple(snapshot.positions.items()) for snapshot in log.events(PositionSnapshot)} == {
        (("wallet:BaseToken:USDT", 100_000.0),)
    }


class Misrouting(PureLending):
    """Wants to lend on a venue that the mode does not have."""

    def decide(self, situation: Situation) -> Decision:
        if not situation.held("wallet:BaseToken:USDT"):
            return Decision.hold("nothing is there", invested=False)
        order = OrderWriter(self.run, situation, 0.0).supply("USDT", 10.0)
        orders = (msgspec.structs.replace(order, venue="compound"),)
        return Decision(
            decision_type="entry", action="entry_full", reasoning="a better rate", invested=False, orders=orders
        )


def test_an_order_to_a_venue_that_is_not_there_is_no_better(
    run: Run, register: Callable[[str, type[Strategy]], None]
) -> None:
    register("pure_lending", Misrouting)
    result = run("backtest", *SHORT, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert set(found["errors"]) == {"VEN-004"}
    assert "VEN-004" in found["failure"]


class Meddling(PureLending):
    """Helps itself."""

    def decide(self, situation: Situation) -> Decision:
        for key in situation.positions:
            situation.positions[key] *= 2.0  # type: ignore[index]
        return super().decide(situation)


def test_a_strategy_cannot_change_the_ledger_it_is_shown(
    run: Run, register: Callable[[str, type[Strategy]], None]
) -> None:
    register("pure_lending", Meddling)
    result = run("backtest", *SHORT, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert "does not support item assignment" in found["failure"]
    assert found["equity_end"] == found["equity_start"]


def test_a_run_that_never_trades_says_what_it_waited_for(run: Run) -> None:
    never = ("backtest", "btc_basis", "--end", "2024-01-03", "--set", "strategy_config.funding_threshold=0.9")
    told = json.loads(run(*never, "--json").stdout)
    assert told["warnings"] == [
        "never invested: 33 × mean funding 0.000014 is not above 0.9",
        "never invested: 15 × fewer than 3 funding rates are known",
        "never invested: 1 × the spot price of BTC is not known yet",
    ]
    assert (told["sharpe"], told["volatility"], told["time_invested"]) == (None, None, 0.0)
    shown = run(*never).stdout
    assert "never invested: 33 × mean funding" in shown
    assert re.search(r"Sharpe +n/a", shown)


def test_a_run_that_ended_early_says_nothing_of_the_data_after_its_end(
    run: Run, register: Callable[[str, type[Strategy]], None], market_folder: Path, tmp_path: Path
) -> None:
    market = shutil.copytree(market_folder, tmp_path / "market")
    (market / "MANIFEST.json").unlink()
    rates = market / "aave_v3/USDT_rates.csv.gz"
    lines = gzip.decompress(rates.read_bytes()).decode().splitlines(keepends=True)
    rates.write_bytes(gzip.compress("".join([*lines[:4], *lines[6:]]).encode()))
    command = ("backtest", "pure_lending_usdt", "--data", market, "--json")
    whole = json.loads(run(*command).stdout)
    assert (whole["end"], whole["data_gaps"]) == ("2024-01-11T01:00:00Z", {"aave_v3/USDT_rates": 48.0})
    register("pure_lending", Raising)
    cut = json.loads(run(*command).stdout)
    assert (cut["ticks"], cut["partial"], cut["data_gaps"]) == (2, True, {})
    assert not [text for text in cut["warnings"] if "missing" in text]
