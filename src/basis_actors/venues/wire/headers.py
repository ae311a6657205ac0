"""Reads what the headers of an answer say in numbers and times.

Whatever stands before an exchange may write anything there, and what cannot be meant says nothing.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from basis_actors.venues.wire.answers import Answer, Pause

__all__ = ["LONGEST_SECONDS", "number_in", "pause_asked"]

LONGEST_SECONDS: Final = 3 * 86_400
"""No exchange asks for a longer pause: Binance's bans, the longest, last up to three days."""
_DIGITS: Final = 18
"""More than any count, or time in nanoseconds until the year 2286, has; a longer number is none."""
_SHOWN: Final = 40
"""Characters of what cannot be read."""


def number_in(answer: Answer, name: str) -> int | None:
    """The whole number in a header; None where there is none."""
    text = answer.headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def pause_asked(answer: Answer, otherwise: float) -> Pause:
    """How long `Retry-After` asks to be left alone, in seconds or until a date; `otherwise` seconds where it says
    nothing, or nothing that can be meant, which is then told."""
    text = answer.headers.get("retry-after")
    if text is None:
        return Pause(otherwise)
    seconds = number_in(answer, "retry-after")
    if seconds is None:
        seconds = _seconds_until(text, answer.headers.get("date", ""))
    if seconds is not None and 0 <= seconds <= LONGEST_SECONDS:
        return Pause(float(seconds))
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return Pause(otherwise, f"its Retry-After {shown!r} is no time to wait, so {otherwise:g} s are waited")


def _seconds_until(date: str, now: str) -> int | None:
    """From one HTTP date to another: both are the exchange's, so no clock of ours plays a part."""
    try:
        return int((parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
