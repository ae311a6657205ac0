"""Defines the colours of the charts: told apart by people who see colours differently, on white and on dark ground.

They start from Okabe and Ito's set, each shifted until it stands out from both grounds. Ground, text and grid are the
page's own (page.css).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["BAD", "COMPONENT_COLOURS", "DASHES", "GOOD", "LIMIT", "MAIN", "OTHER", "SERIES", "WARN", "by_name", "faded"]

MAIN: Final = "#2f7fc1"
GOOD: Final = "#0f9d76"
BAD: Final = "#d55e00"
WARN: Final = "#d99000"
LIMIT: Final = "#c2452d"
OTHER: Final = "#8a94a3"

SERIES: Final = ("#2f7fc1", "#e08e0b", "#0f9d76", "#c36a9d", "#4fb0e3", "#d55e00", "#b5a20c", "#7a6fd0")
"""For names that have no colour of their own, in this order."""
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
"""A second mark beside colour, for lines."""

COMPONENT_COLOURS: Final = {
    "price": "#7a6fd0",
    "basis": "#6f8396",
    "funding": "#0f9d76",
    "staking": "#2f7fc1",
    "lending": "#4fb0e3",
    "borrow": "#d55e00",
    "rewards": "#c9a90a",
    "slippage": "#c36a9d",
    "fees": "#e08e0b",
    "gas": "#9b7653",
    "liquidation": "#b3261e",
}


def by_name(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in their order; past the last colour they begin again."""
    return {name: SERIES[place % len(SERIES)] for place, name in enumerate(names)}


def faded(colour: str, alpha: float) -> str:
    """A colour that lets through what is behind it."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
