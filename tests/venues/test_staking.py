"""Simulated liquid staking: the protocol's rate, its queue, and what it refuses."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.chain_worlds import defi_desk, refused
from tests.venues.worlds import HOUR, at_once

from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.orders import OperationType

ETH, WEETH, WSTETH = "wallet:BaseToken:ETH", "etherfi:LST:weETH", "lido:LST:wstETH"
CLAIM = "etherfi:UnstakeClaim:ETH"


def test_staking_gives_the_token_at_the_rate_of_its_protocol() -> None:
    desk = defi_desk(free=True)
    answer = desk.send(desk.stake(21.0))
    assert answer.actual_deltas == {ETH: -21.0, WEETH: pytest.approx(20.0, rel=1e-15)}
    assert answer.settlements[0].deltas[1].index == 1.05
    desk.send(desk.stake(12.0, "wstETH"))
    assert desk.report() == {ETH: 67.0, WEETH: pytest.approx(20.0), WSTETH: pytest.approx(10.0)}


def test_the_market_rate_has_no_part_in_staking() -> None:
    desk = defi_desk(free=True)
    desk.tick(traded={"weETH": 0.5})
    assert desk.send(desk.stake(10.5)).actual_deltas[WEETH] == pytest.approx(10.0)


def test_gas_of_a_stake_stays_in_the_wallet() -> None:
    desk, gas = defi_desk(), 150_000 * 20.5e-9
    refused(desk, desk.stake(100.0), "EXEC-004", "needs 100 ETH", f"{100.0 - gas:.12g} is there")
    answer = desk.send(desk.stake(100.0 - gas))
    assert answer.fee_amount == pytest.approx(gas)
    assert set(desk.report()) == {WEETH}


def test_a_stake_below_the_minimum_names_both_numbers() -> None:
    desk = defi_desk()
    refused(desk, desk.stake(0.009), "EXEC-004", "0.009", "0.01")
    desk.send(desk.stake(0.01))


def test_a_token_of_another_protocol_is_refused() -> None:
    desk = defi_desk()
    refused(desk, desk.stake(1.0, "wstETH", venue="etherfi"), "VEN-004", "weETH", "wstETH")
    refused(desk, desk.unstake(1.0, "weETH", venue="lido"), "VEN-004", "weETH", "wstETH")
    refused(desk, desk.order(OperationType.STAKE, 1.0, "USDT", "weETH", venue="etherfi"), "VEN-004", "USDT")
    refused(desk, desk.order(OperationType.SUPPLY, 1.0, "ETH", "ETH", venue="etherfi"), "VEN-004", "stake, unstake")


def test_a_rate_that_is_unknown_or_old_is_not_staked_at() -> None:
    desk = defi_desk()
    desk.send(desk.stake(10.5))
    desk.tick(rates_fresh=False)
    refused(desk, desk.stake(1.0), "STRAT-006", "weETH", "staleness")
    desk.send(desk.unstake(1.0))
    assert desk.report()[CLAIM] == pytest.approx(1.05), "leaving is possible at the last known rate"


def test_a_token_without_a_rate_is_not_staked() -> None:
    desk = defi_desk()
    bare = desk.venue._market
    assert bare is not None
    bare.staking.clear()
    refused(desk, desk.stake(1.0), "STRAT-006", "weETH", "no rate yet")
    refused(desk, desk.unstake(1.0), "STRAT-006", "weETH", "no rate yet")


def test_a_claim_is_fixed_at_the_request_and_paid_when_its_wait_is_over() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    asked = desk.clock.ns
    request = desk.unstake(8.0)
    answer = desk.send(request)
    assert answer.actual_deltas == {CLAIM: pytest.approx(8.4), WEETH: -8.0}
    assert desk.tick(hours=7 * 24 - 1, rates={"weETH": 1.5}) == ()
    assert desk.report()[CLAIM] == pytest.approx(8.4), "a claim earns nothing"
    (paid,) = desk.tick(hours=10, rates={"weETH": 1.5})
    assert (paid.source, paid.operation_id) == (DeltaSource.TRANSFER, request.operation_id)
    assert paid.timestamp - timedelta(days=7) == answer.settlements[0].timestamp
    assert desk.clock.ns > asked + 7 * 24 * HOUR, "the tick came later than the payment"
    assert desk.report() == {ETH: pytest.approx(87.4), WEETH: pytest.approx(12.0)}
    assert desk.ledger[CLAIM] == 0.0


def test_lido_pays_after_its_own_wait() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(12.0, "wstETH"))
    desk.send(desk.unstake(10.0, "wstETH"))
    assert desk.report()["lido:UnstakeClaim:ETH"] == pytest.approx(12.0)
    desk.tick(hours=72)
    assert desk.report() == {ETH: pytest.approx(100.0)}


def test_what_falls_due_is_booked_by_its_stamp_among_arrivals() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    desk.send(desk.unstake(8.0))
    due = desk.clock.ns + 7 * 24 * HOUR
    for name, ns in (("before", due - 1000), ("after", due + 1000)):
        at_once(desk.venue.expect(IncomingTransfer(name, ETH, "transit:BaseToken:ETH", 1.0, ns)))
    desk.ledger["transit:BaseToken:ETH"] = 2.0
    names = [settlement.operation_id for settlement in desk.tick(hours=7 * 24 + 1)]
    assert names == ["before", "order-2", "after"]


def test_more_than_is_held_cannot_be_unstaked() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    refused(desk, desk.unstake(20.1), "EXEC-004", "20.1", "20 is there")
    desk.send(desk.unstake(20.0 * (1.0 + 5e-10)))
    assert WEETH not in desk.report()


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.integers(0, 100), st.floats(1.0, 1.2)), min_size=1, max_size=12))
def test_claims_add_up_to_what_was_given_for_them(requests: list[tuple[float, int, float]]) -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(63.0))
    expected = 0.0
    for amount, hours, rate in requests:
        desk.tick(hours=hours + 1, rates={"weETH": rate})
        desk.send(desk.unstake(amount))
        expected += amount * rate
    desk.tick(hours=7 * 24)
    assert desk.report()[ETH] == pytest.approx(37.0 + expected, rel=1e-12)
    assert desk.ledger[CLAIM] == 0.0
    assert CLAIM not in desk.report()
