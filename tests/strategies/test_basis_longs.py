"""Perpetuals that are held long, which the basis trade never does, are sold before anything else is done."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.strategies.hedged_books import CASH, SHORT, SPOT, SPOT_CASH, hedged, hedged_market, net_delta
from tests.strategies.situations import after, operations, run_of

from basis_actors.messages.orders import Order, Side
from basis_actors.strategies.base import Decision
from basis_actors.strategies.basis import Basis

HELD = {SPOT_CASH: 50_000.0, CASH["binance"]: 20_000.0, CASH["bybit"]: 20_000.0, CASH["okx"]: 20_000.0}


def decided(book: dict[str, float], *, closing: bool) -> Decision:
    strategy = Basis(run_of("eth_basis", "strategy_config.always_in=true"))
    return strategy.close_all(hedged(book)) if closing else strategy.decide(hedged(book))


def sold(order: Order) -> tuple[str, Side | None, float, bool]:
    return order.venue, order.side, order.amount, order.reduce_only


@pytest.mark.parametrize("closing", [False, True])
def test_a_long_without_any_spot_is_sold(closing: bool) -> None:
    decision = decided({**HELD, SHORT["okx"]: 5.0}, closing=closing)
    assert [sold(order) for order in decision.orders] == [("okx", Side.SHORT, 5.0, True)]
    assert net_delta(after({SHORT["okx"]: 5.0}, decision.orders)) == pytest.approx(0.0)


@pytest.mark.parametrize("closing", [False, True])
def test_a_long_beside_hedged_legs_is_sold_and_the_legs_stay(closing: bool) -> None:
    book = {**HELD, SPOT: 9.0, SHORT["binance"]: -10.0, SHORT["okx"]: 1.0}
    decision = decided(book, closing=closing)
    assert [sold(order) for order in decision.orders] == [("okx", Side.SHORT, 1.0, True)]
    assert "okx 1" in decision.reasoning


def test_closing_goes_on_with_the_legs_afterwards() -> None:
    decision = decided({**HELD, SPOT: 10.0, SHORT["binance"]: -10.0}, closing=True)
    assert set(operations(decision.orders)) == {"perp_trade", "spot_trade"}


def test_no_more_spot_is_sold_than_there_is_while_a_long_cannot_be_traded() -> None:
    state = hedged_market()
    stale = {"okx:ETH-PERP": replace(state.perps["okx:ETH-PERP"], last_fresh=False)}
    state = replace(state, perps=state.perps | stale)
    book = {**HELD, SPOT: 2.0, SHORT["okx"]: 5.0}
    decision = Basis(run_of("eth_basis", "strategy_config.always_in=true")).decide(hedged(book, state))
    assert [(order.operation.value, order.amount) for order in decision.orders] == [("spot_trade", 2.0)]
