"""The registry holds the codes that something raises, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import basis_actors
from basis_actors.error_guide import GUIDE
from basis_actors.errors import REGISTRY, BasisError

SOURCES = [
    path
    for path in Path(basis_actors.__file__).parent.rglob("*.py")
    if path.name not in ("errors.py", "error_guide.py")
]


def test_every_registered_code_is_raised_somewhere_and_every_raised_code_is_registered() -> None:
    named = {code for path in SOURCES for code in re.findall(r'"([A-Z]+-\d{3})"', path.read_text())}
    assert named == set(REGISTRY)


@pytest.mark.parametrize("code", ["EXP-002", "STRAT-005", "NONE-001"])
def test_a_number_that_means_nothing_cannot_be_raised(code: str) -> None:
    with pytest.raises(KeyError, match=f"error code '{code}' is not in the registry"):
        BasisError(code, "x")


def test_a_number_keeps_its_meaning_beside_one_that_has_none() -> None:
    assert REGISTRY["EXP-003"].meaning == "positions unavailable"
    assert REGISTRY["STRAT-006"].meaning == "market data stale or not yet known"
    assert all(code == row.code for code, row in REGISTRY.items())


def test_every_code_has_what_follows_and_what_to_do_and_in_sentences() -> None:
    assert list(GUIDE) == list(REGISTRY)
    for code, guide in GUIDE.items():
        for sentence in guide:
            assert re.fullmatch(r"[A-Z`].*\.", sentence), code
            assert "|" not in sentence, f"{code}: it is a cell of a table"
