"""A run that did not end well has an honest page; one that cannot be read, or not be written, an honest error."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine.play import ALWAYS_IN, flow
from tests.results.report.conftest import START, Make, Page
from tests.results.report.hostile import HOSTILE

from basis_actors.config.scenarios import load_scenario
from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import DomainEvent
from basis_actors.results.report import write_report
from basis_actors.results.report.page import report_page
from basis_actors.results.report.record import RunRecord
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.strategies.base import Decision, Situation
from basis_actors.strategies.basis import Basis
from basis_actors.strategies.registry import STRATEGIES

Report = Callable[[Path], Page]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """The report of a run directory."""

    def make(run_dir: Path) -> Page:
        target = tmp_path / "page.html"
        write_report(run_dir, target)
        return Page(target)

    return make


@pytest.fixture
def backtest(tmp_path: Path) -> Callable[..., Backtest]:
    """A prepared run of a few synthetic days."""

    def make(mode: str = "btc_basis", *, hours: int = 72, **request: Any) -> Backtest:
        request = {"settings": (ALWAYS_IN,), **request}
        end = START + timedelta(hours=hours)
        return Backtest(prepare(BacktestRequest(mode=mode, start=START, end=end, out=tmp_path, **request)))

    return make


@pytest.fixture
def killed(run_of: Make, tmp_path: Path) -> Path:
    """What a kill leaves: no summary, a status that says running, a torn line."""
    run_dir = tmp_path / "killed"
    shutil.copytree(run_of("usdt_market_neutral"), run_dir)
    (run_dir / "summary.json").unlink()
    metadata = json.loads((run_dir / "metadata.json").read_text())
    (run_dir / "metadata.json").write_text(json.dumps(metadata | {"status": "running", "finished_at": None}))
    with (run_dir / "events" / "risk_assessments.jsonl").open("ab") as file:
        file.write(b'{"timestamp":"2024-01-1')
    return run_dir


def test_a_killed_run_is_summed_up_from_its_log(killed: Path, run_of: Make, report: Report) -> None:
    page = report(killed)
    before = json.loads((run_of("usdt_market_neutral") / "summary.json").read_text())
    assert "The run was killed: it left no summary." in page.text
    assert f"{before['equity_end']:,.2f}" in page.text
    assert f"{before['orders']:,}" in page.text
    assert "USDT" in page.text
    assert "risk_assessments.jsonl ends within a line, which is left out (23 bytes)" in page.text
    assert {"equity", "attribution", "health", "margin"} <= set(page.charts)


class Growing(EventLog):
    """A log that is longer each time it is read."""

    def _project(self, kind: type[DomainEvent], field: str, trigger: str | None) -> list[Any]:
        rows = super()._project(kind, field, trigger)
        path = self.run_dir / "events" / f"{kind.FILE}.jsonl"
        with path.open("rb") as file:
            last = file.readlines()[-1]
        with path.open("ab") as file:
            file.write(last)
        return rows


def test_a_run_that_goes_on_has_a_page(run_of: Make, tmp_path: Path) -> None:
    run_dir = tmp_path / "growing"
    shutil.copytree(run_of("usdt_market_neutral"), run_dir)
    record = RunRecord(run_dir)
    record.log = Growing(run_dir)
    target = tmp_path / "page.html"
    target.write_text(report_page(record))
    assert {"equity", "attribution", "health", "exposure", "positions"} <= set(Page(target).charts)


def test_a_run_without_a_tick_says_so_and_draws_nothing(tmp_path: Path, report: Report) -> None:
    run_dir = LogDirectoryManager.create_run_logs("none", 1, "btc_basis", "basis", 1000.0, tmp_path)
    page = report(run_dir)
    assert "The run never came to a tick." in page.text
    assert page.charts == {}


def test_a_run_of_one_tick_has_a_page(backtest: Callable[..., Backtest], report: Report) -> None:
    run = backtest(hours=0)
    run.run()
    page = report(run.run_dir)
    assert "1 tick" in page.text
    assert "100,000.00" in page.text
    assert page.charts == {}


def test_a_run_without_event_log_has_the_numbers_of_its_summary(
    backtest: Callable[..., Backtest], report: Report
) -> None:
    run = backtest(write_events=False)
    summary = run.run()
    page = report(run.run_dir)
    assert "There is no event log to draw from." in page.text
    assert page.charts == {}
    assert summary.total_pnl is not None
    assert f"{summary.attribution['funding']:+,.2f}" in page.text


def test_an_interrupted_run_says_so(backtest: Callable[..., Backtest], report: Report) -> None:
    run = backtest()
    run.run(lambda progress: run.cancel("Ctrl-C") if progress.ticks else None)
    page = report(run.run_dir)
    assert LogDirectoryManager.read_metadata(run.run_dir).status is RunStatus.PARTIAL
    assert "The run was interrupted after" in page.text
    assert "Ctrl-C" in page.text


@pytest.fixture
def raises() -> Iterator[None]:
    """A basis strategy that raises after two days, with markup in what it says."""

    class Raises(Basis):
        ticks = 0

        def decide(self, situation: Situation) -> Decision:
            self.ticks += 1
            if self.ticks > 48:
                raise ValueError(HOSTILE)
            return super().decide(situation)

    before = STRATEGIES["basis"]
    STRATEGIES["basis"] = Raises
    yield
    STRATEGIES["basis"] = before


@pytest.mark.usefixtures("raises")
def test_a_failed_run_says_why(backtest: Callable[..., Backtest], report: Report) -> None:
    run = backtest()
    run.run()
    page = report(run.run_dir)
    assert "The run failed." in page.text
    assert "What follows is what it came to until then." in page.text
    assert "onerror=alert(1)" in page.text
    assert_clean(page)


def test_a_run_that_risk_stopped_says_so(backtest: Callable[..., Backtest], report: Report) -> None:
    run = backtest("usdt_market_neutral", hours=30 * 24, scenario=load_scenario("stale_oracle"), settings=())
    summary = run.run()
    assert summary.stopped is not None
    page = report(run.run_dir)
    assert "Trading was stopped before the end." in page.text
    assert "RISK-002" in page.text


def test_money_of_the_owner_is_marked_and_no_return(backtest: Callable[..., Backtest], report: Report) -> None:
    flows = (flow("2024-01-11T00:00", 25_000.0), flow("2024-01-12T06:00", -10_000.0))
    run = backtest("pure_lending_usdt", settings=(), flows=flows)
    summary = run.run()
    page = report(run.run_dir)
    marks = {
        trace["name"]: list(trace["customdata"])
        for trace in page.charts["equity"]["data"]
        if trace["name"] in ("Deposit", "Withdrawal")
    }
    assert marks == {"Deposit": [25_000.0], "Withdrawal": [10_000.0]}
    assert "✓ the change of equity less flows" in page.text
    assert summary.total_return is not None
    months = next(row for row in page.rows if row[0] == "2024")
    assert months[1].replace("\u00a0", " ") == f"{summary.total_return:+.2%}".replace("%", " %").replace("-", "−")


def assert_clean(page: Page) -> None:
    """Nothing that a log says has become markup."""
    assert sum(tag == "script" for tag, _ in page.elements) in (2, 3)
    assert not any(tag == "img" for tag, _ in page.elements)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "'hacked'</script>" not in page.source


def test_whatever_a_log_says_is_text(hostile: Path, report: Report) -> None:
    page = report(hostile)
    assert page.text.count("document.title = 'hacked'") > 60
    assert {"equity", "orders-btc", "positions"} <= set(page.charts)
    assert_clean(page)


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("summary.json", "{", "LOG-004"),
        ("data_report.json", "{}", "LOG-004"),
        ("config.yaml", "mode: [", "LOG-004"),
        ("metadata.json", "[]", "LOG-003"),
        ("events/pnl_calculations.jsonl", "not a line\n", "LOG-004"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(run_of: Make, tmp_path: Path, file: str, text: str, code: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(run_of("pure_lending_usdt"), run_dir)
    (run_dir / file).write_text(text)
    with pytest.raises(BasisError, match=Path(file).name) as caught:
        write_report(run_dir, tmp_path / "page.html")
    assert caught.value.code == code
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written_leaves_the_old_one(run_of: Make, tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    for target in (tmp_path / "missing" / "page.html", folder):
        with pytest.raises(BasisError, match="cannot be written") as caught:
            write_report(run_of("pure_lending_usdt"), target)
        assert caught.value.code == "LOG-001"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_disk_that_fills_up_leaves_the_old_page(
    run_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "page.html"
    target.write_text("before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BasisError, match=r"LOG-001: .*page.html cannot be written: No space left on device"):
        write_report(run_of("pure_lending_usdt"), target)
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
