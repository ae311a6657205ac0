"""Turns Ctrl-C and SIGTERM into an orderly end of a run, and a second one into an end at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from basis_actors.cli.terminal import INTERRUPTED

__all__ = ["Interruption", "remember_interruptions"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_CLEAR_LINE = "\r\x1b[2K"
_SHOW_CURSOR = "\x1b[?25h"
_unheeded: list[int] = []
"""Interruptions that were raised as KeyboardInterrupt, and may have been swallowed."""


def remember_interruptions() -> None:
    """Let Ctrl-C do what it does, and be remembered until an `Interruption` is over; not where it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _raise)


def _raise(number: int, _frame: FrameType | None) -> None:
    _unheeded.append(number)
    raise KeyboardInterrupt


class Interruption:
    """While it is entered, signals are its own. What the first one does depends on how far things are.

    Before `hold` it raises KeyboardInterrupt: there is nothing to save. Libraries swallow that while they are imported,
    so `hold` raises it again. Between `hold` and `cancels` it is kept for later. After `cancels` it cancels the run.
    The second one after that ends the process. After `settle` all are ignored, in a process of its own up to its end.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._holding = False
        self._settled = False
        self._struck: str | None = None
        self._cancel: Callable[[str], None] | None = None

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._strike) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Where the handler before is Python's own, somebody else goes on after this.
        ends = self._settled and self._previous[signal.SIGINT] in (_raise, signal.SIG_IGN)
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if ends else handler)
        _unheeded.clear()

    def hold(self) -> None:
        """From now on something begins that must not be left half-made.

        Raises KeyboardInterrupt for an interruption until now that did not get through.
        """
        self._holding = True
        if _unheeded:
            raise KeyboardInterrupt

    def cancels(self, cancel: Callable[[str], None]) -> None:
        """From now on an interruption calls `cancel` with the reason, once."""
        self._cancel = cancel
        if self._struck is not None:
            cancel(self._struck)

    def settle(self) -> None:
        """What the process comes to is about to be said, and no signal changes that any more."""
        self._settled = True
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _strike(self, number: int, _frame: FrameType | None) -> None:
        if not self._holding:
            _unheeded.append(number)
            raise KeyboardInterrupt
        if self._struck is not None:
            _say("Ended at once; the last events may be missing in the log.")
            os._exit(INTERRUPTED)
        self._struck = f"interrupted by {signal.Signals(number).name}"
        _say("Ending as soon as no tick is at work; once more ends at once.")
        if self._cancel is not None:
            self._cancel(self._struck)


def _say(text: str) -> None:
    """Write a line past Python's buffers, which the signal may have caught in the middle of a write."""
    before = _CLEAR_LINE + _SHOW_CURSOR if sys.stderr.isatty() else ""
    os.write(_STDERR, f"{before}{text}\n".encode())
