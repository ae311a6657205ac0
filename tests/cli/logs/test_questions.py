"""Questions are answered in tables that fit 80 columns, in rows for pipes, and in JSON for programs."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Ask = Run = Callable[..., Result]
GROUP = "eth_leveraged-000030-g0"
QUESTIONS: list[tuple[str, ...]] = [
    ("orders",),
    ("failed",),
    ("trace", GROUP),
    ("trace", "eth_leveraged-000005-00"),
    ("positions", "aave:*"),
    ("reconciliation",),
    ("slow",),
    ("errors",),
    ("at", "2024-01-02T06:30"),
    ("sql", "SELECT sequence, timestamp, decision_type FROM strategy_decisions"),
]


def events(run_dir: Path, stem: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "events" / f"{stem}.jsonl").read_text().splitlines()]


def rows(result: Result) -> list[dict[str, Any]]:
    """The lines of JSON of an answer."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_a_table_fits_80_columns(ask: Ask, monkeypatch: pytest.MonkeyPatch, question: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = ask(*question)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_in_a_pipe_a_row_is_a_line_without_blanks_at_its_end(ask: Ask, question: tuple[str, ...]) -> None:
    result = ask(*question)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    assert [line for line in result.stdout.splitlines() if line != line.rstrip()] == []


def test_of_a_transfer_it_is_told_where_to(run: Run) -> None:
    always_in = ("--always-in", "--start", "2024-01-01", "--end", "2024-01-02", "--correlation-id", "moves")
    assert run("backtest", "btc_basis", *always_in, "--quiet").exit_code == 0
    first = rows(run("logs", "orders", "moves", "--json"))[0]
    source, target = (first["operation_details"][end] for end in ("source_key", "target_key"))
    assert (source, target.partition(":")[0]) == ("wallet:BaseToken:USDT", "binance")
    assert f"transfer at wallet, to {target}  " in run("logs", "orders", "moves").stdout
    assert f"; {source} → {target} in " in run("logs", "trace", "moves", first["operation_id"]).stdout


def test_failed_orders_in_a_pipe_are_a_line_each(ask: Ask, run_dir: Path) -> None:
    failed = [event for event in events(run_dir, "operation_executions") if event["status"] != "confirmed"]
    shown = ask("failed").stdout.splitlines()
    for event in failed:
        (line,) = (line for line in shown if f"#{event['sequence']}" in line)
        for word in ("operation_id", "error_code", "error_message", "status", "operation_type", "venue"):
            assert event[word] in line
        assert (event["atomic_group_id"] or "") in line
        assert "weETH" in line or "debtWETH" in line
    assert "3 × EXEC-004  order validation failed" in " ".join(shown)
    assert rows(ask("failed", "--json")) == failed
    assert rows(ask("failed", "--json", "--code", "EXEC-006"))[0]["status"] == "rolled_back"
    assert "4 orders, the last 1 shown" in ask("failed", "--limit", 1).stdout
    assert ask("failed", "--limit", 1, "--venue", "aave_v3").stdout.count("eth_leveraged-000030-01") > 0


def test_orders_are_a_line_each_with_the_id_that_trace_takes(ask: Ask, run_dir: Path) -> None:
    written = events(run_dir, "operation_executions")
    assert {event["status"] for event in written} == {"confirmed", "failed", "rolled_back"}
    shown = ask("orders").stdout.splitlines()
    for event in written:
        (line,) = (line for line in shown if f"#{event['sequence']}" in line)
        for word in ("operation_id", "status", "operation_type", "venue"):
            assert event[word] in line
        assert rows(ask("trace", event["operation_id"], "--json"))
    assert shown[-1] == f"{len(written)} orders"
    assert rows(ask("orders", "--json")) == written
    at_aave = [event for event in written if event["venue"] == "aave_v3"]
    assert 0 < len(at_aave) < len(written)
    assert rows(ask("orders", "--json", "--venue", "aave_v3")) == at_aave
    newest = ask("orders", "--limit", 1).stdout
    assert written[-1]["operation_id"] in newest
    assert f"{len(written)} orders, the last 1 shown" in newest


