"""Finds the ids that an unknown one may have been meant to be, among any number of them and in flat memory."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

__all__ = ["nearest_ids", "shared_beginning"]


def nearest_ids(word: str, ids: Iterable[str], count: int = 3) -> list[str]:
    """The `count` ids that share most of their beginning and end with `word`, best first, each once.

    Ids that share less than half of it are left out.
    """
    likeness: dict[str, int] = {}
    floor = len(word) / 2
    for name in ids:
        if name in likeness:
            continue
        alike = _shared(word, name)
        if alike < floor:
            continue
        likeness[name] = alike
        if len(likeness) > 100 * count:
            likeness = dict(_best(likeness, count))
    return [name for name, _ in _best(likeness, count)]


def _best(likeness: dict[str, int], count: int) -> list[tuple[str, int]]:
    return nlargest(count, likeness.items(), key=lambda item: item[1])


def shared_beginning(words: Iterable[str]) -> str:
    """The longest beginning that all words have."""
    ordered = sorted(words)
    first, last = ordered[0], ordered[-1]
    # In order, those two have least in common.
    for position, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:position]
    return first[: len(last)]


def _shared(word: str, name: str) -> int:
    begin = len(shared_beginning((word, name)))
    return begin + len(shared_beginning((word[begin:][::-1], name[begin:][::-1])))
