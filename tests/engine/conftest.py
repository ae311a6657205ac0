"""Shared by the tests of whole runs: where real history is, and a way to play a mode in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.play import Played, play


@pytest.fixture(scope="session")
def history() -> Path:
    """The folder of real history: BASIS_ACTORS_DATA, else shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("BASIS_ACTORS_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real history is not at {folder}; set BASIS_ACTORS_DATA to its folder")
    return folder


@pytest.fixture
def played(tmp_path: Path) -> Callable[..., Played]:
    """Plays a mode to its end, or to its failure, and keeps every event."""

    def run(mode: str, **options: Any) -> Played:
        return play(mode, tmp_path, **options)

    return run


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
