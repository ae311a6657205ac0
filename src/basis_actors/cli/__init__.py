"""The command line. `main` is the console script `basis-actors`; what a command needs is loaded when it is used."""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    _never_lose_output()
    try:
        from basis_actors.cli.app import app

        app()
    except KeyboardInterrupt:
        # Ctrl-C while the commands themselves were being loaded.
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - it is shown as Python would show it, but for secrets
        from basis_actors.cli.terminal import FAILED, crash

        crash(error)
        sys.exit(FAILED)


def _never_lose_output() -> None:
    """A terminal that lacks a character shows `?` in its place: what a run came to is worth more than its frame."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
