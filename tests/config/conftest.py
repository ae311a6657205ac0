"""Defines how a test makes a mode file with something wrong in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from basis_actors.config import config_root

EditMode = Callable[..., Path]


@pytest.fixture
def edited(tmp_path: Path) -> EditMode:
    """Write a copy of a mode with pieces of text replaced; each piece must occur exactly once."""

    def edit(mode: str, *replacements: tuple[str, str]) -> Path:
        text = (config_root() / "modes" / f"{mode}.yaml").read_text(encoding="utf-8")
        for old, new in replacements:
            assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {mode}"
            text = text.replace(old, new)
        file = tmp_path / "mode.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return edit
