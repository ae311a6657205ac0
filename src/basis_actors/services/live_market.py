"""Gives a live process its market at each tick: all is asked for, and what does not come in time is as it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final

import anyio

from basis_actors.bus import Source
from basis_actors.config import MarketFeedConfig
from basis_actors.data.feed import between_ticks
from basis_actors.data.market_board import Market, MarketBoard
from basis_actors.errors import Transient, VenueError
from basis_actors.messages.market import FundingStamp, MarketSpec, MarketState
from basis_actors.messages.quotes import FeedTrouble, Price
from basis_actors.ports import MarketData
from basis_actors.services.market_stream import UNANSWERED, pause_seconds, streaming
from basis_actors.times import NS_PER_SECOND

__all__ = ["LiveMarket"]

_WARM_UP_NS: Final = 30 * 86_400 * NS_PER_SECOND
"""Windows of settled funding are full at the first tick."""
_NONSENSE: Final = "DATA-002"


class LiveMarket:
    """The market as exchanges publish it, at once and then a moment after every whole multiple of `step_ns`.

    `now` is the engine's clock, `sleep` waits real seconds. `tell` is given what is wrong; it may be set later.
    """

    def __init__(
        self,
        spec: MarketSpec,
        board: MarketBoard,
        exchanges: Mapping[str, MarketData],
        config: MarketFeedConfig,
        *,
        step_ns: int,
        now: Callable[[], int],
        chance: Random,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._board = board
        self._exchanges = exchanges
        self._config = config
        self._step_ns = step_ns
        self._delay_ns = round(config.tick_delay_seconds * NS_PER_SECOND)
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self._perps = {venue: [perp for perp in spec.perps if _venue_of(perp) == venue] for venue in exchanges}
        self._since_ns: int | None = None
        self.tell: Callable[[FeedTrouble], object] = lambda _: None

    async def open(self, waiting: Callable[[str, str | None], object]) -> None:
        """Learn what is traded, every price, and the funding of the last month, of all exchanges at once and however
        often it takes to ask.

        `waiting` is told which exchange it takes long and why, and of each exchange (None) that it has said everything.
        Raises Rejected VEN-004 for a market that an exchange does not have.
        """
        failures: list[VenueError] = []

        async def one(data: MarketData) -> None:
            try:
                await self._learn_in_time(data, waiting)
            except VenueError as error:
                failures.append(error)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for data in self._exchanges.values():
                tasks.start_soon(one, data)
        if failures:
            raise failures[0]

    async def _learn_in_time(self, data: MarketData, waiting: Callable[[str, str | None], object]) -> None:
        failures = 0
        while True:
            try:
                await self._learn(data)
                break
            except Transient as error:
                waiting(data.venue, error.message)
                await self._sleep(pause_seconds(self._config, failures, self._chance))
                failures += 1
        waiting(data.venue, None)

    async def _learn(self, data: MarketData) -> None:
        await data.open()
        await self._ask_prices(data)
        unknown = [name for name in self._board.unknown() if _venue_of(name) == data.venue]
        if unknown:
            raise Transient("VEN-003", f"no price of {', '.join(unknown)}")
        for perp in self._perps[data.venue]:
            self._settle(data.venue, await data.funding(_pair_of(perp), self._now() - _WARM_UP_NS))

    def settled(self, perp: str, count: int) -> tuple[FundingStamp, ...]:
        """What is known of the funding of a perpetual, oldest first, as far back as the last `count` rates reach."""
        return self._board.settled(perp, count)

    def next_tick(self, after_ns: int | None) -> int:
        """Now for the first; then the next whole step and a moment more."""
        if after_ns is None:
            return self._now()
        return (after_ns - self._delay_ns) // self._step_ns * self._step_ns + self._step_ns + self._delay_ns

    async def take(self, ns: int) -> MarketState:
        """The market now, as that of the tick at `ns`."""
        since = ns if self._since_ns is None else self._since_ns
        await self._ask_everybody(lambda data: self._ask_all(data, since, ns))
        self._since_ns = ns
        state = self._board.state(since, ns)
        self._board.forget_ranges()
        return state

    async def between(self, ns: int) -> MarketState | None:
        """Prices as they are now, between two ticks."""
        if self._since_ns is None:
            return None
        await self._ask_everybody(self._ask_prices)
        return between_ticks(self._board.state(ns, ns), ns)

    async def _ask_everybody(self, ask: Callable[[MarketData], Awaitable[object]]) -> None:
        """Ask all exchanges at once, and wait for them no longer than agreed."""

        async def one(data: MarketData) -> None:
            try:
                await ask(data)
            except VenueError as error:
                self.tell(FeedTrouble(data.venue, UNANSWERED, f"its market cannot be asked for: {error.message}"))

        async with anyio.create_task_group() as tasks:

            async def everybody() -> None:
                async with anyio.create_task_group() as asking:
                    for data in self._exchanges.values():
                        asking.start_soon(one, data)
                tasks.cancel_scope.cancel()

            async def patience() -> None:
                await self._sleep(self._config.request_seconds)
                tasks.cancel_scope.cancel()

            tasks.start_soon(everybody)
            tasks.start_soon(patience)

    async def _ask_all(self, data: MarketData, since_ns: int, ns: int) -> None:
        """Everything of one exchange. What was settled may be listed a moment later."""
        await self._ask_prices(data)
        perps = self._perps[data.venue]
        for perp in perps:
            extremes = await data.mark_range(_pair_of(perp), since_ns)
            if extremes is not None:
                self._board.widen(Market(data.venue, _pair_of(perp)), *extremes)
        while perps:
            for perp in perps:
                newest = self._board.newest_stamp(perp)
                after = since_ns if newest is None else newest
                self._settle(data.venue, await data.funding(_pair_of(perp), after + 1))
            perps = [perp for perp in perps if perp in self._board.awaits(since_ns, ns)]
            if perps:
                await self._sleep(self._config.poll_seconds)

    async def _ask_prices(self, data: MarketData) -> None:
        for price in await data.prices():
            self._see(data.venue, price)

    def _settle(self, venue: str, stamps: tuple[FundingStamp, ...]) -> None:
        for doubt in self._board.settle(stamps):
            self.tell(FeedTrouble(venue, _NONSENSE, doubt))

    def _see(self, venue: str, price: Price) -> None:
        doubt = self._board.see(venue, price, self._now())
        if doubt is not None:
            self.tell(FeedTrouble(venue, _NONSENSE, doubt))

    def sources(self) -> list[Source]:
        """What keeps prices young between ticks, for the bus to run."""
        return [self._source(data) for data in self._exchanges.values()]

    def _source(self, data: MarketData) -> Source:
        return streaming(
            data,
            self._config,
            self._chance,
            see=lambda price: self._see(data.venue, price),
            ask=lambda: self._ask_prices(data),
            sleep=self._sleep,
        )

    async def close(self) -> None:
        """Close the connections."""
        for data in self._exchanges.values():
            await data.close()


def _venue_of(name: str) -> str:
    return name.partition(":")[0]


def _pair_of(perp: str) -> str:
    return perp.partition(":")[2]
