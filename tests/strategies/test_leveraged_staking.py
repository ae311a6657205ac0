"""A leveraged loop decides on hand-made books: sizes by hand, its band, its health, the owner's money, both routes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies.situations import (
    CLAIM,
    COLLATERAL,
    DEBT,
    ETH,
    ETH_PRICE,
    KEPT,
    RATE,
    WEETH,
    after,
    gas,
    market,
    operations,
    run_of,
    situation,
)

from basis_actors.config import LeveragedConfig
from basis_actors.errors import BasisError
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.strategies.leveraged_staking import LeveragedStaking
from basis_actors.strategies.loop_desk import LoopDesk, loop_terms
from basis_actors.strategies.lst_desk import LstDesk, lst_terms
from basis_actors.strategies.order_writer import OrderWriter

ENTRY, UNWIND, TRANSFER = 1.25e6, 0.85e6, 21e3
TARGET, BAND = 0.909, 0.01
IN = ["flash_borrow", "stake", "supply", "borrow", "flash_repay"]
OUT = ["flash_borrow", "repay", "withdraw", "swap", "flash_repay"]


def strategy(*extra: str) -> LeveragedStaking:
    return LeveragedStaking(run_of("eth_leveraged", *extra))


def loop(ltv: float, collateral: float = 400.0, idle: float = KEPT) -> dict[str, float]:
    """A loop whose collateral is worth so much ETH at the protocol's rate."""
    return {ETH: idle, COLLATERAL: collateral / RATE, DEBT: collateral * ltv}


def ltv_of(held: dict[str, float], rate: float = RATE) -> float:
    return held[DEBT] / (held[COLLATERAL] * rate)


def one_transaction(orders: tuple[Order, ...]) -> bool:
    """Whether the orders are one atomic group without a gap."""
    return (
        {order.execution_mode for order in orders} == {ExecutionMode.ATOMIC}
        and len({order.atomic_group_id for order in orders}) == 1
        and [order.sequence_in_group for order in orders] == list(range(len(orders)))
    )


