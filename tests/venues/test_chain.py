"""The simulated chain: wallet, gas, transfers, transactions."""

import pytest
from msgspec.structs import replace
from tests.venues.chain_worlds import refused
from tests.venues.worlds import HOUR, at_once, chain_desk, in_group

from basis_actors.errors import Rejected
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import DeltaSource, ExecutionStatus
from basis_actors.messages.orders import ExecutionMode, OperationType

SUPPLY, WITHDRAW, BORROW, REPAY = (
    OperationType.SUPPLY,
    OperationType.WITHDRAW,
    OperationType.BORROW,
    OperationType.REPAY,
)
USDT, ETH, OWED = "wallet:BaseToken:USDT", "wallet:BaseToken:ETH", "gas:Payable:USDT"
AUSDT, DEBT = "aave:aToken:aUSDT", "aave:debtToken:debtWETH"


def gas_usdt(units: float, eth: float = 2_000.0) -> float:
    return units * 20.5e-9 * eth


def test_capital_lands_in_the_wallet_in_the_currency_of_the_share_class() -> None:
    for currency in ("USDT", "ETH", "BTC"):
        desk = chain_desk(currency, capital=123.0)
        assert desk.settlements[0].source is DeltaSource.DEPOSIT
        assert desk.report() == {f"wallet:BaseToken:{currency}": 123.0}


def test_money_asked_back_is_no_deposit() -> None:
    desk = chain_desk()
    assert desk.tick(flows=(-500.0,)) == ()
    assert desk.tick(flows=(500.0,)) != ()
    assert desk.report() == {USDT: 100_500.0}


def test_gas_is_owed_in_a_class_without_eth_and_is_a_settlement_of_its_own() -> None:
    desk = chain_desk()
    answer = desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    assert answer.actual_deltas == {AUSDT: 100_000.0, USDT: -100_000.0}
    assert answer.fee_amount == pytest.approx(gas_usdt(250_000))
    assert answer.fee_currency == "USDT"
    assert [settlement.source for settlement in answer.settlements] == [DeltaSource.EXECUTION, DeltaSource.GAS]
    assert answer.execution_details["gas_units"] == 250_000
    assert desk.report() == {AUSDT: pytest.approx(100_000.0), OWED: pytest.approx(-gas_usdt(250_000))}


def test_gas_owed_is_not_revalued_and_is_paid_from_the_wallet_on_request() -> None:
    desk = chain_desk()
    desk.send(desk.lend(SUPPLY, 60_000.0, "USDT"))
    owed = -desk.report()[OWED]
    desk.tick(eth=9_000.0)
    assert desk.report()[OWED] == -owed
    refused(desk, desk.transfer(owed * 2.0, USDT, OWED, "wallet"), "EXEC-004", "owed")
    answer = desk.send(desk.transfer(owed, USDT, OWED, "wallet"))
    assert answer.fee_amount == 0.0
    assert OWED not in desk.report()
    assert desk.report()[USDT] == 40_000.0 - owed


def test_gas_is_paid_in_eth_in_the_eth_class_and_cannot_be_supplied() -> None:
    desk = chain_desk("ETH", capital=10.0)
    gas = 250_000 * 20.5e-9
    refused(desk, desk.lend(SUPPLY, 10.0, "ETH"), "EXEC-004", "10 ETH", "beside its gas")
    answer = desk.send(desk.lend(SUPPLY, 10.0 - gas, "ETH"))
    assert answer.actual_deltas == {"aave:aToken:aWETH": pytest.approx(10.0 - gas), ETH: pytest.approx(gas - 10.0)}
    assert answer.settlements[1].deltas[0].position_key == ETH
    assert set(desk.report()) == {"aave:aToken:aWETH"}
    assert desk.ledger[ETH] == 0.0
    refused(desk, desk.lend(WITHDRAW, 1.0, "ETH"), "EXEC-004", "its gas costs", "0 is there")


def test_gas_of_a_btc_class_is_owed_in_btc() -> None:
    desk = chain_desk("BTC", capital=1.0)
    desk.send(desk.transfer(0.5, "wallet:BaseToken:BTC", "binance:BaseToken:BTC", "binance"))
    assert desk.report()["gas:Payable:BTC"] == pytest.approx(-gas_usdt(65_000) / 40_000.0)


def test_an_unknown_gas_price_refuses_the_order_and_names_it() -> None:
    desk = chain_desk()
    desk.tick(gas=None)
    refused(desk, desk.lend(SUPPLY, 1.0, "USDT"), "STRAT-006", "gas price")
    free = chain_desk(free=True)
    free.tick(gas=None)
    free.send(free.lend(SUPPLY, 1.0, "USDT"))