def test_nothing_found_is_a_plain_sentence_and_no_error(ask: Ask) -> None:
    for question, sentence in (
        (("failed", "--code", "VEN-001", "--venue", "lido"), "No order failed at lido with VEN-001.\n"),
        (("orders", "--venue", "lido"), "No orders at lido.\n"),
        (("errors", "--severity", "critical"), "No errors of severity CRITICAL or graver.\n"),
        (("errors", "--component", "engine"), "No errors of engine.\n"),
        (("slow", "--over-ms", "1e9"), "Nothing took longer than 1e+09 ms (7 operations, 5 tight loops, 2 groups).\n"),
        (("sql", "SELECT * FROM positions WHERE false"), "No rows.\n"),
    ):
        result = ask(*question)
        assert (result.exit_code, result.stdout, result.stderr) == (0, sentence, "")
        if question[0] != "slow":
            assert ask(*question, "--json").stdout == ""


def test_the_story_tells_everything_once_in_order(ask: Ask, run_dir: Path) -> None:
    told = rows(ask("trace", GROUP, "--json"))
    assert [row["file"] for row in told[:2]] == ["strategy_decisions", "execution_deltas"]
    sequences = [row["event"]["sequence"] for row in told]
    assert sequences == sorted(set(sequences))
    for row in told:
        assert row["event"] in events(run_dir, row["file"])
    shown = ask("trace", GROUP).stdout
    for row in told:
        assert re.search(rf"^ *{row['event']['sequence']} ", shown, re.MULTILINE)
    for words in ("overdraw", "rolled_back", "expected +50", "reconciliation ", "tight loop ", "gas of eth_leveraged"):
        assert words in shown
    (group,) = (row["event"] for row in told if row["file"] == "atomic_groups")
    assert f"{group['total_duration_ms']:,.3f} ms" in shown


def test_a_story_says_of_each_change_whether_it_was_the_expected_one(ask: Ask, run_dir: Path) -> None:
    said = []
    for event in events(run_dir, "operation_executions"):
        shown = ask("trace", event["operation_id"]).stdout
        for delta in event["expected_deltas"]:
            came = event["actual_deltas"].get(delta["position_key"])
            (word,) = re.findall(re.escape(delta["position_key"]) + r" \S+, (as expected|expected [-+]\d)", shown)
            assert (word == "as expected") is (came == delta["delta_amount"])
            said.append(word)
    assert len(set(said)) > 1, "some came off, and some did not"


def test_the_history_ends_with_the_balance_and_the_check(ask: Ask, run_dir: Path) -> None:
    last = events(run_dir, "positions")[-1]["positions"]
    shown = ask("positions", "aave", "--limit", 3).stdout
    assert "136 changes, the last 3 shown" in shown
    assert f"{last['aave:aToken:aweETH']:,.8f}  aave:aToken:aweETH" in shown
    assert "75 of 75 snapshots agree to the last digit" in shown
    changes = rows(ask("positions", "aave:debtToken:*", "--json"))
    assert changes[-1]["balance"] == last["aave:debtToken:debtWETH"]
    assert changes[0]["operation_id"] == "eth_leveraged-000005-02"
    assert set(changes[0]) == {
        "sequence", "timestamp", "position_key", "source", "delta", "balance", "operation_id", "price", "index",
    }  # fmt: skip


def test_snapshots_that_differ_are_told_on_standard_error(ask: Ask, run_dir: Path) -> None:
    path = run_dir / "events" / "positions.jsonl"
    changed = [event | {"positions": event["positions"] | {"aave:aToken:aweETH": 7.0}} for event in
               events(run_dir, "positions")]  # fmt: skip
    path.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in changed))
    result = ask("positions", "aave", "--limit", 3)
    assert result.exit_code == 0
    assert (
        "75 of 75 snapshots differ from the sum of the deltas; first: aave:aToken:aweETH is 7 in snap" in result.stderr
    )
    assert "0 of 75 snapshots agree" in result.stdout


def test_the_book_has_amounts_values_risk_pnl_and_the_gap(ask: Ask, run_dir: Path) -> None:
    shown = ask("at", "2024-01-02T06:30").stdout
    for words in (
        "Book of 2024-01-02 06:00 UTC; the next snapshot is of 2024-01-02 07:00, 1:00:00 later",
        "Asked for 2024-01-02 06:30, 0:30:00 after it",
        "aave:debtToken:debtWETH",
        "Net delta",
        "health factor 1.95",
        "PnL since the start -0.0022",
        "Decision rebalance (entry_partial), 2 orders, of 2024-01-02 06:00",
        "overdraw",
    ):
        assert words in shown
    (book,) = rows(ask("at", "2024-01-02T07:30+01:00", "--json"))
    assert (book["asked"], book["moment"]) == ("2024-01-02T06:30:00Z", "2024-01-02T06:00:00Z")
    assert book["next_tick"] == "2024-01-02T07:00:00Z"
    assert set(book["events"]) == {
        "positions", "exposures", "risk_assessments", "pnl_calculations", "strategy_decisions",
    }  # fmt: skip
    assert {h["position_key"]: h["amount"] for h in book["holdings"]} == book["events"]["positions"]["positions"]
    assert "the last snapshot of the log" in ask("at", "2024-01-04").stdout


