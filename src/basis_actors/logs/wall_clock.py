"""Defines the wall clock that log lines are stamped with. The engine's own time never comes from here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

__all__ = ["FIXED_TIME", "WallClock", "fixed_clock", "system_clock"]

WallClock = Callable[[], datetime]
"""Gives the current time as an aware datetime in UTC."""

FIXED_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""What `fixed_clock` always says, so that two runs with the same input write the same bytes."""

system_clock: Final[WallClock] = partial(datetime.now, UTC)
"""The time of this machine."""


def fixed_clock() -> datetime:
    """Always `FIXED_TIME`."""
    return FIXED_TIME
