"""Keeps the prices of one exchange young between ticks: listens to its stream, and asks while that cannot be relied on.

A stream may have missed something while it was connected. So it is relied on once it has shown something and all prices
have been asked for after that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

import anyio

from basis_actors.bus import Outlet, Source
from basis_actors.config import MarketFeedConfig
from basis_actors.errors import VenueError
from basis_actors.messages.quotes import FeedTrouble, Price
from basis_actors.ports import MarketData

__all__ = ["LOST", "UNANSWERED", "pause_seconds", "streaming"]

LOST: Final = "DATA-003"
UNANSWERED: Final = "DATA-001"
"""What it is when an exchange does not show its market."""
_MOST_DOUBLINGS: Final = 32


def streaming(
    data: MarketData,
    config: MarketFeedConfig,
    chance: Random,
    see: Callable[[Price], object],
    ask: Callable[[], Awaitable[object]],
    sleep: Callable[[float], Awaitable[None]],
) -> Source:
    """The source of one exchange. `see` takes a price, `ask` asks for all prices and takes them, `sleep` waits."""

    async def listen_and_ask(outlet: Outlet) -> None:
        stream = _Stream(data, config, chance, see, sleep, outlet)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.keep_open)
            tasks.start_soon(stream.ask_while_unreliable, ask)

    listen_and_ask.__name__ = f"market of {data.venue}"
    return listen_and_ask


def pause_seconds(config: MarketFeedConfig, failures: int, chance: Random) -> float:
    """How long to wait after so many failures in a row, none being the first."""
    pause = config.reconnect_seconds * 2.0 ** min(failures, _MOST_DOUBLINGS)
    return min(config.longest_reconnect_seconds, pause) * (1.0 + config.reconnect_jitter * chance.random())


class _Stream:
    def __init__(
        self,
        data: MarketData,
        config: MarketFeedConfig,
        chance: Random,
        see: Callable[[Price], object],
        sleep: Callable[[float], Awaitable[None]],
        outlet: Outlet,
    ) -> None:
        self._data = data
        self._config = config
        self._chance = chance
        self._see = see
        self._sleep = sleep
        self._outlet = outlet
        self._shown = 0
        """Prices since the connection was made."""
        self._relied_on = False

    async def keep_open(self) -> None:
        """Connect, listen, and connect again when it breaks or falls silent."""
        failures = 0
        while True:
            self._shown = 0
            reason = await self._listen()
            self._relied_on = False
            failures = 0 if self._shown else failures + 1
            self._tell(LOST, f"the stream is lost: {reason}")
            await self._sleep(pause_seconds(self._config, failures, self._chance))

    async def ask_while_unreliable(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask for prices again and again while the stream is not relied on."""
        while True:
            if not self._relied_on:
                had_shown = self._shown > 0
                try:
                    await ask()
                except VenueError as error:
                    self._tell(UNANSWERED, f"its prices cannot be asked for: {error.message}")
                else:
                    if had_shown and self._shown:
                        self._relied_on = True
                        self._tell(None, "the stream shows the market")
            await self._sleep(self._config.poll_seconds)

    async def _listen(self) -> str:
        """Returns why it ended."""
        reason = "it ended"
        async with anyio.create_task_group() as tasks:

            async def stream() -> None:
                nonlocal reason
                try:
                    await self._data.watch(self._take)
                except VenueError as error:
                    reason = error.message
                tasks.cancel_scope.cancel()

            async def patience() -> None:
                nonlocal reason
                before = -1
                while before != self._shown:
                    before = self._shown
                    await self._sleep(self._config.silence_seconds)
                reason = f"nothing was shown for {self._config.silence_seconds:g} s"
                tasks.cancel_scope.cancel()

            tasks.start_soon(stream)
            tasks.start_soon(patience)
        return reason

    def _take(self, price: Price) -> None:
        self._shown += 1
        self._see(price)

    def _tell(self, code: str | None, text: str) -> None:
        self._outlet.post(self._outlet.owner, FeedTrouble(self._data.venue, code, text))