class TestEntry:
    @pytest.mark.parametrize("target", [0.65, 0.9])
    def test_one_flash_loan_builds_the_whole_loop(self, target: float) -> None:
        """S = E / (1 - l), B = flash = E x l / (1 - l)."""
        decision = strategy(f"strategy_config.loop.target_ltv={target}").decide(situation({ETH: 40.0}, market()))
        assert (decision.decision_type, decision.action) == ("entry", "entry_full")
        assert operations(decision.orders) == IN
        assert one_transaction(decision.orders)
        equity = 40.0 - KEPT - gas(ENTRY)
        amounts = [order.amount for order in decision.orders]
        flash, supplied = equity * target / (1.0 - target), equity / (1.0 - target)
        assert amounts == pytest.approx([flash, supplied, supplied / RATE, flash, flash], rel=1e-12)
        held = after({ETH: 40.0}, decision.orders)
        assert ltv_of(held) == pytest.approx(target, rel=1e-12)
        assert held[ETH] == pytest.approx(KEPT + gas(ENTRY), abs=1e-9)
        assert held["morpho:flashDebt:WETH"] == 0.0

    def test_a_flash_fee_is_borrowed_with_the_loan(self) -> None:
        """B = F x (1 + f) and S = E + F, so that the fee is in the debt and the loan to value is the target's."""
        decision = strategy("strategy_config.loop.flash_venue=aave_v3").decide(situation({ETH: 40.0}, market()))
        flash, stake, _, borrow, repay = (order.amount for order in decision.orders)
        assert borrow == pytest.approx(flash * 1.0005, rel=1e-12)
        assert repay == flash
        assert borrow / stake == pytest.approx(TARGET, rel=1e-12)
        assert {order.venue for order in decision.orders} == {"aave_v3", "etherfi"}

    def test_entry_needs_no_market_rate(self) -> None:
        assert operations(strategy().decide(situation({ETH: 40.0}, market(market_rate=None))).orders) == IN

    def test_the_pools_oracle_decides_the_size(self) -> None:
        """Where the oracle counts the token 1 % lower than its protocol, less is borrowed for the same target."""
        state = market(oracle={"weETH": ETH_PRICE * RATE * 0.99})
        held = after({}, strategy().decide(situation({ETH: 40.0}, state)).orders)
        assert held[DEBT] / (held[COLLATERAL] * RATE * 0.99) == pytest.approx(TARGET, rel=1e-12)

    @pytest.mark.parametrize(
        "state",
        [
            market(fresh=False),
            market(reserves_fresh=False),
            market(gas_price=None),
            market(oracle={"weETH": ETH_PRICE * RATE * 1.4}),
            market(oracle={"weETH": ETH_PRICE * RATE * 0.97}),
        ],
        ids=["stale rate", "stale reserve", "no gas price", "oracle of ETH alone has moved", "oracle in doubt"],
    )
    def test_what_is_not_known_is_waited_for(self, state: MarketState) -> None:
        decision = strategy().decide(situation({ETH: 40.0}, state))
        assert (decision.orders, decision.constraints) == ((), ("STRAT-006",))

    def test_a_deposit_is_levered_one_for_one(self) -> None:
        held = loop(0.9, idle=KEPT + gas(ENTRY) + 10.0)
        decision = strategy().decide(situation(held, market()))
        assert (decision.action, operations(decision.orders)) == ("entry_partial", IN)
        assert ltv_of(after(held, decision.orders)) == pytest.approx(0.9, rel=1e-12)

    def test_a_deposit_that_its_gas_would_eat_waits(self) -> None:
        held = loop(TARGET, idle=KEPT + gas(ENTRY) * 20.0)
        assert strategy("strategy_config.dust_delta=0").decide(situation(held, market())).orders == ()

    @pytest.mark.parametrize("parity", [0.1, 0.61, 0.9, 0.999, 1.05, 1.12, 1.39, 100.0])
    def test_whatever_the_oracle_says_there_is_a_decision(self, parity: float) -> None:
        """However far the doubt is configured to begin: no size is asked for that no loop can have."""
        lenient = strategy("strategy_config.loop.max_stake_spread_move=0.4", "strategy_config.loop.target_ltv=0.55")
        state = market(oracle={"weETH": ETH_PRICE * RATE * parity})
        for held in ({ETH: 40.0}, loop(0.5, idle=40.0), loop(0.85), loop(TARGET), loop(0.99)):
            for subject in (lenient, strategy()):
                for orders in (
                    subject.decide(situation(held, state)).orders,
                    subject.close_all(situation(held, state)).orders,
                ):
                    left = after(held, orders)
                    assert left.get(DEBT, 0.0) <= max(held.get(DEBT, 0.0), left.get(COLLATERAL, 0.0) * RATE)


class TestBand:
    def test_above_the_band_the_loan_returns_to_the_target(self) -> None:
        held = loop(0.921)
        decision = strategy("risk_limits.health_factor_reduce=1.02").decide(situation(held, market(market_rate=1.045)))
        assert (decision.decision_type, decision.action) == ("rebalance", "exit_partial")
        assert (operations(decision.orders), one_transaction(decision.orders)) == (OUT, True)
        assert ltv_of(after(held, decision.orders)) == pytest.approx(TARGET, rel=1e-9)
        assert decision.market_conditions["unwind_cost"] > gas(UNWIND)
        assert "costs" in decision.reasoning

    def test_inside_the_band_nothing_is_done(self) -> None:
        assert strategy().decide(situation(loop(0.9189), market())).action == "none"
        assert strategy().decide(situation(loop(0.8991), market())).action == "none"

    def test_without_rebalancing_the_loan_is_left_alone(self) -> None:
        still = strategy("strategy_config.loop.rebalance=off", "risk_limits.health_factor_reduce=1.02")
        assert still.decide(situation(loop(0.921), market())).orders == ()
        assert still.decide(situation(loop(0.85), market())).orders == ()

    @pytest.mark.parametrize(("borrow_apr", "adds"), [(0.005, True), (0.2, False)])
    def test_below_the_band_leverage_is_added_where_it_pays(self, borrow_apr: float, adds: bool) -> None:
        """51 bps over 30 days at 1.7 bps a day of growth, less interest, against 40 bps of leaving again."""
        levered = strategy()
        held = loop(0.89)
        for day in range(11):
            rate = RATE * (1.0 + 1.7e-4) ** day
            state = market(24 * day, rate=rate, market_rate=rate, borrow_apr=borrow_apr)
            decision = levered.decide(situation(held, state))
            assert operations(decision.orders) == (IN if adds and day >= 7 else [])
            if day >= 7:
                conditions = decision.market_conditions
                pays = conditions["expected_carry"] > conditions["round_trip_cost"]
                assert pays is adds
            if adds and day >= 7:
                left = after(held, decision.orders)
                assert ltv_of(left, rate) == pytest.approx(TARGET, rel=1e-9)
                assert left[ETH] == pytest.approx(KEPT + gas(ENTRY), abs=1e-9)

    def test_carry_and_round_trip_by_hand(self) -> None:
        desk = desk_of(loop(0.9), market(supply_apr=0.01, borrow_apr=0.03, market_rate=1.045))
        growth = 1e-4
        by_hand = (1.0 + growth) ** 30 * (1.0 + 0.01 * 30 / 365) - 1.0 - 0.03 * 30 / 365
        assert desk.carry(growth, 30.0) == pytest.approx(by_hand, rel=1e-12)
        sold = 1.0 - 1.045 / RATE * (1.0 - 24e-4) * (1.0 - 5e-4)
        assert desk.round_trip(20.0) == pytest.approx(20.0 * sold + gas(ENTRY, UNWIND), rel=1e-9)


