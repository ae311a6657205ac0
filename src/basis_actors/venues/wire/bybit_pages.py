"""Reads Bybit's long lists: by spans of time, which are limited, and within each by the cursor of the page before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Protocol, TypeVar

from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.caller import Caller

__all__ = ["pages", "spans"]

T_co = TypeVar("T_co", covariant=True)


class _Page(Protocol[T_co]):
    @property
    def rows(self) -> tuple[T_co, ...]: ...

    @property
    def next_page_cursor(self) -> str: ...


async def pages(
    caller: Caller, endpoint: Endpoint, params: dict[str, str], shape: type[_Page[T_co]], *, urgent: bool = False
) -> AsyncIterator[T_co]:
    """Every row that there is. Raises what `Caller.ask` raises, Transient for a list that leads nowhere."""
    cursor, seen = "", set()
    before: tuple[T_co, ...] = ()
    while True:
        asked = {**params, "cursor": cursor} if cursor else params
        page = await caller.ask(endpoint, asked, shape, urgent=urgent)
        for row in page.rows:
            yield row
        cursor = page.next_page_cursor
        if not cursor or not page.rows:
            return
        if cursor in seen or page.rows == before:
            raise caller.unreadable(endpoint, f"page {cursor!r} comes after itself")
        seen.add(cursor)
        before = page.rows


def spans(since_ms: int, until_ms: int, longest_ms: int) -> Iterator[dict[str, str]]:
    """Spans of time that follow each other, both ends included."""
    for begin in range(since_ms, until_ms + 1, longest_ms):
        yield {"startTime": str(begin), "endTime": str(min(begin + longest_ms - 1, until_ms))}
