"""Defines the command `live`: a mode as a process that runs until it is stopped."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.interruption import Interruption
from basis_actors.cli.progress import progress_display
from basis_actors.cli.terminal import BAD_INPUT, DONE, FAILED, INTERRUPTED, complain, results

if TYPE_CHECKING:
    from collections.abc import Callable

    from basis_actors.messages.events import SystemErrorEvent
    from basis_actors.results.summary import RunSummary
    from basis_actors.services.left_on_disk import LeftOnDisk
    from basis_actors.services.live import LiveRun
    from basis_actors.services.preparation import BacktestRequest, Prepared
    from basis_actors.services.state import StateDirectory

__all__ = ["live"]

_MARKET = "Market and money"
_CONFIGURATION = "Configuration"
_OUTPUT = "Output"
_MAX = "max"
_CANNOT_BEGIN = "ENGINE-001: "
"""How the failure of a process begins that may not trade: another start gets over that as little as over bad input."""


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
        str | None,
        typer.Option(
            metavar="X|max",
            help="How many times as fast as real time it is played back, 1 by default; max waits for each tick.",
            rich_help_panel=_MARKET,
        ),
    ] = None,
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
    flatten: Annotated[
        bool,
        typer.Option(
            "--flatten",
            help="Close the book before a stop ends the process. The end of what is played back is no stop.",
            rich_help_panel=_MARKET,
        ),
    ] = False,
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
    """Run a mode as a live process: on its accounts at exchanges, or on paper.

    The actors, messages and strategies are those of a backtest, on the runtime of live trading. The market is the one
    that exchanges publish, or with --replay-feed one that is played back. Without --paper orders are sent; keys come
    from the environment (BASIS_ACTORS_BINANCE__API_KEY ...) or a file that BASIS_ACTORS_SECRETS_FILE names. Ctrl-C or
    SIGTERM stops it when the tick that is at work is over; a second one ends it at once. Exit codes: 0 stopped or at
    the end of the market; 1 failed, or left something wrong: a book that is not closed, trading that neither risk nor a
    person has stopped; 2 bad input, or another process has the state directory or an account; 130 interrupted twice, or
    before anything was run.
    """
    from basis_actors.services.inputs import moment_of
    from basis_actors.services.preparation import BacktestRequest

    _require_sense(paper=paper, replay_feed=replay_feed, speed=speed, window=(start, end), capital=capital, state=state)
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
    if replay_feed is not None:
        begin = partial(_played_back, pace=_pace_of(speed or "1"), root=state, flattens=flatten)
    else:
        begin = partial(_on_paper if paper else _on_accounts, root=state, flattens=flatten)
    raise typer.Exit(_run(request, begin, accounts=None if paper else state, as_json=as_json, quiet=quiet))


def _require_sense(
    *,
    paper: bool,
    replay_feed: Path | None,
    speed: str | None,
    window: tuple[str | None, str | None],
    capital: float | None,
    state: Path | None,
) -> None:
    """Raise ConfigError CONFIG-003 for options that do not go together."""
    from basis_actors.errors import ConfigError

    if replay_feed is None and (speed is not None or window != (None, None)):
        raise ConfigError(
            "CONFIG-003",
            "--speed, --start and --end are of a market that is played back; give it with --replay-feed DIR",
        )
    if paper:
        return
    if replay_feed is not None:
        raise ConfigError(
            "CONFIG-003", "orders at accounts cannot follow a market that is played back: add --paper to --replay-feed"
        )
    if capital is not None:
        raise ConfigError("CONFIG-003", "--capital is of --paper; accounts at exchanges begin with what they hold")
    if state is None:
        raise ConfigError(
            "CONFIG-003",
            "accounts at exchanges are traded with --state DIR: order journal, locks and kill switch are kept there",
        )


def _pace_of(text: str) -> float | None:
    from basis_actors.errors import ConfigError

    if text == _MAX:
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError("CONFIG-003", f"--speed is {text!r}; a number above 0, or max, was expected") from None


def _run(
    request: BacktestRequest,
    begin: Callable[[BacktestRequest, ExitStack], LiveRun],
    *,
    accounts: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run it, say what came of it, and return the exit code. `accounts` is where the state of one on accounts is."""
    from basis_actors.cli.waiting import WaitingLines

    with Interruption() as interruption:
        try:
            with progress_display(str(request.mode), wanted=not quiet) as display, ExitStack() as held:
                display.loading()
                run = begin(request, held)
                run.actors.warn = partial(complain, title="Warning")
                run.actors.show = _show_at_once
                interruption.hold()
                interruption.cancels(run.cancel)
                summary = run.run(display.update, WaitingLines().note)
                interruption.cancels(lambda _: None)
        except KeyboardInterrupt:
            complain("nothing was run", "Interrupted")
            if accounts is not None:
                _say_what_was_left(request, accounts)
            return INTERRUPTED
        _say_what_is_left(run)
        return _show(summary, interruption, start_failed=run.start_failed, as_json=as_json, quiet=quiet)


