"""The pages of the site: every one is reached, and the commands and code they show do what they say."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.readme import README, Snippet, matches, run, sections

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
OF_THEIR_OWN = {"LOGGING_GUIDE.md"}
"""Pages with a test file each, which runs them in its own way."""
SLOW = {"tutorials/paper_then_live.md", "tutorials/restart_after_a_crash.md", "tutorials/stress_test.md"}


def navigated(entry: Any) -> Iterator[str]:
    """The pages below an entry of the navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from navigated(inner)


def snippets(page: str) -> list[Snippet]:
    """What a page shows that can be run, from its top to its end."""
    return [snippet for section in sections((DOCS / page).read_text(encoding="utf-8")).values() for snippet in section]


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (DOCS / "concepts" / "guarantees.md").read_text("utf-8"))
    assert len(named) > 20
    for file, function in named:
        assert f"def {function}" in (CHECKOUT / file).read_text(encoding="utf-8"), f"{file}::{function}"


def test_every_page_is_reached_from_the_navigation() -> None:
    config = tomllib.loads((CHECKOUT / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(navigated(config["project"]["nav"])) == PAGES


def test_pages_that_are_followed_in_one_folder_do_not_collide() -> None:
    texts = [README.read_text("utf-8"), *((DOCS / page).read_text("utf-8") for page in PAGES)]
    for given in (r"--correlation-id (\w+)", r"data generate (\w+)"):
        names = [name for text in texts for name in set(re.findall(given, text))]
        assert len(names) > 2
        assert [name for name, count in Counter(names).items() if count > 1] == [], given


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.long] if page in SLOW else [])
        for page in PAGES
        if page not in OF_THEIR_OWN and snippets(page)
    ],
)
def test_a_page_from_top_to_end(page: str, tmp_path: Path) -> None:
    """All in one shell, in a folder that has the configurations and the examples and nothing else."""
    shown = snippets(page)
    if shutil.which("jq") is None and any(re.search(r"\bjq ", snippet.text) for snippet in shown):
        pytest.skip("jq is not installed")
    for part in ("configs", "examples"):
        (tmp_path / part).symlink_to(CHECKOUT / part)
    for snippet, printed in zip(shown, run(shown, tmp_path), strict=True):
        if snippet.said is not None:
            assert matches(snippet.said, printed), f"{snippet.text}\nprints\n\n{printed}\nand not\n\n{snippet.said}"
