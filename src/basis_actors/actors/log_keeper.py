"""Defines the actor that packs the complete segments of its run and deletes what is kept no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, Cause, on
from basis_actors.errors import BasisError
from basis_actors.logs.retention import Retention, drop_old_segments, old_runs, pack, remove_old, unpacked
from basis_actors.logs.wall_clock import WallClock
from basis_actors.times import utc_from_ns

__all__ = ["LogKeeper"]

_LOOK_SECONDS: Final = 86_400.0
_PAUSE: Final = timedelta(hours=12)
"""Shorter than a day, so that of two looks a day apart on clocks that differ a little none is in vain."""
_CAUSE: Final = Cause("log keeping")


class Sweep(msgspec.Struct, frozen=True, gc=False):
    """It is time to look again."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """Go on with what was begun."""


class LogKeeper(Actor):
    """Sweeps when it starts and then once a day.

    A day has to pass for the engine and on the wall clock: a backtest lives through years within seconds, and each look
    reads the whole folder. What was rotated since the last sweep is left to whoever ends the run. The work is done in
    small steps, each a message of its own. What cannot be packed or deleted is logged once as LOG-005 and left alone;
    the run goes on.
    """

    def __init__(self, run_dir: Path, root: Path, retention: Retention, clock: WallClock) -> None:
        super().__init__("log_keeper")
        self._run_dir = run_dir
        self._root = root
        self._retention = retention
        self._clock = clock
        self._work: Iterator[None] | None = None
        self._swept: datetime | None = None
        self._refused: set[Path] = set()

    def pre_start(self) -> None:
        """Sweep as soon as the bus runs."""
        self.after(0.0, Sweep(), new_cause=_CAUSE)

    @on(Sweep)
    def sweep(self, _message: Sweep) -> None:
        """Begin a sweep, unless the last one is not over or was just now."""
        now = self._clock()
        if self._work is None and (self._swept is None or now - self._swept >= _PAUSE):
            self._swept = now
            self._work = self._everything()
            self.tell(self.name, Step())
        self.after(_LOOK_SECONDS, Sweep(), new_cause=_CAUSE)

    @on(Step)
    def step(self, _message: Step) -> None:
        """One step of the sweep."""
        assert self._work is not None, "a step belongs to a sweep"
        if next(self._work, self) is self:
            self._work = None
        else:
            self.tell(self.name, Step())

    def _everything(self) -> Iterator[None]:
        yield from self._pack()
        self._try(self._run_dir, partial(drop_old_segments, self._run_dir, self._clock(), self._retention))
        yield
        for old in old_runs(self._root, self._clock(), self._retention):
            if old is not None and old.run_dir not in self._refused:
                self._try(old.run_dir, partial(remove_old, old))
            yield

    def _pack(self) -> Iterator[None]:
        for segment in unpacked(self._run_dir):
            if segment not in self._refused:
                steps = pack(segment)
                while self._try(segment, partial(next, steps, self)) is None:
                    yield

    def _try(self, path: Path, work: Callable[[], object]) -> object:
        """What `work` gives; None only where there is more to do."""
        try:
            return work()
        except BasisError as error:
            self._refused.add(path)
            self.log(error_event(utc_from_ns(self.now), self.name, "LOG-005", error.message))
            return self
