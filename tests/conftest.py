"""Defines how long the long tests are, in full or in the short form of CI, and the browser that some look with."""

import os
from collections.abc import Iterator

import pytest
from tests.browser import Browser, Tab, binary, browser


def pytest_addoption(parser: pytest.Parser) -> None:
    help_text = "length of tests marked `long`: in full, or the short form that CI runs"
    parser.addoption("--form", choices=("short", "full"), default="full", help=help_text)


@pytest.fixture(scope="session")
def form(pytestconfig: pytest.Config) -> str:
    """`short` or `full`; a long test that can take less says what it leaves out in the short form."""
    return str(pytestconfig.getoption("form"))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser. In CI its absence is a failure."""
    if binary() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is not installed; .ci/run installs it")
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Tab]:
    opened = chromium.tab()
    yield opened
    opened.close()
