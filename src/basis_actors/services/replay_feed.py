"""Defines a recorded market that does not wait: a tick that is taken late stands for those before it as well."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from basis_actors.data import HistoricalFeed
from basis_actors.messages.market import MarketState, PerpQuote

__all__ = ["ReplayFeed", "merged"]


class ReplayFeed:
    """A historical feed of which ticks may be left out."""

    def __init__(self, feed: HistoricalFeed) -> None:
        self._feed = feed
        self._next: int | None = feed.next_tick(None)

    def next_tick(self, after_ns: int | None) -> int | None:
        """Time of the first recorded tick after `after_ns`."""
        return self._feed.next_tick(after_ns)

    def take(self, ns: int) -> MarketState:
        """The market at `ns`, with everything that fell due since the tick that was taken before."""
        states = []
        while self._next is not None and self._next <= ns:
            states.append(self._feed.take(self._next))
            self._next = self._feed.next_tick(self._next)
        return merged(states)

    async def between(self, ns: int) -> MarketState | None:
        """What was known at the last tick that was taken."""
        return await self._feed.between(ns)


def merged(states: Sequence[MarketState]) -> MarketState:
    """The last of some states in a row, with the funding, the rewards and the range of marks of all of them."""
    last = states[-1]
    if len(states) == 1:
        return last
    return replace(
        last,
        funding=tuple(stamp for state in states for stamp in state.funding),
        rewards=tuple(stamp for state in states for stamp in state.rewards),
        perps={name: _ranged(quote, [state.perps.get(name) for state in states]) for name, quote in last.perps.items()},
    )


def _ranged(last: PerpQuote, quotes: Sequence[PerpQuote | None]) -> PerpQuote:
    highs = [quote.mark_high for quote in quotes if quote is not None and quote.mark_high is not None]
    lows = [quote.mark_low for quote in quotes if quote is not None and quote.mark_low is not None]
    return replace(last, mark_high=max(highs, default=None), mark_low=min(lows, default=None))
