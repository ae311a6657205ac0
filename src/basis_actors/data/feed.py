"""Gives the market as it was known at each tick, from a data set and without looking ahead.

A value is known from a moment on: a bar when it closes, funding and on-chain values at their stamp. At tick T the
feed shows the newest value known at or before T, however old; one older than its staleness limit is marked so.
Cutting the data after T changes nothing up to T.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, repeat
from operator import add
from typing import Final, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from basis_actors.data.columns import Lane, changes, dictionaries, with_blanks
from basis_actors.data.dataset import Dataset
from basis_actors.data.feed_report import FeedReport, report_feed
from basis_actors.data.funding import DueFunding
from basis_actors.data.pools import PoolPriceLane, PoolSpotLane
from basis_actors.data.quotes import (
    GasLane,
    OracleLane,
    PerpLane,
    ReferenceLane,
    ReserveLane,
    SpotLane,
    StakingLane,
)
from basis_actors.messages.market import FundingStamp, MarketState, RewardStamp
from basis_actors.times import utc_from_ns

__all__ = ["CHUNK", "FeedParts", "HistoricalFeed", "between_ticks"]

S = TypeVar("S")

CHUNK: Final = 512
"""Ticks prepared at once: enough to spread the cost of numpy calls, few enough to take a few milliseconds."""


@dataclass(frozen=True, slots=True)
class FeedParts:
    """What a feed is put together from, each by the name it has in the market spec and in its order."""

    prices: dict[str, ReferenceLane | PoolPriceLane]
    spot: dict[str, SpotLane | PoolSpotLane]
    perps: dict[str, PerpLane]
    funding: tuple[DueFunding, ...]
    reserves: dict[str, ReserveLane]
    staking: dict[str, StakingLane]
    oracle: dict[str, OracleLane]
    gas: GasLane | None
    rewards: tuple[RewardStamp, ...]
    """Every payment in the data, by time."""
    used: tuple[str, ...]
    """Names of the series in use."""
    proxies: tuple[str, ...]
    absent: tuple[str, ...]


def between_ticks(last: MarketState, ns: int) -> MarketState:
    """The market of the last tick as that of a moment after it, without what belongs to ticks alone."""
    perps = {name: replace(quote, mark_high=None, mark_low=None, mark_open=None) for name, quote in last.perps.items()}
    return replace(last, ns=ns, timestamp=utc_from_ns(ns), perps=perps, funding=(), rewards=())


class HistoricalFeed:
    """A market feed over history; made by `build_feed`.

    `take` is called once for each tick in order, as the port says, and never has to be waited for. Ticks are prepared
    in chunks, so memory does not grow with their number.
    """

    def __init__(self, dataset: Dataset, parts: FeedParts, ticks: range) -> None:
        """`ticks` are nanoseconds since the epoch, start and end included."""
        self.ticks: Final = ticks
        """Times of all ticks: `len(feed.ticks)`, `feed.ticks[0]`, `feed.ticks[-1]`."""
        self._dataset = dataset
        self._parts = parts
        self._due_ns: int | None = ticks[0]
        self._last: MarketState | None = None
        self._states = self._generate()

    def next_tick(self, after_ns: int | None) -> int | None:
        """Time of the first tick after `after_ns` (of the first tick of all for None); None when there is no more."""
        if after_ns is None or after_ns < self.ticks.start:
            return self.ticks.start
        following = after_ns - (after_ns - self.ticks.start) % self.ticks.step + self.ticks.step
        return following if following < self.ticks.stop else None

    def take(self, ns: int) -> MarketState:
        """The market as it is known at `ns`. Raises ValueError when `ns` is not the next tick."""
        if ns != self._due_ns:
            raise ValueError(f"tick {ns} was asked for and {self._due_ns} is next; ticks are taken once each, in order")
        following = ns + self.ticks.step
        self._due_ns = following if following < self.ticks.stop else None
        self._last = next(self._states)
        return self._last

    async def between(self, ns: int) -> MarketState | None:
        """What was known at the last tick that was taken: history says nothing of what is between its ticks."""
        return None if self._last is None else between_ticks(self._last, ns)

    def warmup_funding(self, perp: str, count: int) -> tuple[FundingStamp, ...]:
        """Funding of `perp` before the first tick, oldest first, as far back as the last `count` settled rates reach.

        Missing rates in between are included with rate None. Empty for a perpetual that is left out or has no history.
        """
        for due in self._parts.funding:
            if due.perp == perp:
                return due.before(self.ticks.start, count)
        return ()

    @cached_property
    def report(self) -> FeedReport:
        """Gaps, missed funding and stand-ins over the whole window; nothing that decides may read it."""
        return self.report_until(self.ticks[-1])

    def report_until(self, ns: int) -> FeedReport:
        """`report` of the ticks up to `ns`, which is one of them."""
        parts, ticks = self._parts, range(self.ticks.start, ns + 1, self.ticks.step)
        return report_feed(self._dataset, parts.used, parts.funding, ticks, parts.proxies, parts.absent)

    def _generate(self) -> Iterator[MarketState]:
        for first in range(0, len(self.ticks), CHUNK):
            part = self.ticks[first : first + CHUNK]
            # np.arange(start, stop, step) counts its steps in doubles, which lose the last tick of a long chunk.
            yield from self._chunk(part.start + part.step * np.arange(len(part), dtype=np.int64))

    def _chunk(self, ticks: NDArray[np.int64]) -> Iterator[MarketState]:
        size = ticks.size
        parts = self._parts
        prices = {asset: lane.chunk(ticks) for asset, lane in parts.prices.items()}
        oracle = {token: lane.chunk(ticks) for token, lane in parts.oracle.items()}
        stale = {asset: old for asset, (_, old) in prices.items()}
        stale |= {f"oracle:{token}": old for token, (_, old) in oracle.items()}
        dollar: Lane[float] = Lane([1.0] * size, np.arange(size) == 0)
        first = utc_from_ns(int(ticks[0]))
        apart = utc_from_ns(int(ticks[0]) + self.ticks.step) - first
        return map(
            MarketState,
            accumulate(repeat(apart, size - 1), add, initial=first),
            ticks.tolist(),
            dictionaries(("USDT", *prices), [dollar, *(lane for lane, _ in prices.values())], size),
            _names(stale, size),
            dictionaries(tuple(parts.spot), [lane.chunk(ticks) for lane in parts.spot.values()], size),
            dictionaries(tuple(parts.perps), [lane.chunk(ticks) for lane in parts.perps.values()], size),
            self._funding(ticks),
            dictionaries([due.perp for due in parts.funding], [_missed(due, ticks) for due in parts.funding], size),
            dictionaries(tuple(parts.reserves), [lane.chunk(ticks) for lane in parts.reserves.values()], size),
            dictionaries(tuple(parts.staking), [lane.chunk(ticks) for lane in parts.staking.values()], size),
            dictionaries(tuple(oracle), [lane for lane, _ in oracle.values()], size),
            repeat(None, size) if parts.gas is None else parts.gas.chunk(ticks),
            self._rewards(ticks),
        )

    def _funding(self, ticks: NDArray[np.int64]) -> list[tuple[FundingStamp, ...]]:
        """What fell due in (previous tick, tick]; at the first tick of all only what is stamped exactly then."""
        after_ns, last_ns = self._reach(ticks)
        due: list[tuple[int, FundingStamp]] = []
        for series in self._parts.funding:
            begin, end = np.searchsorted(series.ns, [after_ns, last_ns], side="right").tolist()
            at = np.searchsorted(ticks, series.ns[begin:end], side="left").tolist()
            due += zip(at, map(series.stamp, range(begin, end)), strict=True)
        due.sort(key=lambda place: place[1].ns)
        return _by_tick(due, ticks.size)

    def _rewards(self, ticks: NDArray[np.int64]) -> list[tuple[RewardStamp, ...]]:
        """What is paid in (previous tick, tick]; at the first tick of all only what is paid exactly then."""
        after_ns, last_ns = self._reach(ticks)
        begin = bisect_right(self._parts.rewards, after_ns, key=_paid_ns)
        end = bisect_right(self._parts.rewards, last_ns, key=_paid_ns)
        paid = self._parts.rewards[begin:end]
        at = np.searchsorted(ticks, [stamp.ns for stamp in paid], side="left").tolist()
        return _by_tick(zip(at, paid, strict=True), ticks.size)

    def _reach(self, ticks: NDArray[np.int64]) -> tuple[int, int]:
        """What falls due at `ticks` is stamped after the first of these moments, up to and including the second."""
        return int(ticks[0]) - (self.ticks.step if ticks[0] > self.ticks.start else 1), int(ticks[-1])


def _paid_ns(stamp: RewardStamp) -> int:
    return stamp.ns


def _missed(due: DueFunding, ticks: NDArray[np.int64]) -> Lane[int]:
    row = np.searchsorted(due.ns, ticks, side="right") - 1
    if due.ns.size == 0:
        return Lane([None] * ticks.size, changes(row))
    counts = due.missed[np.maximum(row, 0)]
    return Lane(with_blanks(counts.tolist(), row < 0), changes(counts, row < 0))


def _names(flags: dict[str, NDArray[np.bool_]], size: int) -> list[tuple[str, ...]]:
    """The names whose flag is set, for each tick."""
    return _by_tick(((tick, name) for name, flag in flags.items() for tick in flag.nonzero()[0].tolist()), size)


def _by_tick(found: Iterable[tuple[int, S]], size: int) -> list[tuple[S, ...]]:
    """What was found at each tick, in the order of `found`; few of them have any."""
    ticks: list[tuple[S, ...]] = [()] * size
    for tick, one in found:
        ticks[tick] = (*ticks[tick], one)
    return ticks
