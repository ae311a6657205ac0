"""`BacktestService`: backtests inside an event loop, side by side, reported on and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

import basis_actors
from basis_actors import BacktestResult, BacktestService, ConfigError, Progress, RunFailed
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import StrategyDecision, SystemErrorEvent
from basis_actors.services.backtest import Backtest
from basis_actors.services.hosts import OnLoop
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.pure_lending import PureLending

LONG = "2026-01-01"


class Raising(PureLending):
    """Breaks at the second decision."""

    decisions = 0

    def decide(self, situation: Situation) -> Decision:
        self.decisions += 1
        if self.decisions == 2:
            raise ValueError("a wrong value")
        return super().decide(situation)


def complete(run_dir: Path) -> int:
    """The number of decisions in a log that is shown to be whole."""
    log = EventLog(run_dir)
    events = list(log.all())
    assert [event.sequence for event in events] == list(range(len(events)))
    assert log.torn == log.missing == ()
    assert not any(isinstance(event, SystemErrorEvent) for event in events)
    return sum(isinstance(event, StrategyDecision) for event in events)


def files_of(run_dir: Path) -> dict[str, bytes]:
    """Every file of a run but the summary, which names the folder."""
    paths = [path for path in run_dir.rglob("*") if path.is_file() and path.name != "summary.json"]
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in paths}


async def test_runs_side_by_side_write_the_bytes_that_each_writes_alone() -> None:
    requests: list[dict[str, Any]] = [
        {"mode": "btc_basis", "seed": 1, "always_in": True, "flows": {"2024-01-05": 5_000}},
        {"mode": "btc_basis", "seed": 2, "always_in": True},
        {"mode": "pure_lending_eth", "seed": 1, "frictionless": True},
    ]
    common = {"end": "2024-01-31", "fixed_clock": True, "correlation_id": "same"}
    service = BacktestService()
    together = await asyncio.gather(
        *(service.run(**request, **common, out=f"together/{number}") for number, request in enumerate(requests))
    )
    alone = [
        basis_actors.backtest(**request, **common, out=f"alone/{number}") for number, request in enumerate(requests)
    ]
    for one, other in zip(together, alone, strict=True):
        assert one.run_dir != other.run_dir
        assert files_of(one.run_dir) == files_of(other.run_dir)
        assert one.summary.equity_end == other.summary.equity_end
    assert len({result.summary.equity_end for result in alone}) == 3


async def test_runs_take_turns_slice_by_slice() -> None:
    turns: list[str] = []
    host = OnLoop()

    def prepared(mode: str) -> Backtest:
        return Backtest(prepare(BacktestRequest(mode=mode, end=datetime(2024, 2, 29, tzinfo=UTC))))

    runs = {mode: prepared(mode) for mode in ("btc_basis", "eth_basis")}
    await asyncio.gather(*(run.run_async(lambda _, mode=mode: turns.append(mode), host) for mode, run in runs.items()))  # type: ignore[misc]
    assert sum(before != after for before, after in pairwise(turns)) > 3


async def test_others_on_the_loop_have_their_turn_between_slices() -> None:
    """Counted in turns of the loop, not in time: somebody else runs again and again before the run has ended."""
    others = 0

    async def somebody_else() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    seen: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(somebody_else)
        await BacktestService().run("btc_basis", end="2024-02-29", progress=lambda _: seen.append(others))
        tasks.cancel_scope.cancel()
    during = seen[1:-1]
    assert len(during) > 3
    assert all(before < after for before, after in pairwise(during))


async def test_a_cancelled_run_gives_a_partial_result_whose_log_is_whole() -> None:
    service = BacktestService()

    def stop(progress: Progress) -> None:
        if progress.ticks and service.running == ("mine",):
            assert service.cancel("mine", "seen enough")

    result = await service.run("pure_lending_eth", end=LONG, progress=stop, correlation_id="mine")
    assert result.summary.partial
    assert result.summary.failure is None
    assert 0 < result.summary.ticks < 17_545
    assert complete(result.run_dir) == result.summary.ticks
    metadata = LogDirectoryManager.read_metadata(result.run_dir)
    assert (metadata.status, metadata.failure) == (RunStatus.PARTIAL, "seen enough")
    assert service.running == ()
    assert not service.cancel("mine")


async def test_a_run_can_be_cancelled_before_its_first_tick() -> None:
    service = BacktestService()
    result = await service.run("pure_lending_eth", end=LONG, progress=lambda _: service.cancel() or None)
    assert result.summary.partial
    assert result.summary.ticks == 0
    assert complete(result.run_dir) == 0


async def test_no_tick_begins_after_the_cancellation_of_a_live_run_whichever_turn_of_the_loop_it_comes_in() -> None:
    """Other timers are due together with the first tick, so it is about to begin when the bus has settled."""

    async def cancelled_after(turns: int) -> int:
        end = datetime(2024, 1, 1, 3, tzinfo=UTC)
        run = Backtest(prepare(BacktestRequest(mode="pure_lending_eth", end=end, runtime="live", out=Path(f"{turns}"))))

        async def cancel() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            run.cancel("seen enough")

        summary, _ = await asyncio.gather(run.run_async(), cancel())
        assert complete(run.run_dir) == summary.ticks
        return summary.ticks

    ticks = [await cancelled_after(0)]
    while ticks[-1] < 3:
        ticks.append(await cancelled_after(len(ticks)))
    assert ticks == sorted(ticks)
    assert ticks[0] == 0


async def test_cancelling_all_leaves_runs_of_other_services_alone() -> None:
    mine, yours = BacktestService(), BacktestService()

    def stop(progress: Progress) -> None:
        if progress.ticks:
            mine.cancel()

    stopped, ended = await asyncio.gather(
        mine.run("pure_lending_eth", end=LONG, progress=stop), yours.run("pure_lending_eth", end="2024-02-01")
    )
    assert stopped.summary.partial
    assert not ended.summary.partial


@pytest.mark.parametrize("runtime", ["sim", "live"])
@pytest.mark.parametrize("how", ["scope", "task"])
async def test_cancelling_the_task_flushes_the_log_and_raises_the_cancellation(how: str, runtime: Any) -> None:
    service = BacktestService()
    under_way = asyncio.Event()

    def note(progress: Progress) -> None:
        if progress.ticks:
            under_way.set()

    async def run() -> None:
        await service.run("pure_lending_eth", end=LONG, progress=note, correlation_id="mine", runtime=runtime)

    if how == "task":
        task = asyncio.create_task(run())
        await under_way.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await under_way.wait()
            tasks.cancel_scope.cancel()
        assert tasks.cancel_scope.cancelled_caught
    (run_dir,) = Path("logs/mine").iterdir()
    assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.PARTIAL
    log = EventLog(run_dir)
    events = list(log.all())
    assert [event.sequence for event in events] == list(range(len(events)))
    assert log.torn == log.missing == ()
    assert service.running == ()


async def test_a_failure_of_one_run_is_not_one_of_the_other(
    register: Callable[[str, type[Strategy]], None],
) -> None:
    register("pure_lending", Raising)
    service = BacktestService()
    failed, done = await asyncio.gather(
        service.run("pure_lending_eth", end="2024-01-10"),
        service.run("btc_basis", end="2024-01-10"),
        return_exceptions=True,
    )
    assert isinstance(failed, RunFailed)
    assert "a wrong value" in str(failed)
    assert failed.result.summary.ticks == 1
    assert isinstance(done, BacktestResult)
    assert done.summary.ticks == 217


async def test_bad_input_raises_as_it_does_without_a_loop() -> None:
    service = BacktestService()
    with pytest.raises(ConfigError, match="CONFIG-001"):
        await service.run("btc_bass")
    with pytest.raises(ConfigError, match="capital"):
        await service.run("btc_basis", capital=-1.0)
    assert service.running == ()
    assert not Path("logs").exists()


async def test_the_live_runtime_shares_the_loop_too() -> None:
    service = BacktestService()
    sim, live = await asyncio.gather(
        service.run("pure_lending_eth", end="2024-01-05"),
        service.run("pure_lending_eth", end="2024-01-05", runtime="live"),
    )
    assert sim.summary.attribution == live.summary.attribution
    assert sim.summary.events == live.summary.events
