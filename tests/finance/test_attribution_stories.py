"""Attribution explains random books that live through operations of every kind, in every share class.

Equity comes from the balance sheet alone; what is left unexplained is compared with everything that moved.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.finance.stories import Story, parts

from basis_actors.finance.attribution import COMPONENTS, Attribution, PricedBook, attribute
from basis_actors.finance.keys import LedgerKey
from basis_actors.finance.valuation import value_book
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement

CURRENCIES = ("USDT", "ETH", "BTC")
ROUNDING = 2e-15
"""A few units in the last place of a double, relative to everything that was held and moved."""


def told(seed: int, currency: str, ticks: int = 60) -> Story:
    story = Story(Random(seed), currency)
    story.tell(ticks)
    return story


@pytest.mark.parametrize("currency", CURRENCIES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rng=st.randoms(use_true_random=False))
def test_nothing_is_left_to_explain(currency: str, rng: Random) -> None:
    story = Story(rng, currency)
    story.tell(12)
    assert max(map(abs, story.residuals)) <= ROUNDING


@pytest.mark.parametrize("currency", CURRENCIES)
def test_every_component_has_a_part_in_a_long_story_and_nothing_is_left(currency: str) -> None:
    story = told(7, currency, 200)
    assert max(map(abs, story.residuals)) <= ROUNDING
    assert {component for component, amount in parts(story.steps) if amount} == set(COMPONENTS)


@pytest.mark.parametrize("currency", CURRENCIES)
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_formula_off_by_a_millionth_is_left_over(
    component: str, currency: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = told(11, currency)
    add = Attribution.add

    def wrong(self: Attribution, name: str, key: LedgerKey, amount: float, price: float = 0.0) -> None:
        if price:
            wrong(self, "price", key, price)
        add(self, name, key, amount * (1.0 + 1e-6) if name == component else amount)

    monkeypatch.setattr(Attribution, "add", wrong)
    story = told(11, currency)
    assert max(map(abs, right.residuals)) <= ROUNDING
    for step, before, after in zip(story.steps, right.residuals, story.residuals, strict=True):
        if step.components.get(component, 0.0) == 0.0:
            assert after == before
    assert max(map(abs, story.residuals)) > 10.0 * ROUNDING


@pytest.mark.parametrize("currency", CURRENCIES)
def test_what_a_ledger_begins_with_is_no_profit(currency: str) -> None:
    """A book with open perpetuals, taken over as it is: what is unrealised was earned before."""
    story = told(23, currency, 60)
    book = story.book
    deltas = tuple(PositionDelta(key, amount, book.entries.get(key)) for key, amount in book.positions.items())
    opening = Settlement(DeltaSource.OPENING, book.market.timestamp, "story", 0, deltas)
    step = attribute(PricedBook({}, {}, book.market, book.prices), book, (opening,))
    equity = value_book(book.positions, book.entries, book.market, book.prices).equity
    assert book.entries
    assert step.components == {}
    assert step.flows == pytest.approx(equity, rel=1e-12)
