"""Defines the command `live`: a mode as a process that runs until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.interruption import Interruption
from basis_actors.cli.progress import progress_display
from basis_actors.cli.terminal import DONE, FAILED, INTERRUPTED, complain, results

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from basis_actors.results.summary import RunSummary
    from basis_actors.services.preparation import BacktestRequest, Prepared
    from basis_actors.services.state import StateDirectory

__all__ = ["live"]

_MARKET = "Market and money"
_CONFIGURATION = "Configuration"
_OUTPUT = "Output"
_MAX = "max"


def live(
    mode: Annotated[
        str, typer.Argument(metavar="MODE", help="Name of a mode (see `basis-actors modes`), or a mode file.")
    ],
    *,
    paper: Annotated[
        bool, typer.Option("--paper", help="Simulated venues: nothing leaves this machine.", rich_help_panel=_MARKET)
    ] = False,
    replay_feed: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Play back the market of this data folder.", rich_help_panel=_MARKET),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            metavar="X|max",
            help="How many times as fast as real time it is played back; max waits for each tick to settle.",
            rich_help_panel=_MARKET,
        ),
    ] = "1",
    start: Annotated[str | None, typer.Option(metavar="TIME", help="First tick, UTC.", rich_help_panel=_MARKET)] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="Last tick, included.", rich_help_panel=_MARKET)
    ] = None,
    capital: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="In tokens of the share class.", rich_help_panel=_MARKET),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="YAML laid over the mode. Repeatable.", rich_help_panel=_CONFIGURATION),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One key, on top of that: strategy_config.leverage=1.0. Repeatable.",
            rich_help_panel=_CONFIGURATION,
        ),
    ] = None,
    always_in: Annotated[
        bool,
        typer.Option("--always-in", help="Stay invested whatever funding does.", rich_help_panel=_CONFIGURATION),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of locks, latch and the socket of `kill`, `resume` and `status`; none of them without it.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where run directories are made.", rich_help_panel=_OUTPUT)
    ] = Path("logs"),
    correlation_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run.", rich_help_panel=_OUTPUT)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one line of JSON.", rich_help_panel=_OUTPUT)
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", help="Print only where the log is, and no progress.", rich_help_panel=_OUTPUT),
    ] = False,
) -> None:
    """Run a mode as a live process, on paper, with a market that is played back.

    The actors, messages and strategies are those of a backtest, on the runtime of live trading. Ctrl-C or SIGTERM stops
    it when the tick that is at work is over; a second one ends it at once. Exit codes: 0 stopped or at the end of the
    market, 1 failed, 2 bad input.
    """
    from basis_actors.errors import ConfigError
    from basis_actors.services.inputs import moment_of
    from basis_actors.services.preparation import BacktestRequest

    if not paper:
        raise ConfigError(
            "CONFIG-003", "live trades on paper only: accounts at exchanges are not connected; add --paper"
        )
    if replay_feed is None:
        raise ConfigError(
            "CONFIG-003", "live has no market of its own: give the one to play back with --replay-feed DIR"
        )
    request = BacktestRequest(
        mode=mode,
        data=replay_feed,
        start=None if start is None else moment_of(start, "--start"),
        end=None if end is None else moment_of(end, "--end"),
        capital=capital,
        always_in=always_in,
        overlays=config or [],
        settings=settings or [],
        out=out,
        correlation_id=correlation_id,
        runtime="live",
    )
    summary = _run(request, _pace_of(speed), state, progress=not quiet)
    raise typer.Exit(INTERRUPTED if summary is None else _show(summary, as_json=as_json, quiet=quiet))


def _pace_of(text: str) -> float | None:
    from basis_actors.errors import ConfigError

    if text == _MAX:
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError("CONFIG-003", f"--speed is {text!r}; a number above 0, or max, was expected") from None


def _run(request: BacktestRequest, pace: float | None, state: Path | None, *, progress: bool) -> RunSummary | None:
    """The summary; None when somebody stopped it before anything was run."""
    from basis_actors.services.live import LiveRun, on_paper
    from basis_actors.services.preparation import prepare

    with Interruption() as interruption:
        try:
            with progress_display(str(request.mode), wanted=progress) as display:
                display.loading()
                prepared = prepare(request)
                surroundings = on_paper(prepared, pace)
                with _state_of(prepared, pace, state) as held:
                    interruption.hold()
                    run = LiveRun(prepared, surroundings._replace(state=held))
                    interruption.cancels(run.cancel)
                    return run.run(display.update)
        except KeyboardInterrupt:
            complain("nothing was run", "Interrupted")
            return None


def _state_of(
    prepared: Prepared, pace: float | None, root: Path | None
) -> AbstractContextManager[StateDirectory | None]:
    """The state directory of a mode, taken; none where none is wanted."""
    from contextlib import nullcontext
    from datetime import UTC, datetime

    from basis_actors.errors import ConfigError
    from basis_actors.services.state import Holder, StateDirectory

    if root is None:
        return nullcontext()
    if pace is None:
        raise ConfigError(
            "CONFIG-003", "--state needs a market that goes on in time, but --speed is max; give a number"
        )
    return StateDirectory(root, Holder.this_process(prepared.run.mode.mode, datetime.now(UTC)))


def _show(summary: RunSummary, *, as_json: bool, quiet: bool) -> int:
    from basis_actors.results.render import print_summary, summary_json

    if as_json:
        typer.echo(summary_json(summary))
    elif quiet:
        typer.echo(summary.run_dir)
    else:
        print_summary(summary, results())
    if summary.failure is None:
        return DONE
    complain(f"{summary.failure}; the log is in {summary.run_dir}", "Failed")
    return FAILED
