"""Sentences that differ in their numbers only are one line, and that line is a whole sentence."""

from __future__ import annotations

import pytest

from basis_actors.results.recurring import Recurring, kind_of


def lines(*texts: str) -> list[str]:
    found = Recurring()
    found.add(texts)
    return found.lines()


def test_what_comes_once_stands_alone() -> None:
    assert lines("price of ETHFI is stale") == ["price of ETHFI is stale"]


def test_what_comes_again_is_counted() -> None:
    assert lines(*["price of ETHFI is stale"] * 1200) == ["price of ETHFI is stale (1,200 times)"]


def test_of_sentences_with_other_numbers_the_first_is_shown_whole() -> None:
    assert lines(
        "net delta -1805.03 close to 0.02 of equity 98428.8",
        "price of ETHFI is stale",
        "net delta 1799 close to 0.02 of equity 98400",
    ) == ["net delta -1805.03 close to 0.02 of equity 98428.8 (first of 2)", "price of ETHFI is stale"]


def test_the_most_common_are_shown_as_they_were_last() -> None:
    found = Recurring()
    found.add(["warming up: 0.5 of 90 days seen", "nothing is free", "warming up: 1.0 of 90 days seen"])
    assert found.most_common(1) == [("warming up: 1.0 of 90 days seen", 2)]
    assert found
    found.clear()
    assert not found
    assert (found.lines(), found.most_common(3)) == ([], [])


@pytest.mark.parametrize("count", ["", " (2 times)", " (1,200 times)", " (first of 3)"])
def test_lines_of_two_runs_are_compared_without_numbers_and_counts(count: str) -> None:
    assert kind_of(f"LTV of aave 0.91 above the limit 0.9{count}") == kind_of("LTV of aave 0.93 above the limit 0.9")
    assert kind_of(f"LTV of aave 0.91 (at once){count}") != kind_of("LTV of aave 0.91")
