"""Flash loans: only within a transaction that repays them, and nothing left behind when it does not."""

import pytest
from tests.venues.chain_worlds import ChainDesk, defi_desk, refused
from tests.venues.worlds import in_group

from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import OperationType, Order

BORROW, REPAY = OperationType.FLASH_BORROW, OperationType.FLASH_REPAY
ETH, DEBT = "wallet:BaseToken:ETH", "morpho:flashDebt:WETH"
GAS = "gas:Payable:USDT"


def failed(desk: ChainDesk, orders: list[Order], place: int, *words: str) -> tuple[ExecutionHandshake, ...]:
    """Insist that a group fails at one of its orders and leaves everything but gas as it was."""
    before = desk.report()
    answers = desk.group(*in_group(orders))
    statuses = [answer.status for answer in answers]
    assert statuses[:place] == [ExecutionStatus.ROLLED_BACK] * place
    assert statuses[place:] == [ExecutionStatus.FAILED] * (len(orders) - place)
    for word in words:
        assert word in str(answers[place].error_message)
    after = desk.report()
    assert {**after, ETH: 0.0, GAS: 0.0} == {**before, ETH: 0.0, GAS: 0.0}
    return answers


def test_a_loan_that_is_repaid_leaves_no_trace() -> None:
    desk = defi_desk(free=True, capital=1.0)
    answers = desk.group(*in_group([desk.flash(BORROW, 40.0), desk.flash(REPAY, 40.0)]))
    assert [answer.actual_deltas for answer in answers] == [{DEBT: 40.0, ETH: 40.0}, {DEBT: -40.0, ETH: -40.0}]
    assert desk.report() == {ETH: 1.0}
    assert desk.ledger[DEBT] == 0.0


def test_the_fee_of_aave_is_a_settlement_of_its_own() -> None:
    desk = defi_desk("USDT", capital=0.0)
    desk.give(ETH, 1.0)
    orders = [desk.flash(BORROW, 40.0, "aave_v3"), desk.flash(REPAY, 40.0, "aave_v3")]
    borrowed, repaid = desk.group(*in_group(orders))
    assert set(borrowed.actual_deltas) == {"aave:flashDebt:WETH", ETH}
    assert [one.source for one in repaid.settlements] == [DeltaSource.EXECUTION, DeltaSource.FEE]
    assert repaid.fee_amount == pytest.approx(0.02)
    assert repaid.fee_currency == "ETH"
    assert desk.report() == {ETH: pytest.approx(0.98)}


def test_flash_operations_have_no_gas_of_their_own() -> None:
    desk = defi_desk("USDT", capital=0.0)
    desk.group(*in_group([desk.flash(BORROW, 40.0), desk.flash(REPAY, 40.0)]))
    assert desk.report() == {}


def test_a_loan_outside_a_group_is_refused() -> None:
    desk = defi_desk()
    refused(desk, desk.flash(BORROW, 1.0), "EXEC-004", "atomic group")
    refused(desk, desk.flash(REPAY, 1.0), "EXEC-004", "atomic group")


@pytest.mark.parametrize("free", [False, True])
def test_a_group_that_does_not_repay_changes_nothing(free: bool) -> None:
    desk = defi_desk("USDT", free=free, capital=0.0)
    desk.give(ETH, 1.0)
    orders = [desk.flash(BORROW, 40.0), desk.stake(20.0), desk.flash(REPAY, 15.0)]
    failed(desk, orders, 2, "borrowed 40", "repaid 15")
    assert desk.report()[ETH] == 1.0
    failed(desk, [desk.flash(BORROW, 40.0), desk.stake(20.0)], 1, "borrowed 40", "repaid 0")


def test_repaying_takes_what_is_owed_and_what_is_there() -> None:
    desk = defi_desk("USDT", capital=0.0)
    failed(desk, [desk.flash(BORROW, 40.0), desk.flash(REPAY, 41.0)], 1, "needs 41", "40 is there")
    failed(desk, [desk.flash(REPAY, 1.0), desk.flash(BORROW, 1.0)], 0, "needs 1", "0 is there")
    short = [desk.flash(BORROW, 40.0, "aave_v3"), desk.flash(REPAY, 40.0, "aave_v3")]
    failed(desk, short, 1, "needs 40.02 WETH", "0.02 for the fee", "40 is there")
    failed(desk, [desk.flash(BORROW, 1.0, token="USDT")], 0, "lends ['WETH']")


def test_a_loan_is_repaid_in_parts_and_to_the_lender_it_is_from() -> None:
    desk = defi_desk(free=True, capital=1.0)
    parts = [desk.flash(BORROW, 0.1), desk.flash(BORROW, 0.2), desk.flash(REPAY, 0.1), desk.flash(REPAY, 0.2)]
    desk.group(*in_group(parts))
    assert desk.report() == {ETH: pytest.approx(1.0, rel=1e-15)}
    failed(desk, [desk.flash(BORROW, 1.0), desk.flash(REPAY, 1.0, "aave_v3")], 1, "aave_v3", "0 is there")


def test_gas_of_a_group_with_a_loan_is_that_of_one_call() -> None:
    for order, units in (("stake", 1_250_000), ("swap", 850_000), ("lend", 250_000)):
        desk = defi_desk("USDT", capital=0.0)
        desk.give(ETH, 30.0)
        middle = {
            "stake": desk.stake(1.0),
            "swap": desk.swap(1.0, "ETH", "weETH"),
            "lend": desk.lend(OperationType.SUPPLY, 1.0, "ETH"),
        }[order]
        answers = desk.group(*in_group([desk.flash(BORROW, 40.0), middle, desk.flash(REPAY, 40.0)]))
        assert desk.report()[GAS] == pytest.approx(-units * 20.5e-9 * 2_000.0)
        assert [one.source for one in answers[-1].settlements] == [DeltaSource.EXECUTION, DeltaSource.GAS]
        assert (answers[-1].execution_details["gas_units"], answers[-1].fee_currency) == (units, "USDT")


def test_eth_for_the_gas_of_a_group_cannot_be_spent_in_it() -> None:
    desk, gas = defi_desk(capital=10.0), 1_250_000 * 20.5e-9
    orders = [desk.flash(BORROW, 40.0), desk.stake(10.0), desk.flash(REPAY, 40.0)]
    answers = failed(desk, orders, 2, "needs 40", f"{40.0 - gas:.12g} is there")
    assert desk.report() == {ETH: pytest.approx(10.0 - gas)}
    assert [one.source for one in answers[2].settlements] == [DeltaSource.GAS]
    desk.group(*in_group([desk.flash(BORROW, 40.0), desk.stake(10.0 - 2.0 * gas), desk.flash(REPAY, 40.0)]))
    assert set(desk.report()) == {"etherfi:LST:weETH"}


def test_a_group_whose_gas_cannot_be_paid_does_not_start() -> None:
    desk = defi_desk(capital=0.02)
    orders = [desk.flash(BORROW, 40.0), desk.stake(0.01), desk.flash(REPAY, 40.0)]
    failed(desk, orders, 0, "its gas costs 0.025625 ETH", "0.02 is there")
    assert desk.report() == {ETH: 0.02}
