"""How long `BacktestService` holds the event loop at most, in milliseconds, while a year of `btc_basis` runs in it and
its result is made.

A second task asks for its turn all the time and takes down how long each one took to come. A run that is called in one
piece on the loop is the baseline. Both are counted in processor time of the thread, so that what other processes take
is not charged to either; the time on the wall is given beside it.
Run it as `python benchmarks/loop_hold.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from basis_actors import BacktestService, Progress, backtest
from basis_actors.services.preparation import BacktestRequest
from measuring import Options, Row, quiet_start, report


class Turns:
    """Asks for its turn on the loop for as long as it is on, and keeps the longest wait."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.longest = 0.0
        self._clock = clock

    async def take(self) -> None:
        """Run until cancelled."""
        before = self._clock()
        while True:
            await asyncio.sleep(0)
            now = self._clock()
            self.longest = max(self.longest, now - before)
            before = now


def measure(options: Options) -> Sequence[Row]:
    """The longest slice while the run goes on and its result is made, and the longest wait including loading."""
    held: list[float] = []
    waited: list[float] = []
    whole: list[float] = []
    for _ in range(options.repeats):
        with quiet_start() as folder:
            during, wall = asyncio.run(_longest(options.request(folder)))
        with quiet_start() as folder:
            request = options.request(folder)
            begin = time.thread_time()
            backtest("btc_basis", data=request.data, start=request.start, end=request.end, out=request.out)
            whole.append((time.thread_time() - begin) * 1e3)
        held.append(during * 1e3)
        waited.append(wall * 1e3)
    one_piece = min(whole)
    return [
        Row(
            measure="event loop, held by a run at most",
            value=max(held),
            unit="ms of processor",
            baseline=one_piece,
            ratio=max(held) / one_piece,
            compared_with="the same run in one piece on the loop",
        ),
        Row(measure="event loop, waited for at most, loading and ending too", value=max(waited), unit="ms"),
    ]


async def _longest(request: BacktestRequest) -> tuple[float, float]:
    """Longest turn of the run in processor time, and longest wait on the wall (s), of one run."""
    slices, waits = Turns(time.thread_time), Turns(time.perf_counter)
    tasks = [asyncio.create_task(waits.take())]

    def begin(_progress: Progress) -> None:
        if len(tasks) == 1:
            tasks.append(asyncio.create_task(slices.take()))

    service = BacktestService()
    await service.run(
        "btc_basis",
        data=request.data,
        start=request.start,
        end=request.end,
        out=request.out,
        results=request.out / "results",
        progress=begin,
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return slices.longest, waits.longest


if __name__ == "__main__":
    report("How long a run holds the event loop.", measure)
