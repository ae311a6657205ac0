"""Runs of the Python API in an empty folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from basis_actors.strategies.base import Strategy
from basis_actors.strategies.registry import STRATEGIES


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def register() -> Iterator[Callable[[str, type[Strategy]], None]]:
    """Puts a strategy in the place of a family for the length of a test."""
    before = dict(STRATEGIES)
    yield STRATEGIES.__setitem__
    STRATEGIES.clear()
    STRATEGIES.update(before)
