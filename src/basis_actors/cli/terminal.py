"""Defines what the commands share: exit codes, where results go, and how a complaint looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "BAD_INPUT",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "NOT_RUNNING",
    "UNREAD",
    "complain",
    "complain_in_lines",
    "crash",
    "drawing",
    "messages",
    "results",
]

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
NOT_RUNNING: Final = 3
"""There is no process to command or to ask."""
INTERRUPTED: Final = 130
UNREAD: Final = 141
"""Whoever read the output has gone before its end; the code of a program that SIGPIPE ends."""
_drawn_by: list[Console] = []
"""The console that draws a bar at the moment, if any does."""


def results() -> Console:
    """Standard output, for what was asked for. Colours only where a person looks at it, no blanks after a table."""
    from basis_actors.cli.trimming import NoTrailingBlanks, PatientConsole

    console = PatientConsole(highlight=False)
    console.push_render_hook(NoTrailingBlanks())
    return console


def messages() -> Console:
    """Standard error, for everything else; while a bar is drawn there, by the console that can make room above it."""
    from rich.console import Console

    return _drawn_by[-1] if _drawn_by else Console(stderr=True, highlight=False)


@contextmanager
def drawing(console: Console) -> Iterator[None]:
    """Meanwhile `console` draws a bar."""
    _drawn_by.append(console)
    try:
        yield
    finally:
        _drawn_by.pop()


def complain(text: str, title: str = "Error") -> None:
    """Say on standard error what is wrong, on lines that are not broken, so that they can be copied and searched."""
    from rich.text import Text

    text = _without_secrets(text)
    messages().print(Text.assemble((f"{title}: ", "bold red"), text), soft_wrap=True)


def complain_in_lines(text: str, title: str = "") -> None:
    """The same for people who watch: lines no longer than the terminal, and what follows the first one indented. May be
    without a title."""
    import textwrap

    from rich.text import Text

    console = messages()
    head = f"{title}: " if title else ""
    whole = _without_secrets(f"{head}{text}")
    lines = Text(textwrap.fill(whole, console.width, subsequent_indent="  ", break_on_hyphens=False))
    lines.stylize("bold red", 0, len(head))
    console.print(lines, soft_wrap=True)


def crash(error: Exception) -> None:
    """Show on standard error where something went wrong that nobody had thought of."""
    import traceback

    sys.stderr.write(_without_secrets("".join(traceback.format_exception(error))))


def _without_secrets(text: str) -> str:
    from basis_actors.config.environment import secret_values
    from basis_actors.logs.redaction import Redactor

    return Redactor(secret_values()).text(text)
