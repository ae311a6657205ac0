"""What the README shows is what happens: its commands run, and print what it says they print."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.docs.readme import README, matches, run, sections

CHECKOUT = README.parent
TEXT = README.read_text(encoding="utf-8")
SECTIONS = sections(TEXT)
SETS_UP = "Start"
"""Its commands would set up the project; they are looked at, not run."""


@pytest.fixture
def folder(history: Path, tmp_path: Path) -> Path:
    """A checkout as far as the README needs one, with the data where it says."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "data").symlink_to(history)
    (tmp_path / "checkout").mkdir()
    for part in ("configs", "examples"):
        (tmp_path / "checkout" / part).symlink_to(CHECKOUT / part)
    return tmp_path / "checkout"


@pytest.mark.parametrize("heading", [heading for heading in SECTIONS if heading != SETS_UP])
def test_the_commands_of_a_section_print_what_it_says(heading: str, folder: Path) -> None:
    snippets = SECTIONS[heading]
    if shutil.which("jq") is None and any("jq " in snippet.text for snippet in snippets):
        pytest.skip("jq is not installed")
    for snippet, printed in zip(snippets, run(snippets, folder), strict=True):
        if snippet.said is not None:
            assert matches(snippet.said, printed), f"{snippet.text}\nprints\n\n{printed}\nand not\n\n{snippet.said}"


def test_a_different_output_is_noticed() -> None:
    printed = "one\ntwo\nthree 4 five\n"
    assert matches("a  …  b\n", "a    13.933  b\n")
    assert not matches("a  …  b\n", "a 13.933 b\n"), "columns are apart by two blanks"
    assert matches("one\n…\nthree … five\n", printed)
    assert matches("…\ntwo\n…\n", printed)
    assert not matches("one\nthree 4 five\n", printed)
    assert not matches("one\ntwo\nthree … six\n", printed)
    assert not matches(printed, "one  \ntwo\nthree 4 five\n"), "blanks at the end of a line"
    assert not matches(printed, "one\n\ntwo\nthree 4 five\n"), "an empty line"


def test_a_slower_run_is_no_different_output() -> None:
    assert matches("│ Ticks 9  (5,377 a second)  │\n", "│ Ticks 9  (37 a second)     │\n")
    said = "9 … trade: confirmed\n… in … ms, fee 1\n"
    assert matches(said, "9  0.5  trade: confirmed\n        in 0.5 ms, fee 1\n")
    assert matches(said, "9  1000.5  trade:\n    confirmed\n    in 50.5 ms,\n    fee 1\n")
    assert not matches(said, "9  0.5  trade: failed\n        in 0.5 ms, fee 1\n")
    assert matches("logs/a-20240101T000000-00ff/7\n", "logs/a-20250101T000000-ff00/12345\n")


def test_the_set_up_commands_are_targets_that_do_what_is_said() -> None:
    (snippet,) = SECTIONS[SETS_UP]
    planned = {}
    for line in snippet.text.splitlines():
        command = [*line.split(), "--dry-run", "VENV=nowhere"]
        planned[line] = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    assert list(planned) == ["make demo", "make test"]
    for steps in planned.values():
        assert "-m venv nowhere" in steps
        assert "--constraint constraints.txt" in steps
    assert "backtest btc_basis --start 2024-01-01 --end 2024-03-31" in planned["make demo"]
    assert "-m pytest" in planned["make test"]


def test_every_file_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links
    for link in links:
        assert (CHECKOUT / link).exists(), link
