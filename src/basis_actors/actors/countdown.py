"""Defines the actor that keeps an exchange's own dead man's switch from going off while the engine lives.

An exchange that hears nothing more from here cancels what is open by itself, whatever has become of this machine.
"""

from __future__ import annotations

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, on
from basis_actors.errors import Transient, VenueError
from basis_actors.messages.safety import RefreshCountdown
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.account import ExchangeAccount

__all__ = ["Countdown"]


class Countdown(Actor):
    """Serves one account. An exchange without such a thing is asked once."""

    def __init__(self, account: ExchangeAccount, seconds: int) -> None:
        super().__init__(f"countdown_{account.domain}")
        self._account = account
        self._seconds = seconds
        self._has_one = True
        self._running = False
        self._failing = False

    @on(RefreshCountdown)
    async def refresh(self, _command: RefreshCountdown) -> None:
        """Begin the countdown anew."""
        if not self._has_one:
            return
        # Whatever fails on the way may have begun some of it.
        self._running = True
        try:
            self._has_one = self._running = await self._account.countdown_cancel(self._seconds)
            self._failing = False
        except VenueError as error:
            self._tell(error)

    async def post_stop(self) -> None:
        """Call it off: nothing of ours is open, and what else is belongs to somebody."""
        if not self._running:
            return
        try:
            await self._account.countdown_cancel(0)
        except VenueError as error:
            self._tell(error)

    def _tell(self, error: VenueError) -> None:
        """Once as long as it lasts."""
        if not self._failing:
            text = f"the countdown of {self._account.domain} cannot be set: {error.message}"
            passes = isinstance(error, Transient)
            self.log(error_event(utc_from_ns(self.now), self.name, error.code, text, passes=passes))
        self._failing = True
