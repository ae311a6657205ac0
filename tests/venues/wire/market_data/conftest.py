"""A local exchange, each of the three in turn, and its real market data over real sockets."""

from collections.abc import AsyncIterator

import pytest
from tests.exchange.server import LocalExchange
from tests.exchange.worlds import EXCHANGES, listening

from basis_actors.venues.wire.market_data import ExchangeMarketData


@pytest.fixture(params=EXCHANGES)
async def exchange(request: pytest.FixtureRequest) -> AsyncIterator[LocalExchange]:
    """The exchange."""
    async with EXCHANGES[request.param]() as running:
        yield running


@pytest.fixture
async def market(exchange: LocalExchange) -> AsyncIterator[ExchangeMarketData]:
    """Its market data."""
    async with listening(exchange) as ready:
        yield ready
