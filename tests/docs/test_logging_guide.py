"""The logging guide is current, and its commands do on a real run what it says they do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.readme import Snippet, matches, run, sections

CHECKOUT = Path(__file__).parents[2]
GUIDE = CHECKOUT / "docs" / "LOGGING_GUIDE.md"
SECTIONS = sections(GUIDE.read_text(encoding="utf-8"))
MAKES_THE_RUN = ""
"""The block before the first section."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run of the guide is."""
    made = tmp_path_factory.mktemp("guide")
    (snippet,) = SECTIONS[MAKES_THE_RUN]
    (printed,) = run([snippet], made)
    assert snippet.said is not None
    assert matches(snippet.said, printed), printed
    return made


@pytest.mark.parametrize("heading", [heading for heading in SECTIONS if heading != MAKES_THE_RUN])
def test_the_commands_of_a_section_print_what_it_says(heading: str, folder: Path) -> None:
    snippets = [Snippet("sh", "RUN=logs/guide/0\n", None), *SECTIONS[heading]]
    if shutil.which("jq") is None and any("jq " in snippet.text for snippet in snippets):
        pytest.skip("jq is not installed")
    for snippet, printed in zip(snippets, run(snippets, folder), strict=True):
        if snippet.said is not None:
            assert matches(snippet.said, printed), f"{snippet.text}\nprints\n\n{printed}\nand not\n\n{snippet.said}"


def test_what_is_generated_is_current() -> None:
    command = [sys.executable, "-m", "docs_build", "--check"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_document_that_is_not_current_is_named(tmp_path: Path) -> None:
    shutil.copy(GUIDE, tmp_path)
    copy = tmp_path / GUIDE.name
    copy.write_text(copy.read_text(encoding="utf-8").replace("position update failed", "position update went well"))
    command = [sys.executable, "-m", "docs_build", str(tmp_path)]
    done = subprocess.run([*command, "--check"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "LOGGING_GUIDE.md" in done.stderr
    subprocess.run(command, cwd=CHECKOUT, check=True)
    assert copy.read_bytes() == GUIDE.read_bytes()


def test_a_part_that_is_not_marked_as_it_should_be_is_no_text(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: errors actors.pnl_monitor\nactors.risk_monitor -->\n<!-- end -->\n")
    command = [sys.executable, "-m", "docs_build", str(tmp_path)]
    subprocess.run(command, cwd=CHECKOUT, check=True)
    assert "`PNL-005`" in page.read_text()
    page.write_text("<!-- generated errors actors.pnl_monitor -->\n<!-- end -->\n")
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 generated parts begin, 0 have a name and an end" in done.stderr
