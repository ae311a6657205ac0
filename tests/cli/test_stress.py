"""`basis-actors stress`: what its table says, the exit code it ends with, and what it refuses before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from basis_actors.config import scenario_names
from basis_actors.services.stress import StressReport, StressRequest, StressTest
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.pure_lending import PureLending

Run = Callable[..., Result]
Table = Callable[..., dict[str, dict[str, Any]]]

INVESTED = ("btc_basis", "--set", "strategy_config.always_in=true")
CRASH = """
scenario: crash
description: BTC falls by 30 % within an hour of the third day.
shocks:
  - {kind: price, start_hours: 48, assets: [BTC, ETH], change: -0.3, over_hours: 1}
"""
AWAY = """
scenario: away
description: Binance is away for a day while BTC goes up by a fifth.
shocks:
  - {kind: outage, start_hours: 40, hours: 24, venue: binance}
  - {kind: price, start_hours: 41, assets: [BTC, ETH], change: 0.2, over_hours: 4}
"""
DEAR = """
scenario: dear
description: Gas at 5,000 gwei from the first hour on.
shocks:
  - {kind: gas, start_hours: 0.5, hours: 90, gwei: 5000}
"""
UNPAID = """
scenario: unpaid
description: Shorts pay 2 % every eight hours.
shocks:
  - {kind: funding, start_hours: 24, hours: 60, perps: "*", set: -0.02}
