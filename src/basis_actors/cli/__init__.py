"""The command line. `main` is the console script `basis-actors`; what a command needs is loaded when it is used."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    try:
        from basis_actors.cli.app import app

        app()
    except KeyboardInterrupt:
        # Ctrl-C while the commands themselves were being loaded.
        sys.exit(130)
