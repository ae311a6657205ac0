"""Staked ether and its hedge on hand-made books: margin from other venues, by unwinding, at its limits; the loan."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from tests.strategies.hedged_books import (
    CASH,
    DUST,
    LEVERED,
    LTV,
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
from tests.strategies.situations import COLLATERAL, DEBT, ETH, RATE, WEETH, after, operations

from basis_actors.messages.orders import ExecutionMode, Side
from basis_actors.strategies.base import Decision


class TestMargin:
    def test_a_venue_below_its_band_is_helped_by_another_first(self) -> None:
        """Okx lacks 15,000 - 7,000 = 8,000; binance has 10,000 too much, of which a transfer and its fee are taken."""
        cash = {CASH["binance"]: 30_000.0, CASH["okx"]: 7_000.0}
        decision = decide(position(cash=cash))
        (order,) = decision.orders
        assert route(order) == (CASH["binance"], CASH["okx"])
        assert order.amount == pytest.approx(8_000.0 - 1.0)
        assert "okx 0.4667" in decision.reasoning

    @pytest.mark.parametrize(("gas_price", "moved"), [(10.0, True), (60.0, False)])
    def test_cash_of_the_wallet_is_only_sent_where_gas_is_little_beside_it(self, gas_price: float, moved: bool) -> None:
        """A transfer costs 65,000 x 10 gwei x 2,000 = 1.3 USDT, or 7.8: half a per cent of 500 is 2.5."""
        book = {**position(cash={CASH["okx"]: 7_000.0}), USDT: 500.0}
        decision = decide(book, state=hedged_market(gas_price=gas_price))
        assert ((USDT, CASH["okx"]) in [route(order) for order in of(decision.orders, "transfer")]) is moved

    def test_where_none_can_help_staked_ether_is_unwound(self) -> None:
        """q x P x (1 - cost) + q x P = lacking: the price of what is sold and the margin of what is bought back."""
        decision = decide(position(margin=0.45))
        assert operations(decision.orders) == ["swap", "transfer"]
        wanted = 0.55 * 50_000.0 / (P * (2.0 - SPOT_COST))
        swapped, sent = decision.orders
        assert sent.amount == pytest.approx(wanted, rel=1e-9)
        assert route(sent) == (ETH, SPOT)
        kept = (1.0 - 24e-4) * 0.9995
        assert swapped.amount == pytest.approx(wanted / RATE / kept, rel=1e-9)
        lost = wanted / kept - wanted
        assert decision.market_conditions["unwind_cost"] == pytest.approx((lost + 180e3 * 10e-9) * P, rel=1e-6)
        assert "costs" in decision.reasoning

    def test_with_leverage_freeing_x_unwinds_x_over_one_less_the_loan_to_value(self) -> None:
        """Exactly that when nothing is lost on the way."""
        run = [
            "venue_configs.uniswap.fee_bps={ETH/weETH: 0}",
            "venue_configs.uniswap.impact_bps={ETH/weETH: [0, 0, 0]}",
        ]
        decision = decide(looped(margin=0.45), *run, mode=LEVERED, ltv=LTV)
        assert transaction(decision) == ["flash_borrow", "repay", "withdraw", "swap", "flash_repay"]
        freed = decision.market_conditions["freed"]
        assert freed == pytest.approx(0.55 * 50_000.0 / (P * (2.0 - SPOT_COST)), rel=1e-9)
        assert decision.market_conditions["unwound_collateral"] == pytest.approx(freed / (1.0 - LTV), rel=1e-9)

    def test_a_release_that_loses_much_is_hedged_before_and_after_and_cut_into_slices(self) -> None:
        """Unwinding a loop loses some 3 % of what it frees, tenfold what dust allows: delta never leaves the limit."""
        book = looped(margin=0.45)
        decision = decide(book, mode=LEVERED, ltv=LTV)
        limit = DUST * 72_500.0 / P
        before = [order for order in decision.orders if order.execution_mode is ExecutionMode.SEQUENTIAL]
        assert operations(before)[0] == "perp_trade"
        loss = decision.market_conditions["unwind_cost"] / P - 0.85e6 * 10e-9
        ahead = before[0].amount
        assert 0.0 < ahead <= limit
        assert loss - ahead <= limit
        assert abs(net_delta_after_costs(book, decision, loss)) <= 0.5 * limit
        assert decision.market_conditions["freed"] < 6.9, "less than all that is lacking"

    def test_ether_that_has_arrived_is_sold_in_step_with_the_shorts_and_the_proceeds_sent_on(self) -> None:
        book = position(margin=0.45)
        book[WEETH] -= 3.0 / RATE
        book[SPOT] = 3.0
        decision = decide(book)
        shorts, sold = of(decision.orders, "perp_trade"), of(decision.orders, "spot_trade")
        assert [order.side for order in shorts] == [Side.LONG] * 3
        assert [order.amount for order in sold] == [order.amount for order in shorts]
        assert sum(order.amount for order in sold) == pytest.approx(3.0, abs=0.02)
        for number, order in enumerate(shorts):
            assert order.atomic_group_id == sold[number].atomic_group_id
        sent = [order for order in of(decision.orders, "transfer") if route(order)[0] == SPOT_CASH]
        assert sum(order.amount for order in sent) == pytest.approx(3.0 * P * (1.0 - SPOT_COST), rel=1e-2)

    def test_for_a_venue_that_cannot_be_traded_others_shrink_and_give_their_margin(self) -> None:
        """Okx lacks 15,000 - 6,000 = 9,000: q x P x (1 - cost) + q x P = 9,000, with q bought back elsewhere."""
        state = hedged_market()
        state.perps["okx:ETH-PERP"] = msgspec.structs.replace(state.perps["okx:ETH-PERP"], last_fresh=False)
        book = position(cash={CASH["okx"]: 6_000.0})
        asked = decide(book, state=state)
        (sent,) = of(asked.orders, "transfer")
        wanted = 9_000.0 / (P * (2.0 - SPOT_COST))
        assert sent.amount == pytest.approx(wanted, rel=1e-9)
        arrived = {**book, WEETH: (25.0 - wanted) / RATE, SPOT: wanted}
        held = after(arrived, decide(arrived, state=state).orders)
        assert held[CASH["okx"]] + held["transit:BaseToken:USDT"] == pytest.approx(15_000.0, rel=0.01)
        for venue in ("binance", "bybit"):
            assert held[CASH[venue]] / (-held[SHORT[venue]] * P) == pytest.approx(1.0, rel=0.01)
        assert net_delta(held) == pytest.approx(0.0, abs=0.01)

    def test_margin_above_its_band_goes_to_where_more_ether_is_bought(self) -> None:
        decision = decide(position(margin=1.3))
        assert {route(order)[1] for order in decision.orders} == {SPOT_CASH}
        assert decision.action == "transfer"

    @pytest.mark.parametrize(
        ("margin", "kind", "share"),
        [(0.29, "rebalance", 0.71 / (2.0 - SPOT_COST)), (0.19, "exit", 0.5), (0.005, "emergency_exit", 1.0)],
    )
    def test_absolute_limits_restore_halve_and_end_the_position(self, margin: float, kind: str, share: float) -> None:
        decision = decide(position(100.0, margin=margin))
        assert decision.decision_type == kind
        fetched = sum(order.amount for order in of(decision.orders, "transfer") if route(order)[0] == ETH)
        assert fetched == pytest.approx(100.0 * share, rel=5e-3)

    def test_limits_that_are_not_enforced_are_left_to_the_bands(self) -> None:
        decision = decide(position(margin=0.19), "risk_limits.enforce=false")
        assert decision.decision_type == "rebalance"
        assert "below 0.5000" in decision.reasoning


def net_delta_after_costs(book: Mapping[str, float], decision: Decision, loss: float) -> float:
    """Delta once all is done; expected deltas are gross of the pool's fee, so the loss is taken from the log."""
    return net_delta(book) - loss + sum(order.amount for order in of(decision.orders, "perp_trade"))


