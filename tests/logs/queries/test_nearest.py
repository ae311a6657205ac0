"""Ids that are alike are found among any number."""

from __future__ import annotations

import pytest

from basis_actors.logs.queries.nearest import nearest_ids, shared_beginning

IDS = [f"btc_basis-{tick:06d}-{order:02d}" for tick in range(400) for order in range(3)]


@pytest.mark.parametrize(
    ("word", "best"),
    [
        ("btc_basis-000123-09", "btc_basis-000123-00"),
        ("btc_bass-000123-02", "btc_basis-000123-02"),
        ("btcbasis-000399-01", "btc_basis-000399-01"),
        ("btc_basis-00007-02", "btc_basis-000007-02"),
    ],
)
def test_a_slip_is_understood(word: str, best: str) -> None:
    assert nearest_ids(word, IDS)[0] == best
    assert nearest_ids(word, iter(IDS * 2), 1) == [best]


def test_what_is_like_nothing_has_no_nearest() -> None:
    assert nearest_ids("eth_leveraged", IDS) == []
    assert nearest_ids("x", []) == []


def test_the_shared_beginning_of_words() -> None:
    assert shared_beginning(["abc", "abd", "ab"]) == "ab"
    assert shared_beginning(["same"]) == "same"
    assert shared_beginning(["one", "two"]) == ""
