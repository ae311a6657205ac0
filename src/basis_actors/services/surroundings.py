"""Defines what a live process lives in: clock, market, venues, journal, state; and what that is on paper."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from basis_actors.bus import Bus, ManualClock, ReplayClock, WallClock
from basis_actors.config import RunConfig
from basis_actors.errors import ConfigError
from basis_actors.messages.book import Flow
from basis_actors.ports import MarketFeed, OrderJournal, VenueClient
from basis_actors.services.live_market import LiveMarket
from basis_actors.services.preparation import Prepared
from basis_actors.services.replay_feed import ReplayFeed
from basis_actors.services.state import StateDirectory
from basis_actors.venues.simulated.build import build_simulated_venues
from basis_actors.venues.simulated.domain import VenueClock

if TYPE_CHECKING:
    from basis_actors.venues.wire.answers import ApiCall

__all__ = ["MakesVenues", "Requests", "Surroundings", "on_paper", "simulated_venues"]

MakesVenues = Callable[[RunConfig, VenueClock], Sequence[VenueClient]]


class Requests:
    """Passes on what is asked of exchanges to whoever writes it down, once there is somebody."""

    def __init__(self) -> None:
        self.writer: Callable[[ApiCall], object] = lambda _: None

    def note(self, call: ApiCall) -> None:
        """A request and what came of it."""
        self.writer(call)


class Surroundings(NamedTuple):
    """What a live process lives in."""

    clock: WallClock | ReplayClock | ManualClock
    feed: MarketFeed
    make_venues: MakesVenues
    flows: tuple[Flow, ...]
    """Money that lands in the wallet; none where it is on the exchanges already."""
    journal: OrderJournal | None = None
    """Where accounts at exchanges write down their orders; None where there are none."""
    real_time: bool = True
    """Whether the market goes on while a tick is at work."""
    requests: Requests | None = None
    """What is asked of exchanges."""
    closing: tuple[Callable[[], Awaitable[None]], ...] = ()
    """What is to be closed when the process ends."""
    watched: Callable[[Bus], object] | None = None
    """Adds to the bus what watches over the surroundings themselves."""
    state: StateDirectory | None = None
    """With one there is a kill switch that listens for commands, in real time only; whoever made it releases it."""

    @property
    def market(self) -> LiveMarket | None:
        """The feed where exchanges publish it: to be opened, and listened to between ticks; None for a recorded one."""
        return self.feed if isinstance(self.feed, LiveMarket) else None


def on_paper(prepared: Prepared, pace: float | None, make_venues: MakesVenues | None = None) -> Surroundings:
    """A recorded market, played back `pace` times as fast as it was, and simulated venues. A pace of None waits for
    each tick to settle and leaves out none, as a backtest does.

    Raises ConfigError CONFIG-003 for a pace that is none.
    """
    venues = make_venues or simulated_venues
    start = prepared.feed.ticks[0]
    if pace is None:
        clock = ManualClock(start, auto=True)
        return Surroundings(clock, prepared.feed, venues, prepared.flows, real_time=False)
    if not 0.0 < pace < 1e9:
        raise ConfigError("CONFIG-003", f"the speed is {pace}; a number above 0 and below 1e9, or max, was expected")
    return Surroundings(ReplayClock(start, pace), ReplayFeed(prepared.feed), venues, prepared.flows)


def simulated_venues(run: RunConfig, clock: VenueClock) -> Sequence[VenueClient]:
    """Those of a mode on paper."""
    return build_simulated_venues(run, clock=clock)
