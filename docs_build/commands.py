"""The reference of the command line, as Typer writes it."""

from __future__ import annotations

import re
import subprocess
import sys

__all__ = ["reference"]


def reference() -> str:
    """Every command with its arguments and options, one heading below the page's own."""
    command = [sys.executable, "-m", "typer", "basis_actors.cli.app", "utils", "docs", "--name", "basis-actors"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, _, text = done.stdout.partition("\n")
    # Left to itself the page would repeat for each command how to ask for help.
    return re.sub(r"^\* `--help`: .*\n", "", text, flags=re.MULTILINE).strip() + "\n"
