"""Defines how results are printed: without the blanks with which tables fill up their lines, which get in the way of
copying and comparing, and without an end of the process when nobody reads them."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table

__all__ = ["NoTrailingBlanks", "PatientConsole"]


class PatientConsole(Console):
    """Leaves to its caller what a closed pipe means, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise what rich has caught."""
        raise


class NoTrailingBlanks(RenderHook):
    """Trims tables and what is indented. Running text is left alone: it may be longer than the terminal is wide."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """What is printed in their place."""
        return [_Trimmed(shown) if isinstance(shown, Table | Padding) else shown for shown in renderables]


class _Trimmed:
    def __init__(self, shown: RenderableType) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self._shown, options, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                last = line.pop()
                line.append(Segment(last.text.rstrip(), last.style))
            yield from line
            yield Segment.line()
