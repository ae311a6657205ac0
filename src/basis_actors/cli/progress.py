"""Shows how far a run has come, on standard error and only to people: ticks, ticks a second, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from basis_actors.cli.terminal import drawing, messages

if TYPE_CHECKING:
    from rich.console import Console

    from basis_actors.results.building import ResultProgress
    from basis_actors.services.backtest import Progress

__all__ = ["ProgressDisplay", "progress_display", "result_display"]

_REFRESH_SECONDS = 0.1


class ProgressDisplay(Protocol):
    """What a run tells of itself while it goes on."""

    def loading(self) -> None:
        """Configuration and data are being read."""
        ...

    def update(self, progress: Progress) -> None:
        """The run has come this far."""
        ...


@contextmanager
def progress_display(name: str, *, wanted: bool) -> Iterator[ProgressDisplay]:
    """A bar that vanishes at the end; nothing at all unless it is wanted and standard error is a terminal."""
    console = messages()
    if not wanted or not console.is_terminal:
        yield _Nothing()
        return
    bar = _Bar(name, console)
    with drawing(console), bar.display:
        yield bar


@contextmanager
def result_display(*, wanted: bool) -> Iterator[Callable[[ResultProgress], None]]:
    """The same while a result is being made."""
    console = messages()
    if not wanted or not console.is_terminal:
        yield lambda _progress: None
        return
    bar = _ResultBar(console)
    with drawing(console), bar.display:
        yield bar.update


class _Nothing:
    def loading(self) -> None:
        """Nobody looks."""

    def update(self, progress: Progress) -> None:
        """Nobody looks."""


class _Bar:
    """Drawn by whoever reports progress: a thread of its own would take time from the run."""

    def __init__(self, name: str, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Display

        self._name = name
        self._drawn = 0.0
        self.display = Display(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[ticks]}"),
            TextColumn("[cyan]{task.fields[rate]}"),
            TextColumn("[dim]{task.fields[left]}"),
            console=console,
            transient=True,
            auto_refresh=False,
            expand=True,
        )
        self._task = self.display.add_task(name, total=None, ticks="", rate="", left="")

    def loading(self) -> None:
        self.display.update(self._task, ticks="loading the market", refresh=True)

    def update(self, progress: Progress) -> None:
        now, total = time.monotonic(), progress.total
        if now - self._drawn < _REFRESH_SECONDS and (total is None or progress.ticks < total):
            return
        self._drawn = now
        if total is None:
            self.display.update(self._task, ticks=f"{progress.ticks:,} ticks", refresh=True)
            return
        rate = progress.ticks / progress.seconds if progress.seconds > 0.0 else 0.0
        left = (total - progress.ticks) / rate if rate else None
        self.display.update(
            self._task,
            total=total,
            completed=progress.ticks,
            ticks=f"{progress.ticks:,}/{total:,} ticks",
            rate=f"{rate:,.0f}/s",
            left="" if left is None else f"{left // 60:02.0f}:{left % 60:02.0f} left",
            refresh=True,
        )


class _ResultBar:
    """Drawn by whoever makes the result."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Display

        self.display = Display(
            TextColumn("[bold]result"),
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            auto_refresh=False,
            expand=True,
        )
        self._task = self.display.add_task("the log", total=None)

    def update(self, progress: ResultProgress) -> None:
        self.display.update(
            self._task, description=progress.doing, total=progress.total, completed=progress.events, refresh=True
        )