class TestHealth:
    def test_a_low_health_factor_reduces_to_the_target(self) -> None:
        """0.95 / 0.9252 = 1.0268, below 1.03; also where the band is not watched."""
        held = loop(0.9252)
        decision = strategy("strategy_config.loop.rebalance=off").decide(situation(held, market()))
        assert "health factor 1.0268" in decision.reasoning
        assert ltv_of(after(held, decision.orders)) == pytest.approx(TARGET, rel=1e-9)

    def test_an_emergency_leaves_everything(self) -> None:
        held = loop(0.94)
        decision = strategy().decide(situation(held, market()))
        assert (decision.decision_type, decision.action) == ("emergency_exit", "exit_full")
        left = after(held, decision.orders)
        assert (left[COLLATERAL], left[DEBT]) == (0.0, 0.0)
        assert operations(decision.orders) == OUT

    def test_a_discount_on_the_market_hurts_the_exit_and_not_the_health(self) -> None:
        cheap, fair = (
            strategy().close_all(situation(loop(0.9), market(market_rate=rate))) for rate in (RATE * 0.95, RATE)
        )
        assert cheap.portfolio_state["health_factor"] == fair.portfolio_state["health_factor"]
        extra = cheap.market_conditions["unwind_cost"] - fair.market_conditions["unwind_cost"]
        assert extra == pytest.approx(400.0 * 0.05 * (1.0 - 35e-4) * (1.0 - 5e-4), rel=1e-9)

    def test_a_sale_that_cannot_repay_the_loan_is_not_sent(self) -> None:
        decision = strategy().decide(situation(loop(0.94), market(market_rate=RATE * 0.9)))
        assert (decision.orders, decision.constraints) == ((), ("RISK-003",))
        assert "400.0" in decision.reasoning
        assert "376.0" in decision.reasoning

    @pytest.mark.parametrize(
        ("state", "code"),
        [
            (market(market_rate=None), "STRAT-006"),
            (market(gas_price=None), "STRAT-006"),
            (market(gas_price=800.0), "EXEC-004"),
        ],
        ids=["no market rate", "no gas price", "gas too dear"],
    )
    def test_a_reduction_says_what_it_waits_for(self, state: MarketState, code: str) -> None:
        decision = strategy().decide(situation(loop(0.94), state))
        assert (decision.orders, decision.constraints) == ((), (code,))

    def test_an_unknown_oracle_fails_closed(self) -> None:
        state = market()
        del state.oracle_usd["weETH"]
        decision = strategy().decide(situation(loop(0.9, idle=20.0), state))
        assert (decision.orders, decision.constraints) == ((), ("STRAT-006",))

    def test_limits_that_are_not_enforced_do_nothing(self) -> None:
        quiet = strategy("risk_limits.enforce=false", "strategy_config.loop.rebalance=off")
        assert quiet.decide(situation(loop(0.94), market())).orders == ()

    def test_de_risk_only_speaks_up_when_the_loan_is_the_risk(self) -> None:
        assert strategy().de_risk(situation(loop(0.9), market())) is None
        decision = strategy().de_risk(situation(loop(0.94), market()))
        assert decision is not None
        assert decision.decision_type == "emergency_exit"

    def test_after_an_emergency_it_comes_back_only_where_that_pays(self) -> None:
        wary = strategy()
        wary.decide(situation(loop(0.94), market()))
        decision = wary.decide(situation({ETH: 30.0}, market(1)))
        assert (decision.orders, decision.action) == ((), "none")
        assert "coming back does not pay" in decision.reasoning
        for day in range(1, 10):
            rate = RATE * (1.0 + 3e-4) ** day
            decision = wary.decide(situation({ETH: 30.0}, market(24 * day, rate=rate, market_rate=rate)))
        assert operations(decision.orders) == IN

    def test_closing_leaves_the_loop_then_the_token(self) -> None:
        levered = strategy()
        assert operations(levered.close_all(situation(loop(0.9), market())).orders) == OUT
        loose = levered.close_all(situation({ETH: 1.0, WEETH: 2.0}, market()))
        assert [(order.operation.value, order.amount) for order in loose.orders] == [("swap", 2.0)]
        silent = market(fresh=False, market_fresh=True)
        assert operations(levered.close_all(situation(loop(0.9), silent)).orders) == OUT
        assert operations(levered.decide(situation(loop(0.94), silent)).orders) == OUT, "so does an emergency of health"
        done = levered.close_all(situation({ETH: 40.0}, market()))
        assert (done.orders, done.invested) == ((), False)


