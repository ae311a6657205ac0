"""Pure lending is closed for good in steps: everything back from the pool, then the gas that is owed, then nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.strategies.situations import ETH, gas, market, operations, run_of, situation

from basis_actors.config import ChainVenue
from basis_actors.messages.market import MarketState, ReserveState
from basis_actors.strategies.base import Decision
from basis_actors.strategies.pure_lending import PureLending

SUPPLIED = "aave:aToken:aWETH"
USDT, OWED, SUPPLIED_USDT = "wallet:BaseToken:USDT", "gas:Payable:USDT", "aave:aToken:aUSDT"


def with_usdt(fresh: bool = True) -> MarketState:
    state = market()
    return replace(state, reserves={**state.reserves, "USDT": ReserveState(1.1, 1.2, 0.05, 0.06, 0.9, fresh)})


def test_everything_is_taken_back() -> None:
    decision = PureLending(run_of("pure_lending_eth")).close_all(situation({ETH: 0.05, SUPPLIED: 39.0}, market()))
    assert [(order.operation.value, order.amount) for order in decision.orders] == [("withdraw", 39.0)]
    assert (decision.decision_type, decision.invested) == ("emergency_exit", True)


def test_with_nothing_supplied_it_is_over() -> None:
    decision = PureLending(run_of("pure_lending_eth")).close_all(situation({ETH: 39.05}, market()))
    assert (decision.orders, decision.invested) == ((), False)


def test_gas_that_is_owed_is_paid_last() -> None:
    lending = PureLending(run_of("pure_lending_usdt"))
    first = lending.close_all(situation({USDT: 5.0, OWED: -3.0, SUPPLIED_USDT: 900.0}, with_usdt()))
    assert operations(first.orders) == ["withdraw"]
    second = lending.close_all(situation({USDT: 905.0, OWED: -3.0}, with_usdt()))
    assert [(order.operation.value, order.amount) for order in second.orders] == [("transfer", 3.0)]
    third = lending.close_all(situation({USDT: 902.0, OWED: 0.0}, with_usdt()))
    assert (third.orders, third.invested) == ((), False)


def test_an_exit_waits_for_a_reserve_that_is_known_and_for_gas_it_can_pay() -> None:
    stale = PureLending(run_of("pure_lending_usdt")).close_all(
        situation({USDT: 5.0, SUPPLIED_USDT: 900.0}, with_usdt(fresh=False))
    )
    assert (stale.orders, stale.constraints, stale.invested) == ((), ("STRAT-006",), True)
    dear = PureLending(run_of("pure_lending_eth")).close_all(situation({ETH: 0.001, SUPPLIED: 39.0}, market()))
    assert dear.orders == ()
    assert f"{gas(220e3):.6f}" in dear.reasoning
    assert "0.001000" in dear.reasoning


@pytest.mark.parametrize(("held", "supplied"), [(0.0, False), (500.0, True)])
def test_what_would_not_earn_its_gas_within_a_year_stays_in_the_wallet(held: float, supplied: bool) -> None:
    """Supplying is 5 % a year; the way back counts only when nothing has to come back anyway."""
    state = with_usdt()
    lending = PureLending(run_of("pure_lending_usdt"))
    venue = lending.run.venues["wallet"]
    assert isinstance(venue, ChainVenue)
    units = venue.gas_units["supply"] + (0 if supplied else venue.gas_units["withdraw"])
    cost = gas(units) * state.prices["ETH"]
    apr = state.reserves["USDT"].supply_apr

    def at(amount: float) -> Decision:
        return lending.decide(situation({USDT: amount, SUPPLIED_USDT: held}, state))

    waits, enters = at(0.99 * cost / apr), at(1.01 * cost / apr)
    assert (operations(waits.orders), waits.invested) == ([], supplied)
    assert f"costs {cost:.6f}, and a year at a supply rate of {apr:.4%} brings {0.99 * cost:.6f}" in waits.reasoning
    assert operations(enters.orders) == ["supply"]
    assert enters.orders[0].amount == pytest.approx(1.01 * cost / apr)


@pytest.mark.parametrize(("idle", "units"), [(0.0, 220e3 + 65e3), (900.0, 65e3)], ids=["from the pool", "idle"])
def test_what_is_owed_for_gas_is_not_the_owners(idle: float, units: float) -> None:
    """Of 900 USDT 3 are owed, and the gas of taking them back and paying them out will be."""
    state = with_usdt()
    lending = PureLending(run_of("pure_lending_usdt"))
    own = 900.0 - 3.0 - gas(units) * state.prices["ETH"]

    def asked(wanted: float) -> Decision:
        held = {USDT: idle, OWED: -3.0, SUPPLIED_USDT: 900.0 - idle}
        return lending.decide(situation(held, state, wanted=wanted))

    paid, refused = asked(own - 0.01), asked(own + 0.01)
    assert paid.orders[-1].operation_details["target_key"] == "external:BaseToken:USDT"
    assert paid.orders[-1].amount == own - 0.01
    assert all(order.strategy_intent != "pay_out" for order in refused.orders)
    assert refused.constraints == (f"EXEC-004: a withdrawal of {own + 0.01:.6f} is more than there is, {own:.6f}",)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({ETH: 0.04}, "0.040000 ETH stays in the wallet: 0.050000 is kept for gas"),
        ({ETH: 0.05, SUPPLIED: 39.0}, "everything is supplied"),
    ],
)
def test_a_wallet_of_no_more_than_its_reserve_does_not_say_that_it_is_supplied(
    held: dict[str, float], said: str
) -> None:
    decision = PureLending(run_of("pure_lending_eth")).decide(situation(held, market()))
    assert (decision.orders, decision.reasoning) == ((), said)
