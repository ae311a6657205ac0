"""Spot that open orders bind cannot be sold: the shorts against it stay, so that it is hedged; the rest is closed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.strategies.hedged_books import CASH, SHORT, SPOT, SPOT_CASH, hedged, net_delta
from tests.strategies.situations import after, run_of

from basis_actors.messages.orders import Side
from basis_actors.strategies.base import Decision, Situation
from basis_actors.strategies.basis import Basis

HELD = {SPOT_CASH: 500.0, CASH["binance"]: 20_000.0, CASH["bybit"]: 20_000.0, CASH["okx"]: 20_000.0}
HEDGED = {**HELD, SPOT: 10.0, SHORT["binance"]: -4.0, SHORT["bybit"]: -3.0, SHORT["okx"]: -3.0}


def bound(book: dict[str, float], amount: float) -> Situation:
    """A book of which so much ether cannot be sold now."""
    situation = hedged(book)
    risk = situation.book.risk
    view = replace(risk.exposure.book, bound={SPOT: amount})
    seen = replace(risk, exposure=replace(risk.exposure, book=view))
    return replace(situation, book=replace(situation.book, risk=seen))


def closed(book: dict[str, float], amount: float) -> Decision:
    return Basis(run_of("eth_basis", "strategy_config.always_in=true")).close_all(bound(book, amount))


@pytest.mark.parametrize(("amount", "left"), [(0.0, 0.0), (5.0, 5.0), (8.0, 8.0), (9.75, 9.75)])
def test_as_much_is_closed_as_can_be_sold_and_what_stays_is_hedged(amount: float, left: float) -> None:
    decision = closed(HEDGED, amount)
    book = after(HEDGED, decision.orders)
    assert book[SPOT] == pytest.approx(left)
    assert net_delta(book) == pytest.approx(0.0, abs=1e-9)
    assert decision.invested or amount == 0.0


def test_where_nothing_can_be_sold_nothing_is_bought_back_and_each_exchange_is_named() -> None:
    decision = closed(HEDGED, 10.0)
    assert (decision.orders, decision.invested) == ((), True)
    assert "10 ETH at binance are bound by open orders" in decision.reasoning
    assert "hedged: binance 4, bybit 3, okx 3" in decision.reasoning


def test_of_a_leg_that_stands_alone_as_much_is_sold_as_is_free() -> None:
    decision = closed({**HELD, SPOT: 10.0, SHORT["okx"]: -3.0}, 5.0)
    assert [(order.side, order.amount) for order in decision.orders] == [(Side.SELL, 5.0)]


def test_spot_that_no_short_stands_against_is_waited_for_before_the_book_is_called_closed() -> None:
    decision = closed({**HELD, SPOT: 5.0}, 5.0)
    assert (decision.orders, decision.invested) == ((), True)
    assert "5 ETH at binance are bound by open orders" in decision.reasoning
    assert "no short stands against it" in decision.reasoning
