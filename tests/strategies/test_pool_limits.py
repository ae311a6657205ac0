"""Strategies at a pool that has less than they want: all of it or nothing, said once, and without an order refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.strategies.hedged_books import (
    CASH,
    LEVERED,
    LTV,
    SPOT_CASH,
    USDT,
    P,
    decide,
    hedged_market,
    position,
)
from tests.strategies.situations import COLLATERAL, DEBT, ETH, RATE, market, operations, run_of, situation

from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.strategies.base import Decision
from basis_actors.strategies.leveraged_staking import LeveragedStaking
from basis_actors.strategies.pure_lending import PureLending
from basis_actors.times import utc_from_ns

SUPPLIED = "aave:aToken:aWETH"
LENT = 39.0


def waits(decision: Decision, *words: str) -> None:
    assert (decision.decision_type, decision.orders) == ("hold", ())
    (constraint,) = decision.constraints
    assert constraint.startswith("EXEC-004: "), "with a text, so that the summary has it once"
    for word in words:
        assert word in constraint


def moved(amount: float, source: DeltaSource = DeltaSource.EXECUTION) -> Settlement:
    return Settlement(source, utc_from_ns(0), "ethereum", 0, (PositionDelta(SUPPLIED, amount),))


class TestLending:
    def lending(self) -> PureLending:
        return PureLending(run_of("pure_lending_eth"))

    def asked(self, lending: PureLending, wanted: float, available: float, supplied: float = LENT) -> Decision:
        book = situation({ETH: 0.05, SUPPLIED: supplied}, market(available={"WETH": available}), wanted=wanted)
        return lending.decide(book)

    def test_a_withdrawal_waits_until_the_pool_has_all_of_it(self) -> None:
        waits(self.asked(self.lending(), 10.0, 9.0), "WETH are wanted of aave_v3", "9.000000 are available")
        assert operations(self.asked(self.lending(), 10.0, 10.1).orders) == ["withdraw", "transfer"]

    def test_an_exit_waits_as_well(self) -> None:
        book = situation({ETH: 0.05, SUPPLIED: LENT}, market(available={"WETH": LENT - 0.5}))
        decision = self.lending().close_all(book)
        waits(decision, "39.000000 WETH", "38.500000 are available")
        assert decision.invested

    def test_what_it_has_taken_before_is_gone_until_it_is_supplied_again(self) -> None:
        lending = self.lending()
        lending.see((moved(50.0), moved(0.1, DeltaSource.ACCRUAL), moved(-6.0)))
        waits(self.asked(lending, 5.0, 10.0), "4.000000 are available")
        lending.see((moved(2.0),))
        assert operations(self.asked(lending, 5.0, 10.0).orders) == ["withdraw", "transfer"]

    def test_supplying_needs_no_room(self) -> None:
        decision = self.lending().decide(situation({ETH: 40.0}, market(available={"WETH": 0.0})))
        assert operations(decision.orders) == ["supply"]


class TestLoop:
    @staticmethod
    def decide(held: dict[str, float], state: MarketState) -> Decision:
        return LeveragedStaking(run_of("eth_leveraged")).decide(situation(held, state))

    def test_a_loop_is_entered_whole_or_not_at_all(self) -> None:
        """40 ETH at a loan to value of 0.909 borrow 40 x 0.909 / 0.091 = 399.56 WETH."""
        waits(self.decide({ETH: 40.05}, market(available={"WETH": 399.0})), "399.000000 are available")
        entry = self.decide({ETH: 40.05}, market(available={"WETH": 400.0}))
        assert [order.amount for order in entry.orders if order.operation == "borrow"] == [
            pytest.approx(40.0 * LTV / (1.0 - LTV), rel=1e-3)
        ]

    def test_what_is_owed_already_has_its_share_of_the_pool(self) -> None:
        held = {ETH: 10.05, COLLATERAL: 400.0 / RATE, DEBT: 400.0 * LTV}
        need = 10.0 * LTV / (1.0 - LTV)
        waits(self.decide(held, market(available={"WETH": 400.0 * LTV + 0.9 * need})), "are available")
        added = self.decide(held, market(available={"WETH": 400.0 * LTV + 1.1 * need}))
        assert "borrow" in operations(added.orders)

    def test_an_unwinding_waits_for_its_collateral(self) -> None:
        held = {ETH: 0.05, COLLATERAL: 400.0 / RATE, DEBT: 400.0 * 0.95}
        reduces = LeveragedStaking(run_of("eth_leveraged")).de_risk(situation(held, market()))
        assert reduces is not None
        assert "withdraw" in operations(reduces.orders)
        waiting = LeveragedStaking(run_of("eth_leveraged")).de_risk(situation(held, market(available={"weETH": 1.0})))
        assert waiting is not None
        waits(waiting, "weETH are wanted of aave_v3", "1.000000 are available")


class TestMarketNeutral:
    BORROWED = 100_000.0 / P / 2.0 * LTV / (1.0 - LTV)
    """About half of equity is ether, and levered."""

    @pytest.mark.parametrize("held", [{USDT: 100_000.0}, {SPOT_CASH: 50_200.0, CASH["binance"]: 49_700.0}])
    def test_no_stage_is_begun_of_a_loop_that_cannot_be_borrowed(self, held: dict[str, float]) -> None:
        short = hedged_market(available={"WETH": 0.95 * self.BORROWED})
        waits(decide(held, mode=LEVERED, state=short), "WETH are wanted of aave_v3")
        enough = hedged_market(available={"WETH": 1.05 * self.BORROWED})
        assert decide(held, mode=LEVERED, state=enough).orders

    def test_ether_that_is_there_and_hedged_waits_for_the_pool(self) -> None:
        held = position(at=ETH)
        waits(decide(held, mode=LEVERED, state=hedged_market(available={"WETH": 200.0})), "200.000000 are available")
        assert "borrow" in operations(decide(held, mode=LEVERED, state=hedged_market(available={"WETH": 260.0})).orders)

    def test_a_mode_without_a_loop_asks_no_pool(self) -> None:
        assert decide({USDT: 100_000.0}, state=hedged_market(available={"WETH": 0.0})).orders


def test_a_pool_without_a_size_withholds_nothing() -> None:
    state = market()
    unknown = {name: replace(reserve, available=None) for name, reserve in state.reserves.items()}
    decision = LeveragedStaking(run_of("eth_leveraged")).decide(situation({ETH: 1e9}, replace(state, reserves=unknown)))
    assert "borrow" in operations(decision.orders)
