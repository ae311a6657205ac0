"""Defines the actor that says when what a process keeps on disk is not in its place any more."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, Cause, on
from basis_actors.messages.safety import StateUnwritable
from basis_actors.times import NS_PER_SECOND, utc_from_ns

__all__ = ["Place", "PlaceWatch"]


class Place(msgspec.Struct, frozen=True):
    """A folder that a process works with."""

    name: str
    """What is kept there: `state directory`, `log directory`."""
    error_code: str
    lost: Callable[[], str | None]
    """What became of it; None while it is where it was."""


class LookAgain(msgspec.Struct, frozen=True, gc=False):
    """It is time to look."""


class PlaceWatch(Actor):
    """Looks every `seconds`, and says once that a place is lost and once that it is back, each as a StateUnwritable.

    What is written to files that nobody can find is lost for whoever comes after, so the gate then lets through only
    what reduces.
    """

    def __init__(self, places: tuple[Place, ...], seconds: float) -> None:
        super().__init__("place_watch")
        self._places = places
        self._seconds = seconds
        self._lost: set[str] = set()

    def pre_start(self) -> None:
        """Set the first timer."""
        self._wait()

    @on(LookAgain)
    def look(self, _due: LookAgain) -> None:
        """See whether each place is there."""
        for place in self._places:
            problem = place.lost()
            if (problem is None) != (place.name in self._lost):
                continue
            if problem is None:
                self._lost.discard(place.name)
                text = f"the {place.name} is in its place again"
            else:
                self._lost.add(place.name)
                text = (
                    f"the {place.name} is lost: {problem}; nothing that adds risk is sent: bring it back, or stop this"
                    " process and start another"
                )
            self.publish(StateUnwritable(place.name, problem))
            now = utc_from_ns(self.now)
            self.log(error_event(now, self.name, place.error_code, text, passes=problem is None))
        self._wait()

    def _wait(self) -> None:
        self.after(self.span(self._seconds) / NS_PER_SECOND, LookAgain(), new_cause=Cause("places"))
