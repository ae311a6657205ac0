"""The results store: what a result holds, that it is the run's, and what is refused."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from tests.results.runs import START, run_directory

from basis_actors.errors import BasisError
from basis_actors.finance.metrics import max_drawdown
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.locate import find_run
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import EVENT_TYPES, PnLCalculation, StrategyDecision
from basis_actors.results.building import ResultProgress
from basis_actors.results.run_files import read_summary
from basis_actors.results.store import ResultStore
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

TOP = {"config.yaml", "csv", "data_report.json", "equity.csv", "logs", "parquet", "report.html", "summary.json"}


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def copied(run_dir: Path, tmp_path: Path) -> Path:
    """A run directory that a test may change."""
    return Path(shutil.copytree(run_dir, tmp_path / "logs" / "first" / "1"))


def test_a_result_holds_the_run_directory_and_a_table_of_each_event_type(store: ResultStore, run_dir: Path) -> None:
    folder = store.root / "first"
    assert {path.name for path in folder.iterdir()} == TOP
    assert everything(folder / "logs") == everything(run_dir)
    assert find_run(folder) == folder / "logs"
    for ending in ("csv", "parquet"):
        assert {path.name for path in (folder / ending).iterdir()} == {f"{kind.FILE}.{ending}" for kind in EVENT_TYPES}
    for name in ("config.yaml", "data_report.json"):
        assert (folder / name).read_bytes() == (run_dir / name).read_bytes()
    summary = json.loads((folder / "summary.json").read_bytes())
    assert summary == json.loads((run_dir / "summary.json").read_bytes()) | {"run_dir": "logs", "result_dir": "."}


def test_the_log_is_linked_and_not_copied(store: ResultStore, run_dir: Path) -> None:
    linked = store.root / "first" / "logs" / "events" / "positions.jsonl"
    assert linked.samefile(run_dir / "events" / "positions.jsonl")


def test_the_equity_curve_is_that_of_the_log_at_the_end_of_each_tick(store: ResultStore) -> None:
    result = store.load("first")
    frame, summary = result.equity, result.summary
    log = EventLog(result.run_dir)
    logged = log.series(PnLCalculation, "equity")
    flows = log.series(PnLCalculation, "external_flows")
    last = ~logged.index.duplicated(keep="last")
    assert list(frame.columns) == ["equity", "index", "drawdown", "external_flows", "daily_index"]
    assert list(frame.index) == list(logged.index[last])
    assert frame["equity"].tolist() == logged[last].tolist()
    assert frame["external_flows"].tolist() == flows[last].tolist()
    assert len(frame) == summary.ticks
    assert frame["external_flows"].iloc[-1] == summary.external_flows == 15_000.0
    assert frame["index"].iloc[-1] == pytest.approx(1.0 + summary.total_return, rel=1e-12)

    # Time-weighted by another way: each calculation's return on the equity before it, flows taken out.
    steps = (logged - flows.diff().fillna(0.0)) / logged.shift(1)
    grown = steps.fillna(logged.iloc[0] / 100_000.0).cumprod()
    assert frame["index"].tolist() == pytest.approx(grown[last].tolist(), rel=1e-9)
    assert max_drawdown([1.0, *grown]) == pytest.approx(summary.max_drawdown_intraday, rel=1e-6)
    peaks = grown.cummax().clip(lower=1.0)
    assert frame["drawdown"].tolist() == pytest.approx((1.0 - grown / peaks)[last].tolist(), abs=1e-9)


def test_a_loaded_result_gives_tables_configuration_and_data(store: ResultStore) -> None:
    result = store.load(str(store.root / "first"))
    assert result.config["mode"]["strategy_config"]["always_in"] is True
    assert result.data_report.synthetic_seed == 7
    decisions = result.events(StrategyDecision)
    assert isinstance(decisions.index, pd.DatetimeIndex)
    assert len(decisions) == result.summary.ticks
    calculations = result.events(PnLCalculation)
    assert calculations["attribution_total"].iloc[-1] == result.summary.attribution


@pytest.mark.parametrize("name", ["equity.csv", "parquet/strategy_decisions.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00" * 50, b"a,b\n1,2\n"])
def test_a_table_that_is_not_as_it_was_made_is_named(
    store: ResultStore, tmp_path: Path, name: str, content: bytes | None
) -> None:
    root = Path(shutil.copytree(store.root, tmp_path / "results"))
    path = root / "first" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    result = ResultStore(root).load("first")
    with pytest.raises(BasisError, match=rf"LOG-003: .*{path.name} cannot be read: .*make it again"):
        _ = result.equity if path.suffix == ".csv" else result.events(StrategyDecision)


def test_progress_tells_of_every_event(run_dir: Path, tmp_path: Path) -> None:
    told: list[ResultProgress] = []
    made = ResultStore(tmp_path).make(run_dir, told.append)
    assert told[-1].events == told[-1].total == made.summary.events
    assert [progress.doing for progress in told] == [kind.FILE for kind in EVENT_TYPES if kind.FILE != "system_errors"]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for place in ("one", "two"):
        made = run_directory(tmp_path / place, "same", days=2, always_in=True, fixed_clock=True)
        contents.append(everything(ResultStore(tmp_path / place / "results").make(made).path))
    assert contents[0] == contents[1]


def test_a_run_has_one_result(store: ResultStore, run_dir: Path) -> None:
    before = everything(store.root)
    with pytest.raises(BasisError, match=r"LOG-003: .*first exists already: .*results delete first"):
        store.make(run_dir)
    assert everything(store.root) == before
    assert {path.name for path in store.root.iterdir()} == {"first"}


def test_failed_and_interrupted_runs_have_results_that_say_so(tmp_path: Path) -> None:
    def stop(after: int) -> Backtest:
        backtest = Backtest(prepare(BacktestRequest(mode="pure_lending_eth", out=tmp_path, correlation_id="stopped")))
        backtest.run(lambda progress: backtest.cancel("enough") if progress.ticks > after else None)
        return backtest

    partial = stop(100).run_dir
    store = ResultStore(tmp_path / "results")
    assert store.make(partial).metadata.status is RunStatus.PARTIAL
    failed = Path(shutil.copytree(partial, tmp_path / "failed"))
    metadata = LogDirectoryManager.read_metadata(failed)
    described = msgspec.structs.replace(metadata, correlation_id="broken", status=RunStatus.FAILED, failure="it broke")
    (failed / "metadata.json").write_bytes(msgspec.json.encode(described))
    summary = msgspec.structs.replace(read_summary(failed), failure="it broke", events=10_000_000)
    (failed / "summary.json").write_bytes(msgspec.json.encode(summary))
    with (failed / "events" / "positions.jsonl").open("ab") as file:
        file.write(b'{"timestamp":"2024-0')
    assert store.make(failed).metadata.failure == "it broke"
    assert [result.metadata.status for result in store.list()] == [RunStatus.FAILED, RunStatus.PARTIAL]


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (lambda folder: (folder / "metadata.json").unlink(), "LOG-003", "is not a run directory"),
        (lambda folder: (folder / "summary.json").unlink(), "LOG-003", "summary.json cannot be read"),
        (lambda folder: (folder / "config.yaml").unlink(), "LOG-003", "config.yaml"),
        (lambda folder: shutil.rmtree(folder / "events"), "LOG-003", "holds no event files"),
        (lambda folder: (folder / "events" / "tight_loop.jsonl").unlink(), "LOG-004", "summary.json counts"),
        (lambda folder: torn(folder / "events" / "positions.jsonl"), "LOG-004", "positions.jsonl ends in a torn line"),
        (lambda folder: broken(folder / "events" / "positions.jsonl"), "LOG-004", "positions.jsonl, line 1"),
        (lambda folder: (folder / "summary.json").write_text("{}"), "LOG-004", "missing required field"),
        (lambda folder: status(folder, RunStatus.RUNNING), "LOG-003", "belongs to a run that was killed"),
    ],
)
def test_what_is_not_the_whole_directory_of_a_run_is_refused_and_leaves_nothing(
    copied: Path, tmp_path: Path, spoil: Callable[[Path], object], code: str, message: str
) -> None:
    spoil(copied)
    with pytest.raises(BasisError, match=message) as caught:
        ResultStore(tmp_path / "results").make(copied)
    assert caught.value.code == code
    assert not list(tmp_path.glob("results/*"))
    assert not list(tmp_path.glob("results/.*"))


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"positions"', b'"position"', 1))


def status(folder: Path, now: RunStatus) -> None:
    metadata = msgspec.structs.replace(LogDirectoryManager.read_metadata(folder), status=now)
    (folder / "metadata.json").write_bytes(msgspec.json.encode(metadata))


def test_results_are_found_by_name_and_the_nearest_are_named(store: ResultStore) -> None:
    result, files = store.show("first")
    assert result.bytes == sum(file.bytes for file in files) == sum(map(len, everything(result.path).values()))
    assert {file.name for file in files} == everything(result.path).keys()
    for given in ("frist", f"elsewhere/{'first'}", ""):
        with pytest.raises(BasisError, match=r"LOG-003: there is no result"):
            store.show(given)
    with pytest.raises(BasisError, match="nearest: first"):
        store.load("frist")


def test_a_folder_without_results_has_none(tmp_path: Path) -> None:
    assert ResultStore(tmp_path / "nowhere").list() == ()
    (tmp_path / "mine").mkdir()
    (tmp_path / "note.txt").touch()
    assert ResultStore(tmp_path).list() == ()
    with pytest.raises(BasisError, match=r"LOG-003: folder of results .* cannot be read"):
        ResultStore(tmp_path / "note.txt").list()


def test_the_newest_run_is_last_and_what_cannot_be_read_is_said(copied: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    store.make(copied)
    later = run_directory(tmp_path, "a-later-one", "pure_lending_eth", days=1)
    store.make(later)
    assert [result.id for result in store.list()] == ["first", "a-later-one"]
    assert store.damaged == ()
    (store.root / "first" / "summary.json").write_text("{}")
    assert [result.id for result in store.list()] == ["a-later-one"]
    (problem,) = store.damaged
    assert problem.code == "LOG-004"
    assert "first/summary.json" in str(problem)


@pytest.mark.parametrize(("call", "last"), [("read_bytes", "metadata.json"), ("stat", "equity.csv")])
def test_what_somebody_deletes_meanwhile_is_not_listed(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, last: str
) -> None:
    root = Path(shutil.copytree(store.root, tmp_path / "results"))
    shutil.copytree(root / "first", root / "second")
    real = getattr(Path, call)

    def vanishing(path: Path, **how: Any) -> Any:
        found = real(path, **how)
        if path.name == last and path.is_relative_to(root / "first"):
            shutil.rmtree(root / "first", ignore_errors=True)
        return found

    monkeypatch.setattr(Path, call, vanishing)
    other = ResultStore(root)
    assert [result.path.name for result in other.list()] == ["second"]
    assert other.damaged == ()


def test_a_deleted_result_is_gone_and_the_run_directory_is_not(copied: Path, tmp_path: Path) -> None:
    before = everything(copied)
    store = ResultStore(tmp_path / "results")
    store.make(copied)
    store.delete("first")
    assert list(store.root.iterdir()) == []
    assert everything(copied) == before
    with pytest.raises(BasisError, match="there is no result 'first'"):
        store.delete("first")
    assert store.make(copied).id == "first"


def test_a_result_outlives_its_run_directory(copied: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    store.make(copied, lambda _: shutil.rmtree(copied, ignore_errors=True))
    assert not copied.exists()
    result = store.load("first")
    assert sum(1 for _ in EventLog(result.run_dir).all()) == result.summary.events


def test_a_log_in_segments_gives_the_same_tables(copied: Path, store: ResultStore, tmp_path: Path) -> None:
    last = copied / "events" / "positions.jsonl"
    lines = last.read_bytes().splitlines(keepends=True)
    (copied / "events" / "positions.000001.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[:50])))
    (copied / "events" / "positions.000002.jsonl").write_bytes(b"".join(lines[50:90]))
    last.write_bytes(b"".join(lines[90:]))
    (copied / "a-note").write_bytes(b"kept as well")
    made = ResultStore(tmp_path / "results").make(copied)
    assert everything(made.run_dir) == everything(copied)
    for table in ("csv/positions.csv", "parquet/positions.parquet", "equity.csv"):
        assert (made.path / table).read_bytes() == (store.root / "first" / table).read_bytes()


def test_a_run_that_goes_on_has_no_result(tmp_path: Path) -> None:
    backtest = Backtest(prepare(BacktestRequest(mode="pure_lending_eth", out=tmp_path, end=START)))
    with pytest.raises(BasisError, match=r"LOG-003: .* belongs to a run that goes on"):
        ResultStore(tmp_path / "results").make(backtest.run_dir)
    backtest.run()
    ResultStore(tmp_path / "results").make(backtest.run_dir)
