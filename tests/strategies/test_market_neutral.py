"""Staked ether and its hedge on hand-made books: the stages of the entry, what keeps from it, delta, joining venues."""

from __future__ import annotations

from typing import Any

import pytest
from tests.strategies.hedged_books import (
    CASH,
    LEVERED,
    LTV,
    PLAIN,
    SHARES,
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
    transaction,
)
from tests.strategies.situations import COLLATERAL, DEBT, ETH, RATE, WEETH, after, operations, run_of

from basis_actors.errors import ConfigError
from basis_actors.messages.orders import ExecutionMode, Side
from basis_actors.strategies.base import Decision

BOTH = pytest.mark.parametrize("mode", [PLAIN, LEVERED])
EQUITY = 100_000.0


class TestEntry:
    """In stages, each of them read off the ledger."""

    @BOTH
    def test_first_the_money_goes_to_the_venues(self, mode: str) -> None:
        """q x P x (1 + spot cost + 1 + perp cost) = equity, shared 0.4 / 0.3 / 0.3; a venue's margin is q x P."""
        decision = decide({USDT: EQUITY}, mode=mode)
        assert (decision.decision_type, decision.action) == ("entry", "transfer")
        assert operations(decision.orders) == ["transfer"] * len(decision.orders)
        sent = {route(order)[1]: order.amount for order in decision.orders}
        assert {route(order)[0] for order in decision.orders} == {USDT}
        perp_cost = 0.4 * (1.0005 * 1.0004) + 0.3 * (1.00055 * 1.0004) + 0.3 * (1.0005 * 1.0004) - 1.0
        quantity = EQUITY / (P * (2.0 + SPOT_COST + perp_cost))
        assert sent[SPOT_CASH] == pytest.approx(quantity * P * (1.0 + SPOT_COST), rel=1e-3)
        for venue, share in SHARES.items():
            assert sent[CASH[venue]] == pytest.approx(share * quantity * P, rel=2e-3)
        assert sum(sent.values()) <= EQUITY

    @BOTH
    def test_while_it_is_on_its_way_nothing_is_decided(self, mode: str) -> None:
        decision = decide({"transit:BaseToken:USDT": EQUITY}, mode=mode)
        assert decision.orders == ()
        assert "waiting" in decision.reasoning

    @BOTH
    def test_then_all_shorts_and_the_spot_that_they_hedge_open_in_one_compensated_group(self, mode: str) -> None:
        decision = decide({SPOT_CASH: 50_200.0, **{CASH[v]: 49_700.0 * s for v, s in SHARES.items()}}, mode=mode)
        assert (decision.decision_type, decision.action) == ("entry", "entry_full")
        group = [order for order in decision.orders if order.atomic_group_id is not None]
        assert {order.execution_mode for order in group} == {ExecutionMode.COMPENSATED}
        assert len({order.atomic_group_id for order in group}) == 1
        assert operations(group) == ["perp_trade"] * 3 + ["spot_trade"] * 3
        shorts, buys = group[:3], group[3:]
        assert [order.side for order in group] == [Side.SHORT] * 3 + [Side.BUY] * 3
        assert [order.venue for order in shorts] == ["binance", "bybit", "okx"]
        assert [b.amount for b in buys] == [s.amount for s in shorts]
        total = sum(order.amount for order in shorts)
        for order in shorts:
            assert order.amount / total == pytest.approx(SHARES[order.venue], abs=2e-3)
        assert total * P == pytest.approx(49_850.0, rel=5e-3)

    @BOTH
    def test_the_ether_leaves_the_exchange_less_what_leaving_costs(self, mode: str) -> None:
        decision = decide(position(at=SPOT), mode=mode)
        (order,) = decision.orders
        assert (order.operation, *route(order)) == ("transfer", SPOT, ETH)
        assert order.amount == pytest.approx(25.0 - 0.0002, abs=1e-12)
        assert abs(net_delta(after(position(at=SPOT), decision.orders))) < 1e-9, "transit counts"

    @BOTH
    def test_it_counts_while_it_is_on_its_way(self, mode: str) -> None:
        decision = decide(position(at="transit:BaseToken:ETH"), mode=mode)
        assert decision.orders == ()
        assert decision.portfolio_state["net_delta"] == pytest.approx(0.0, abs=1e-9)

    def test_at_last_it_is_staked(self) -> None:
        decision = decide(position(at=ETH))
        (order,) = decision.orders
        assert (order.operation, order.amount) == ("stake", 25.0)
        assert after(position(at=ETH), decision.orders)[WEETH] == pytest.approx(25.0 / RATE, rel=1e-12)

    def test_or_becomes_the_equity_of_a_loop(self) -> None:
        """S = E / (1 - l), B = E x l / (1 - l); the delta stays that of the equity."""
        decision = decide(position(at=ETH), mode=LEVERED)
        assert transaction(decision) == ["flash_borrow", "stake", "supply", "borrow", "flash_repay"]
        held = after(position(at=ETH), decision.orders)
        assert held[COLLATERAL] * RATE == pytest.approx(25.0 / (1.0 - LTV), rel=1e-12)
        assert held[DEBT] == pytest.approx(25.0 * LTV / (1.0 - LTV), rel=1e-12)
        assert net_delta(held) == pytest.approx(0.0, abs=1e-9)

    @BOTH
    def test_then_nothing_more_is_wanted(self, mode: str) -> None:
        decision = decide(position() if mode == PLAIN else looped(), mode=mode)
        assert decision == Decision.hold(
            "within all bands",
            invested=True,
            market_conditions=decision.market_conditions,
            portfolio_state=decision.portfolio_state,
        )

    def test_a_venue_without_data_is_left_out_by_name_and_its_share_carried_by_the_others(self) -> None:
        book = {SPOT_CASH: 50_200.0, CASH["binance"]: 28_500.0, CASH["bybit"]: 21_300.0}
        decision = decide(book, state=hedged_market(venues=("binance", "bybit")))
        shorts = of(decision.orders, "perp_trade")
        assert decision.market_conditions["left_out"] == ("okx",)
        assert [order.venue for order in shorts] == ["binance", "bybit"]
        assert shorts[0].amount / shorts[1].amount == pytest.approx(4.0 / 3.0, rel=1e-2)