def test_sending_eth_costs_less_gas_than_sending_a_token() -> None:
    desk = chain_desk("ETH", capital=10.0)
    answer = desk.send(desk.transfer(1.0, ETH, "binance:BaseToken:ETH", "binance"))
    assert answer.execution_details["gas_units"] == 21_000
    assert answer.actual_deltas == {ETH: -1.0, "transit:BaseToken:ETH": 1.0}


def test_a_withdrawal_by_the_owner_leaves_the_house() -> None:
    desk = chain_desk()
    answer = desk.send(desk.transfer(100_000.0 * (1.0 + 5e-10), USDT, "external:BaseToken:USDT", "external"))
    assert answer.settlements[0].source is DeltaSource.WITHDRAWAL
    assert answer.actual_deltas == {USDT: -100_000.0}
    assert USDT not in desk.report()


def test_transfers_leave_from_the_wallet_only() -> None:
    desk = chain_desk()
    desk.send(desk.lend(SUPPLY, 50_000.0, "USDT"))
    refused(desk, desk.transfer(1.0, AUSDT, AUSDT, "binance"), "EXEC-003", "wallet:BaseToken")
    refused(desk, desk.transfer(1.0, USDT, "aave:BaseToken:USDT", "aave_v3"), "EXEC-003", "gas that is owed")
    refused(desk, desk.transfer(60_000.0, USDT, "binance:BaseToken:USDT", "binance"), "EXEC-004", "60000", "50000")


