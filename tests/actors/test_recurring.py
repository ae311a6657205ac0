"""What happens again and again is said at once, and then at every tenfold of it."""

from __future__ import annotations

from basis_actors.actors.recurring import Recurring


def test_it_is_said_at_once_and_at_every_tenfold() -> None:
    recurring = Recurring()
    counts = [recurring.note("binance", "ban") for _ in range(1234)]
    assert [count for count in counts if count is not None] == [1, 10, 100, 1000]


def test_each_thing_is_counted_by_itself() -> None:
    recurring = Recurring()
    told = [recurring.note(*each) for each in (("binance", "ban"), ("okx", "ban"), ("okx", "ban"), ("okx", "busy"))]
    assert told == [1, 1, None, 1]


def test_what_has_come_to_its_end_is_news_when_it_happens_again() -> None:
    recurring = Recurring()
    for what in ("ban", "ban", "busy"):
        recurring.note("okx", what)
    assert (recurring.is_over("okx"), recurring.is_over("okx")) == ({"ban": 2, "busy": 1}, {})
    assert recurring.note("okx", "ban") == 1