class TestSize:
    """What is bought is not sold back for a rise of a few per cent."""

    @pytest.mark.parametrize(("rise", "sold"), [(0.02, False), (0.05, True)])
    def test_ether_on_its_way_to_be_staked_is_only_sold_when_it_is_far_too_much(self, rise: float, sold: bool) -> None:
        decision = decide(position(at=SPOT), state=hedged_market(price=P * (1.0 + rise)))
        assert bool(of(decision.orders, "spot_trade")) is sold
        assert ("more than equity carries" in decision.reasoning) is sold

    def test_idle_cash_fills_up_to_a_little_less_than_equity_carries(self) -> None:
        """Equity of 100,000 USDT carries 24.91 ETH; 1 % less, half the threshold, is 24.66."""
        book = position(20.0, cash={SPOT_CASH: 10_000.0, **{CASH[v]: 50_000.0 * s for v, s in SHARES.items()}})
        held = after(book, decide(book).orders)
        perp_cost = 0.4 * (1.0005 * 1.0004) + 0.3 * (1.00055 * 1.0004) + 0.3 * (1.0005 * 1.0004) - 1.0
        carried = EQUITY / (P * (2.0 + SPOT_COST + perp_cost))
        assert 20.0 + held[SPOT] == pytest.approx(0.99 * carried, abs=0.03)

    def test_what_is_not_worth_its_gas_is_not_bought(self) -> None:
        """Staking and having it back cost 7 USDT at 10 gwei: 1 % of 700."""
        cash = {SPOT_CASH: 3_000.0, **{CASH[v]: 49_400.0 * s for v, s in SHARES.items()}}
        assert not of(decide(position(24.5, cash=cash)).orders, "spot_trade")


class TestRefusals:
    @BOTH
    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"market_rate": None}, "no way out"),
            ({"market_rate": RATE * 0.96}, "pays 4.00% less"),
            ({"fresh": False}, "too old"),
            ({"gas_price": 2_000.0}, "gas is too dear"),
            ({"venues": ()}, "no venue may take new risk"),
        ],
    )
    def test_nothing_is_opened_where_risk_cannot_be_told(self, more: dict[str, Any], words: str, mode: str) -> None:
        decision = decide({USDT: EQUITY}, mode=mode, state=hedged_market(**more))
        assert (decision.decision_type, decision.orders) == ("hold", ())
        assert words in decision.reasoning

    @BOTH
    def test_nothing_is_decided_before_price_and_rate_are_known(self, mode: str) -> None:
        state = hedged_market()
        state.staking.clear()
        decision = decide({USDT: EQUITY}, mode=mode, state=state)
        assert (decision.decision_type, decision.constraints) == ("hold", ("STRAT-006",))

    def test_a_loop_waits_for_the_oracle(self) -> None:
        state = hedged_market()
        state.oracle_usd.clear()
        decision = decide({USDT: EQUITY}, mode=LEVERED, state=state)
        assert "oracle" in decision.reasoning

    def test_capital_that_cannot_be_kept_within_dust_stays_where_it_is(self) -> None:
        decision = decide({USDT: 4_000.0})
        assert decision.orders == ()
        assert "the dust limit of 8.00 USDT cannot be kept with orders of at least 10" in decision.reasoning

    def test_a_queue_cannot_repay_a_flash_loan(self) -> None:
        with pytest.raises(ConfigError, match=r"CONFIG-003.*unwind_route.*flash loan"):
            run_of(LEVERED, "strategy_config.unwind_route=queue")

    def test_funding_that_does_not_pay_opens_nothing_where_it_is_tested(self) -> None:
        decision = decide({USDT: EQUITY}, "strategy_config.always_in=false")
        assert decision.reasoning == "fewer than 3 funding rates are known"


