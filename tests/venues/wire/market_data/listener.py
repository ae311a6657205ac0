"""Defines somebody who listens to all streams of an exchange, and waits for what a test expects."""

from __future__ import annotations

from asyncio import Event
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from tests.exchange.server import LocalExchange

from basis_actors.errors import VenueError
from basis_actors.messages.quotes import Price
from basis_actors.venues.wire.market_data import ExchangeMarketData

CONNECTIONS = {"binance": 3, "bybit": 2, "okx": 1}
TOPICS = {"binance": 8, "bybit": 4, "okx": 4}
"""Of all pairs."""


class Listener:
    """What was heard, and how it ended."""

    def __init__(self) -> None:
        self.prices: list[Price] = []
        self.error: VenueError | None = None
        self.ended = Event()
        self._heard = Event()

    async def listen(self, market: ExchangeMarketData) -> None:
        try:
            await market.watch(self._hear)
        except VenueError as error:
            self.error = error
        finally:
            self.ended.set()

    async def until(self, *wanted: float) -> None:
        """Wait until such prices were heard."""
        while not {price.price for price in self.prices} >= set(wanted):
            self._heard.clear()
            await self._heard.wait()

    def of(self, pair: str) -> list[tuple[str, float]]:
        """What was heard of a pair."""
        return [(price.kind.value, price.price) for price in self.prices if price.pair == pair]

    def _hear(self, price: Price) -> None:
        self.prices.append(price)
        self._heard.set()


async def subscribed(exchange: LocalExchange) -> None:
    """Wait until the exchange serves every stream of it."""
    streams, venue = exchange.streams, exchange.venue
    async with streams.changed:
        await streams.changed.wait_for(
            lambda: (
                len(streams.listeners) == CONNECTIONS[venue]
                and sum(len(listener.topics) for listener in streams.listeners) == TOPICS[venue]
            )
        )


@asynccontextmanager
async def listener_of(exchange: LocalExchange, market: ExchangeMarketData) -> AsyncIterator[Listener]:
    """Somebody who listens until the end of the block, with every stream served."""
    listener = Listener()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.listen, market)
        await subscribed(exchange)
        yield listener
        tasks.cancel_scope.cancel()
