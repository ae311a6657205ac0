"""Defines `backtest`, the Python form of the command of that name, and the result that it gives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from basis_actors.errors import REGISTRY, BasisError, ConfigError
from basis_actors.messages.events import EVENT_TYPES, DomainEvent
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Backtest, Progress
from basis_actors.services.inputs import FlowsLike, Moment, flows_of, moment_of
from basis_actors.services.preparation import DEFAULT_SEED, BacktestRequest, Runtime, prepare
from basis_actors.services.results import make_result, require_results

if TYPE_CHECKING:
    import pandas as pd

    from basis_actors.results.frames import RunFrames

__all__ = ["BacktestResult", "ResultFailed", "RunFailed", "backtest", "finished", "request_of"]

_CODE = re.compile(r"[A-Z]+-\d{3}")
_WIDTH = 100


class RunFailed(BasisError):
    """A run that began and failed. Its log is there up to the failure, and `result` gives it like that of any run.

    `code` is the first registered code that the failure names, else ENGINE-002 (component failed).
    """

    def __init__(self, result: BacktestResult) -> None:
        failure = result.summary.failure or "unknown failure"
        codes = [code for code in _CODE.findall(failure) if code in REGISTRY]
        super().__init__(codes[0] if codes else "ENGINE-002", f"{failure}; the log is in {result.run_dir}")
        self.result = result


class ResultFailed(BasisError):
    """A run that ended, and whose result could not be made in the results store. `result` is what the run came to.

    The code is that of what went wrong; the log of the run is there.
    """

    def __init__(self, result: BacktestResult, error: BasisError) -> None:
        super().__init__(error.code, error.message)
        self.result = result


class BacktestResult:
    """What a backtest came to: its summary, and its log as pandas objects.

        result = basis_actors.backtest("btc_basis", data="data", start="2024-01-01", end="2024-04-01")
        result.summary.total_return
        result.equity.plot()
        result.attribution.iloc[-1].sort_values()
        result.events("OperationExecutionEvent")

    Every table is read from the log when it is asked for, and none is kept: ask once and hold on to it. Amounts are in
    the share class, times are those of the engine (UTC). `print(result)` shows what the command line shows.
    """

    def __init__(self, summary: RunSummary, run_dir: Path, *, events_written: bool = True) -> None:
        self.summary = summary
        """The numbers of the whole run; `summary.partial` says whether it ended before its window did."""
        self.run_dir = run_dir
        """Where the log is."""
        self.result_dir = None if summary.result_dir is None else Path(summary.result_dir)
        """Where the result is in the results store; None when none was asked for."""
        self._events_written = events_written

    @property
    def equity(self) -> pd.Series[Any]:
        """Equity at the end of each tick, its orders included. Errors as in `events`."""
        return self._frames().equity

    @property
    def attribution(self) -> pd.DataFrame:
        """PnL since the start by component, a row a tick; the last row is `summary.attribution`. Errors as in `events`.

        The rows sum to the PnL since the start, but for the residual; `.diff()` gives the PnL of each tick.
        """
        from basis_actors.messages.events import PnLCalculation

        table = self._frames().log.table(PnLCalculation, "attribution_total")
        return table[~table.index.duplicated(keep="last")]

    @property
    def positions(self) -> pd.DataFrame:
        """The ledger at the end of each tick: a column for each position key, 0 where nothing is held. Errors as in
        `events`."""
        return self._frames().positions

    def events(self, kind: str | type[DomainEvent]) -> pd.DataFrame:
        """Every event of one type, by type or by its name such as "PositionSnapshot", a row an event.

        Raises BasisError LOG-004 for a name that no event has, and for a log that cannot be read; LOG-003 when the run
        wrote no events, or its folder is gone.
        """
        return self._frames().events(_event_type(kind) if isinstance(kind, str) else kind)

    def raise_for_failure(self) -> None:
        """Raise RunFailed if the run failed. A run that was cancelled is partial and has not failed."""
        if self.summary.failure is not None:
            raise RunFailed(self)

    def __str__(self) -> str:
        from rich.console import Console

        from basis_actors.results.render import print_summary

        console = Console(width=_WIDTH, color_system=None, force_terminal=False, force_jupyter=False)
        with console.capture() as capture:
            print_summary(self.summary, console)
        return capture.get().rstrip("\n")

    def __repr__(self) -> str:
        state = "failed" if self.summary.failure is not None else "partial" if self.summary.partial else "complete"
        return f"<BacktestResult of {self.summary.mode}, {state}, {self.summary.ticks:,} ticks, log in {self.run_dir}>"

    def _frames(self) -> RunFrames:
        from basis_actors.results.frames import RunFrames

        if not self._events_written:
            raise BasisError(
                "LOG-003", f"the run in {self.run_dir} wrote no events; run it with write_events=True to have tables"
            )
        return RunFrames(self.run_dir)


def backtest(
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
    """Run a mode over history and wait for it. It works in a notebook too, where an event loop runs already.

    Args:
        mode: name of a mode, or a mode file.
        data: folder in the data layout; the synthetic market unless given.
        start: first tick; the first that the data cover unless given. Times without a zone are UTC.
        end: last tick, included; the last that the data cover unless given, or 90 days on the synthetic market.
        capital: in tokens of the share class, which says how much unless given.
        overrides: configuration laid over the mode: nested mappings, or dotted keys such as
            `{"strategy_config.leverage": 1.0, "venue_configs.okx.transfer_delay_seconds": 600}`.
        flows: deposits and withdrawals after the start, as `{"2024-02-01": 5_000, "2024-03-01": -2_000}` or pairs.
        frictionless: no fees, no gas, no impact.
        always_in: stay invested whatever funding does, for the modes that test it.
        seed: of the synthetic market.
        config: configuration files laid over the mode, before `overrides`.
        out: folder in which the run directory is made.
        correlation_id: name of the run; one is made from mode and time unless given.
        write_events: whether the event log is written; without it the result has a summary and no tables.
        log_level: of the component logs.
        runtime: `sim`, or `live` for the same run on the runtime of live trading (slower, same numbers).
        fixed_clock: fix wall clock, durations and pid, so that two runs with one correlation id write the same bytes.
        results: folder of the results store in which a result is made of the run; none unless given.
        progress: called every few milliseconds with how far the run has come.
        check: whether a run that fails raises RunFailed, which has the result; otherwise see `summary.failure`.

    Raises:
        BasisError: nothing was run: ConfigError and DataError say what is wrong with the input, LOG-003 with the
            folder of the log, STRAT-003 that the mode cannot be run yet.
        RunFailed: the run began and failed.
        ResultFailed: the run ended, and its result could not be made.
    """
    request = request_of(
        mode, data=data, start=start, end=end, capital=capital, overrides=overrides, flows=flows,
        frictionless=frictionless, always_in=always_in, seed=seed, config=config, out=out,
        correlation_id=correlation_id, write_events=write_events, log_level=log_level, runtime=runtime,
        fixed_clock=fixed_clock,
    )  # fmt: skip
    root = None if results is None else Path(results)
    require_results(root, request)
    if request.runtime == "live" and _loop_is_running():
        raise ConfigError(
            "CONFIG-003",
            "runtime 'live' needs an event loop of its own, and one runs in this thread already; use"
            " `await BacktestService().run(...)`, or runtime 'sim', which gives the same numbers",
        )
    run = Backtest(prepare(request))
    with run.held():
        summary = run.run(progress) if progress is not None else run.run()
        kept = None if root is None else kept_in(root, run.run_dir, make_result)
    return finished(run, summary, request, kept, check=check)


def kept_in(root: Path, run_dir: Path, make: Callable[[Path, Path], Path]) -> Path | BasisError:
    """Where the result of a run is, or why there is none."""
    try:
        return make(run_dir, root)
    except BasisError as error:
        return error


def finished(
    run: Backtest, summary: RunSummary, request: BacktestRequest, kept: Path | BasisError | None, *, check: bool
) -> BacktestResult:
    """The result of a run that has ended, kept as `kept_in` says.

    Raises RunFailed if that is to be checked, ResultFailed if it should have been kept and was not.
    """
    place = str(kept) if isinstance(kept, Path) else None
    summary = msgspec.structs.replace(summary, result_dir=place)
    result = BacktestResult(summary, run.run_dir, events_written=request.write_events)
    problem = ResultFailed(result, kept) if isinstance(kept, BasisError) else None
    if check and summary.failure is not None:
        raise RunFailed(result) from problem
    if problem is not None:
        raise problem
    return result


def request_of(
    mode: str | Path,
    *,
    data: str | Path | None,
    start: Moment | None,
    end: Moment | None,
    capital: float | None,
    overrides: Mapping[str, object] | None,
    flows: FlowsLike,
    frictionless: bool,
    always_in: bool,
    seed: int | None,
    config: Sequence[str | Path],
    out: str | Path,
    correlation_id: str | None,
    write_events: bool,
    log_level: str,
    runtime: Runtime,
    fixed_clock: bool,
) -> BacktestRequest:
    """The arguments of `backtest`, read and checked one by one. Raises ConfigError CONFIG-003."""
    if data is not None and seed is not None:
        raise ConfigError(
            "CONFIG-003",
            f"seed {seed} is for the synthetic market, and data {str(data)!r} is given; leave one out",
        )
    return BacktestRequest(
        mode=mode,
        data=None if data is None else Path(data),
        seed=DEFAULT_SEED if seed is None else seed,
        start=None if start is None else moment_of(start, "start"),
        end=None if end is None else moment_of(end, "end"),
        capital=capital,
        flows=flows_of(flows),
        frictionless=frictionless,
        always_in=always_in,
        overlays=[Path(file) for file in config],
        overrides=dict(overrides or {}),
        out=Path(out),
        correlation_id=correlation_id,
        write_events=write_events,
        log_level=log_level,
        runtime=runtime,
        fixed_clock=fixed_clock,
    )


def _event_type(name: str) -> type[DomainEvent]:
    for kind in EVENT_TYPES:
        if kind.__name__ == name:
            return kind
    known = ", ".join(kind.__name__ for kind in EVENT_TYPES)
    raise BasisError("LOG-004", f"there is no event type {name!r}; there are {known}")


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
