"""Several backtests in one event loop, with progress and a time limit: the way of a web service.

python examples/side_by_side.py
"""

import asyncio

from basis_actors import BacktestResult, BacktestService, Progress, RunFailed

MODES = ("btc_basis", "eth_basis", "pure_lending_usdt", "pure_lending_eth")
SECONDS = 120.0


async def watched(service: BacktestService, mode: str) -> BacktestResult:
    """One run, which says when it is half-way."""
    said = False

    def report(progress: Progress) -> None:
        nonlocal said
        if not said and progress.total is not None and progress.ticks * 2 >= progress.total:
            said = True
            print(f"{mode}: half-way after {progress.ticks:,} ticks")

    return await service.run(mode, start="2024-01-01", end="2024-02-01", progress=report)


async def main() -> None:
    service = BacktestService()
    # Whatever still runs then ends in order: its log is complete so far, its summary marked partial.
    limit = asyncio.get_running_loop().call_later(SECONDS, service.cancel)
    results = await asyncio.gather(*(watched(service, mode) for mode in MODES), return_exceptions=True)
    limit.cancel()
    for mode, result in zip(MODES, results, strict=True):
        if isinstance(result, RunFailed):
            print(f"{mode}: failed: {result}")
        elif isinstance(result, BaseException):
            raise result
        else:
            summary = result.summary
            state = " (partial)" if summary.partial else ""
            print(f"{mode}: {summary.total_return:+.3%} in {summary.currency}{state}, log in {result.run_dir}")


asyncio.run(main())