def _show_at_once(error: SystemErrorEvent) -> None:
    complain(error.message, f"{error.severity} {error.error_code}")


def _say_what_was_left(request: BacktestRequest, root: Path) -> None:
    """What earlier processes have left, where this one has not come to be one."""
    import anyio

    from basis_actors.errors import BasisError
    from basis_actors.services.left_on_disk import left_on_disk
    from basis_actors.services.preparation import configured

    try:
        left = anyio.run(left_on_disk, configured(request), root)
    except BasisError as error:
        complain(f"what earlier processes have left was not read: {error}", "Warning")
        return
    except KeyboardInterrupt:
        return
    if left is not None:
        _say_what_is_left(left)


def _say_what_is_left(run: LiveRun | LeftOnDisk) -> None:
    for order in run.undecided:
        what = f"{order.side} {order.amount:.6g} {order.symbol} on {order.venue} ({order.client_id})"
        complain(f"{what}; the next process asks what became of it", "Undecided")
    for group in run.cut_groups:
        complain(f"{group}; the next process brings it to its end", "Cut in two")
    if run.left_open:
        from basis_actors.services.left_open import listed
        from basis_actors.times import utc_text

        known = ""
        if run.left_open_at is not None:
            known = f"; held at {utc_text(run.left_open_at)} by an earlier process, and the ledger was not read since"
        complain(f"{listed(run.left_open, run.without_stops)}{known}", "Still open")


def _played_back(
    request: BacktestRequest, held: ExitStack, *, pace: float | None, root: Path | None, flattens: bool
) -> LiveRun:
    from basis_actors.services.live import LiveRun
    from basis_actors.services.preparation import prepare
    from basis_actors.services.surroundings import on_paper

    prepared = prepare(request)
    state = _state_of(prepared, pace, root, held)
    return LiveRun(prepared, on_paper(prepared, pace)._replace(state=state), flattens=flattens)


def _on_paper(request: BacktestRequest, held: ExitStack, *, root: Path | None, flattens: bool) -> LiveRun:
    from basis_actors.services.live_setup import live_on_paper, prepare_live

    prepared = prepare_live(request)
    return live_on_paper(prepared, _state_of(prepared, 1.0, root, held), flattens=flattens)


def _on_accounts(request: BacktestRequest, held: ExitStack, *, root: Path | None, flattens: bool) -> LiveRun:
    from basis_actors.services.live_setup import keys_of, live_on_accounts, prepare_live

    prepared = prepare_live(request)
    keys = keys_of(prepared)
    state = _state_of(prepared, 1.0, root, held)
    assert state is not None, "refused before"
    return live_on_accounts(prepared, keys, state, held, flattens=flattens)


def _state_of(prepared: Prepared, pace: float | None, root: Path | None, held: ExitStack) -> StateDirectory | None:
    """The state directory of a mode, taken, with its door open, and given back by `held`; none where none is wanted."""
    from datetime import UTC, datetime

    from basis_actors.errors import ConfigError
    from basis_actors.services.state import Holder, StateDirectory

    if root is None:
        return None
    if pace is None:
        raise ConfigError(
            "CONFIG-003", "--state needs a market that goes on in time, but --speed is max; give a number"
        )
    state = held.enter_context(StateDirectory(root, Holder.this_process(prepared.run.mode.mode, datetime.now(UTC))))
    state.listen()
    return state


def _show(summary: RunSummary, interruption: Interruption, *, start_failed: bool, as_json: bool, quiet: bool) -> int:
    from basis_actors.results.render import print_summary, summary_json

    if as_json:
        typer.echo(summary_json(summary))
    elif quiet:
        typer.echo(summary.run_dir)
    else:
        print_summary(summary, results())
    interruption.settle()
    if summary.failure is None:
        return DONE
    complain(f"{summary.failure}; the log is in {summary.run_dir}", "The start failed" if start_failed else "Failed")
    return exit_code_of(summary.failure)


def exit_code_of(failure: str) -> int:
    """Of a process that failed: the one that whoever supervises it is not to start again for, where that is no use."""
    return BAD_INPUT if failure.startswith(_CANNOT_BEGIN) else FAILED
