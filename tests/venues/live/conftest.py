"""Settings of the tests of live accounts."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
