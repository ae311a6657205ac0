"""Both runtimes, for tests of actors."""

import pytest

from basis_actors.bus.testkit import runtimes

runtime = runtimes()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
