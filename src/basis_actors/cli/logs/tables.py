"""Lays answers out for people: in 80 columns what belongs together stands in one column, line below line; on a wide
screen and in a pipe each thing has a column of its own, and a row is a line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from basis_actors.cli.trimming import PatientConsole

__all__ = ["SEVERITY_STYLE", "Grid", "Page", "duration", "moment", "number", "signed"]

SEVERITY_STYLE = {"LOW": "dim", "MEDIUM": "yellow", "HIGH": "red", "CRITICAL": "bold red"}
_WIDE = 150
_PIPE = 10_000

Cell = str | Text


class Page:
    """Standard output, as wide as the terminal or COLUMNS; in a pipe without that as wide as it needs to be."""

    def __init__(self) -> None:
        self._piped = not sys.stdout.isatty()
        as_needed = self._piped and "COLUMNS" not in os.environ
        self._console = PatientConsole(highlight=False, width=_PIPE if as_needed else None)

    @property
    def narrow(self) -> bool:
        """Whether what belongs together has to share a column."""
        return self._console.width < _WIDE

    def fits(self, rows: Collection[Sequence[str]]) -> bool:
        """Whether a table with a column for each cell of these rows stays unbroken."""
        widths = (max(map(cell_len, column)) for column in zip(*rows, strict=True))
        return sum(width + 1 for width in widths) <= self._console.width

    def grid(self, *groups: Sequence[str], right: Collection[str] = ()) -> Grid:
        """A table with these groups of columns; those named in `right` hold numbers."""
        return Grid(groups, right, narrow=self.narrow)

    def print(self, *parts: RenderableType | Grid) -> None:
        """Print below each other. In a pipe no line is broken, unless COLUMNS says so, and none ends in blanks."""
        for part in parts:
            shown = part.table if isinstance(part, Grid) else part
            if self._piped:
                with self._console.capture() as captured:
                    self._console.print(shown)
                sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
            else:
                self._console.print(shown)


class Grid:
    """A table that is filled row by row."""

    def __init__(self, groups: Sequence[Sequence[str]], right: Collection[str], *, narrow: bool) -> None:
        self.table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        self._narrow = narrow
        for group in groups:
            for titles in [group] if narrow else [[title] for title in group]:
                numbers = titles[0] in right
                self.table.add_column(
                    "\n".join(titles), justify="right" if numbers else "left", no_wrap=numbers, overflow="fold"
                )

    def row(self, *groups: Sequence[Cell]) -> None:
        """Add a row: for each group of columns its cells. Empty cells take no line where they share a column."""
        cells: list[Text] = []
        for group in groups:
            texts = [Text(cell) if isinstance(cell, str) else cell for cell in group]
            cells += [Text("\n").join(text for text in texts if text.plain)] if self._narrow else texts
        self.table.add_row(*cells)


def moment(when: datetime) -> str:
    """UTC, with seconds only where there are any."""
    if when.microsecond:
        return when.strftime("%Y-%m-%d %H:%M:%S.%f")
    return when.strftime("%Y-%m-%d %H:%M:%S" if when.second else "%Y-%m-%d %H:%M")


def number(value: float | None) -> str:
    """With thousands separators and at most eight decimals; of what is smaller, three digits."""
    if value is None:
        return "–"
    if value == 0.0:
        return "0"
    if abs(value) < 1e-6:
        return f"{value:.3g}"
    text = f"{value:,.8f}"
    return text.rstrip("0").rstrip(".")


def signed(value: float) -> str:
    """As `number`, with its sign."""
    return f"+{number(value)}" if value > 0.0 else number(value)


def duration(milliseconds: float | None) -> str:
    """Milliseconds of wall time with three decimals."""
    return "–" if milliseconds is None else f"{milliseconds:,.3f}"
