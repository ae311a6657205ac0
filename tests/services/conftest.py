"""For tests of assembled processes: a backend for real sockets."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
