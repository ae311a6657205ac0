"""`basis-actors simulate`: what it prints, the exit code it ends with, and what it refuses before any story is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.simulation.plants import resend_on_timeout
from typer.testing import Result

Run = Callable[..., Result]
TWO_DAYS = ("--hours", "48")


def test_one_story_is_told_unless_more_are_asked_for(run: Run) -> None:
    result = run("simulate", "btc_basis", *TWO_DAYS)
    assert result.exit_code == 0
    assert "stories     1 of 48 hours each" in result.stdout
    assert "invariants  all hold" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_the_same_seed_prints_the_same(run: Run) -> None:
    first, second = (run("simulate", "btc_basis", "--seed", 5, *TWO_DAYS, "--json") for _ in range(2))
    assert first.stdout == second.stdout
    (line,) = first.stdout.splitlines()
    report = json.loads(line)
    assert report["seed"] == 5
    assert report["problems"] == []
    assert set(report) == {
        "equity",
        "failures",
        "faults",
        "kills",
        "orders",
        "problems",
        "processes",
        "seed",
        "stops",
    }
    assert report["processes"] == 1 + report["kills"] + report["failures"]


def test_a_range_has_both_its_ends(run: Run) -> None:
    result = run("simulate", "btc_basis", "--seeds", "3..5", *TWO_DAYS, "--json")
    assert [json.loads(line)["seed"] for line in result.stdout.splitlines()] == [3, 4, 5]
    assert run("simulate", "btc_basis", "--seed", 4, *TWO_DAYS, "--json").stdout == result.stdout.splitlines(True)[1]


def test_a_story_in_which_something_is_wrong_says_how_to_tell_it_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resend_on_timeout(monkeypatch)
    result = run("simulate", "eth_basis", "--seed", 0, "--keep", "kept")
    assert result.exit_code == 1
    first, problem, *_ = result.stdout.splitlines()
    assert first == "seed 0  (basis-actors simulate eth_basis --hours 168 --seed 0)"
    assert "was carried out 2 times" in problem
    assert "invariants  broken in 1" in result.stdout
    assert (tmp_path / "kept" / "seed-0" / "0" / "metadata.json").is_file()
    as_json = run("simulate", "eth_basis", "--seed", 0, "--json")
    assert as_json.exit_code == 1
    assert any("was carried out 2 times" in text for text in json.loads(as_json.stdout)["problems"])


def test_nothing_is_kept_of_a_story_that_holds(run: Run, tmp_path: Path) -> None:
    assert run("simulate", "btc_basis", *TWO_DAYS, "--keep", "kept").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_what_was_kept_before_is_not_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kept" / "seed-1").mkdir(parents=True)
    result = run("simulate", "btc_basis", "--seeds", "0..1", *TWO_DAYS, "--keep", "kept")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "CONFIG-003: kept/seed-1 is there already; delete it, or keep logs in another folder" in result.stderr
    assert run("simulate", "btc_basis", "--seed", 0, *TWO_DAYS, "--keep", "kept").exit_code == 0


def test_logs_cannot_be_kept_in_a_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept").touch()
    result = run("simulate", "btc_basis", *TWO_DAYS, "--keep", "kept")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "CONFIG-003: kept is no folder to keep logs in; choose another" in result.stderr
    resend_on_timeout(monkeypatch)
    result = run("simulate", "eth_basis", "--seed", 0, "--keep", "kept/below")
    assert result.exit_code == 2
    assert "CONFIG-003: seed-0 cannot be kept in kept/below: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("btc_basis", "--seeds", "5..3"), "CONFIG-003: --seeds is '5..3'; A..B with whole numbers"),
        (("btc_basis", "--seeds", "5"), "CONFIG-003: --seeds is '5'; A..B"),
        (("btc_basis", "--seeds", "a..b"), "CONFIG-003: --seeds is 'a..b'; A..B"),
        (("btc_basis", "--seeds", "-1..3"), "CONFIG-003: --seeds is '-1..3'; A..B"),
        (("btc_basis", "--seeds", f"0..{'9' * 30}"), "CONFIG-003: --seeds is '0..9"),
        (("btc_basis", "--seeds", f"0..{'9' * 5000}"), "CONFIG-003: --seeds is '0..9"),
        (("btc_basis", "--hours", "99999999"), "CONFIG-003: a story of 99999999 hours is too long; 876,000 at most"),
        (("btc_basis", "--seed", "1", "--seeds", "1..2"), "CONFIG-003: --seed and --seeds were both given"),
        (("btc_basis", "--hours", "5"), "CONFIG-003: a story of 5 hours cannot come to rest; 24 or more are needed"),
        (("pure_lending_usdt",), "CONFIG-003: mode pure_lending_usdt trades on no exchange"),
        (("btc_bassis",), "CONFIG-001"),
        (("nowhere/mode.yaml",), "CONFIG-001"),
    ],
)
def test_bad_input_is_said_in_one_line(run: Run, arguments: tuple[str, ...], text: str) -> None:
    result = run("simulate", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert text in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
def test_a_seed_is_a_whole_number(run: Run, seed: str) -> None:
    assert run("simulate", "btc_basis", "--seed", seed, *TWO_DAYS).exit_code == 2
