"""Answers are those that reading every line gives, whatever form the log has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import fsum
from pathlib import Path
from typing import Any

import pytest

from basis_actors.errors import BasisError, Severity
from basis_actors.logs.queries.book import book_at
from basis_actors.logs.queries.orders import failed_orders, slow
from basis_actors.logs.queries.positions import Checked, history
from basis_actors.logs.queries.problems import comparisons, errors
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.queries.story import story
from basis_actors.messages.events import EVENT_TYPES

Written = Callable[[str], list[dict[str, Any]]]


def test_failed_orders_are_those_that_are_not_confirmed(log: RunLog, written: Written) -> None:
    expected = [event for event in written("operation_executions") if event["status"] != "confirmed"]
    assert {event["status"] for event in expected} == {"failed", "rolled_back"}
    assert [json.loads(found.line) for found in failed_orders(log)] == expected
    for code in ("EXEC-004", "EXEC-006", "nothing"):
        chosen = [event["sequence"] for event in expected if event["error_code"] == code]
        assert [found.event.sequence for found in failed_orders(log, code=code)] == chosen
    at_aave = [event["sequence"] for event in expected if event["venue"] == "aave_v3"]
    assert [found.event.sequence for found in failed_orders(log, venue="aave_v3")] == at_aave


def test_a_story_is_every_line_that_names_the_operation_and_its_decision(log: RunLog, written: Written) -> None:
    for operation in written("operation_executions"):
        name = operation["operation_id"]
        told = [found.event for found in story(log, name).events]
        named = [
            event["sequence"]
            for kind in EVENT_TYPES
            for event in written(kind.FILE)
            if f'"{name}"' in json.dumps(event) or (kind.FILE == "system_errors" and name in event["message"])
        ]
        (decision,) = (event for event in written("strategy_decisions") if event["timestamp"] == operation["timestamp"])
        assert [event.sequence for event in told] == [decision["sequence"], *sorted(named)]
        assert decision["orders_generated"] > 0


def test_the_story_of_a_group_is_that_of_all_its_operations(log: RunLog, written: Written) -> None:
    for group in written("atomic_groups"):
        told = story(log, group["atomic_group_id"])
        assert told.operations == sorted(group["operation_ids"])
        single = {found.event.sequence for name in group["operation_ids"] for found in story(log, name).events}
        assert [found.event.sequence for found in told.events] == sorted(single)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("eth_leveraged-000005-09", "eth_leveraged-000005-00"),
        ("eth_levraged-000030-g0", "eth_leveraged-000030-g0"),
        ("eth_leveraged-00005-00", "eth_leveraged-000005-00"),
    ],
)
def test_an_unknown_operation_is_answered_with_the_nearest(log: RunLog, given: str, near: str) -> None:
    with pytest.raises(BasisError, match=rf"LOG-006: no event of .* has the id '{given}'; nearest: {near}"):
        story(log, given)


def test_an_id_like_none_is_answered_with_what_ids_look_like(log: RunLog) -> None:
    with pytest.raises(BasisError, match="ids look like eth_leveraged-000005-00"):
        story(log, '"')


def test_balances_are_the_sums_of_deltas_and_agree_with_snapshots(log: RunLog, written: Written) -> None:
    checked = Checked()
    changes = list(history(log, "*", checked))
    rows = [
        (event["sequence"], event["source"], event["operation_id"], delta["position_key"], delta["delta_amount"])
        for event in written("execution_deltas")
        for delta in event["deltas"]
    ]
    assert [(c.sequence, c.source, c.operation_id, c.position_key, c.delta) for c in changes] == rows
    snapshots = written("positions")
    assert (checked.snapshots, checked.differing, checked.first) == (len(snapshots), 0, None)
    assert {key: held for key, held in checked.balances.items() if held} == snapshots[-1]["positions"]
    for key in checked.balances:
        (*_, last) = (change for change in changes if change.position_key == key)
        assert last.balance == pytest.approx(fsum(row[4] for row in rows if row[3] == key), abs=1e-12)


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("aave", {"aave:aToken:aweETH", "aave:debtToken:debtWETH"}),
        ("aave:", {"aave:aToken:aweETH", "aave:debtToken:debtWETH"}),
        ("aave:aToken", {"aave:aToken:aweETH"}),
        ("aave:*", {"aave:aToken:aweETH", "aave:debtToken:debtWETH"}),
        ("*:LST:*", {"etherfi:LST:weETH"}),
        ("wallet:BaseToken:ETH", {"wallet:BaseToken:ETH"}),
    ],
)
def test_a_pattern_means_keys(log: RunLog, pattern: str, keys: set[str]) -> None:
    checked = Checked()
    assert {change.position_key for change in history(log, pattern, checked)} == keys
    assert checked.differing == 0


def test_keys_that_nothing_has_are_answered_with_the_nearest(log: RunLog) -> None:
    with pytest.raises(BasisError, match=r"LOG-006: .* by 'wallet:BaseToken:ETHH'; nearest: wallet:B"):
        list(history(log, "wallet:BaseToken:ETHH", Checked()))
    with pytest.raises(BasisError, match="nearest: aave"):
        list(history(log, "aav", Checked()))
    with pytest.raises(BasisError, match="there are aave:aToken:aweETH, "):
        list(history(log, "z*", Checked()))


def test_a_snapshot_that_differs_is_named(copied: Path) -> None:
    path = copied / "events" / "positions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[20]["positions"]["wallet:BaseToken:ETH"] += 1.0
    rows[21]["positions"]["aave:aToken:aUSDT"] = 3.0
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    checked = Checked()
    list(history(RunLog(copied), "wallet", checked))
    assert (checked.snapshots, checked.differing) == (len(rows), 1)
    assert checked.first is not None
    assert f"in snapshot {rows[20]['sequence']}" in checked.first
    checked = Checked()
    list(history(RunLog(copied), "aave", checked))
    assert checked.differing == 1
    assert checked.first is not None
    assert "aave:aToken:aUSDT is 3 in snapshot" in checked.first


def test_comparisons_are_counted_by_type(log: RunLog, written: Written) -> None:
    counts: dict[str, Any] = {}
    found = [one.event.sequence for one in comparisons(log, counts)]
    assert found == [event["sequence"] for event in written("reconciliation")]
    assert {kind: entry.count for kind, entry in counts.items()} == Counter(
        event["reconciliation_type"] for event in written("reconciliation")
    )
    assert [entry.mismatched for entry in counts.values()] == [0, 0]


def test_errors_are_counted_by_code_from_a_severity_on(log: RunLog, written: Written) -> None:
    said = written("system_errors")
    for severity, wanted in ((Severity.LOW, {"MEDIUM", "HIGH"}), (Severity.HIGH, {"HIGH"}), (Severity.CRITICAL, set())):
        counts: dict[str, Any] = {}
        chosen = [event for event in said if event["severity"] in wanted]
        assert [json.loads(one.line) for one in errors(log, counts, severity=severity)] == chosen
        assert {code: entry.count for code, entry in counts.items()} == Counter(e["error_code"] for e in chosen)
    assert [one.event.error_code for one in errors(log, counts, code="EXEC-006")] == ["EXEC-006"]
    assert counts["EXEC-006"].meaning == "atomic group rollback"
    assert list(errors(log, {}, component="engine")) == []


def test_the_slow_are_the_longest_of_all_kinds(log: RunLog, written: Written) -> None:
    every = sorted(
        [event["execution_duration_ms"] for event in written("operation_executions")]
        + [event["total_duration_ms"] for stem in ("tight_loop", "atomic_groups") for event in written(stem)],
        reverse=True,
    )
    report = slow(log, 0.0, 1000)
    assert [one.duration_ms for one in report.slow] == [value for value in every if value > 0.0]
    middle = every[len(every) // 2]
    report = slow(log, middle, 3)
    assert [one.duration_ms for one in report.slow] == every[:3]
    assert sum(kind.over for kind in report.kinds) == sum(value > middle for value in every)
    assert sum(kind.count for kind in report.kinds) == len(every)
    assert sum(kind.total_ms for kind in report.kinds) == pytest.approx(fsum(every))


@pytest.mark.parametrize("minutes", [0, 59, 5 * 60, 5 * 60 + 30, 30 * 60, 71 * 60 + 1, 72 * 60])
def test_the_book_is_the_last_of_each_event_up_to_then(log: RunLog, written: Written, minutes: int) -> None:
    when = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    book = book_at(log, when)
    for found in book.found:
        up_to = [e for e in written(found.event.FILE) if datetime.fromisoformat(e["timestamp"]) <= when]
        assert json.loads(found.line) == up_to[-1]
    assert len(book.found) == 5
    later = [datetime.fromisoformat(e["timestamp"]) for e in written("positions")]
    assert book.next_tick == min((moment for moment in later if moment > when), default=None)
    assert book.moment == max(moment for moment in later if moment <= when)


def test_values_at_the_marks_come_to_the_equity(log: RunLog) -> None:
    book = book_at(log, datetime(2024, 1, 3, 7, tzinfo=UTC))
    assert book.pnl is not None
    ether = book.pnl.event.marks["S:ETH"]
    assert fsum(holding.value or 0.0 for holding in book.holdings) / ether == pytest.approx(book.pnl.event.equity)
    assert {holding.position_key for holding in book.holdings if (holding.value or 0.0) < 0.0} == {
        "aave:debtToken:debtWETH"
    }


@pytest.mark.parametrize("moment", ["2023-12-31T23:59", "2024-01-04T00:01", "1999-01-01", "2100-01-01"])
def test_a_time_outside_the_run_is_refused_with_its_ends(log: RunLog, moment: str) -> None:
    when = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    with pytest.raises(BasisError, match=r"outside the run; .* from 2024-01-01T00:00:00Z to 2024-01-04T00:00:00Z"):
        book_at(log, when)
