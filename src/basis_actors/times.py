"""Defines the two forms of time, aware UTC datetimes and integer nanoseconds, and how one becomes the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["NS_PER_SECOND", "ns_from_utc", "utc_from_ns", "utc_text"]

NS_PER_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def utc_from_ns(ns: int) -> datetime:
    """The aware UTC datetime of `ns` nanoseconds since the epoch, cut to whole microseconds."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def ns_from_utc(moment: datetime) -> int:
    """Nanoseconds since the epoch of an aware datetime. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; times are UTC and say so")
    return (moment - _EPOCH) // _MICROSECOND * 1000


def utc_text(moment: datetime) -> str:
    """ISO-8601 with `Z`, as times are written everywhere; whole seconds carry no fraction."""
    return moment.isoformat().replace("+00:00", "Z")
