"""Defines the command `backtest`: reads what is asked for and leaves the run to `running`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from basis_actors.messages.book import Flow

__all__ = ["backtest"]

_MARKET = "Market and money"
_CONFIGURATION = "Configuration"
_LOG = "Log"
_OUTPUT = "Output"


class RuntimeChoice(StrEnum):
    """Which runtime of the bus drives the run."""

    SIM = "sim"
    LIVE = "live"


class LevelChoice(StrEnum):
    """From which level on component logs are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def backtest(
    mode: Annotated[
        str, typer.Argument(metavar="MODE", help="Name of a mode (see `basis-actors modes`), or a mode file.")
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder with market data; without it a synthetic market.", rich_help_panel=_MARKET
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="First tick: 2024-01-01 or 2024-01-01T08:00, UTC.", rich_help_panel=_MARKET),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="Last tick, included.", rich_help_panel=_MARKET)
    ] = None,
    capital: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="In tokens of the share class.", rich_help_panel=_MARKET),
    ] = None,
    flows: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|TIME=AMOUNT",
            help="Deposit, or withdrawal below 0: 2024-03-01T00:00=5000, or a file of such lines. Repeatable.",
            rich_help_panel=_MARKET,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Of the synthetic market.", rich_help_panel=_MARKET)
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
    frictionless: Annotated[
        bool, typer.Option("--frictionless", help="No fees, gas or price impact.", rich_help_panel=_CONFIGURATION)
    ] = False,
    always_in: Annotated[
        bool,
        typer.Option("--always-in", help="Stay invested whatever funding does.", rich_help_panel=_CONFIGURATION),
    ] = False,
    runtime: Annotated[
        RuntimeChoice,
        typer.Option(help="live: the runtime of live trading, one tick at a time.", rich_help_panel=_CONFIGURATION),
    ] = RuntimeChoice.SIM,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where run directories are made.", rich_help_panel=_LOG)
    ] = Path("logs"),
    correlation_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run.", rich_help_panel=_LOG)
    ] = None,
    log_level: Annotated[LevelChoice, typer.Option(help="Of component logs.", rich_help_panel=_LOG)] = LevelChoice.INFO,
    no_events: Annotated[
        bool, typer.Option("--no-events", help="Write no event log, and so no result.", rich_help_panel=_LOG)
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the result is made; results unless given.", rich_help_panel=_OUTPUT),
    ] = None,
    no_results: Annotated[
        bool, typer.Option("--no-results", help="Make no result of the run.", rich_help_panel=_OUTPUT)
    ] = False,
    fixed_clock: Annotated[
        bool,
        typer.Option(
            "--fixed-clock", help="Fix wall clock, durations and pid: same input, same bytes.", rich_help_panel=_LOG
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one line of JSON.", rich_help_panel=_OUTPUT)
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", help="Print only where the log is, and no progress.", rich_help_panel=_OUTPUT),
    ] = False,
) -> None:
    """Run a mode over history and print what came of it.

    Ctrl-C ends the run after the tick it is at, with its log complete so far and a partial summary; a second one ends
    it at once.
    """
    from basis_actors.cli.running import Shown, run
    from basis_actors.errors import ConfigError
    from basis_actors.services.inputs import moment_of
    from basis_actors.services.preparation import DEFAULT_SEED, BacktestRequest

    if data is not None and seed is not None:
        raise ConfigError(
            "CONFIG-003", f"--seed {seed} is for the synthetic market, and --data {data} is given; leave one out"
        )
    request = BacktestRequest(
        mode=mode,
        data=data,
        seed=DEFAULT_SEED if seed is None else seed,
        start=None if start is None else moment_of(start, "--start"),
        end=None if end is None else moment_of(end, "--end"),
        capital=capital,
        flows=_flows(flows or []),
        frictionless=frictionless,
        always_in=always_in,
        overlays=config or [],
        settings=settings or [],
        out=out,
        correlation_id=correlation_id,
        write_events=not no_events,
        log_level=log_level.value,
        runtime=runtime.value,
        fixed_clock=fixed_clock,
    )
    shown = Shown.JSON if as_json else Shown.PLACE if quiet else Shown.SUMMARY
    raise typer.Exit(run(request, shown, store=_store(results, no_results, no_events), progress=not quiet))


def _store(given: Path | None, unwanted: bool, no_events: bool) -> Path | None:  # noqa: FBT001 - they are options
    """Where the result is made; None for nowhere."""
    from basis_actors.errors import ConfigError
    from basis_actors.logs.locate import RESULTS_ROOT

    if given is not None and (unwanted or no_events):
        other = "--no-results" if unwanted else "--no-events"
        raise ConfigError("CONFIG-003", f"--results {given} asks for a result, and {other} for none; leave one out")
    return None if unwanted or no_events else given or RESULTS_ROOT


def _flows(given: list[str]) -> list[Flow]:
    """Files and inline flows, in the order in which they were given."""
    from basis_actors.services.inputs import flows_from_file, parse_flow

    flows: list[Flow] = []
    for text in given:
        if "=" in text and not Path(text).exists():
            flows.append(parse_flow(text, "--flows"))
        else:
            flows += flows_from_file(Path(text))
    return flows
