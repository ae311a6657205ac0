"""Defines the actor that says when the order journal cannot be written, and tries until it can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from basis_actors.actors.reporting import ORDER_JOURNAL, STATE_CODE, error_event
from basis_actors.bus import Actor, on
from basis_actors.messages.safety import JournalReport, StateUnwritable
from basis_actors.times import NS_PER_SECOND, utc_from_ns

__all__ = ["JournalWatch"]


class TryAgain(msgspec.Struct, frozen=True, gc=False):
    """It is time to see whether the journal can be written."""


class JournalWatch(Actor):
    """Says once that no order is sent, and once that orders are sent again.

    `try_again` has the journal write what it owes to the disk, and is called each `seconds` until it does. What comes
    of it, and of every other change, is a JournalReport to this actor.
    """

    def __init__(self, try_again: Callable[[], Awaitable[object]], seconds: float) -> None:
        super().__init__("journal_watch")
        self._try_again = try_again
        self._seconds = seconds
        self._since: int | None = None

    @on(JournalReport)
    def note(self, report: JournalReport) -> None:
        """The journal fails, goes on failing, or is whole."""
        if report.problem is None:
            if self._since is not None:
                lasted = (self.now - self._since) / self.span(1.0)
                self._say(f"the order journal can be written again, after {lasted:.0f} s", passes=True)
                self._since = None
                self.publish(StateUnwritable(ORDER_JOURNAL, None))
        elif self._since is None:
            self._since = self.now
            self._say(f"no order is sent: {report.problem}", passes=False)
            self.publish(StateUnwritable(ORDER_JOURNAL, report.problem))
            self._wait()

    @on(TryAgain)
    async def try_again(self, _due: TryAgain) -> None:
        """See whether there is room on the disk."""
        if self._since is not None:
            await self._try_again()
            self._wait()

    def _wait(self) -> None:
        self.after(self.span(self._seconds) / NS_PER_SECOND, TryAgain())

    def _say(self, text: str, *, passes: bool) -> None:
        self.log(error_event(utc_from_ns(self.now), self.name, STATE_CODE, text, passes=passes))
