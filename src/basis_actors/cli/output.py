"""Lets a command go on when nobody takes what it prints, and tells at its end: a full disk, a closed pipe."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

__all__ = ["broken_output", "complaint", "forget_no_width", "guard_streams", "output_may_fail"]

_STDOUT: Final = 1
_broken: list[OSError] = []
"""Failures of standard output, the first one first."""


class _Told(io.FileIO):
    """A standard output that remembers what kept it from being written."""

    def write(self, text: Any) -> int:
        try:
            return super().write(text)
        except OSError as error:
            _broken.append(error)
            raise


def guard_streams() -> bool:
    """Whether there is a standard output to write to; a standard error that is not there swallows what it is told.

    A terminal that lacks a character shows `?` in its place: what a run came to is worth more than its frame.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    before = sys.stdout
    if isinstance(before, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Told(_STDOUT, "w", closefd=False)),
            encoding=before.encoding,
            errors="replace",
            line_buffering=before.line_buffering,
            write_through=before.write_through,
        )
    return before is not None


@contextmanager
def output_may_fail() -> Iterator[None]:
    """What is printed here is lost when it cannot be written, and so is all that follows."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error not in _broken:
            raise
        _give_up()


def broken_output() -> OSError | None:
    """Write what is left. The failure of standard output; None when it took everything."""
    with output_may_fail():
        pass
    return _broken[0] if _broken else None


def complaint(broken: OSError) -> str | None:
    """What to say of such a failure; nothing when the reader has gone, which is its good right."""
    if broken.errno == errno.EPIPE:
        return None
    reason = broken.strerror or broken
    return f"LOG-001: standard output cannot be written: {reason}; what was printed is not whole: free space there"


def _give_up() -> None:
    """From now on everything goes nowhere: what waits in a buffer would fail once more at the end of the process."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDOUT)
        os.close(nowhere)


def forget_no_width() -> None:
    """Take a COLUMNS of 0 for none: a terminal says so that does not know its width, and nothing would be printed."""
    if os.environ.get("COLUMNS", "1").strip("0") == "":
        del os.environ["COLUMNS"]
