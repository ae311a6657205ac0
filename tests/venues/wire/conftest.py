"""A local Binance with money in it, and the real adapter connected to it over real sockets."""

from collections.abc import AsyncIterator

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import connected, funded

from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.binance import BinanceApi


@pytest.fixture
async def exchange() -> AsyncIterator[LocalBinance]:
    """The exchange."""
    async with funded() as running:
        yield running


@pytest.fixture
def calls() -> list[ApiCall]:
    """What the adapter says of its requests."""
    return []


@pytest.fixture
async def api(exchange: LocalBinance, calls: list[ApiCall]) -> AsyncIterator[BinanceApi]:
    """The adapter."""
    async with connected(exchange, record=calls.append) as ready:
        yield ready
