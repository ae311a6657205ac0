"""Defines the commands `modes`, `config check` and `config show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from basis_actors.cli.terminal import BAD_INPUT, DONE, results

__all__ = ["config", "modes"]

config = typer.Typer(no_args_is_help=True, help="Look at configuration.")


@config.callback()
def _config() -> None:
    """Look at configuration."""


def modes() -> None:
    """List the modes: share class, venues, and what each does."""
    from rich.padding import Padding
    from rich.text import Text

    from basis_actors.config import mode_table
    from basis_actors.strategies.registry import STRATEGIES

    console = results()
    for row in mode_table():
        head = Text.assemble((row.mode, "bold cyan"), f"  {row.share_class}  ", (", ".join(row.venues), "dim"))
        console.print(head, soft_wrap=True)
        later = "" if row.strategy in STRATEGIES else " Cannot be run yet."
        console.print(Padding(Text.assemble(row.description, (later, "yellow")), (0, 0, 0, 2), expand=False))


@config.command("check")
def check(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|MODE]...", help="Mode names and YAML files; everything there is without any."),
    ] = None,
    *,
    overlays: Annotated[
        list[Path] | None, typer.Option("--config", metavar="FILE", help="YAML laid over the mode. Repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One key, on top of that. Repeatable.")
    ] = None,
) -> None:
    """Check configuration files, and say all that is wrong with each. Exit code 2 when one cannot be used."""
    from rich.text import Text

    from basis_actors.config import check_targets

    console = results()
    checked = check_targets(targets or (), overlays=overlays or (), settings=settings or ())
    for result in checked:
        if result.error is None:
            console.print(Text.assemble(("✓ ", "green"), f"{result.target}  ", (result.kind, "dim")), soft_wrap=True)
        else:
            console.print(Text.assemble(("✗ ", "bold red"), result.target), soft_wrap=True)
            console.print(Text(str(result.error)), soft_wrap=True)
    raise typer.Exit(DONE if all(result.ok for result in checked) else BAD_INPUT)


@config.command("show")
def show(
    mode: Annotated[str, typer.Argument(metavar="MODE", help="Name of a mode, or a mode file.")],
    *,
    overlays: Annotated[
        list[Path] | None, typer.Option("--config", metavar="FILE", help="YAML laid over the mode. Repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One key, on top of that. Repeatable.")
    ] = None,
) -> None:
    """Print the configuration that holds: the mode, its venues and its share class, with all that is laid over them."""
    from basis_actors.config import load_mode
    from basis_actors.config.effective import effective_values, written_values, yaml_text
    from basis_actors.config.environment import secret_values
    from basis_actors.logs.redaction import Redactor

    run = load_mode(mode, overlays=overlays or (), settings=settings or ())
    typer.echo(yaml_text(Redactor(secret_values()).value(effective_values(run, written_values(run, mode)))), nl=False)
