"""Defines how long the long tests are: in full by hand, in a short form in CI."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    help_text = "length of tests marked `long`: in full, or the short form that CI runs"
    parser.addoption("--form", choices=("short", "full"), default="full", help=help_text)


@pytest.fixture(scope="session")
def form(pytestconfig: pytest.Config) -> str:
    """`short` or `full`; a long test that can take less says what it leaves out in the short form."""
    return str(pytestconfig.getoption("form"))