class TestOwner:
    def test_a_withdrawal_unwinds_collateral_and_debt_one_for_one(self) -> None:
        held = loop(0.9)
        state = market(market_rate=1.045)
        decision = strategy().decide(situation(held, state, wanted=8.0))
        assert (decision.action, operations(decision.orders)) == ("exit_partial", OUT)
        left = after(held, decision.orders)
        assert ltv_of(left) == pytest.approx(0.9, rel=1e-9)
        gross = left[ETH]
        fee = (gross - KEPT + (held[DEBT] - left[DEBT])) * 5e-4
        assert gross - fee - gas(UNWIND) == pytest.approx(8.0 + KEPT + gas(TRANSFER), rel=1e-9)
        freed, cost = gross - fee - KEPT, decision.market_conditions["unwind_cost"] - gas(UNWIND)
        unwound = (held[COLLATERAL] - left[COLLATERAL]) * RATE
        assert unwound == pytest.approx((freed + cost) / (1.0 - 0.9), rel=1e-9)

    def test_what_is_freed_is_paid_and_not_levered_again(self) -> None:
        decision = strategy().decide(situation(loop(0.9, idle=8.0 + KEPT + gas(TRANSFER)), market(), wanted=8.0))
        assert [(order.operation.value, order.amount) for order in decision.orders] == [("transfer", 8.0)]

    def test_everything_is_left_at_once(self) -> None:
        held = loop(0.9)
        brings = 400.0 * (1.0 - 35e-4) * (1.0 - 5e-4) - 360.0 - gas(UNWIND, TRANSFER)
        decision = strategy().decide(situation(held, market(), wanted=brings - 1e-3))
        assert decision.action == "exit_full"
        assert after(held, decision.orders)[COLLATERAL] == 0.0

    def test_more_than_leaving_brings_is_not_payable(self) -> None:
        decision = strategy().decide(situation(loop(0.9), market(), wanted=39.9))
        assert decision.orders == ()
        assert decision.constraints[0].startswith("EXEC-004")

    def test_the_queue_takes_a_piece_without_a_flash_loan(self) -> None:
        """As much as leaves the loan to value in the middle of the upper half of the band."""
        held = loop(TARGET)
        queue = strategy("strategy_config.unwind_route=queue")
        decision = queue.decide(situation(held, market(market_rate=None), wanted=5.0))
        assert (operations(decision.orders), one_transaction(decision.orders)) == (["withdraw", "unstake"], True)
        left = after(held, decision.orders)
        assert ltv_of(left) == pytest.approx(TARGET + 0.5 * BAND, rel=1e-9)
        assert left[CLAIM] == pytest.approx(400.0 - held[DEBT] / (TARGET + 0.5 * BAND), rel=1e-9)

    def test_what_the_queue_pays_repays_debt_until_the_rest_is_the_owners(self) -> None:
        """Played on expected deltas: rounds of the queue end with the owner paid and the loan at its target."""
        held, paid = loop(0.65, idle=KEPT + 1.0), 0.0
        queue = strategy("strategy_config.unwind_route=queue", "strategy_config.loop.target_ltv=0.65")
        seen = []
        for day in range(200):
            decision = queue.decide(situation(held, market(24 * day), wanted=40.0 - paid))
            held = after(held, decision.orders)
            seen += operations(decision.orders)
            if not decision.orders and held.get(CLAIM, 0.0) > 0.0:
                held |= {ETH: held[ETH] + held[CLAIM], CLAIM: 0.0}
            if "transfer" in operations(decision.orders):
                paid += 40.0
                break
        assert paid == 40.0
        assert set(seen) == {"withdraw", "unstake", "repay", "transfer"}
        assert ltv_of(held) == pytest.approx(0.65, abs=0.002)

    def test_the_queue_inside_a_flash_loan_is_refused(self) -> None:
        state = situation(loop(0.9), market())
        write = OrderWriter(run_of("eth_leveraged"), state, 0.0)
        orders = [
            write.flash_borrow("morpho", "WETH", 10.0),
            write.repay("WETH", 10.0),
            write.withdraw("weETH", 9.0),
            write.unstake("etherfi", "weETH", 9.0),
            write.flash_repay("morpho", "WETH", 10.0),
        ]
        with pytest.raises(BasisError, match="STRAT-004") as refusal:
            write.group(orders, ExecutionMode.ATOMIC)
        assert refusal.value.code == "STRAT-004"