def test_arrivals_and_deposits_are_booked_by_their_stamps_before_interest() -> None:
    desk = chain_desk()
    desk.send(desk.lend(SUPPLY, 50_000.0, "USDT"))
    transit = "transit:BaseToken:USDT"
    at_once(desk.venue.expect(IncomingTransfer("t1", USDT, transit, 70.0, desk.clock.ns + HOUR // 3)))
    desk.ledger[transit] = 70.0
    settled = desk.tick(flows=(30.0,), supply={"USDT": 1.04})
    assert [settlement.source.value for settlement in settled] == ["transfer", "deposit", "accrual"]
    assert desk.report()[USDT] == 50_100.0


def test_a_group_is_one_transaction_that_confirms_every_order() -> None:
    desk = chain_desk()
    orders = in_group(
        [desk.lend(SUPPLY, 100_000.0, "USDT"), desk.lend(BORROW, 20.0, "ETH"), desk.lend(SUPPLY, 20.0, "ETH")]
    )
    answers = desk.group(*orders)
    assert [answer.status for answer in answers] == [ExecutionStatus.CONFIRMED] * 3
    assert set(desk.report()) == {AUSDT, DEBT, "aave:aToken:aWETH", OWED}
    assert desk.report()[OWED] == pytest.approx(-gas_usdt(800_000))
    paid = [[one.source.value for one in answer.settlements] for answer in answers]
    assert paid == [["execution"], ["execution"], ["execution", "gas"]], "gas is one settlement, with the last order"
    assert [answer.fee_amount for answer in answers[:2]] == [0.0, 0.0]
    assert answers[2].fee_amount == pytest.approx(gas_usdt(800_000))
    assert answers[2].execution_details["gas_units"] == 800_000


def test_gas_of_a_whole_group_is_kept_from_being_spent_in_it() -> None:
    desk, gas = chain_desk("ETH", capital=10.0), 500_000 * 20.5e-9
    orders = [desk.lend(SUPPLY, 5.0, "ETH"), desk.lend(SUPPLY, 5.0, "ETH")]
    answers = desk.group(*in_group(orders))
    assert f"{5.0 - gas:.12g} is there" in str(answers[1].error_message)
    assert desk.report() == {ETH: pytest.approx(10.0 - gas)}
    rest = 10.0 - 2.0 * gas
    desk.group(*in_group([desk.lend(SUPPLY, 5.0, "ETH"), desk.lend(SUPPLY, rest - 5.0, "ETH")]))
    assert set(desk.report()) == {"aave:aToken:aWETH"}


def test_groups_do_not_nest_and_have_no_gaps() -> None:
    desk = chain_desk()
    orders = in_group([desk.lend(SUPPLY, 1.0, "USDT"), desk.lend(SUPPLY, 2.0, "USDT")])
    inner = replace(orders[1], atomic_group_id="group-2", sequence_in_group=0)
    gap = replace(orders[1], sequence_in_group=2)
    loose = replace(orders[1], execution_mode=ExecutionMode.SEQUENTIAL)
    before = desk.report()
    for second, words in ((inner, "do not nest"), (gap, "number 1 was expected"), (loose, "sequential group")):
        with pytest.raises(Rejected, match=words) as error:
            desk.group(orders[0], second)
        assert error.value.code == "EXEC-004"
    assert desk.report() == before
    assert all(answer.was_successful() for answer in desk.group(*orders))


@pytest.mark.parametrize("token", ["ETH", "EIGEN", "USDT"])
def test_tokens_of_the_wallet_go_to_exchanges_in_every_class(token: str) -> None:
    for currency in ("USDT", "ETH"):
        desk = chain_desk(currency, capital=10.0)
        source = f"wallet:BaseToken:{token}"
        desk.give(source, 10.0)
        answer = desk.send(desk.transfer(4.0, source, f"binance:BaseToken:{token}", "binance"))
        assert answer.actual_deltas == {source: -4.0, f"transit:BaseToken:{token}": 4.0}
        units = 21_000 if token == "ETH" else 65_000
        assert answer.execution_details["gas_units"] == units
        assert answer.fee_amount == pytest.approx(gas_usdt(units) if currency == "USDT" else units * 20.5e-9)


@pytest.mark.parametrize("failing", [0, 1, 2, 3])
@pytest.mark.parametrize("free", [False, True])
def test_a_group_that_fails_leaves_every_account_bit_identical_apart_from_gas(failing: int, free: bool) -> None:
    desk = chain_desk(free=free)
    desk.send(desk.lend(SUPPLY, 33_333.333_333, "USDT"))
    desk.send(desk.lend(BORROW, 3.3, "ETH"))
    desk.tick(supply={"USDT": 1.0301234}, borrow={"WETH": 1.0512345}, hours=7)
    before, sequence = desk.report(), len(desk.settlements)
    good = [
        desk.lend(SUPPLY, 44_444.4, "USDT"),
        desk.lend(BORROW, 1.7, "ETH"),
        desk.lend(WITHDRAW, 11.1, "USDT"),
        desk.lend(REPAY, 0.9, "ETH"),
    ]
    good[failing] = desk.lend(BORROW, 1e9, "ETH")
    answers = desk.group(*in_group(good))
    after = desk.report()
    burnt = sum((250_000.0, 300_000.0, 220_000.0, 280_000.0)[:failing]) + 300_000.0
    expected = 0.0 if free else gas_usdt(burnt)
    assert before.get(OWED, 0.0) - after.get(OWED, 0.0) == pytest.approx(expected)
    without = [{key: amount for key, amount in shown.items() if key != OWED} for shown in (before, after)]
    assert without[0] == without[1]
    assert len(desk.settlements) - sequence == (0 if free else 1)
    statuses = [answer.status for answer in answers]
    assert statuses[:failing] == [ExecutionStatus.ROLLED_BACK] * failing
    assert statuses[failing:] == [ExecutionStatus.FAILED] * (4 - failing)
    assert answers[failing].error_code == "EXEC-004"
    assert {answer.error_code for place, answer in enumerate(answers) if place != failing} == {"EXEC-006"}
    assert not any(answer.actual_deltas for answer in answers)
    for order, answer in zip(good, answers, strict=True):
        assert at_once(desk.venue.resolve(order)) is answer
    later = desk.tick(supply={"USDT": 1.0302}, borrow={"WETH": 1.0513})
    assert len(later) == 1, "the ledger goes on without a gap"


def test_a_group_that_cannot_pay_its_gas_burns_none() -> None:
    desk = chain_desk("ETH", capital=0.001)
    answers = desk.group(*in_group([desk.lend(SUPPLY, 0.0001, "ETH")]))
    assert answers[0].status is ExecutionStatus.FAILED
    assert desk.report() == {ETH: 0.001}


def test_a_group_with_an_id_that_was_used_is_refused_as_a_whole() -> None:
    desk = chain_desk()
    done = desk.lend(SUPPLY, 1.0, "USDT")
    desk.send(done)
    before = desk.report()
    with pytest.raises(Rejected, match="already sent"):
        desk.group(*in_group([desk.lend(SUPPLY, 2.0, "USDT"), done]))
    assert desk.report() == before


def test_orders_for_elsewhere_are_refused() -> None:
    desk = chain_desk()
    refused(desk, desk.order(SUPPLY, 1.0, "USDT", "USDT", venue="compound"), "VEN-004", "compound", "aave_v3")
    refused(desk, desk.order(SUPPLY, 1.0, "USDT", "USDT", venue="wallet"), "VEN-004", "transfers only")
    refused(desk, desk.order(OperationType.STAKE, 1.0, "ETH", "weETH", venue="aave_v3"), "VEN-004", "stake")
