"""Defines which word was meant: the nearest of the words that are valid in a place."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["hint", "nearest"]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` was most likely meant to be, upper and lower case apart; None when nothing is close."""
    by_lower = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def hint(word: str, choices: Iterable[str]) -> str:
    """`; nearest: ...` when a choice is close to `word`, else nothing."""
    near = nearest(word, choices)
    return f"; nearest: {near}" if near else ""