class TestLoan:
    def test_above_its_band_the_loop_is_reduced_to_its_target(self) -> None:
        book = looped(ltv=0.92)
        decision = decide(book, mode=LEVERED, ltv=0.92, health=0.95 / 0.92)
        assert transaction(decision) == ["flash_borrow", "repay", "withdraw", "swap", "flash_repay"]
        held = after(book, decision.orders)
        assert held[DEBT] / (held[COLLATERAL] * RATE) == pytest.approx(LTV, abs=2e-3)
        assert "loan to value 0.9200 above 0.9190" in decision.reasoning

    def test_within_its_band_it_is_left_alone(self) -> None:
        assert decide(looped(ltv=0.915), mode=LEVERED, ltv=0.915, health=0.95 / 0.915).orders == ()

    def test_rebalancing_can_be_switched_off_but_not_the_limits_of_health(self) -> None:
        off = "strategy_config.loop.rebalance=off"
        assert decide(looped(ltv=0.92), off, mode=LEVERED, ltv=0.92, health=0.95 / 0.92).orders == ()
        decision = decide(looped(ltv=0.925), off, mode=LEVERED, ltv=0.925, health=0.95 / 0.925)
        assert "health factor 1.0270 below 1.03" in decision.reasoning
        assert transaction(decision)

    def test_close_to_liquidation_the_whole_loop_is_left(self) -> None:
        decision = decide(looped(ltv=0.938), mode=LEVERED, ltv=0.938, health=0.95 / 0.938)
        assert (decision.decision_type, decision.action) == ("emergency_exit", "exit_full")
        assert "repay" in transaction(decision)

    @pytest.mark.parametrize(("borrow_apr", "pays"), [(0.05, True), (0.20, False)])
    def test_below_its_band_leverage_is_added_where_it_is_expected_to_pay(self, borrow_apr: float, pays: bool) -> None:
        """0.04 % a day are 1.2 % in 30 days; debt at 5 % costs 0.4 % and the round trip 0.4 %, debt at 20 % 1.6 %."""
        neutral = strategy(LEVERED)
        for day in range(10):
            rate = RATE * 1.0004 ** (day - 9)
            state = hedged_market(hour=24 * day, rate=rate, market_rate=rate, borrow_apr=borrow_apr)
            decision = neutral.decide(hedged(looped(ltv=0.85), state, ltv=0.85, health=0.95 / 0.85))
        assert (transaction(decision) == ["flash_borrow", "stake", "supply", "borrow", "flash_repay"]) is pays
        if pays:
            held = after(looped(ltv=0.85), decision.orders)
            assert held[DEBT] / (held[COLLATERAL] * RATE) == pytest.approx(LTV, rel=1e-9)
            assert decision.adds_risk

    def test_margin_does_not_wait_for_the_queue(self) -> None:
        decision = decide(position(margin=0.45), "strategy_config.unwind_route=queue")
        assert operations(decision.orders) == ["swap", "transfer"]