def test_comparisons_come_with_mismatches_first(ask: Ask, run_dir: Path) -> None:
    path = run_dir / "events" / "reconciliation.jsonl"
    every = events(run_dir, "reconciliation")
    miss = {"position_key": "etherfi:LST:weETH", "expected": 1.0, "actual": 0.9, "difference": -0.1, "tolerance": 1e-9}
    every[2] |= {"success": False, "mismatches": [miss]}
    path.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in every))
    shown = ask("reconciliation").stdout
    assert shown.index("Mismatches") < shown.index("etherfi:LST:weETH") < shown.index("Agreed")
    assert re.search(r"tight_loop +4 +1\n", shown)
    assert re.search(r"periodic +4 +0\n", shown)
    assert rows(ask("reconciliation", "--json")) == every
    assert rows(ask("reconciliation", "--json", "--mismatches")) == [every[2]]
    assert "Agreed" not in ask("reconciliation", "--mismatches").stdout


def test_what_took_long_comes_longest_first(ask: Ask) -> None:
    every = rows(ask("slow", "--json", "--limit", 0))
    assert [row["duration_ms"] for row in every] == sorted((row["duration_ms"] for row in every), reverse=True)
    assert {row["kind"] for row in every} == {"operation", "tight_loop", "group"}
    assert len(rows(ask("slow", "--json", "--limit", 2))) == 2
    shown = ask("slow", "--limit", 1).stdout
    assert f"{every[0]['duration_ms']:,.3f}" in shown
    assert re.search(r"operation +7 ", shown)


def test_errors_come_with_counts_and_meanings(ask: Ask, run_dir: Path) -> None:
    said = events(run_dir, "system_errors")
    assert rows(ask("errors", "--json")) == said
    high = [event for event in said if event["severity"] == "HIGH"]
    assert rows(ask("errors", "--json", "--severity", "HIGH")) == high
    shown = ask("errors").stdout
    assert re.search(r"EXEC-004 +MEDIUM +3 +order validation failed", shown)
    assert re.search(r"EXEC-006 +HIGH +1 +atomic group rollback +A leg alone: look at the positions", shown)
    assert "Errors: 4, the last 1 shown" in ask("errors", "--limit", 1).stdout


def test_sql_answers_as_table_json_and_csv(ask: Ask, run_dir: Path) -> None:
    statement = (
        "SELECT sequence, timestamp, market_conditions, actual FROM (SELECT *, 1.5 AS actual FROM strategy_decisions)"
    )
    decisions = events(run_dir, "strategy_decisions")
    assert "and 0 rows" not in ask("sql", statement).stdout
    found = rows(ask("sql", statement, "--json"))
    assert [(row["sequence"], row["timestamp"], row["market_conditions"]) for row in found] == [
        (event["sequence"], event["timestamp"], event["market_conditions"]) for event in decisions
    ]
    table = list(csv.reader(ask("sql", statement, "--csv").stdout.splitlines()))
    assert table[0] == ["sequence", "timestamp", "market_conditions", "actual"]
    assert [row[1] for row in table[1:]] == [event["timestamp"] for event in decisions]
    many = ask("sql", "SELECT unnest(range(250)) AS n").stdout
    assert "and 150 rows more" in many
    assert len(rows(ask("sql", "SELECT unnest(range(250)) AS n", "--json"))) == 250


def test_a_torn_line_is_told_on_standard_error_and_left_out(ask: Ask, run_dir: Path) -> None:
    path = run_dir / "events" / "operation_executions.jsonl"
    text = path.read_bytes()
    path.write_bytes(text + text[:100])
    named = Path("logs/clumsy", run_dir.name, "events", path.name)
    for question in QUESTIONS:
        result = ask(*question)
        assert result.exit_code == 0, result.output
        assert result.stderr == f"Note: {named} ends within a line, which is left out (100 bytes)\n"
