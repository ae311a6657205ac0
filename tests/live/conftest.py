"""Where a whole live process trades: three local exchanges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from tests.live.street import Street, street


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Street]:
    """The exchanges, as they trade."""
    async with street(tmp_path) as exchanges, anyio.create_task_group() as tasks:
        tasks.start_soon(exchanges.publish)
        yield exchanges
        tasks.cancel_scope.cancel()
