"""Cash in the funding purse of an exchange is the mode's, and margins nothing until it is moved."""

from __future__ import annotations

import pytest
from tests.strategies.hedged_books import CASH, SHORT, SPOT, SPOT_CASH, hedged, of, route
from tests.strategies.situations import run_of

from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Decision
from basis_actors.strategies.basis import Basis
from basis_actors.strategies.hedge_book import read_hedge_book

PURSE = "bybit:Funding:USDT"
HELD = {
    SPOT: 20.0,
    SPOT_CASH: 0.0,
    SHORT["binance"]: -10.0,
    CASH["binance"]: 20_000.0,
    SHORT["bybit"]: -10.0,
    CASH["bybit"]: 10_000.0,
}


def decided(book: dict[str, float], *, closing: bool = False) -> Decision:
    strategy = Basis(run_of("eth_basis", "strategy_config.always_in=true"))
    return strategy.close_all(hedged(book)) if closing else strategy.decide(hedged(book))


def moves(orders: tuple[Order, ...]) -> list[tuple[tuple[str, str], float]]:
    return [(route(order), order.amount) for order in of(orders, "transfer")]


def test_it_is_equity_and_no_margin() -> None:
    run = run_of("eth_basis")
    with_purse, without = hedged({**HELD, PURSE: 9_000.0}), hedged(HELD)
    assert with_purse.book.equity - without.book.equity == pytest.approx(9_000.0)
    strategy = Basis(run)
    books = [read_hedge_book(strategy._terms, each) for each in (with_purse, without)]
    assert books[0] is not None
    assert books[1] is not None
    assert books[0].legs == books[1].legs
    assert (books[0].purses, books[1].purses) == ({"bybit": 9_000.0}, {})


def test_it_is_moved_to_where_the_leg_is() -> None:
    decision = decided({**HELD, PURSE: 9_000.126})
    assert moves(decision.orders) == [((PURSE, CASH["bybit"]), 9_000.12)]
    assert len(decision.orders) == 1


def test_margin_that_is_in_danger_comes_first() -> None:
    decision = decided({**HELD, CASH["bybit"]: 50.0, PURSE: 9_000.0})
    assert not moves(decision.orders)
    assert of(decision.orders, "perp_trade")


def test_what_no_order_can_be_made_of_stays() -> None:
    assert (PURSE, CASH["bybit"]) not in [way for way, _ in moves(decided({**HELD, PURSE: 4.0}).orders)]


def test_at_the_end_it_goes_the_way_of_all_cash() -> None:
    assert moves(decided({PURSE: 9_000.0}, closing=True).orders) == [((PURSE, CASH["bybit"]), 9_000.0)]
    assert moves(decided({CASH["bybit"]: 9_000.0}, closing=True).orders)[0][0] == (
        CASH["bybit"],
        "wallet:BaseToken:USDT",
    )
