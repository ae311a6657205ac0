"""Defines whether an exchange can be looked at and takes our key, as its answers, refusals and silence say."""

from __future__ import annotations

from basis_actors.errors import AuthFailed, LeftAlone, Transient, UnknownOutcome, VenueError
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.terms import LiveClock

__all__ = ["Contact"]


class Contact:
    """Contact with one exchange. That it refuses our key, and takes it again, is said once each."""

    def __init__(self, venue: str, findings: Findings, clock: LiveClock) -> None:
        self._venue = venue
        self._findings = findings
        self._clock = clock
        self.lost_since: int | None = None
        """Since when it could not be looked at, nanoseconds; None when it could."""
        self.left_alone_until: int | None = None
        """Until when it wants to be left alone, nanoseconds; None when it may be asked."""
        self._unread: str | None = None
        """Why our key may not even read; None when it may."""
        self._unsent: str | None = None
        """Why our key may not send; what it may is looked up once, at the start of a process."""

    @property
    def key_refused(self) -> str | None:
        """Why it does not take our key; None when it does.

        What may not be read may be again once somebody has mended the key; what may not be sent, only in a process that
        has looked up at its start what the key may do.
        """
        return self._unsent or self._unread

    def lose(self, error: VenueError) -> None:
        """It cannot be looked at."""
        if self.lost_since is None:
            self.lost_since = self._clock.now()
        if isinstance(error, LeftAlone):
            self.left_alone_until = error.until_ns
        elif self.left_alone_until is not None and self.left_alone_until <= self._clock.now():
            self.left_alone_until = None
        if isinstance(error, AuthFailed):
            if self.key_refused is None:
                self._say_refused(error.message)
            self._unread = error.message

    def find(self) -> None:
        """It can be."""
        self.lost_since = self.left_alone_until = None
        if self._unread is not None:
            self._unread = None
            self._findings.error(self._clock.now(), "VEN-005", f"{self._venue} takes our key again", passes=True)

    def not_sent(self, error: VenueError) -> None:
        """An order was not taken, or nobody knows whether it was."""
        if isinstance(error, AuthFailed):
            if self._unsent is None:
                self._unsent = f"{error.message}; mend the key, then start the process again"
                self._say_refused(self._unsent)
        elif _is_silence(error):
            self.lose(error)

    def not_told(self, error: AuthFailed | Transient) -> None:
        """What became of an order was not said."""
        if isinstance(error, AuthFailed) or _is_silence(error):
            self.lose(error)

    def _say_refused(self, why: str) -> None:
        text = f"{self._venue} does not take our key, so nothing is begun there: {why}"
        self._findings.error(self._clock.now(), "VEN-005", text)


def _is_silence(error: VenueError) -> bool:
    """Whether no answer came."""
    return isinstance(error, UnknownOutcome) or (isinstance(error, Transient) and error.code == "VEN-003")
