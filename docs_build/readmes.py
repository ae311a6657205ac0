"""Takes sections of the READMEs that stand beside the code, so that the site has them and nobody writes them twice."""

from __future__ import annotations

import re
from pathlib import Path

_SOURCES = Path(__file__).parents[1] / "src" / "basis_actors"


def section(package: str, *heading: str) -> str:
    """What stands below a heading of the README of `package`, up to the next one. Raises ValueError without one."""
    wanted = " ".join(heading)
    text = (_SOURCES / package / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(wanted)}\n+(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"{package}/README.md has no section {wanted!r}")
    return f"{found[1].strip()}\n"
