"""What cannot be answered is one clear line on standard error, and exit code 2."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]
REST: dict[str, tuple[str, ...]] = {
    "failed": (),
    "trace": ("eth_leveraged-000005-00",),
    "positions": ("aave",),
    "reconciliation": (),
    "slow": (),
    "errors": (),
    "at": ("2024-01-02",),
    "diff": ("clumsy",),
    "sql": ("SELECT 1",),
}
"""Every question, with what follows RUN."""


def refused(result: Result, code: str, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {code}: ")
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("command", REST)
def test_what_is_no_run_is_refused_by_every_command(run: Run, run_dir: Path, command: str) -> None:
    rest = REST[command]
    refused(run("logs", command, "clumsi", *rest), "LOG-003", "'clumsi'", "nearest: clumsy")
    Path("empty").mkdir()
    refused(run("logs", command, "empty", *rest), "LOG-003", "empty is not a run directory")
    shutil.copytree(run_dir, run_dir.parent / "77")
    refused(run("logs", command, "clumsy", *rest), "LOG-003", "holds 2 runs", str(Path("logs/clumsy/77")))


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (("trace", "eth_leveraged-000005-77"), ("'eth_leveraged-000005-77'", "nearest: eth_leveraged-000005-00")),
        (("positions", "wallet:BaseToken:WETH"), ("'wallet:BaseToken:WETH'", "nearest: wallet:BaseToken:ETH")),
        (("at", "2023-12-31"), ("2023-12-31T00:00:00Z is outside the run", "2024-01-01T00:00:00Z")),
        (("at", "2024-01-04T00:00:01"), ("outside the run", "2024-01-04T00:00:00Z")),
        (("errors", "--severity", "BAD"), ("'BAD'", "LOW, MEDIUM, HIGH, CRITICAL")),
        (("diff", "clumsy", "--rel", "2"), ("tolerance 2.0",)),
        (("sql", "SELECT nothing FROM nowhere"), ("SQL: ", "nowhere does not exist")),
        (("sql", "SELECT '\udcff'"), ("is no UTF-8",)),
        (("sql", "DROP VIEW positions"), ("expected one SELECT", "DROP")),
        (("sql", "SELECT 1", "--json", "--csv"), ("--json and --csv",)),
    ],
)
def test_questions_that_make_no_sense_are_refused(ask: Run, question: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(ask(*question), "LOG-006", *words)


def test_a_time_that_is_none_is_refused(ask: Run) -> None:
    refused(ask("at", "yesterday"), "CONFIG-003", "TIMESTAMP 'yesterday'", "2024-01-01T08:00")


@pytest.mark.parametrize(
    ("command", "stem"),
    [
        ("failed", "operation_executions"),
        ("trace", "execution_deltas"),
        ("positions", "positions"),
        ("reconciliation", "reconciliation"),
        ("slow", "tight_loop"),
        ("errors", "system_errors"),
        ("diff", "health_status"),
    ],
)
@pytest.mark.parametrize("harm", ["garbage", "cut"])
def test_a_damaged_line_is_named_with_file_and_number(
    ask: Run, run_dir: Path, command: str, stem: str, harm: str
) -> None:
    path = run_dir / "events" / f"{stem}.jsonl"
    every = path.read_bytes().splitlines(keepends=True)
    bad = b"\x00" * (len(every[1]) - 1) + b"\n" if harm == "garbage" else every[1][:-20].replace(b"}\n", b"") + b"\n"
    path.write_bytes(every[0] + bad + b"".join(every[2:]) + b" " * (len(every[1]) - len(bad)))
    result = ask(command, *REST[command])
    assert result.exit_code == 2, result.output
    assert result.stderr.splitlines()[-1].startswith("Error: LOG-004: ")
    assert f"{stem}.jsonl, line 2: " in result.stderr
    assert "Traceback" not in result.stderr


READERS = (
    ("logs", "failed", "clumsy"),
    ("logs", "errors", "clumsy"),
    ("logs", "diff", "clumsy", "clumsy"),
    ("logs", "sql", "clumsy", "SELECT count(*) FROM operation_executions"),
)


@pytest.mark.parametrize("question", READERS)
@pytest.mark.parametrize("blanks", [b" ", b"\t \r"])
def test_blanks_around_a_line_matter_to_no_reader_but_the_seals(
    run: Run, run_dir: Path, question: tuple[str, ...], blanks: bytes
) -> None:
    before = run(*question)
    path = run_dir / "events" / "operation_executions.jsonl"
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first[:-1] + blanks + b"\n" + b"".join(others))
    after = run(*question)
    assert (after.exit_code, after.stdout) == (before.exit_code, before.stdout)
    replayed = run("replay", "clumsy")
    assert replayed.exit_code == 1
    assert "seal: operation_executions.jsonl" in replayed.stdout
    assert "line: " not in replayed.stdout


def test_what_is_no_event_is_shown_as_a_person_reads_it(run: Run, run_dir: Path) -> None:
    path = run_dir / "events" / "operation_executions.jsonl"
    first, _, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"caf\xc3\xa9 \x00\xff\n" + b"".join(others))
    said = "operation_executions.jsonl, line 2: café \\x00\\xff does not begin and end as an object does"
    result = run("logs", "failed", "clumsy")
    assert result.exit_code == 2
    assert said in result.stderr.splitlines()[-1]


def test_a_run_without_events_is_refused(run: Run, run_dir: Path) -> None:
    shutil.rmtree(run_dir / "events")
    refused(run("logs", "failed", "clumsy"), "LOG-003", "has no event files")


@pytest.mark.parametrize("question", [("orders",), ("positions", "*"), ("reconciliation",), ("errors",), ("slow",)])
def test_more_rows_than_can_be_counted_are_all_of_them(ask: Run, question: tuple[str, ...]) -> None:
    every = ask(*question, "--limit", "0")
    assert every.exit_code == 0
    assert ask(*question, "--limit", "9" * 30).stdout == every.stdout