def desk_of(held: dict[str, float], state: MarketState, *extra: str) -> LoopDesk:
    run = run_of("eth_leveraged", *extra)
    config = run.mode.strategy_config
    assert isinstance(config, LeveragedConfig)
    book = situation(held, state)
    writer = OrderWriter(run, book, 0.0)
    lst = LstDesk(run, lst_terms(run, config), book, writer)
    return LoopDesk(run, loop_terms(run, config, config.loop), lst, book, writer)


@settings(max_examples=60, deadline=None)
@given(
    ltv=st.floats(0.66, 0.93),
    to=st.floats(0.3, 0.65),
    discount=st.floats(0.0, 0.05),
    size=st.floats(1.0, 5_000.0),
    free=st.floats(0.0, 0.02),
)
def test_a_reduction_ends_at_its_target_and_repays_its_loan(
    ltv: float, to: float, discount: float, size: float, free: float
) -> None:
    held = loop(ltv, size)
    desk = desk_of(held, market(market_rate=RATE * (1.0 - discount)), "strategy_config.loop.flash_venue=aave_v3")
    out = desk.reduce(to, and_free=free * size)
    assert out is not None
    left = after(held, out.orders)
    assert ltv_of(left) == pytest.approx(to, rel=1e-9)
    assert out.freed == pytest.approx(free * size, abs=1e-9 * size)
    assert out.freed >= 0.0


@settings(max_examples=60, deadline=None)
@given(ltv=st.floats(0.0, 0.93), discount=st.floats(0.0, 0.05), size=st.floats(1.0, 5_000.0), part=st.floats(0.01, 1.0))
def test_freeing_equity_leaves_the_loan_to_value_as_it_is(
    ltv: float, discount: float, size: float, part: float
) -> None:
    held = loop(ltv, size)
    desk = desk_of(held, market(market_rate=RATE * (1.0 - discount)))
    everything = desk.frees(1.0)
    if everything <= 0.01 * size:
        assert desk.equity < 0.1 * size
        return
    out = desk.free(part * everything)
    assert out is not None
    left = after(held, out.orders)
    assert out.freed >= part * everything * (1.0 - 1e-9)
    assert out.freed <= everything * (1.0 + 1e-9)
    if left[COLLATERAL] > 1e-6 * size:
        assert left.get(DEBT, 0.0) / (left[COLLATERAL] * RATE) == pytest.approx(ltv, abs=1e-9)
    assert out.cost == pytest.approx(
        (held[COLLATERAL] - left[COLLATERAL]) * RATE - (held[DEBT] - left.get(DEBT, 0.0)) - out.freed + gas(UNWIND),
        abs=1e-9 * size,
    )
