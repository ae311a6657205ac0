"""Draws the chart of a result as SVG: what a run had returned at 00:00 UTC of each day, and its drawdown below.

The colours are read on white and on black, because a page shows the same file in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Final
from xml.sax.saxutils import escape

__all__ = ["chart"]

_WIDTH, _HEIGHT = 720.0, 300.0
_LEFT, _RIGHT = 62.0, 712.0
_RETURN: Final = (24.0, 190.0)
"""Top and bottom of the upper panel, px; the same of the lower one below."""
_FALL: Final = (214.0, 268.0)
_INK, _LINE, _AREA = "#7f7f7f", "#2f86d6", "#d9603b"
_FONT: Final = f'font-family="sans-serif" font-size="12" fill="{_INK}"'
_SEEN: Final = 5e-5
"""Drawdown that its two digits show."""
_TICKS: Final = 5
"""Lines across the upper panel, at most."""


def chart(name: str, days: Sequence[datetime], index: Sequence[float]) -> str:
    """A picture of the growth since the start, 1 there, at 00:00 UTC of `days`."""
    returns = [value - 1.0 for value in index]
    falls = [value / peak - 1.0 for value, peak in zip(index, accumulate(index, max), strict=True)]
    low, high, deepest = min(returns), max(returns), min(falls)
    about = f"{name}, {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}: return {returns[-1]:+.2%}, drawdown {abs(deepest):.2%}"
    upper = _line(returns, _RETURN, low, high)
    lower = _line(falls, _FALL, deepest, 0.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" {_FONT}>',
        f"<title>{escape(about)}</title>",
        f'<text x="{_LEFT:g}" y="14">return</text>',
        *_grid(low, high),
        f'<path d="{upper}" fill="none" stroke="{_LINE}" stroke-width="1.6" stroke-linejoin="round"/>',
        f'<text x="{_LEFT:g}" y="{_FALL[0] - 6.0:g}">drawdown</text>',
        _across(_FALL[0], "0 %"),
        *([_across(_FALL[1], f"{deepest:.2%}".replace("%", " %"))] if deepest < -_SEEN else []),
        f'<path d="{lower}V{_FALL[0]:g}H{_LEFT:g}z" fill="{_AREA}" fill-opacity="0.55"/>',
        *_months(days),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _line(values: Sequence[float], panel: tuple[float, float], low: float, high: float) -> str:
    """A path through the values, in tenths of a pixel."""
    span = high - low or 1.0
    steps = max(len(values) - 1, 1)
    points = [
        (
            round(10.0 * (_LEFT + (_RIGHT - _LEFT) * number / steps)),
            round(10.0 * (panel[0] + (panel[1] - panel[0]) * (high - value) / span)),
        )
        for number, value in enumerate(values)
    ]
    first = f"M{points[0][0] / 10:g} {points[0][1] / 10:g}l"
    return first + " ".join(f"{(x - a) / 10:g} {(y - b) / 10:g}" for (a, b), (x, y) in pairwise(points))


def _grid(low: float, high: float) -> Iterator[str]:
    """Lines at round returns."""
    span = high - low or 1.0
    step = next(
        size * 10.0**power for power in range(-6, 3) for size in (1.0, 2.0, 5.0) if span / (size * 10.0**power) < _TICKS
    )
    digits = 0 if step >= 0.01 else 1 if step >= 0.001 else 2
    number = round(low / step - 0.499999)
    while number * step <= high + 1e-12:
        value = number * step
        if value >= low - 1e-12:
            y = _RETURN[0] + (_RETURN[1] - _RETURN[0]) * (high - value) / span
            yield _across(y, f"{100.0 * value:.{digits}f} %")
        number += 1


def _across(y: float, label: str) -> str:
    return (
        f'<path d="M{_LEFT:g} {y:.1f}H{_RIGHT:g}" stroke="{_INK}" stroke-opacity="0.35" stroke-width="0.7"/>'
        f'<text x="{_LEFT - 6.0:g}" y="{y + 4.0:.1f}" text-anchor="end">{label}</text>'
    )


def _months(days: Sequence[datetime]) -> Iterator[str]:
    """The first day of each quarter."""
    steps = max(len(days) - 1, 1)
    for number, day in enumerate(days):
        if day.day == 1 and day.month % 3 == 1:
            x = _LEFT + (_RIGHT - _LEFT) * number / steps
            anchor = "start" if number == 0 else "end" if number == len(days) - 1 else "middle"
            yield f'<text x="{x:.1f}" y="{_HEIGHT - 10.0:g}" text-anchor="{anchor}">{day:%Y-%m}</text>'
