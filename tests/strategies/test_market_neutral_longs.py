"""Perpetuals that are held long, which a market-neutral book never wants: they are sold, and nothing is left naked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from tests.strategies.hedged_books import (
    CASH,
    LEVERED,
    PLAIN,
    SHORT,
    SPOT,
    SPOT_CASH,
    USDT,
    P,
    decide,
    hedged,
    hedged_market,
    looped,
    net_delta,
    of,
    position,
    strategy,
)
from tests.strategies.situations import WEETH, after

from basis_actors.actors.risk_reduction import all_reduce
from basis_actors.finance.keys import parse_key
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import Order, Side
from basis_actors.strategies.base import Decision

BOTH = pytest.mark.parametrize("mode", [PLAIN, LEVERED])
CLOSING = pytest.mark.parametrize("closing", [False, True])
MONEY = {SPOT_CASH: 5_000.0, **dict.fromkeys(CASH.values(), 20_000.0)}


def book(mode: str, okx: float) -> dict[str, float]:
    """A hedged position, but for what okx holds."""
    return {**(position() if mode == PLAIN else looped()), **MONEY, SHORT["okx"]: okx}


def decided(held: Mapping[str, float], mode: str, state: MarketState | None = None, *, closing: bool) -> Decision:
    situation = hedged(held, state)
    return strategy(mode).close_all(situation) if closing else strategy(mode).decide(situation)


def sold(order: Order) -> tuple[str, Side | None, float, bool]:
    return order.venue, order.side, order.amount, order.reduce_only


def arrived(held: Mapping[str, float], decision: Decision) -> dict[str, float]:
    """The book once the orders are done and what they sent is there."""
    there = after(held, decision.orders)
    for order in of(decision.orders, "transfer"):
        for key in [delta.position_key for delta in order.expected_deltas if delta.position_key.startswith("transit:")]:
            target = order.operation_details["target_key"]
            there[target] = there.get(target, 0.0) + there.pop(key, 0.0)
    return {key: amount for key, amount in there.items() if abs(amount) > 1e-9}


def untradable(*, okx: bool) -> MarketState:
    """The market, in which the perpetual of okx cannot be traded."""
    state = hedged_market()
    quote = state.perps["okx:ETH-PERP"]
    return replace(state, perps=state.perps | {"okx:ETH-PERP": replace(quote, last_fresh=not okx)})


@BOTH
@CLOSING
def test_a_long_without_any_ether_is_sold(mode: str, closing: bool) -> None:
    held = {USDT: 1_000.0, **MONEY, SHORT["okx"]: 5.0}
    decision = decided(held, mode, closing=closing)
    assert [sold(order) for order in decision.orders] == [("okx", Side.SHORT, 5.0, True)]
    assert "okx 5" in decision.reasoning
    assert decision.invested


@BOTH
@CLOSING
def test_a_long_beside_a_hedged_position_is_sold_before_anything_else(mode: str, closing: bool) -> None:
    decision = decided(book(mode, 1.0), mode, closing=closing)
    assert [sold(order) for order in decision.orders] == [("okx", Side.SHORT, 1.0, True)]


@BOTH
def test_the_shorts_are_then_brought_to_the_ether(mode: str) -> None:
    held = book(mode, 1.0)
    for _ in range(2):
        held = arrived(held, decide(held, mode=mode))
    assert abs(net_delta(held)) * P < 0.002 * 110_000.0
    assert all(held.get(key, 0.0) <= 0.0 for key in SHORT.values())


@BOTH
def test_what_only_reduces_brings_the_book_into_its_band_as_well(mode: str) -> None:
    """While nothing else may be sent the ether that no short stands against is given back, none that is not there."""
    held = book(mode, 0.0)
    for _ in range(12):
        decision = strategy(mode).de_risk(hedged(held))
        assert all_reduce(decision.orders, held), decision.reasoning
        for order in of(decision.orders, "spot_trade"):
            assert order.amount <= held.get(SPOT, 0.0)
        held = arrived(held, decision)
    assert abs(net_delta(held)) * P < 0.002 * 110_000.0
    assert held[SHORT["binance"]] == pytest.approx(-10.0, abs=0.2), "what it hedges stays hedged"


@BOTH
@pytest.mark.parametrize("okx", [-7.5, 0.0, 3.0, 30.0])
def test_a_flatten_leaves_no_perpetual_and_no_ether(mode: str, okx: float) -> None:
    held = book(mode, okx)
    naked = []
    for _ in range(40):
        decision = decided(held, mode, closing=True)
        held = arrived(held, decision)
        naked.append(abs(net_delta(held)))
        if not decision.orders and not decision.invested:
            break
    assert not [key for key in held if parse_key(key).perp is not None], held
    assert net_delta(held) * P < 10.0, "less than the smallest order"
    assert max(naked[3:]) * P < 0.02 * 110_000.0, "and on the way no more than the drift that is allowed"


@BOTH
def test_no_more_ether_is_sold_than_there_is_while_a_long_cannot_be_traded(mode: str) -> None:
    held, state = book(mode, 30.0), untradable(okx=True)
    for _ in range(20):
        decision = decided(held, mode, state, closing=True)
        for order in of(decision.orders, "spot_trade"):
            assert order.amount <= held.get(SPOT, 0.0) + 1e-9
        assert not [order for order in decision.orders if order.venue == "okx" and order.pair == "ETH-PERP"]
        held = arrived(held, decision)
    assert held[SHORT["okx"]] == 30.0
    assert min(held.values()) >= -30.0


@BOTH
def test_a_flatten_keeps_the_shorts_that_stand_against_a_long_until_it_can_be_sold(mode: str) -> None:
    held, state = book(mode, 3.0), untradable(okx=True)
    for _ in range(20):
        decision = decided(held, mode, state, closing=True)
        held = arrived(held, decision)
    assert decision.invested
    assert "a long perpetual that cannot be sold now" in decision.reasoning
    assert held[SHORT["okx"]] == 3.0
    assert abs(net_delta(held)) * P < 0.002 * 110_000.0
    for _ in range(20):
        held = arrived(held, decided(held, mode, closing=True))
    assert not [key for key in held if parse_key(key).perp is not None], held
    assert net_delta(held) * P < 10.0


def test_what_an_exit_costs_counts_a_long_as_well() -> None:
    held = {WEETH: 0.0, **MONEY, SHORT["okx"]: 5.0}
    equity = sum(MONEY.values())
    decision = strategy(PLAIN).decide(hedged(held, wanted=equity - 1.0))
    assert any("after the cost of an exit" in text for text in decision.constraints)
