"""Defines how stamps and steps are written in files, reports and error messages: `2024-01-01T08:00:00Z`, `1h`."""

from __future__ import annotations

import re
from typing import Final

from basis_actors.times import utc_from_ns, utc_text

__all__ = ["DAY", "HOUR", "MINUTE", "hours", "iso", "step_from_text", "step_text"]

MINUTE: Final = 60 * 1_000_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_UNITS: Final = {"m": MINUTE, "h": HOUR, "d": DAY}


def iso(ns: int) -> str:
    """ISO-8601 with `Z` of nanoseconds since the epoch; whole seconds carry no fraction."""
    return utc_text(utc_from_ns(int(ns)))


def hours(ns: int) -> float:
    """A duration in nanoseconds as hours."""
    return ns / HOUR


def step_text(step_ns: int) -> str:
    """The shortest way to write a step: `1d`, `2h`, `5m`. Raises ValueError for parts of a minute."""
    for letter in ("d", "h", "m"):
        if step_ns > 0 and step_ns % _UNITS[letter] == 0:
            return f"{step_ns // _UNITS[letter]}{letter}"
    raise ValueError(f"a step of {step_ns} ns is not a whole number of minutes")


def step_from_text(text: str) -> int:
    """Nanoseconds of a step such as `15m`, `1h`, `1d`. Raises ValueError for anything else."""
    found = re.fullmatch(r"([1-9][0-9]*)([mhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is not a step; expected a number and m, h or d, such as 15m, 1h or 1d")
    return int(found[1]) * _UNITS[found[2]]
