"""Puts the commands together, and turns every coded error that a command raises into one message and exit code 2."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from basis_actors.cli.backtest import backtest
from basis_actors.cli.configuration import config, modes
from basis_actors.cli.control import kill, resume, status
from basis_actors.cli.live import live
from basis_actors.cli.logs import logs
from basis_actors.cli.market_data import data
from basis_actors.cli.output import broken_output
from basis_actors.cli.replay import replay
from basis_actors.cli.report import report
from basis_actors.cli.results import results
from basis_actors.cli.simulate import simulate
from basis_actors.cli.stress import stress
from basis_actors.cli.terminal import BAD_INPUT, FAILED, UNREAD, complain
from basis_actors.errors import BasisError

__all__ = ["app"]

_PASSES = "ENGINE-006"
"""A disk without room: whoever supervises the process is to start it again."""
_NO_TEXT = "surrogates not allowed"
"""What Python says of bytes of the command line, or of a name of a file, that are no UTF-8, where they have to be."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Coded errors reach this point only before a run has begun: afterwards they are part of its summary."""
        try:
            return super().invoke(ctx)
        except BasisError as error:
            complain(str(error))
            raise typer.Exit(FAILED if error.code == _PASSES else BAD_INPUT) from None
        except UnicodeEncodeError as error:
            if error.reason != _NO_TEXT:
                raise
            complain(f"CONFIG-003: {error.object!r} is no UTF-8; arguments and names of folders in UTF-8 were expected")
            raise typer.Exit(BAD_INPUT) from None
        except BrokenPipeError as error:
            if broken_output() is not error:
                raise
            raise typer.Exit(UNREAD) from None


app = typer.Typer(
    name="basis-actors",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backtest")(backtest)
app.command("live")(live)
app.command("kill")(kill)
app.command("resume")(resume)
app.command("status")(status)
app.command("stress")(stress)
app.command("simulate")(simulate)
app.command("replay")(replay)
app.command("report")(report)
app.command("modes")(modes)
app.add_typer(config, name="config")
app.add_typer(data, name="data")
app.add_typer(logs, name="logs")
app.add_typer(results, name="results")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version

        typer.echo(f"basis-actors {version('basis-actors')}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Backtest yield and market-neutral strategies over exchanges and on-chain protocols.

    Exit codes: 0 done, 1 failed run, 2 bad input, 130 interrupted, 141 nobody read the output to its end.
    """
