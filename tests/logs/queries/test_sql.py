"""SQL sees every event with stable types, and nothing but the events."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.queries.sql import ask, columns_of
from basis_actors.logs.run_lock import RunLock
from basis_actors.messages.events import EVENT_TYPES, ExecutionDeltaEvent, ExposureSnapshot, OperationExecutionEvent

Written = Callable[[str], list[dict[str, Any]]]


def rows(log: RunLog, statement: str) -> list[tuple[Any, ...]]:
    with ask(log, statement) as answer:
        return list(answer.rows())


def test_every_event_type_is_a_view_with_every_event(log: RunLog, written: Written) -> None:
    for kind in EVENT_TYPES:
        found = rows(log, f"SELECT sequence, timestamp FROM {kind.FILE} ORDER BY sequence")
        expected = [(e["sequence"], datetime.fromisoformat(e["timestamp"])) for e in written(kind.FILE)]
        assert found == expected
        names = [name for name, *_ in rows(log, f"DESCRIBE {kind.FILE}")]
        assert names == [field.encode_name for field in msgspec.structs.fields(kind)]


def test_columns_have_the_types_of_the_structs() -> None:
    deltas = columns_of(ExecutionDeltaEvent)
    assert deltas["timestamp"] == deltas["real_utc_time"] == "TIMESTAMPTZ"
    assert deltas["deltas"] == 'STRUCT("position_key" VARCHAR, "delta_amount" DOUBLE, "price" DOUBLE, "index" DOUBLE)[]'
    assert deltas["source"] == "VARCHAR"
    assert columns_of(ExposureSnapshot)["asset_exposures"].startswith("MAP(VARCHAR, STRUCT(")
    operations = columns_of(OperationExecutionEvent)
    assert operations["actual_deltas"] == "MAP(VARCHAR, DOUBLE)"
    assert operations["operation_details"] == "JSON"
    assert (operations["simulated"], operations["sequence_in_group"]) == ("BOOLEAN", "BIGINT")


def test_what_is_nested_can_be_computed_with(log: RunLog, written: Written) -> None:
    ((total,),) = rows(
        log,
        "SELECT sum(d.delta_amount) FROM execution_deltas, UNNEST(deltas) AS t(d) WHERE d.position_key LIKE 'aave:aT%'",
    )
    expected = sum(
        delta["delta_amount"]
        for event in written("execution_deltas")
        for delta in event["deltas"]
        if delta["position_key"].startswith("aave:aT")
    )
    assert total == pytest.approx(expected)
    last = written("positions")[-1]["positions"]["wallet:BaseToken:ETH"]
    held = rows(log, "SELECT positions['wallet:BaseToken:ETH'] FROM positions ORDER BY sequence DESC LIMIT 1")
    assert held == [(last,)]
    ((first, when),) = rows(log, "SELECT operation_details->>'index', timestamp FROM operation_executions"
                                 " WHERE operation_type = 'supply'")  # fmt: skip
    assert float(first) >= 1.0
    assert when == datetime(2024, 1, 1, 5, tzinfo=UTC)


def test_a_type_that_was_never_logged_is_an_empty_view(copied: Path) -> None:
    (copied / "events" / "health_status.jsonl").unlink()
    (copied / "events" / "system_errors.jsonl").write_bytes(b"")
    log = RunLog(copied)
    for stem in ("health_status", "system_errors"):
        assert rows(log, f"SELECT component, metadata, timestamp FROM {stem}") == []
        assert ("timestamp", "TIMESTAMP WITH TIME ZONE") in [row[:2] for row in rows(log, f"DESCRIBE {stem}")]


@pytest.mark.parametrize("running", [False, True])
def test_a_torn_end_is_left_out(copied: Path, running: bool) -> None:
    path = copied / "events" / "positions.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:77])
    lock = RunLock(copied) if running else None
    assert rows(RunLog(copied), "SELECT count(*) FROM positions") == [(whole.count(b"\n"),)]
    if lock is not None:
        lock.release()
    assert path.read_bytes() == whole + whole[:77]


@pytest.mark.parametrize(
    ("harm", "words"),
    [(slice(50), "line 4: .*begin and end as an object"), (slice(2, None), "line 4: .*expected one PositionSnapshot")],
)
def test_a_line_that_cannot_be_read_is_named(copied: Path, harm: slice, words: str) -> None:
    path = copied / "events" / "positions.jsonl"
    every = path.read_bytes().splitlines(keepends=True)
    every[3] = (every[3].rstrip()[harm] if harm.stop else b"{" + every[3].rstrip()[harm]) + b"\n"
    path.write_bytes(b"".join(every))
    with pytest.raises(BasisError, match=rf"LOG-004: .*positions\.jsonl, {words}"):
        rows(RunLog(copied), "SELECT sum(total_value_usd) FROM positions")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT equty FROM pnl_calculations", 'Referenced column "equty" not found'),
        ("SELECT * FROM orders", "Table with name orders does not exist"),
        ("SELECT 1; SELECT 2", "got SELECT and SELECT"),
        ("", "got nothing"),
        ("SELECT CAST('x' AS INTEGER)", "Could not convert string 'x'"),
    ],
)
def test_wrong_sql_is_one_line(log: RunLog, statement: str, words: str) -> None:
    with pytest.raises(BasisError, match=r"LOG-006: SQL: ") as caught:
        rows(log, statement)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO '{events}'",
        "WITH x AS (COPY (SELECT 1) TO '{events}' (USE_TMP_FILE false)) SELECT x.* FROM x, positions",
        "WITH x AS (COPY (SELECT 1) TO '{outside}' (USE_TMP_FILE false)) SELECT * FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{events}'",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW positions",
        "ATTACH '{outside}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "SELECT * FROM read_text('{outside}')",
        "SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_json('{metadata}')",
        "SELECT * FROM read_text('{events}')",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT getenv('HOME')",
        "SELECT * FROM statement",
        "WITH gone AS (DELETE FROM positions RETURNING 1) SELECT * FROM gone",
    ],
)
def test_sql_changes_nothing_and_reads_nothing_else(copied: Path, tmp_path: Path, statement: str) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("secret,\n1,\n")
    events = copied / "events" / "positions.jsonl"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    given = statement.format(events=events, outside=outside, metadata=copied / "metadata.json")
    with pytest.raises(BasisError, match="LOG-006: SQL: "):
        rows(RunLog(copied), given)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_bytes_that_are_no_text_are_named(copied: Path) -> None:
    path = copied / "events" / "strategy_decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b"overdraw", b"over\xff\xfew"))
    with pytest.raises(BasisError, match=r"LOG-004: .*strategy_decisions\.jsonl, line 31: "):
        rows(RunLog(copied), "SELECT reasoning FROM strategy_decisions")


def test_views_are_tables_like_others(log: RunLog) -> None:
    ((count,),) = rows(log, "SELECT count(*) FROM Positions AS a JOIN positions AS b USING (sequence)")
    assert rows(log, "SELECT count(*) FROM query_table('posi' || 'tions')") == [(count,)]
    assert {kind.FILE for kind in EVENT_TYPES} <= {name for (name,) in rows(log, "SHOW TABLES")}


def test_columns_of_one_name_are_told_apart(log: RunLog) -> None:
    with ask(log, "SELECT 1 AS a, 2 AS a, 3 AS b") as answer:
        assert answer.columns == ["a", "a_2", "b"]
        assert list(answer.rows()) == [(1, 2, 3)]


def test_without_duckdb_it_is_said_how_to_install_it(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(BasisError, match=r"LOG-006: SQL needs DuckDB, .* pip install 'basis-actors\[query\]'"):
        rows(RunLog(run_dir), "SELECT 1")


def test_a_run_in_a_folder_with_a_quotation_mark_can_be_asked(copied: Path, tmp_path: Path, written: Written) -> None:
    strange = copied.rename(tmp_path / "it's [one] of * those")
    found = rows(RunLog(strange), "SELECT metadata FROM positions")
    assert [json.loads(text) for (text,) in found] == [event["metadata"] for event in written("positions")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"total_value_usd":', b'"total_value_usd":"x","was":'),
        (b'"positions":{', b'"positions":null,"was":{'),
        (b'"total_value_usd":', b'"total_value_usd":NaN,"was":'),
        (b'"position_type":"', b'"position_type":"\xff'),
    ],
)
def test_a_value_that_is_none_of_its_type_is_no_null(copied: Path, before: bytes, after: bytes) -> None:
    path = copied / "events" / "positions.jsonl"
    every = path.read_bytes().splitlines(keepends=True)
    assert before in every[3]
    every[3] = every[3].replace(before, after, 1)
    path.write_bytes(b"".join(every))
    with pytest.raises(BasisError, match=r"LOG-004: .*positions\.jsonl, line 4: .*expected one PositionSnapshot"):
        rows(RunLog(copied), "SELECT count(*) FROM positions")


ASKING = """
import signal
from basis_actors.cli import main
from basis_actors.logs.queries import sql

signal.signal(signal.SIGINT, signal.default_int_handler)

class Told(sql.Thread):
    def start(self):
        super().start()
        print("asked", flush=True)


sql.Thread = Told
main()
"""
ENDLESS = (
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 1e12) SELECT count(*) FROM t",
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * 7 % 11 = b.range % 13",
)


@pytest.mark.parametrize("statement", ENDLESS)
def test_a_question_without_end_is_given_up_and_leaves_nothing(log: RunLog, tmp_path: Path, statement: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING, "logs", "sql", log.run_dir, statement],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
