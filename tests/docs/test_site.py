"""The site in a real browser: every page at the widths and in the colours that people read it in, and its search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_build.build_site import SITE, served
from tests.browser import Tab

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(page.parent.relative_to(CHECKOUT / SITE).as_posix() for page in (CHECKOUT / SITE).rglob("index.html"))
DRAWN = "document.querySelector('pre.mermaid') === null || document.querySelector('#d__mermaid_0') !== null"
WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > innerWidth"
WITHOUT_PICTURE = "[...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)"
ESCAPED = """
[...document.querySelectorAll('article code')].map(code => code.textContent).filter(text => text.includes('\\\\|'))
"""
FOUND = """
[...document.body.children].flatMap(child => [...(child.shadowRoot?.querySelectorAll('[role=listbox] a') ?? [])])
  .map(link => new URL(link.href).pathname)
"""

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the site is served; it is what `make docs` has built."""
    if not PAGES:
        pytest.skip(f"{SITE} is not built: make docs")
    with served(CHECKOUT / SITE) as where:
        yield where


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_every_page_is_whole(address: str, tab: Tab, width: int, dark: bool) -> None:
    tab.call("Storage.clearDataForOrigin", origin=address.rstrip("/"), storageTypes="local_storage")
    wrong = []
    for page in PAGES:
        tab.complaints.clear()
        tab.visit(f"{address}{page}/", width=width, dark=dark)
        tab.until(DRAWN)
        told = [said[:200] for said in tab.complaints if not said.startswith(f"asked for {address}")]
        if tab.value("document.querySelector('pre.mermaid') !== null"):
            told.append("a diagram is not drawn")
        if tab.value(WIDER_THAN_THE_SCREEN):
            told.append("wider than the screen")
        told += [f"no picture at {where}" for where in tab.value(WITHOUT_PICTURE)]
        told += [f"shown as typed: {text}" for text in tab.value(ESCAPED)]
        if tab.value("document.body.dataset.mdColorScheme") != ("slate" if dark else "default"):
            told.append("in the wrong colours")
        wrong += [f"{page}: {what}" for what in told]
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("funding window", "/specs/strategies/02_BTC_BASIS_STRATEGY/"),
        ("kill flatten", "/specs/14A_KILL_SWITCH/"),
        ("EXEC-006", "/specs/06_EXECUTION_MANAGER/"),
    ],
)
def test_search_finds_the_page(address: str, tab: Tab, words: str, page: str) -> None:
    tab.visit(address)
    tab.value("document.querySelector('.md-search__button').click()")
    tab.until("[...document.body.children].some(child => child.shadowRoot?.activeElement?.matches('input'))")
    tab.call("Input.insertText", text=words)
    tab.until(f"({FOUND.strip()}).length > 0")
    assert page in tab.value(FOUND)
