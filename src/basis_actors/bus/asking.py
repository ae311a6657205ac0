"""Defines what happens between a question and its answer, on both runtimes: deadline, cycle check, late replies."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from basis_actors.bus.errors import AskCycle

if TYPE_CHECKING:
    from basis_actors.bus.cell import Cell
    from basis_actors.bus.timers import Timer


class Pause(Protocol):
    """The one thing a handler can wait on: something that will be resolved with a value or rejected with an error."""

    def resolve(self, value: object) -> None: ...
    def reject(self, error: BaseException) -> None: ...
    def __await__(self) -> Generator[Any, None, Any]: ...


class Ask:
    """A question on its way. It ends exactly once: answered, failed or given up."""

    __slots__ = ("asker", "cell", "open", "pause", "timer")

    def __init__(self, asker: str, pause: Pause, cell: Cell | None = None) -> None:
        self.asker = asker
        self.pause = pause
        self.cell = cell
        self.timer: Timer | None = None
        self.open = True

    def close(self) -> bool:
        """Stop waiting; False when the ask had ended before."""
        if not self.open:
            return False
        self.open = False
        if self.cell is not None:
            self.cell.waiting_on = None
        if self.timer is not None:
            self.timer.cancel()
        return True

    def answer(self, value: object) -> bool:
        """Give the asker its answer; False when it no longer waits."""
        if not self.close():
            return False
        self.pause.resolve(value)
        return True

    def fail(self, error: BaseException) -> bool:
        """Raise in the asker; False when it no longer waits."""
        if not self.close():
            return False
        self.pause.reject(error)
        return True


def refuse_cycle(asker: Cell, target: Cell) -> None:
    """Raise ``AskCycle`` when ``target`` waits for ``asker``, directly or through others.

    An actor waits for at most one other, so the actors that wait form chains, and following the target's chain is
    enough. That covers the chain of the current request and also two chains that would block each other.
    """
    path = [asker.name]
    step: Cell | None = target
    while step is not None:
        path.append(step.name)
        if step is asker:
            raise AskCycle("waiting for this answer would never end: " + " → ".join(path))
        step = step.waiting_on
