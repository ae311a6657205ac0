"""`basis-actors report`: where the page goes, that it can be opened, and what cannot be reported on."""

from __future__ import annotations

import gzip
import shutil
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def finished(summary: Callable[..., dict[str, Any]]) -> Path:
    """Three days of lending on the synthetic market."""
    window = ("--start", "2024-01-01", "--end", "2024-01-04", "--correlation-id", "lent")
    return Path(summary("pure_lending_usdt", *window)["run_dir"])


def test_the_page_goes_to_the_run_directory(run: Run, finished: Path) -> None:
    for name in ("lent", str(finished), f"logs/{finished.parent.name}"):
        result = run("report", name)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{finished / 'report.html'}\n"
        assert (finished / "report.html").read_text().startswith("<!doctype html>")
        (finished / "report.html").unlink()


def test_the_page_of_a_result_goes_to_the_result(run: Run, finished: Path) -> None:
    shutil.copytree(finished, Path("results") / "mine" / "logs")
    assert run("report", "results/mine").stdout == "results/mine/report.html\n"
    assert Path("results/mine/report.html").is_file()


def test_it_goes_where_it_is_told(run: Run, finished: Path) -> None:
    assert run("report", "lent", "--out", "page.html").stdout == "page.html\n"
    assert Path("page.html").is_file()
    assert not (finished / "report.html").exists()


def test_it_is_opened_in_a_browser(run: Run, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tmp_path / "shown"
    script = tmp_path / "show"
    script.write_text(f'#!/bin/sh\necho "$1" > {shown}\n')
    script.chmod(0o700)
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setenv("BROWSER", f"{script} %s")
    assert run("report", "lent", "--open").exit_code == 0
    assert shown.read_text().strip() == (finished / "report.html").resolve().as_uri()


@pytest.mark.usefixtures("finished")
def test_without_a_browser_it_says_where_the_page_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    result = run("report", "lent", "--open")
    assert result.exit_code == 0
    assert "no browser could be started; open logs/lent/" in result.stderr


def _halved(path: Path) -> None:
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[: len(rows) // 2]))


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"junk")


def _unsealed(path: Path) -> None:
    path.with_name("seals.jsonl").unlink()


def _removed(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_halved, "bytes less than were written: events are missing"),
        (_emptied, "bytes less than were written: events are missing"),
        (_torn, "ends within a line, which is left out (4 bytes)"),
        (_unsealed, "has no seals.jsonl: whether events are missing cannot be told"),
        (_removed, "has no event files"),
    ],
)
def test_a_damaged_log_is_not_drawn_as_a_whole_one(
    run: Run, finished: Path, harm: Callable[[Path], None], said: str
) -> None:
    assert "✓" in Path(run("report", "lent").stdout.strip()).read_text()
    harm(finished / "events" / "pnl_calculations.jsonl")
    result = run("report", "lent")
    page = (finished / "report.html").read_text()
    assert result.exit_code == 0
    assert result.stderr.startswith("Note: ")
    assert said in result.stderr
    assert page.count(said) == 2, "at the top and with the errors"
    assert "✓" not in page


@pytest.mark.parametrize("harm", ["flipped", "emptied"])
@pytest.mark.parametrize("command", [("report", "lent"), ("logs", "at", "lent", "2024-01-02")])
def test_a_packed_segment_that_cannot_be_unpacked_is_named(
    run: Run, finished: Path, harm: str, command: tuple[str, ...]
) -> None:
    for stem in ("pnl_calculations", "positions"):
        path = finished / "events" / f"{stem}.jsonl"
        packed = bytearray(gzip.compress(path.read_bytes()))
        packed[10] |= 6  # a kind of block that there is not
        path.with_name(f"{stem}.000001.jsonl.gz").write_bytes(packed if harm == "flipped" else b"")
        path.write_bytes(b"")
    result = run(*command)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: LOG-004: event file logs/lent/")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lend",), "nearest: lent"),
        (("logs",), "logs is not a run directory"),
        (("lent", "--out", "nowhere/page.html"), "LOG-001: nowhere/page.html cannot be written: No such file"),
        (("lent", "--out", "logs"), "LOG-001: logs cannot be written"),
        (("lent", "--out", "/"), "LOG-001: / cannot be written: it is no regular file"),
        (("lent", "--out", ""), "LOG-001: . cannot be written: it is no regular file"),
        (("lent", "--out", "/dev/null"), "LOG-001: /dev/null cannot be written: it is no regular file"),
        (("lent", "--out", "logs/lent/PID/summary.json"), "summary.json is a file of the run"),
        (("lent", "--out", "logs/lent/PID/events/positions.jsonl"), "positions.jsonl is a file of the run"),
        (
            ("lent", "--out", "results/lent/summary.json"),
            "LOG-001: results/lent/summary.json is there already and is no",
        ),
        (("x" * 300,), f"run {'x' * 200!r} is neither a path nor a name"),
        (("a\0b",), "is neither a path nor a name"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run: Run, finished: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("report", *(argument.replace("PID", finished.name) for argument in arguments))
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.usefixtures("finished")
def test_only_a_page_or_an_empty_file_is_replaced(run: Run) -> None:
    page = Path("elsewhere.html")
    for before in ("", "<!DOCTYPE html>\nof another run"):
        page.write_text(before)
        assert run("report", "lent", "--out", page).exit_code == 0
        assert "lent" in page.read_text()
    for before in ("mode: btc_basis\n", "\0"):
        page.write_text(before)
        result = run("report", "lent", "--out", page)
        assert result.exit_code == 2
        assert f"{page} is there already and is no page; choose another file" in result.stderr
        assert page.read_text() == before
