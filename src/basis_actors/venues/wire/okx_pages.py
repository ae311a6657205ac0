"""Reads OKX's long lists, which begin with the newest: on from the last row of a page, until a row is old enough."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.caller import Caller

__all__ = ["PAGE", "pages"]

T = TypeVar("T")
PAGE: Final = 100
"""Most rows of one answer."""


async def pages(
    caller: Caller,
    endpoint: Endpoint,
    params: dict[str, str],
    shape: type[T],
    *,
    name: Callable[[T], str],
    after: Callable[[T], str],
    enough: Callable[[T], bool] = lambda _row: False,
    urgent: bool = False,
) -> AsyncIterator[T]:
    """Every row once, by its `name`, up to the first that is `enough`; a page goes on `after` the last row of another.

    Raises what `Caller.ask` raises, Transient for a list that does not go on.
    """
    told: set[str] = set()
    cursor: dict[str, str] = {}
    while True:
        asked = {**params, "limit": str(PAGE), **cursor}
        rows: tuple[T, ...] = await caller.ask(endpoint, asked, tuple[shape, ...], urgent=urgent)  # type: ignore[valid-type]
        for row in rows:
            if enough(row):
                return
            if name(row) not in told:
                yield row
        if len(rows) < PAGE:
            return
        if told.issuperset(name(row) for row in rows):
            raise caller.unreadable(endpoint, f"more than {PAGE} entries after {cursor} cannot be paged through")
        told.update(name(row) for row in rows)
        cursor = {"after": after(rows[-1])}
