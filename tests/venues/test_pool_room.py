"""What a lending pool has for a run: what history leaves free, less what the run owes and has withdrawn."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st
from tests.venues.chain_worlds import defi_desk, refused
from tests.venues.worlds import Desk, chain_desk, in_group

from basis_actors.errors import Rejected
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import OperationType, Order

SUPPLY, WITHDRAW, BORROW, REPAY = (
    OperationType.SUPPLY,
    OperationType.WITHDRAW,
    OperationType.BORROW,
    OperationType.REPAY,
)
WEETH, DEBT, SUPPLIED = "etherfi:LST:weETH", "aave:debtToken:debtWETH", "aave:aToken:aUSDT"


def borrower(available: float) -> Desk:
    """An account with far more collateral than it needs, at a pool with so much WETH."""
    desk = chain_desk(free=True)
    desk.give(WEETH, 1_000.0)
    desk.tick(available={"WETH": available})
    desk.send(desk.lend(SUPPLY, 1_000.0, "weETH"))
    return desk


def lender(available: float, supplied: float = 90_000.0) -> Desk:
    """An account that has lent USDT to a pool with so much left."""
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, supplied, "USDT"))
    desk.tick(available={"USDT": available})
    return desk


def test_no_more_is_borrowed_than_history_left_free() -> None:
    desk = borrower(100.0)
    refused(desk, desk.lend(BORROW, 100.5, "WETH"), "EXEC-004", "asks for 100.5 WETH", "100 is available")
    desk.send(desk.lend(BORROW, 60.0, "WETH"))
    refused(desk, desk.lend(BORROW, 41.0, "WETH"), "EXEC-004", "asks for 41 WETH", "40 is available")
    desk.send(desk.lend(REPAY, 10.0, "WETH"))
    desk.send(desk.lend(BORROW, 50.0, "WETH"))
    refused(desk, desk.lend(BORROW, 1e-6, "WETH"), "EXEC-004", "0 is available")


def test_interest_on_debt_takes_room_as_well() -> None:
    desk = borrower(100.0)
    desk.send(desk.lend(BORROW, 90.0, "WETH"))
    desk.tick(available={"WETH": 100.0}, borrow={"WETH": 1.05 * 1.1})
    refused(desk, desk.lend(BORROW, 1.01, "WETH"), "EXEC-004", "1 is available")


def test_a_lender_cannot_take_back_what_others_have_borrowed() -> None:
    desk = lender(30_000.0)
    refused(desk, desk.lend(WITHDRAW, 90_000.0, "USDT"), "EXEC-004", "asks for 90000 USDT", "30000 is available")
    desk.send(desk.lend(WITHDRAW, 20_000.0, "USDT"))
    refused(desk, desk.lend(WITHDRAW, 10_001.0, "USDT"), "EXEC-004", "10000 is available")
    desk.send(desk.lend(SUPPLY, 5_000.0, "USDT"))
    desk.send(desk.lend(WITHDRAW, 15_000.0, "USDT"))
    desk.tick(available={"USDT": 95_000.0})
    desk.send(desk.lend(WITHDRAW, 60_000.0, "USDT"))
    assert SUPPLIED not in desk.report()


def test_what_is_supplied_first_makes_no_room() -> None:
    """It earns what borrowers pay, so it is lent on."""
    desk = lender(0.0)
    refused(desk, desk.lend(WITHDRAW, 1.0, "USDT"), "EXEC-004", "0 is available")


def test_a_transaction_that_finds_too_little_is_rolled_back_with_its_room() -> None:
    desk = borrower(100.0)
    before = desk.report()
    first, second = desk.lend(BORROW, 70.0, "WETH"), desk.lend(BORROW, 40.0, "WETH")
    answers = desk.group(*in_group((first, second)))
    assert [answer.error_code for answer in answers] == ["EXEC-006", "EXEC-004"]
    assert "30 is available" in (answers[1].error_message or "")
    assert desk.report() == before
    desk.send(desk.lend(BORROW, 100.0, "WETH"))


def test_a_rolled_back_withdrawal_leaves_the_room_as_it_was() -> None:
    desk = lender(30_000.0)
    out, too_much = desk.lend(WITHDRAW, 20_000.0, "USDT"), desk.lend(WITHDRAW, 20_000.0, "USDT")
    assert not any(answer.was_successful() for answer in desk.group(*in_group((out, too_much))))
    desk.send(desk.lend(WITHDRAW, 30_000.0, "USDT"))


def test_a_pool_whose_size_the_data_do_not_have_refuses_nothing() -> None:
    desk = borrower(100.0)
    desk.tick()
    desk.send(desk.lend(BORROW, 500.0, "WETH"))


def test_collateral_of_an_isolated_market_is_lent_to_nobody() -> None:
    desk = defi_desk(free=True, capital=1.0)
    desk.give(WEETH, 50.0)
    desk.tick(available={"morpho:weETH": 0.0, "morpho:WETH": 3.0})
    desk.send(desk.lend(SUPPLY, 50.0, "weETH", venue="morpho"))
    refused(desk, desk.lend(BORROW, 4.0, "WETH", venue="morpho"), "EXEC-004", "3 is available")
    desk.send(desk.lend(WITHDRAW, 50.0, "weETH", venue="morpho"))


Step = tuple[OperationType, float, float, bool]
steps = st.lists(
    st.tuples(
        st.sampled_from([SUPPLY, WITHDRAW, WITHDRAW, BORROW, REPAY]),
        st.floats(1e-3, 2e5),
        st.floats(0.0, 1.5e5),
        st.booleans(),
    ),
    max_size=25,
)


def sent(desk: Desk, order: Order) -> ExecutionHandshake | None:
    """The answer to an order; None for one that is refused."""
    try:
        return desk.send(order)
    except Rejected:
        return None


@given(steps)
def test_what_a_run_has_taken_never_exceeds_what_is_there(drawn: list[Step]) -> None:
    """Taken is the debt that the account shows, and the most that any stretch of its orders up to now took out net."""
    desk = chain_desk(free=True, capital=200_000.0)
    desk.give(WEETH, 1_000.0)
    desk.send(desk.lend(SUPPLY, 1_000.0, "weETH"))
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    taken_out = [-100_000.0]
    for operation, amount, available, grows in drawn:
        index = desk.market.reserves["USDT"].borrow_index * (1.01 if grows else 1.0)
        desk.tick(available={"USDT": available}, borrow={"USDT": index})
        answer = sent(desk, desk.lend(operation, amount, "USDT"))
        if answer is None:
            continue
        moved = answer.actual_deltas["wallet:BaseToken:USDT"]
        if operation in (SUPPLY, WITHDRAW):
            taken_out.append(moved)
        if operation in (WITHDRAW, BORROW):
            most = max(0.0, *accumulate(reversed(taken_out)))
            owed = desk.report().get("aave:debtToken:debtUSDT", 0.0)
            assert owed + most <= available * (1.0 + 1e-12) + 1e-6
