"""A local Bybit with money in it, and the real adapter connected to it over real sockets."""

from collections.abc import AsyncIterator

import pytest
from tests.exchange.bybit import LocalBybit
from tests.exchange.worlds import connected, funded_bybit

from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.bybit import BybitApi


@pytest.fixture
async def exchange() -> AsyncIterator[LocalBybit]:
    """The exchange."""
    async with funded_bybit() as running:
        yield running


@pytest.fixture
async def api(exchange: LocalBybit, calls: list[ApiCall]) -> AsyncIterator[BybitApi]:
    """The adapter."""
    async with connected(exchange, record=calls.append) as ready:
        assert isinstance(ready, BybitApi)
        yield ready
