"""Defines until when exchanges want to be left alone, for all connections of a process.

They limit and ban an address, whoever asks from it: what one connection is told holds for every other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from basis_actors.errors import LeftAlone
from basis_actors.times import NS_PER_SECOND, utc_from_ns, utc_text

__all__ = ["EVERYTHING", "Pauses"]

EVERYTHING: Final = ""
"""Stands for all hosts of an exchange together."""


class _Pause(NamedTuple):
    """One end, by two clocks."""

    elapsed_ns: int
    """By the one that never goes back, which decides."""
    utc_ns: int
    """By that of the machine, in whole seconds, which is shown."""


class Pauses:
    """By exchange and host. One for a process: whoever makes connections hands it to all of them."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        """`now_ns` is the time that people are told ends in."""
        self._now_ns = now_ns
        self._ends: dict[tuple[str, str], _Pause] = {}

    def begin(self, venue: str, host: str, elapsed_ns: int, seconds: float) -> None:
        """Leave a host, or `EVERYTHING` where the exchange bans us, alone for `seconds` from `elapsed_ns`, which is
        now. A longer pause that has begun stays."""
        length = int(seconds * NS_PER_SECOND)
        shown = -(-(self._now_ns() + length) // NS_PER_SECOND) * NS_PER_SECOND
        pause = _Pause(elapsed_ns + length, shown)
        self._ends[venue, host] = max(self._ends.get((venue, host), pause), pause)

    def of(self, venue: str, host: str, elapsed_ns: int) -> LeftAlone | None:
        """VEN-003 while an exchange bans us, VEN-006 while a host of it wants to be left alone, else None.

        It says the same for as long as a pause lasts: whoever repeats it to a person does so once.
        """
        for name in (EVERYTHING, host):
            end = self._ends.get((venue, name))
            if end is None or elapsed_ns >= end.elapsed_ns:
                continue
            is_ban = name == EVERYTHING
            who = f"{venue} bans this address and" if is_ban else f"{venue} ({host})"
            text = f"{who} wants to be left alone until {utc_text(utc_from_ns(end.utc_ns))}; nothing is sent before"
            left = (end.elapsed_ns - elapsed_ns) / NS_PER_SECOND
            return LeftAlone("VEN-003" if is_ban else "VEN-006", text, left, end.utc_ns)
        return None