"""


@pytest.fixture
def files(tmp_path: Path, run: Run) -> None:
    """Scenario files in the working directory, which `run` has made the empty one of this test."""
    for text in (CRASH, AWAY, DEAR, UNPAID):
        name = text.split()[1]
        (tmp_path / f"{name}.yaml").write_text(text)


@pytest.fixture
def table(run: Run, files: None) -> Table:
    """The rows of `--json` by scenario, of a run of four days that is expected to end with the code `expected`."""

    def of(*arguments: object, expected: int = 0) -> dict[str, dict[str, Any]]:
        result = run("stress", *arguments, "--days", 4, "--json")
        assert result.exit_code == expected, result.stderr
        assert result.stdout.count("\n") == 1
        rows = json.loads(result.stdout)["rows"]
        return {row["scenario"]: row for row in rows}

    return of


def test_all_scenarios_of_the_library_are_run_after_the_baseline(run: Run) -> None:
    result = run("stress", "pure_lending_usdt", "--days", 21)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("pure_lending_usdt  usdt_stable, 21 days a run")
    assert "synthetic, seed 7: generated prices, not history" in lines[0]
    body = lines[4:]
    assert [line.split()[0] for line in body] == ["baseline", *scenario_names()]
    assert all(len(line) <= 80 for line in lines[1:])
    by_name = {line.split()[0]: line for line in body}
    assert "no effect" in by_name["btc_crash"]
    assert "no effect" not in by_name["utilization_spike"]
    assert "no effect" not in by_name["baseline"]


def test_scenarios_are_run_in_the_order_in_which_they_are_asked_for(table: Table) -> None:
    found = table("pure_lending_usdt", "--scenario", "dear.yaml", "--scenario", "crash.yaml")
    assert list(found) == ["baseline", "dear", "crash"]
    assert found["crash"]["description"].startswith("BTC falls")


def test_a_crash_is_survived_by_a_hedge_and_costs_less_than_it_moved(table: Table) -> None:
    found = table(*INVESTED, "--scenario", "crash.yaml")
    assert found["crash"]["liquidations"] == 0
    assert found["crash"]["unhedged_hours"] == 0.0
    assert abs(found["crash"]["total_return"] - found["baseline"]["total_return"]) < 0.02
    assert found["crash"]["lowest_health_factor"] is None
    assert 0.2 < found["crash"]["lowest_margin_ratio"] <= 0.5
    assert all(row["max_residual"] <= 1e-9 for row in found.values())


def test_a_venue_that_is_away_costs_and_does_not_fail_the_run(table: Table) -> None:
    """The short on Binance cannot be given margin while prices rise."""
    found = table(*INVESTED, "--scenario", "away.yaml")
    assert found["away"]["failure"] is None
    assert found["away"]["lowest_margin_ratio"] < found["baseline"]["lowest_margin_ratio"] - 0.05
    assert found["away"]["max_residual"] <= 1e-9


def test_what_was_paid_can_be_recomputed_by_hand(table: Table) -> None:
    """Seven settlements of 2 % of a notional of about 2/3 of the capital, which the drawdown limit cuts short."""
    found = table(*INVESTED, "--set", "risk_limits.enforce=false", "--scenario", "unpaid.yaml")
    lost = found["unpaid"]["total_return"] - found["baseline"]["total_return"]
    assert lost == pytest.approx(-7 * 0.02 * 2 / 3, rel=0.15)
    assert found["unpaid"]["stopped"] is None


def test_trading_that_risk_stops_is_a_result_and_not_a_failure(run: Run, table: Table) -> None:
    found = table(*INVESTED, "--scenario", "unpaid.yaml")
    assert "drawdown" in found["unpaid"]["stopped"]
    assert found["unpaid"]["failure"] is None
    assert found["unpaid"]["max_drawdown"] < 0.08
    shown = run("stress", *INVESTED, "--scenario", "unpaid.yaml", "--days", 4)
    assert shown.exit_code == 0
    assert re.search(r"^unpaid .* stopped", shown.stdout, flags=re.MULTILINE)
    assert "unpaid: trading was stopped: RISK-001" in shown.stdout


def test_a_warning_is_told_where_nothing_else_changed(run: Run, tmp_path: Path) -> None:
    """A discount that nobody has to sell at: the numbers are the same, and the limit is broken."""
    (tmp_path / "depeg.yaml").write_text(
        "scenario: depeg\ndescription: weETH at a discount of 5 %.\nshocks:\n"
        "  - {kind: lst, start_hours: 48, lst: weETH, change: -0.05, over_hours: 1, hours: 9, recovery_hours: 9}\n"
    )
    result = run("stress", "eth_staking_only", "--scenario", "depeg.yaml", "--days", 4)
    assert result.exit_code == 0
    usual, depeg = (line for line in result.stdout.splitlines() if line.startswith(("baseline ", "depeg ")))
    assert depeg.split()[1:-1] == usual.split()[1:]
    assert depeg.split()[-1] == "warned"
    assert "depeg: discount of weETH 0.0502005 above the limit 0.03 (first of 13)\n" in result.stdout
    assert "depeg: discount of weETH 0.02835 close to the limit 0.03\n" in result.stdout
    assert "hours missing" not in result.stdout


def test_the_hours_of_a_scenario_begin_after_the_warm_up_of_a_model(run: Run, files: None) -> None:
    learning = ("--set", "strategy_config.signal.walk_forward_logistic.warm_up_days=10")
    mode = ("ml_btc_directional_usdt_margin", *learning)
    result = run("stress", *mode, "--scenario", "away.yaml", "--days", 4, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["days"], report["warm_up_days"]) == (4, 10)
    away = json.loads((Path(report["rows"][1]["run_dir"]) / "summary.json").read_text())
    assert (away["start"][:10], away["end"][:10]) == ("2024-01-01", "2024-01-15")
    assert away["data_gaps"]["cex/binance/BTCUSDT_perp"] == 24.0
    assert "4 days a run after 10 of warm-up" in run("stress", *mode, "--scenario", "dear.yaml", "--days", 4).stdout


def test_seed_capital_and_settings_are_those_of_every_run(table: Table) -> None:
    small = table(*INVESTED, "--scenario", "crash.yaml", "--capital", 5000, "--seed", 3)
    again = table(*INVESTED, "--scenario", "crash.yaml", "--capital", 5000, "--seed", 3)
    other = table(*INVESTED, "--scenario", "crash.yaml", "--capital", 5000, "--seed", 4)
    for name in ("baseline", "crash"):
        assert small[name]["total_return"] == again[name]["total_return"] != other[name]["total_return"]
    lower = table(*INVESTED, "--set", "strategy_config.leverage=1.0", "--scenario", "crash.yaml", "--seed", 3)
    assert lower["baseline"]["lowest_margin_ratio"] > 0.7 > small["baseline"]["lowest_margin_ratio"]


def test_runs_leave_a_summary_and_no_events(run: Run, files: None) -> None:
    report = json.loads(
        run("stress", *INVESTED, "--scenario", "crash.yaml", "--days", 3, "--out", "there", "--json").stdout
    )
    for row in report["rows"]:
        folder = Path(row["run_dir"])
        assert folder.parts[0] == "there"
        assert list((folder / "events").iterdir()) == []
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["total_return"] == row["total_return"]
    options = json.loads((Path(report["rows"][1]["run_dir"]) / "metadata.json").read_text())["options"]
    assert options["scenario"] == "crash"


class Raising(PureLending):
    """Breaks when gas is dear."""

    def decide(self, situation: Situation) -> Decision:
        gas = situation.market.gas
        if gas is not None and gas.base_fee_gwei > 4000.0:
            raise TypeError("unsupported operand: None and float")
        return super().decide(situation)


def test_a_run_that_fails_is_named_and_the_others_are_run(
    run: Run, files: None, register: Callable[[str, type[Strategy]], None]
) -> None:
    register("pure_lending", Raising)
    result = run("stress", "pure_lending_usdt", "--scenario", "dear.yaml", "--scenario", "crash.yaml", "--days", 4)
    assert result.exit_code == 1
    assert re.search(r"^dear .* failed", result.stdout, flags=re.MULTILINE)
    assert re.search(r"^crash .*", result.stdout, flags=re.MULTILINE)
    assert "Failed: dear: " in result.stderr
    assert "TypeError: unsupported operand" in result.stderr


GOOD = CRASH.strip()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("change: -0.3", "change: -1.0", ":4: shocks.0.change: is -1.0; greater than -1 was expected"),
        ("change: -0.3", "chnge: -0.3", ":4: shocks.0.chnge: unknown key; nearest valid key: change"),
        ("change: -0.3, ", "", "shocks.0.change: missing key; a number was expected"),
        ("kind: price", "kind: prices", "shocks.0.kind: is 'prices'; one of price, funding, lst"),
        ("kind: price, ", "", "shocks.0.kind: missing key; one of price, funding, lst"),
        ("[BTC, ETH]", "[SOL]", "shocks.0.assets.0: is 'SOL'; 'BTC' or 'ETH' was expected"),
        ("start_hours: 48", "start_hours: 96", "shocks.0.start_hours: is 96; less than the 96 hours of 4 days"),
        ("start_hours: 48", "start_hours: soon", "shocks.0.start_hours: is 'soon'; a number was expected"),
        ("scenario: crash", "scenario: crash\nscenario: again", "scenario: stands twice"),
        ("shocks:", "shock:", "shock: unknown key; nearest valid key: shocks"),
        ("  - {", "  {", "shocks: is a mapping; a list was expected"),
        ("kind: price, start_hours: 48, assets: [BTC, ETH], change: -0.3, over_hours: 1", "kind: outage, start_hours: 1, hours: 2, venue: binanc", "shocks.0.venue: is 'binanc'; one of the exchanges"),  # noqa: E501
        ("kind: price, start_hours: 48, assets: [BTC, ETH], change: -0.3, over_hours: 1", "kind: funding, start_hours: 1, hours: 9, perps: '*', set: 0.1, add: 0.1", "shocks.0: give set or add, one of them"),  # noqa: E501
        ("kind: price, start_hours: 48, assets: [BTC, ETH], change: -0.3, over_hours: 1", "kind: reserve, start_hours: 1, hours: 24, token: USDT", "shocks.0: changes nothing; utilization, borrow_apr or supply_apr"),  # noqa: E501
        ("kind: price, start_hours: 48, assets: [BTC, ETH], change: -0.3, over_hours: 1", "kind: stale, start_hours: 1, hours: 24, series: 'x*'", "shocks.0.series: is 'x*', and no series of that name has a row then"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_scenario_that_is_wrong_is_refused_with_file_and_key(
    run: Run, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert GOOD.count(old) == 1
    (tmp_path / "mine.yaml").write_text(GOOD.replace(old, new) + "\n")
    result = run("stress", "pure_lending_usdt", "--scenario", "mine.yaml", "--days", 4)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "mine.yaml:" in result.stderr
    assert expected in result.stderr
    assert not Path("logs").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nope",), "CONFIG-001"),
        (("btc_basis", "--scenario", "btc_crsh"), "unknown scenario 'btc_crsh'; nearest: btc_crash"),
        (("btc_basis", "--scenario", "there/is/none.yaml"), "no file there/is/none.yaml"),
        (("btc_basis", "--days", 0), "days is 0; a whole number from 1 to 36500 was expected"),
        (("btc_basis", "--days", 10), "240 hours of 10 days was expected: test 21 days or more (--days)"),
        (("btc_basis", "--capital", -1), "capital is -1.0; more than 0 USDT was expected"),
        (("btc_basis", "--set", "strategy_config.levrage=2"), "nearest valid key: leverage"),
    ],
)
def test_what_cannot_be_tested_is_refused_before_anything_runs(
    run: Run, arguments: tuple[object, ...], expected: str
) -> None:
    result = run("stress", *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert not Path("logs").exists()


def test_a_test_that_is_cancelled_keeps_the_rows_that_are_done(tmp_path: Path) -> None:
    test = StressTest(StressRequest(mode="pure_lending_usdt", scenarios=["gas_spike"], days=21, out=tmp_path))

    def cancel_in_the_second(name: str, _progress: object) -> None:
        if name == "gas_spike":
            test.cancel("enough")

    report: StressReport = test.run(cancel_in_the_second)
    assert [row.scenario for row in report.rows] == ["baseline"]
    assert report.interrupted
    assert not report.failed


def test_config_check_reads_scenarios_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("change: -0.3", "change: -3.0"))
    result = run("config", "check", "good.yaml", "bad.yaml", "btc_basis")
    assert result.exit_code == 2
    assert "✓ good.yaml  scenario" in result.stdout
    assert "✗ bad.yaml" in result.stdout


NESTED = """
scenario: nested
description: Binance is away, and away again in the middle of that, with its spot bars gone stale as well.
shocks:
  - {kind: outage, start_hours: 20, hours: 30, venue: binance}
  - {kind: outage, start_hours: 30, hours: 10, venue: binance}
  - {kind: stale, start_hours: 25, hours: 10, series: "cex/binance/*_spot"}