class TestDelta:
    @pytest.mark.parametrize("gap", [0.06, 0.0999])
    def test_shorts_follow_staked_ether_that_grows_before_it_leaves_the_dust_limit(self, gap: float) -> None:
        """Dust is 0.002 x 100,000 / 2,000 = 0.1 ETH; from half of it on delta is levelled."""
        book = {**position(), WEETH: (25.0 + gap) / RATE}
        decision = decide(book)
        (order,) = decision.orders
        assert (order.side, order.reduce_only) == (Side.SHORT, False)
        assert 0.0 <= gap - order.amount < 0.01
        assert not decision.adds_risk, "it may be done whatever risk says"

    def test_shorts_that_are_too_large_are_bought_back(self) -> None:
        decision = decide({**position(), WEETH: (25.0 - 0.08) / RATE})
        (order,) = decision.orders
        assert (order.side, order.reduce_only) == (Side.LONG, True)
        assert order.amount == pytest.approx(0.08)

    def test_where_all_lots_are_coarse_the_finest_are_used(self) -> None:
        """Dust of 7,000 USDT is 0.0035 ETH at 4,000, and bybit's lot 0.01: binance's 0.001 has to do."""
        book = position(0.875, margin=2.0, cash={CASH["bybit"]: 900.0})
        book[WEETH] -= 0.003 / RATE
        (order,) = decide(book, state=hedged_market(price=4_000.0), entry=4_000.0).orders
        assert (order.venue, order.side, order.amount) == ("binance", Side.LONG, pytest.approx(0.003))

    def test_small_differences_are_left_alone(self) -> None:
        assert decide({**position(), WEETH: (25.0 + 0.049) / RATE}).orders == ()

    def test_after_a_liquidation_the_others_take_the_short_as_far_as_margin_allows(self) -> None:
        book = {**position(margin=0.6), SHORT["okx"]: 0.0, CASH["okx"]: 0.0}
        decision = decide(book)
        (order,) = decision.orders
        assert (order.venue, order.side) == ("binance", Side.SHORT)
        margin, notional = 12_000.0, 20_000.0
        assert order.amount == pytest.approx((margin - 0.5 * notional) / (0.5 * P), rel=5e-3)

    def test_without_margin_for_more_short_the_ether_is_reduced(self) -> None:
        book = {**position(margin=0.45), SHORT["okx"]: 0.0, CASH["okx"]: 0.0}
        decision = decide(book)
        assert operations(decision.orders)[:2] == ["swap", "transfer"]
        assert abs(net_delta(after(book, decision.orders))) <= 7.5


class TestVenues:
    def test_a_venue_that_joins_gets_margin_at_a_rebalance_and_then_its_short(self) -> None:
        book = {WEETH: 25.0 / RATE}
        for venue, share in (("binance", 4 / 7), ("bybit", 3 / 7)):
            book[SHORT[venue]], book[CASH[venue]] = -25.0 * share, 25.0 * share * P
        neutral = strategy()
        spread = neutral.decide(hedged(book))
        assert spread.orders == (), "it joins at a rebalance"
        money = {SPOT_CASH: 50_000.0, CASH["binance"]: 28_500.0, CASH["bybit"]: 21_300.0}
        assert neutral.decide(hedged(money, hedged_market(venues=("binance", "bybit")))).action == "entry_full"
        richer = {**book, CASH["bybit"]: 25.0 * 3 / 7 * P + 2_200.0}
        spread = neutral.decide(hedged(richer))
        assert {route(order)[1] for order in spread.orders} == {CASH["okx"]}
        arrived = {**book, CASH["okx"]: 14_000.0, CASH["binance"]: 20_000.0, CASH["bybit"]: 15_500.0}
        shifted = strategy().decide(hedged(arrived))
        opened, closed = shifted.orders
        assert (opened.venue, opened.side, closed.side) == ("okx", Side.SHORT, Side.LONG)
        assert opened.amount == closed.amount
        assert {order.execution_mode for order in shifted.orders} == {ExecutionMode.COMPENSATED}

    def test_a_venue_that_may_not_take_risk_for_a_while_keeps_its_short_and_its_margin(self) -> None:
        """Its funding is missing: no new risk there, but nothing is taken from what it has."""
        neutral = strategy()
        money = {SPOT_CASH: 50_200.0, **{CASH[v]: 49_700.0 * s for v, s in SHARES.items()}}
        assert neutral.decide(hedged(money)).action == "entry_full"
        state = hedged_market()
        state.funding_missed["okx:ETH-PERP"] = 3
        richer = position(cash={CASH["binance"]: 22_500.0})
        decision = neutral.decide(hedged(richer, state))
        assert "moved by" in decision.reasoning
        assert decision.market_conditions["left_out"] == ("okx",)
        assert not [order for order in decision.orders if order.venue == "okx"]
        assert not of(strategy().decide(hedged(richer, state)).orders, "perp_trade")
