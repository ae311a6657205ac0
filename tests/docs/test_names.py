"""Names that the project has left behind stay out of it, but for where they are refused and where it says why."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

CHECKOUT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("src", "tests", "docs", "docs_build", "configs", "benchmarks", "examples")
TEXT: Final = frozenset({".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".cfg", ".ini", ".json", ".html", ".css", ""})
ALLOWED: Final = {
    "docs/ARCHITECTURAL_DECISION_RECORDS.md": "says why",
    "src/basis_actors/config/explain.py": "refuses the key",
    "tests/config/test_strictness.py": "shows that it is refused",
    "tests/docs/test_names.py": "is this",
}
MANAGER: Final = re.compile(r"venue[ _-]?manager", re.IGNORECASE)
MODEL: Final = re.compile(r"\btrade[ _-]?(?:model|class|object|record)s?\b|`Trade`", re.IGNORECASE)


def files() -> Iterator[Path]:
    """What people have written: source, tests, documents, configuration."""
    yield from (path for path in CHECKOUT.iterdir() if path.is_file() and path.suffix in TEXT and path.name[0] != ".")
    for folder in FOLDERS:
        for path in sorted((CHECKOUT / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path


def left_behind(path: Path, text: str) -> Iterator[str]:
    """What a file says that it should not."""
    name = path.relative_to(CHECKOUT).as_posix()
    for number, line in enumerate([name, *text.splitlines()]):
        for pattern in (MANAGER, MODEL):
            if (found := pattern.search(line)) is not None:
                yield f"{name}:{number}: {found.group()}"
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if getattr(node, "name", None) == "Trade" or getattr(node, "id", None) == "Trade":
                yield f"{name}:{getattr(node, 'lineno', 0)}: Trade"


def test_nothing_says_what_was_left_behind() -> None:
    found = [
        problem
        for path in files()
        if path.relative_to(CHECKOUT).as_posix() not in ALLOWED
        for problem in left_behind(path, path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("name", [name for name in ALLOWED if name != "docs/ARCHITECTURAL_DECISION_RECORDS.md"])
def test_an_exception_is_needed(name: str) -> None:
    """A file that no longer says it is no longer allowed to."""
    assert list(left_behind(CHECKOUT / name, (CHECKOUT / name).read_text(encoding="utf-8")))


def test_the_decision_record_says_why_of_both() -> None:
    text = (CHECKOUT / "docs/ARCHITECTURAL_DECISION_RECORDS.md").read_text(encoding="utf-8")
    assert MANAGER.search(text)
    assert MODEL.search(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/specs/06_VENUE_MANAGER.md", ""),
        ("src/new.py", "class VenueManager: ..."),
        ("configs/new.yaml", "venue_manager: {}"),
        ("docs/new.md", "The Trade model holds what was traded."),
        ("docs/new.md", "It returns a `Trade`."),
        ("src/new.py", "class Trade: ..."),
        ("src/new.py", "from somewhere import Trade"),
        ("src/new.py", "def f(trade: Trade) -> None: ..."),
    ],
)
def test_each_of_them_is_found(name: str, text: str) -> None:
    assert list(left_behind(CHECKOUT / name, text))