"""


def test_an_outage_within_an_outage_is_run_like_the_outer_one(table: Table) -> None:
    Path("nested.yaml").write_text(NESTED)
    Path("plain.yaml").write_text("\n".join(NESTED.replace("nested", "plain").splitlines()[:5]))
    rows = table(*INVESTED, "--scenario", "nested.yaml", "--scenario", "plain.yaml")
    same = ("total_return", "max_drawdown", "lowest_margin_ratio", "unhedged_hours", "warnings")
    assert {key: rows["nested"][key] for key in same} == {key: rows["plain"][key] for key in same}


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        (CRASH.replace("scenario: crash", "scenario: baseline"), ["own.yaml"], "own.yaml:2: scenario: is 'baseline'"),
        (CRASH.replace("scenario: crash", 'scenario: " "'), ["own.yaml"], "own.yaml:2: scenario: is ' '; a name was"),
        (CRASH, ["own.yaml", "crash.yaml"], "scenario 'crash' is asked for twice, in own.yaml and in crash.yaml"),
        (CRASH, ["own.yaml", "own.yaml"], "scenario 'crash' is asked for twice, in own.yaml and in own.yaml"),
        (
            AWAY.replace("start_hours: 40, hours: 24", "start_hours: 0, hours: 9000"),
            ["own.yaml"],
            "own.yaml:5: shocks.0.hours: is 9000; from start_hours 0 on that leaves no row of cex/binance/BTCUSDT_mark",
        ),
        (
            AWAY.replace("kind: outage, start_hours: 40, hours: 24, venue: binance",
                         "kind: stale, start_hours: 0, hours: 9000, series: 'cex/*_spot'"),
            ["own.yaml"],
            "own.yaml:5: shocks.0.hours: is 9000; from start_hours 0 on that leaves no row of cex/binance/BTCUSDT_spot",
        ),
    ],
)  # fmt: skip
def test_scenarios_that_cannot_be_told_apart_or_leave_nothing_are_refused(
    run: Run, files: None, text: str, names: list[str], words: str
) -> None:
    Path("own.yaml").write_text(text)
    result = run("stress", "btc_basis", "--days", 4, *(part for name in names for part in ("--scenario", name)))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: CONFIG-003: ")
    assert words in result.stderr
    assert not list(Path().glob("logs/*")), "nothing was run"


def test_a_length_that_no_calendar_holds_is_refused(run: Run) -> None:
    result = run("stress", "btc_basis", "--days", 99_999_999)
    assert result.exit_code == 2
    assert "CONFIG-003: days is 99999999; a whole number from 1 to 36500 was expected" in result.stderr


def test_the_scenarios_of_the_library_are_listed(run: Run) -> None:
    listed = run("stress", "--list")
    assert listed.exit_code == 0
    assert [line for line in listed.stdout.splitlines() if not line.startswith(" ")] == list(scenario_names())
    assert "  BTC -30 % and ETH -36 % within one hour, and no way back.\n" in listed.stdout


def test_the_days_that_are_asked_for_are_enough(run: Run) -> None:
    refused = run("stress", "eth_staking_only", "--days", 2, "--scenario", "gas_spike")
    assert refused.exit_code == 2
    enough = re.search(r"test (\d+) days or more", refused.stderr)
    assert enough is not None
    done = run("stress", "eth_staking_only", "--days", enough[1], "--scenario", "gas_spike")
    assert done.exit_code == 0
    head, *rows = done.stdout.splitlines()[2:]
    assert head.split() == ["scenario", "return", "drawdown", "health", "margin", "liquidated", "unhedged", "state"]
    assert not [line for line in rows if line != line.rstrip()]


def test_the_list_of_runs_says_which_scenario_each_was(run: Run, files: None) -> None:
    run("stress", "pure_lending_usdt", "--scenario", "crash.yaml", "--days", 4)
    listed = [json.loads(line) for line in run("logs", "list", "--json").stdout.splitlines()]
    assert sorted(str(row["scenario"]) for row in listed) == ["None", "crash"]
    assert "pure_lending_usdt under crash" in run("logs", "list").stdout
