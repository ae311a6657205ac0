"""Defines the service that runs backtests inside an event loop, several side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from basis_actors.services.api import BacktestResult, finished, kept_in, request_of
from basis_actors.services.backtest import Backtest, Progress
from basis_actors.services.hosts import OnLoop
from basis_actors.services.inputs import FlowsLike, Moment
from basis_actors.services.preparation import Runtime, prepare
from basis_actors.services.results import make_result_apart, require_results

__all__ = ["BacktestService"]


class BacktestService:
    """Runs backtests without holding the event loop for more than a few milliseconds at a time.

        service = BacktestService()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run, "btc_basis")
            tasks.start_soon(service.run, "eth_basis")

    Configuration and data are loaded in a thread; the run itself goes on in slices on the loop, between which others
    have their turn; files are brought to disk in a thread, and results are made in a process of their own. Runs share
    nothing: each has a bus, a market, venues and a log of its own, and writes what it would have written alone.
    """

    def __init__(self) -> None:
        self._host = OnLoop()
        self._loading = asyncio.Lock()
        self._runs: list[Backtest] = []

    @property
    def running(self) -> tuple[str, ...]:
        """Correlation ids of the runs that have a log and have not ended, oldest first."""
        return tuple(run.correlation_id for run in self._runs)

    def cancel(self, correlation_id: str | None = None, reason: str = "cancelled") -> bool:
        """End one run, or all that are running, after the tick they are at. Their results are there, and partial.

        May be called from any thread. Returns whether there was anything to end.
        """
        found = [run for run in tuple(self._runs) if correlation_id in (None, run.correlation_id)]
        for run in found:
            run.cancel(reason)
        return bool(found)

    async def run(
        self,
        mode: str | Path,
        *,
        data: str | Path | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        capital: float | None = None,
        overrides: Mapping[str, object] | None = None,
        flows: FlowsLike = (),
        frictionless: bool = False,
        always_in: bool = False,
        seed: int | None = None,
        config: Sequence[str | Path] = (),
        out: str | Path = "logs",
        correlation_id: str | None = None,
        write_events: bool = True,
        log_level: str = "info",
        runtime: Runtime = "sim",
        fixed_clock: bool = False,
        results: str | Path | None = None,
        progress: Callable[[Progress], None] | None = None,
        check: bool = True,
    ) -> BacktestResult:
        """Like `basis_actors.backtest`, with the same arguments, result and errors.

        `progress` is called on the loop; the first call comes before the first tick, so it is a place to learn from
        `running` what to cancel. Cancelling the task ends the run as `cancel` does; its log is complete up to there and
        its metadata say partial. Once a result is being made, a cancellation waits for it.
        """
        request = request_of(
            mode, data=data, start=start, end=end, capital=capital, overrides=overrides, flows=flows,
            frictionless=frictionless, always_in=always_in, seed=seed, config=config, out=out,
            correlation_id=correlation_id, write_events=write_events, log_level=log_level, runtime=runtime,
            fixed_clock=fixed_clock,
        )  # fmt: skip
        root = None if results is None else Path(results)
        require_results(root, request)
        async with self._loading:
            # One at a time: threads that compute take turns with the loop, and each of them keeps it waiting.
            prepared = await self._host.aside(lambda: prepare(request))
        run = await self._host.aside(lambda: Backtest(prepared))
        self._runs.append(run)
        with run.held():
            try:
                summary = await run.run_async(progress or _ignore, self._host)
            finally:
                self._runs.remove(run)
            kept = None
            if root is not None:
                kept = await self._host.aside(lambda: kept_in(root, run.run_dir, make_result_apart))
        return finished(run, summary, request, kept, check=check)


def _ignore(_progress: Progress) -> None:
    """Nobody wants to know."""
