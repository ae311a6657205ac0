"""Both journals, for one suite: the one in memory, and the one on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.venues.journal.intents import Journal
from tests.venues.journal.kept import Kept, in_memory, on_disk


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    found = in_memory() if request.param == "memory" else on_disk(tmp_path / "journal.db")
    yield found
    found.close()


@pytest.fixture
def journal(kept: Kept) -> Journal:
    return kept.journal
