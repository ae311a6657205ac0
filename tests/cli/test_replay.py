"""`replay` says in words and in its exit code whether a log can be trusted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def run_dir(run: Run) -> Path:
    """A short run."""
    result = run("backtest", "pure_lending_usdt", "--start", "2024-01-01", "--end", "2024-01-03", "--quiet")
    return Path(result.stdout.strip())


def test_a_run_is_verified_by_its_path_and_by_its_name(run: Run, run_dir: Path) -> None:
    for name in (run_dir, run_dir.parent.name):
        result = run("replay", name)
        assert result.exit_code == 0, result.output
        assert "✗" not in result.stdout
        assert "50 snapshots are the sum of" in result.stdout
        assert "aave:aToken:aUSDT" in result.stdout


def test_json_holds_everything(run: Run, run_dir: Path) -> None:
    found = json.loads(run("replay", run_dir, "--json").stdout)
    assert found["findings"] == []
    assert found["has_summary"]
    assert found["calculations"] == 50


def test_a_changed_log_ends_with_1_and_names_the_place(run: Run, run_dir: Path) -> None:
    path = run_dir / "events" / "positions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5] + lines[6:]))
    number = json.loads(lines[5])["sequence"]
    result = run("replay", run_dir)
    assert result.exit_code == 1
    assert f"number: event {number}: missing" in result.stdout
    assert "✗" in result.stdout
    assert "Not verified" in result.stderr


@pytest.mark.parametrize("given", ["nowhere", "."])
def test_what_is_no_run_is_refused_in_one_line(run: Run, given: str) -> None:
    result = run("replay", given)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: LOG-003: ")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_second_run_is_the_same(run: Run, run_dir: Path, tmp_path: Path) -> None:
    result = run("replay", run_dir, "--rerun", "--out", "again")
    assert result.exit_code == 0, result.output
    assert "The runs are the same." in result.stdout
    assert run("replay", next((tmp_path / "again").glob("*/*"))).exit_code == 0
    check, *rows = (json.loads(line) for line in run("replay", run_dir, "--rerun", "--json").stdout.splitlines())
    assert check["findings"] == []
    assert len(rows) == 12
    assert all(row["line"] is None for row in rows)


def test_the_first_event_at_which_two_runs_part_is_shown(run: Run, run_dir: Path) -> None:
    path = run_dir / "events" / "positions.jsonl"
    path.write_text(path.read_text().replace('"aave:aToken:aUSDT":1', '"aave:aToken:aUSDT":2', 1))
    result = run("replay", run_dir, "--rerun")
    assert result.exit_code == 1
    assert "First to part: " in result.stdout
    assert "Not the same" in result.stderr


def test_a_configuration_that_was_edited_is_not_run_again(run: Run, run_dir: Path) -> None:
    path = run_dir / "config.yaml"
    before = path.read_text()
    path.write_text(before.replace("supply: 250000", "supply: 260000"))
    assert path.read_text() != before
    result = run("replay", run_dir, "--rerun")
    assert result.exit_code == 2
    changed, refused = result.stderr.splitlines()
    assert changed.startswith("Not verified: 1 finding")
    assert "seal: config.yaml: is not what the run began with" in result.stdout
    assert "config.yaml is not the configuration that the run had" in refused


def test_a_run_without_capital_is_not_run_again(run: Run, run_dir: Path) -> None:
    path = run_dir / "metadata.json"
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps(metadata | {"options": metadata["options"] | {"flows": []}}))
    result = run("replay", run_dir, "--rerun")
    assert result.exit_code == 2
    assert "does not say how it was asked for" in result.stderr


def test_a_second_run_does_not_take_the_name_of_the_first(run: Run, run_dir: Path) -> None:
    result = run("replay", run_dir, "--rerun", "--out", "logs")
    assert result.exit_code == 2
    assert f"CONFIG-003: --out logs holds {run_dir}, and would hold two runs of one name" in result.stderr
    assert run("replay", run_dir.parent.name).exit_code == 0, "which is still found by its name"


def test_options_of_a_second_run_need_one(run: Run, run_dir: Path) -> None:
    result = run("replay", run_dir, "--data", "somewhere")
    assert result.exit_code == 2
    assert "--rerun" in result.stderr


def test_a_changed_log_is_found_before_it_is_run_again(run: Run, run_dir: Path) -> None:
    """The seals alone tell of a line that differs in what two runs may differ in: there the second run is the same."""
    path = run_dir / "events" / "positions.jsonl"
    text = path.read_text()
    path.write_text(text.replace(f'"pid":{run_dir.name}', f'"pid":{int(run_dir.name) + 1}', 1))
    assert path.read_text() != text
    result = run("replay", run_dir, "--rerun")
    assert "The runs are the same." in result.stdout
    assert "seal: positions.jsonl, lines 1 to" in result.stdout
    assert "Not verified" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize("options", [(), ("--rerun",)])
def test_a_run_without_an_event_log_is_no_log_that_was_changed(run: Run, options: tuple[str, ...]) -> None:
    made = run("backtest", "pure_lending_usdt", "--end", "2024-01-03", "--no-events", "--quiet")
    result = run("replay", made.stdout.strip(), *options)
    assert result.exit_code == 2
    assert "has no event files: the run kept no log (--no-events, `stress`); run the mode again" in result.stderr
    assert result.stdout == ""


def test_a_log_that_is_gone_as_a_whole_is_one_that_was_changed(run: Run, run_dir: Path) -> None:
    shutil.rmtree(run_dir / "events")
    result = run("replay", run_dir)
    assert result.exit_code == 1
    assert "✗  seals    1 finding\n" in result.stdout
    assert "✓" not in result.stdout
    assert "seal: seals.jsonl: has no seal, and there are no events" in result.stdout
    assert 'summary: summary.json: has end "2024-01-03T00:00:00Z"; null follows from the log' in result.stdout


def test_a_run_that_was_killed_before_its_first_seal_is_not_said_to_be_sealed(run: Run, run_dir: Path) -> None:
    for name in ("events/seals.jsonl", "summary.json"):
        (run_dir / name).unlink()
    metadata = json.loads((run_dir / "metadata.json").read_bytes())
    (run_dir / "metadata.json").write_text(json.dumps({**metadata, "status": "running"}))
    result = run("replay", run_dir)
    assert result.exit_code == 0, result.output
    assert "–  seals    there is none yet\n" in result.stdout
    events = json.loads(run("replay", run_dir, "--json").stdout)["events"]
    vouched = [line for line in result.stdout.splitlines() if "nothing vouches" in line]
    assert vouched == [f"Note: seals.jsonl has no seal: nothing vouches for {events} events"]


def test_a_log_of_which_only_the_seals_are_left_is_one_that_was_changed(run: Run, run_dir: Path) -> None:
    for path in (run_dir / "events").glob("*.jsonl"):
        if path.name != "seals.jsonl":
            path.unlink()
    result = run("replay", run_dir)
    assert result.exit_code == 1
    assert "seal: positions.jsonl: is missing" in result.stdout
