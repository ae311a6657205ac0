"""A local OKX with money in it, and the real adapter connected to it over real sockets."""

from collections.abc import AsyncIterator

import pytest
from tests.exchange.okx import LocalOkx
from tests.exchange.worlds import connected, funded_okx

from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.okx import OkxApi


@pytest.fixture
async def exchange() -> AsyncIterator[LocalOkx]:
    """The exchange."""
    async with funded_okx() as running:
        yield running


@pytest.fixture
async def api(exchange: LocalOkx, calls: list[ApiCall]) -> AsyncIterator[OkxApi]:
    """The adapter."""
    async with connected(exchange, record=calls.append) as ready:
        assert isinstance(ready, OkxApi)
        yield ready
