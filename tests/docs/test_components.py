"""The component specs are all there and say the same things; diagrams show messages that are really sent."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from docs_build.actors import traffic
from docs_build.components import error_codes

CHECKOUT: Final = Path(__file__).parents[2]
DOCS: Final = CHECKOUT / "docs"
SPECS: Final = sorted(path.name for path in (DOCS / "specs").glob("*.md"))
SECTIONS: Final = [
    "Purpose",
    "Messages",
    "State",
    "Domain Event Logging",
    "Error codes",
    "Configuration",
    "Failure and restart",
]
_PARTICIPANT: Final = re.compile(r"participant (\w+) as ([\w ]+)")
_ARROW: Final = re.compile(r"(\w+)->>(\w+): ([A-Z][a-z]\w+)$", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("spec", SPECS)
def test_every_spec_has_the_same_sections(spec: str) -> None:
    headings = re.findall(r"^## (.+)$", prose(DOCS / "specs" / spec), flags=re.MULTILINE)
    assert headings == SECTIONS


def test_the_index_lists_every_spec_once() -> None:
    listed = re.findall(
        r"\| \[\w+\]\(specs/([^)#]+)\)", (DOCS / "COMPONENT_SPECS_INDEX.md").read_text(encoding="utf-8")
    )
    assert sorted(listed) == SPECS


def test_every_folder_of_the_checkout_is_named() -> None:
    structure = (DOCS / "TARGET_REPOSITORY_STRUCTURE.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]+) \|", structure.partition("<!-- generated")[0], flags=re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)/", cell)}
    checked = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["src"]
    assert named == {*checked, "configs", "docs"}


def messages_of_diagrams() -> Iterator[tuple[str, str, str, str]]:
    """Page, sender, message and receiver of every arrow of a sequence diagram."""
    for page in sorted(DOCS.rglob("*.md")):
        for block in re.findall(r"^```mermaid\nsequenceDiagram\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
            people = {short: name.replace("_", " ") for short, name in _PARTICIPANT.findall(block)}
            for sender, receiver, message in _ARROW.findall(block):
                yield page.name, people[sender], message, people[receiver]


def test_every_message_of_a_diagram_is_sent_in_the_example_runs() -> None:
    drawn = list(messages_of_diagrams())
    assert len(drawn) > 20
    sent = {(of_a_kind(sender), message, of_a_kind(receiver)) for sender, message, receiver in traffic()}
    unsent = [arrow for arrow in drawn if tuple(word.lower() for word in arrow[1:]) not in lowered(sent)]
    assert unsent == []


def of_a_kind(name: str) -> str:
    return "venue adapters" if re.fullmatch(r"venue_(?!interface_manager)\w+", name) else name.replace("_", " ")


def lowered(arrows: set[tuple[str, str, str]]) -> set[tuple[str, ...]]:
    return {tuple(word.lower() for word in arrow) for arrow in arrows}


def test_a_code_is_found_where_it_is_named() -> None:
    table = error_codes("actors.position_update_handler")
    assert "| `POS-005` | CRITICAL | reconciliation mismatch |\n" in table
    assert "`EXEC-006`" not in table
    assert "`EXEC-006`" in error_codes("actors.execution_manager")
    with pytest.raises(FileNotFoundError, match=r"no module actors\.nobody"):
        error_codes("actors.nobody")
