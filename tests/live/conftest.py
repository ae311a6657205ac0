"""Where a whole live process trades: three local exchanges."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from tests.live.street import Street, street


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """The exchanges, as they trade, in a folder with a name that is short enough for a socket in it."""
    async with street(tmp_path_factory.mktemp("s")) as exchanges, anyio.create_task_group() as tasks:
        tasks.start_soon(exchanges.publish)
        yield exchanges
        tasks.cancel_scope.cancel()
