"""The argument `results` of the Python API: where the result is, and what becomes of a run whose result fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import basis_actors
from basis_actors import BacktestService, BasisError, ConfigError, ResultFailed, ResultStore, RunFailed
from basis_actors.cli.running import Shown
from basis_actors.cli.running import run as run_command
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.retention import Retention, old_runs
from basis_actors.services import service as services
from basis_actors.services.inputs import moment_of
from basis_actors.services.preparation import BacktestRequest
from basis_actors.services.results import make_result_apart
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.pure_lending import PureLending

END = "2024-01-03"


class Raising(PureLending):
    """Breaks at the first decision."""

    def decide(self, situation: Situation) -> Decision:
        raise ValueError("a wrong value")


def test_no_result_is_made_unless_it_is_asked_for() -> None:
    result = basis_actors.backtest("pure_lending_eth", end=END)
    assert result.result_dir is None
    assert not Path("results").exists()


def test_the_result_is_where_it_was_asked_for() -> None:
    result = basis_actors.backtest("pure_lending_eth", end=END, results="kept", correlation_id="mine")
    assert result.result_dir == Path("kept/mine")
    assert result.summary.result_dir == "kept/mine"
    assert str(result).splitlines()[-1] == "Result: kept/mine"
    assert ResultStore(Path("kept")).load("mine").summary.equity_end == result.summary.equity_end


@pytest.mark.parametrize("runner", ["command", "function", "service"])
async def test_nobody_prunes_a_run_before_its_result_is_there(runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[object]] = []

    def look(run_dir: Path, making: Callable[[], object]) -> object:
        ended = LogDirectoryManager.read_metadata(run_dir).status is RunStatus.COMPLETED
        now = datetime.now(UTC) + timedelta(hours=1)
        seen.append([ended, *filter(None, old_runs(run_dir.parents[1], now, Retention(timedelta(0), timedelta(0))))])
        return making()

    make, apart = ResultStore.make, make_result_apart
    monkeypatch.setattr(ResultStore, "make", lambda store, at, *more: look(at, lambda: make(store, at, *more)))
    monkeypatch.setattr(services, "make_result_apart", lambda at, root: look(at, lambda: apart(at, root)))
    if runner == "command":
        request = BacktestRequest(mode="pure_lending_eth", end=moment_of(END, "end"), correlation_id="mine")
        assert run_command(request, Shown.PLACE, store=Path("results"), progress=False) == 0
    elif runner == "function":
        basis_actors.backtest("pure_lending_eth", end=END, results="results", correlation_id="mine")
    else:
        await BacktestService().run("pure_lending_eth", end=END, results="results", correlation_id="mine")
    assert seen == [[True]]
    assert not [*Path().rglob("run.lock")]


async def test_the_service_makes_the_same_result_while_others_go_on() -> None:
    alone = basis_actors.backtest(
        "btc_basis", end=END, always_in=True, correlation_id="same", fixed_clock=True, out="a", results="alone"
    )
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(somebody_else())
    seen: list[int] = []
    result = await BacktestService().run(
        "btc_basis", end=END, always_in=True, correlation_id="same", fixed_clock=True, out="b", results="together",
        progress=lambda _: seen.append(turns),
    )  # fmt: skip
    during = turns - seen[-1]
    other.cancel()
    assert during > 100, "turns of the loop while the result was made"
    assert all(before <= after for before, after in pairwise(seen))
    assert result.result_dir is not None
    assert alone.result_dir is not None
    files = [{path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
             for folder in (alone.result_dir, result.result_dir)]  # fmt: skip
    assert files[0] == files[1]


def test_what_cannot_be_kept_is_refused_before_anything_is_run() -> None:
    with pytest.raises(ConfigError, match="CONFIG-003: a result in kept is made of the event log"):
        basis_actors.backtest("pure_lending_eth", end=END, results="kept", write_events=False)
    Path("kept/mine").mkdir(parents=True)
    with pytest.raises(BasisError, match="LOG-003: kept/mine exists already"):
        basis_actors.backtest("pure_lending_eth", end=END, results="kept", correlation_id="mine")
    assert not Path("logs").exists()


def test_a_run_whose_result_cannot_be_made_gives_its_numbers_all_the_same() -> None:
    Path("kept").touch()
    with pytest.raises(ResultFailed, match="LOG-003: folder of results kept cannot be made") as caught:
        basis_actors.backtest("pure_lending_eth", end=END, results="kept")
    result = caught.value.result
    assert result.summary.ticks == 49
    assert result.result_dir is None
    assert len(result.equity) == 49


async def test_the_service_raises_what_its_process_says() -> None:
    Path("kept").touch()
    with pytest.raises(ResultFailed, match="LOG-003: folder of results kept cannot be made"):
        await BacktestService().run("pure_lending_eth", end=END, results="kept")


def test_a_failed_run_has_a_result_and_is_what_is_raised(register: Callable[[str, type[Strategy]], None]) -> None:
    register("pure_lending", Raising)
    with pytest.raises(RunFailed) as caught:
        basis_actors.backtest("pure_lending_eth", end=END, results="kept", correlation_id="mine")
    assert caught.value.result.result_dir == Path("kept/mine")
    with pytest.raises(RunFailed) as caught:
        basis_actors.backtest("pure_lending_eth", end=END, results="logs/mine/metadata", correlation_id="two")
    assert caught.value.__cause__ is None
    Path("file").touch()
    with pytest.raises(RunFailed) as caught:
        basis_actors.backtest("pure_lending_eth", end=END, results="file", correlation_id="three")
    assert isinstance(caught.value.__cause__, ResultFailed)


def test_a_process_that_says_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(BasisError, match="LOG-001: the result of logs/x was not made: its process ended with code 1"):
        make_result_apart(Path("logs/x"), Path("kept"))
