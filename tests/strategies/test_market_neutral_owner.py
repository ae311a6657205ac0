"""Staked ether and its hedge on hand-made books: the owner's money, rewards, the way out; and any book at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies.hedged_books import (
    CASH,
    DUST,
    LEVERED,
    LTV,
    PLAIN,
    SHORT,
    SPOT,
    SPOT_CASH,
    SPOT_COST,
    USDT,
    P,
    decide,
    hedged,
    hedged_market,
    looped,
    net_delta,
    of,
    position,
    route,
    strategy,
)
from tests.strategies.situations import CLAIM, COLLATERAL, ETH, RATE, WEETH, after, operations

from basis_actors.actors.risk_reduction import all_reduce
from basis_actors.messages.orders import Side

BOTH = pytest.mark.parametrize("mode", [PLAIN, LEVERED])


class TestOwner:
    @BOTH
    def test_a_withdrawal_scales_every_leg(self, mode: str) -> None:
        """Freeing x sells x / (P x (2 - cost)) ether: half of it is price, half the margin of the short it closes."""
        book = position() if mode == PLAIN else looped()
        decision = decide(book, mode=mode, wanted=5_000.0, ltv=None if mode == PLAIN else LTV)
        sent = next(order for order in of(decision.orders, "transfer") if route(order) == (ETH, SPOT))
        wanted = 1.005 * 5_000.0 / (P * (2.0 - SPOT_COST))
        assert sent.amount == pytest.approx(wanted, rel=1e-6)
        assert decision.action == "exit_partial"

    def test_it_leaves_by_the_queue_where_that_is_the_route(self) -> None:
        decision = decide(position(), "strategy_config.unwind_route=queue", wanted=5_000.0)
        assert operations(decision.orders) == ["unstake"]
        claimed = {**position(), WEETH: 22.5 / RATE, CLAIM: 2.5}
        assert decide(claimed, "strategy_config.unwind_route=queue", wanted=5_000.0).orders == ()

    def test_what_lies_idle_is_paid_at_once(self) -> None:
        decision = decide({**position(), USDT: 5_000.0}, wanted=5_000.0)
        (order,) = decision.orders
        assert order.target_venue == "external"

    def test_delta_is_levelled_to_what_is_dust_beside_the_rest_before_it_is_paid(self) -> None:
        """0.03 ETH is little beside 100,000 USDT, but not beside the 40,000 that stay: dust is 0.1 and 0.04 ETH."""
        book = {**position(10.0), WEETH: 10.03 / RATE, USDT: 60_000.0}
        first = decide(book, wanted=60_000.0)
        (order,) = first.orders
        assert (order.side, order.amount) == (Side.SHORT, pytest.approx(0.03, abs=0.001))
        (paid,) = decide(after(book, first.orders), wanted=60_000.0).orders
        assert paid.target_venue == "external"

    def test_a_rest_that_is_too_little_to_keep_hedged_is_closed_before_it_is_paid(self) -> None:
        """Dust of 5,000 USDT is 10 USDT, so the smallest order of 10 USDT does not fit into it."""
        decision = decide(position(), wanted=95_000.0)
        assert (decision.decision_type, decision.action) == ("exit", "exit_full")
        assert "too little to keep hedged" in decision.reasoning
        assert decide(position(), wanted=90_000.0).action == "exit_partial"

    def test_more_than_there_is_is_refused_with_both_numbers(self) -> None:
        decision = decide(position(), wanted=200_000.0)
        assert decision.orders == ()
        (refused,) = decision.constraints
        assert refused.startswith("EXEC-004: a withdrawal of 200000.00 USDT is more than equity")

    @pytest.mark.parametrize("wanted", [99_900.0, 200_000.0])
    def test_what_cannot_be_paid_makes_nothing_be_sold(self, wanted: float) -> None:
        decision = decide(position(at=SPOT), wanted=wanted)
        assert operations(decision.orders) == ["transfer"]
        assert decision.constraints

    def test_a_deposit_is_spread_over_every_leg(self) -> None:
        """120,000 USDT carry 29.96 ETH, of which 1 % is left out; 25 are there."""
        decision = decide({**position(), USDT: 20_000.0}, flows=20_000.0)
        sent = {route(order)[1]: order.amount for order in decision.orders}
        assert sent[SPOT_CASH] == pytest.approx((0.99 * 29.96 - 25.0) * P, rel=1e-2)
        assert sum(sent[key] for key in CASH.values()) == pytest.approx(10_000.0, rel=2e-2)


class TestRewards:
    def test_tokens_go_to_the_exchange_and_are_sold_there(self) -> None:
        token = "wallet:BaseToken:EIGEN"
        priced = hedged_market()
        priced.prices["EIGEN"] = 3.0
        first = decide({**position(), token: 500.0}, state=priced)
        (moved,) = first.orders
        assert (first.action, *route(moved)) == ("sell_dust", token, "binance:BaseToken:EIGEN")
        (sold,) = decide({**position(), "binance:BaseToken:EIGEN": 500.0}, state=priced).orders
        assert (sold.pair, sold.side, sold.amount) == ("EIGEN/USDT", Side.SELL, 500.0)

    @pytest.mark.parametrize(("amount", "price"), [(80.0, 3.0), (500.0, None)])
    def test_what_is_not_worth_its_gas_or_has_no_price_stays(self, amount: float, price: float | None) -> None:
        state = hedged_market()
        if price is not None:
            state.prices["EIGEN"] = price
        assert decide({**position(), "wallet:BaseToken:EIGEN": amount}, state=state).orders == ()


class TestClosing:
    @BOTH
    def test_everything_is_sold_in_step_and_the_cash_gathered(self, mode: str) -> None:
        neutral = strategy(mode)
        book = position() if mode == PLAIN else looped()
        first = neutral.close_all(hedged(book, ltv=None if mode == PLAIN else LTV))
        assert first.invested
        assert (ETH, SPOT) in [route(order) for order in of(first.orders, "transfer")]
        arrived = position(at=SPOT)
        second = neutral.close_all(hedged(arrived))
        held = after(arrived, second.orders)
        assert abs(net_delta(held)) < 0.01
        assert sum(order.amount for order in of(second.orders, "spot_trade")) == pytest.approx(25.0, abs=0.01)
        cash = {SPOT_CASH: 60_000.0, **dict.fromkeys(CASH.values(), 10_000.0)}
        third = neutral.close_all(hedged(cash))
        assert third.invested
        assert {route(order)[1] for order in third.orders} == {USDT}
        assert sum(order.amount for order in third.orders) == pytest.approx(90_000.0 - 3.0, abs=1.0)
        owed = neutral.close_all(hedged({USDT: 89_997.0, "gas:Payable:USDT": -40.0}))
        (paid,) = owed.orders
        assert (owed.invested, paid.amount) == (True, 40.0)
        done = neutral.close_all(hedged({USDT: 89_957.0}))
        assert (done.orders, done.invested) == ((), False)

    @BOTH
    def test_ether_that_no_short_stands_against_is_sold_and_nothing_is_opened(self, mode: str) -> None:
        """Whoever closes a book may only reduce, also where half of its hedge is gone."""
        book = position() if mode == PLAIN else looped()
        book[SHORT["okx"]] = book[SHORT["binance"]] = 0.0
        released = strategy(mode).close_all(hedged(book, ltv=None if mode == PLAIN else LTV))
        assert (ETH, SPOT) in [route(order) for order in of(released.orders, "transfer")]
        assert of(released.orders, "perp_trade") == []
        there = position(at=SPOT)
        there[SHORT["okx"]] = there[SHORT["binance"]] = 0.0
        sold = strategy(mode).close_all(hedged(there))
        assert all_reduce(sold.orders, there)
        assert abs(net_delta(after(there, sold.orders))) < 0.01

    @pytest.mark.parametrize("mode", [PLAIN, LEVERED])
    def test_it_sells_at_a_fresh_market_rate_while_the_protocol_is_silent(self, mode: str) -> None:
        book = position() if mode == PLAIN else looped()
        ltv = None if mode == PLAIN else LTV
        silent = strategy(mode).close_all(hedged(book, hedged_market(fresh=False, market_fresh=True), ltv=ltv))
        assert of(silent.orders, "swap")
        assert not of(strategy(mode).close_all(hedged(book, hedged_market(fresh=False), ltv=ltv)).orders, "swap")

    def test_it_stays_open_while_prices_are_not_known(self) -> None:
        state = hedged_market()
        state.spot.clear()
        assert strategy().close_all(hedged(position(), state)).invested


places = st.sampled_from([WEETH, SPOT, ETH, "transit:BaseToken:ETH", COLLATERAL])


@settings(max_examples=120, deadline=None)
@given(
    at=places,
    eth=st.floats(5.0, 60.0),
    drift=st.floats(-0.15, 0.15),
    move=st.floats(-0.35, 0.45),
    wanted=st.one_of(st.just(0.0), st.floats(10.0, 30_000.0)),
    idle=st.one_of(st.just(0.0), st.floats(1.0, 50_000.0)),
)
def test_no_decision_takes_delta_away_from_zero_or_overdraws(
    at: str, eth: float, drift: float, move: float, wanted: float, idle: float
) -> None:
    """On any book: what is decided leaves delta within dust, or closer to zero than it was, and no key below zero.

    Expected deltas are gross of the pool's fee of 5 bps, which is allowed for.
    """
    levered = at == COLLATERAL
    book = looped(round(eth, 2)) if levered else position(round(eth, 2), at=at)
    book[USDT] = idle
    book[at] += drift / (RATE if at in (WEETH, COLLATERAL) else 1.0)
    price = P * (1.0 + move)
    state = hedged_market(price=price)
    view = hedged(book, state, wanted=wanted, ltv=LTV if levered else None, health=0.95 / LTV if levered else None)
    decision = strategy(LEVERED if levered else PLAIN).decide(view)
    held = after(book, decision.orders)
    dust = DUST * view.book.equity / price
    fees = 0.0005 * sum(order.amount * RATE for order in of(decision.orders, "swap"))
    assert abs(net_delta(held)) <= max(dust, abs(net_delta(book))) + fees + 1e-9
    for key, amount in held.items():
        if "PerpPosition" in key:
            assert amount <= 1e-9, "a short never turns into a long"
        elif ":Margin:" not in key and "bybit" not in key and "okx" not in key:
            assert amount >= -1e-6 * max(1.0, abs(book.get(key, 0.0))), key
