"""An account with money in it, for one engine after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.house import House, funded_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """The account, and no process yet."""
    async with funded_house(tmp_path) as ready:
        yield ready
