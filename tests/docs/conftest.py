"""Where the documents find real history."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def history() -> Path:
    """The folder of real history: BASIS_ACTORS_DATA, else shared/data beside the checkout."""
    folder = Path(os.environ.get("BASIS_ACTORS_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real history is not at {folder}; set BASIS_ACTORS_DATA to its folder")
    return folder
