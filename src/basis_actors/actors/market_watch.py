"""Defines the actor that owns the streams of the market, and logs what is wrong with them."""

from __future__ import annotations

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, on
from basis_actors.messages.quotes import FeedTrouble
from basis_actors.times import NS_PER_SECOND, utc_from_ns

__all__ = ["MarketWatch"]


class MarketWatch(Actor):
    """Says each trouble of an exchange once until its market is shown again, and then that it is.

    Prices do not pass through it: only the newest of them counts, and that is on the board.
    """

    def __init__(self) -> None:
        super().__init__("market_watch")
        self._told: dict[str, set[str]] = {}
        self._since: dict[str, int] = {}

    @on(FeedTrouble)
    def note(self, trouble: FeedTrouble) -> None:
        """Something is wrong with an exchange's market, goes on being wrong, or is right again."""
        told = self._told.setdefault(trouble.venue, set())
        if trouble.code is None:
            if told:
                seconds = (self.now - self._since[trouble.venue]) / NS_PER_SECOND
                self._say("DATA-003", f"{trouble.venue}: {trouble.text} again, after {seconds:.0f} s", passes=True)
            told.clear()
        elif trouble.text not in told:
            if not told:
                self._since[trouble.venue] = self.now
            told.add(trouble.text)
            self._say(trouble.code, f"{trouble.venue}: {trouble.text}", passes=False)

    def _say(self, code: str, text: str, *, passes: bool) -> None:
        self.log(error_event(utc_from_ns(self.now), self.name, code, text, passes=passes))
