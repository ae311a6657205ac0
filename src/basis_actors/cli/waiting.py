"""Says on standard error what a start waits for: each reason once, then at growing distances that it still waits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from basis_actors.cli.terminal import complain_in_lines

__all__ = ["WaitingLines"]

_TITLE: Final = "Waiting"
_FIRST_SECONDS: Final = 10.0
"""From the first reason to the first word that it still waits; doubled by each further one."""
_LONGEST_SECONDS: Final = 3600.0
_NUMBER: Final = re.compile(r"\d+")


class _Wait:
    """For one exchange."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.reasons: set[str] = set()
        self.distance = _FIRST_SECONDS
        self.due = since + _FIRST_SECONDS


class WaitingLines:
    """What is said of one start. `now` gives seconds of a clock that never goes back."""

    def __init__(
        self,
        say: Callable[..., object] = complain_in_lines,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._now = now
        self._waits: dict[str, _Wait] = {}

    def note(self, venue: str, why: str | None) -> None:
        """An exchange was asked again, and why that was for nothing; None once it has said everything. A reason is the
        same whatever numbers are in it."""
        now = self._now()
        if why is None:
            wait = self._waits.pop(venue, None)
            if wait is not None:
                self._say(f"{venue} has answered, after {now - wait.since:,.0f} s")
            return
        wait = self._waits.setdefault(venue, _Wait(now))
        reason = _NUMBER.sub("0", why)
        if reason not in wait.reasons:
            wait.reasons.add(reason)
            self._say(why if why.startswith(f"{venue} ") else f"{venue}: {why}", _TITLE)
        elif now >= wait.due:
            self._say(f"still waiting for {venue}, {now - wait.since:,.0f} s")
            wait.distance = min(2.0 * wait.distance, _LONGEST_SECONDS)
            wait.due = now + wait.distance
