"""For tests of what a live process shows: a backend for real sockets."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
