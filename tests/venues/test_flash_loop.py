"""A leveraged staking loop entered and left in one transaction each, with orders written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.chain_worlds import ChainDesk, defi_desk
from tests.venues.worlds import in_group

from basis_actors.messages.orders import OperationType, Order

ETH, WEETH = "wallet:BaseToken:ETH", "etherfi:LST:weETH"
RATE = 1.05
KEYS = {
    "aave_v3": ("aave:aToken:aweETH", "aave:debtToken:debtWETH", 0.95),
    "morpho": ("morpho:aToken:aweETH", "morpho:debtToken:debtWETH", 0.945),
}
FLASH_FEE = {"morpho": 0.0, "aave_v3": 5e-4}

ltvs = st.floats(0.05, 0.92)
equities = st.floats(0.5, 5_000.0)


def entry(desk: ChainDesk, equity: float, ltv: float, pool: str, lender: str = "morpho") -> list[Order]:
    """Flash-borrow, stake everything, supply all of it, borrow the loan and its fee, repay."""
    flash = equity * ltv / (1.0 - ltv)
    return [
        desk.flash(OperationType.FLASH_BORROW, flash, lender),
        desk.stake(equity + flash),
        desk.lend(OperationType.SUPPLY, (equity + flash) / RATE, "weETH", venue=pool),
        desk.lend(OperationType.BORROW, flash * (1.0 + FLASH_FEE[lender]), "WETH", venue=pool),
        desk.flash(OperationType.FLASH_REPAY, flash, lender),
    ]


def leave(desk: ChainDesk, pool: str, rate: float) -> list[Order]:
    """Flash-borrow the debt, repay it, withdraw all, sell what the flash loan needs at `rate`, repay."""
    supplied, owed, _ = KEYS[pool]
    debt, collateral = desk.ledger[owed], desk.ledger[supplied]
    return [
        desk.flash(OperationType.FLASH_BORROW, debt),
        desk.lend(OperationType.REPAY, debt, "WETH", venue=pool),
        desk.lend(OperationType.WITHDRAW, collateral, "weETH", venue=pool),
        desk.swap(debt / rate * (1.0 + 1e-12), "weETH", "ETH", debt),
        desk.flash(OperationType.FLASH_REPAY, debt),
    ]


@pytest.mark.parametrize("pool", KEYS)
@given(equity=equities, ltv=ltvs)
def test_one_shot_entry_reaches_the_target_at_once(pool: str, equity: float, ltv: float) -> None:
    """S = E / (1 - l), borrow = flash = E l / (1 - l), health factor right after = threshold / l."""
    desk = defi_desk(free=True, capital=equity)
    answers = desk.group(*in_group(entry(desk, equity, ltv, pool)))
    assert all(answer.was_successful() for answer in answers), answers
    supplied, owed, threshold = KEYS[pool]
    held = desk.report()
    assert held[supplied] * RATE == pytest.approx(equity / (1.0 - ltv), rel=1e-12)
    assert held[owed] == pytest.approx(equity * ltv / (1.0 - ltv), rel=1e-12)
    assert answers[3].execution_details["health_factor"] == pytest.approx(threshold / ltv, rel=1e-12)
    assert held.get(ETH, 0.0) == pytest.approx(0.0, abs=1e-9)
    assert held[supplied] * RATE - held[owed] == pytest.approx(equity, rel=1e-9)


def test_the_fee_of_the_flash_loan_is_part_of_the_debt() -> None:
    desk = defi_desk(free=False, capital=10.026)
    answers = desk.group(*in_group(entry(desk, 10.0, 0.8, "aave_v3", "aave_v3")))
    assert all(answer.was_successful() for answer in answers), answers
    held = desk.report()
    assert held["aave:aToken:aweETH"] * RATE == pytest.approx(50.0)
    assert held["aave:debtToken:debtWETH"] == pytest.approx(40.0 * 1.0005)
    assert held[ETH] == pytest.approx(0.026 - 1_250_000 * 20.5e-9)


@pytest.mark.parametrize("pool", KEYS)
@given(equity=equities, ltv=ltvs)
def test_entry_and_exit_at_the_protocol_rate_give_the_equity_back(pool: str, equity: float, ltv: float) -> None:
    desk = defi_desk(free=True, capital=equity)
    desk.group(*in_group(entry(desk, equity, ltv, pool)))
    answers = desk.group(*in_group(leave(desk, pool, RATE)))
    assert all(answer.was_successful() for answer in answers), answers
    held = desk.report()
    assert set(held) <= {ETH, WEETH}
    assert held[WEETH] * RATE + held.get(ETH, 0.0) == pytest.approx(equity, rel=1e-9)


@given(discount=st.floats(0.0, 0.05), ltv=st.floats(0.3, 0.91))
def test_a_depeg_costs_the_exit_its_discount_and_leaves_health_alone(discount: float, ltv: float) -> None:
    desk = defi_desk(free=True, capital=101.0)
    entered = desk.group(*in_group(entry(desk, 100.0, ltv, "aave_v3")))
    health = entered[3].execution_details["health_factor"]
    settled = desk.tick(traded={"weETH": RATE * (1.0 - discount)})
    assert settled == (), "the oracle knows nothing of the market, and nobody is liquidated"
    probe = desk.send(desk.lend(OperationType.REPAY, 1e-9, "WETH"))
    assert probe.execution_details["health_factor"] == pytest.approx(health, rel=1e-9)
    debt, collateral = desk.ledger["aave:debtToken:debtWETH"], 100.0 / (1.0 - ltv)
    answers = desk.group(*in_group(leave(desk, "aave_v3", RATE * (1.0 - discount))))
    sold = debt / (1.0 - discount)
    if sold > collateral:
        assert not any(answer.was_successful() for answer in answers), "not enough collateral at this price"
        return
    assert all(answer.was_successful() for answer in answers), answers
    worth = desk.report().get(WEETH, 0.0) * RATE + desk.report()[ETH]
    assert worth == pytest.approx(101.0 - (sold - debt), rel=1e-9)


def test_the_exit_pays_impact_pool_fee_and_gas() -> None:
    desk = defi_desk(free=False, capital=10.1)
    desk.group(*in_group(entry(desk, 10.0, 0.8, "aave_v3")))
    rate = RATE * (1.0 - 24e-4) * (1.0 - 5e-4)
    answers = desk.group(*in_group(leave(desk, "aave_v3", rate)))
    assert all(answer.was_successful() for answer in answers), answers
    held = desk.report()
    assert held[WEETH] * RATE == pytest.approx(50.0 - 40.0 * RATE / rate)
    assert held[ETH] == pytest.approx(0.1 - 2_100_000 * 20.5e-9)


def test_an_entry_above_the_limit_of_emode_is_rolled_back_whole() -> None:
    desk = defi_desk("USDT", capital=0.0)
    desk.give(ETH, 10.0)
    before = desk.report()
    answers = desk.group(*in_group(entry(desk, 10.0, 0.931, "aave_v3")))
    assert [answer.status.value for answer in answers] == ["rolled_back"] * 3 + ["failed"] * 2
    assert "0.931" in str(answers[3].error_message)
    assert "0.93" in str(answers[3].error_message)
    after = desk.report()
    assert after.pop("gas:Payable:USDT") == pytest.approx(-1_250_000 * 20.5e-9 * 2_000.0)
    assert after == before


@pytest.mark.parametrize("pool", KEYS)
def test_a_held_loop_follows_its_closed_form(pool: str) -> None:
    """E [L (r1/r0) (Is1/Is0) - (L - 1) (Ib1/Ib0)] with L = 1 / (1 - l)."""
    desk = defi_desk(free=True, capital=100.0)
    desk.group(*in_group(entry(desk, 100.0, 0.9, pool)))
    prefix = "morpho:" if pool == "morpho" else ""
    desk.tick(
        hours=24 * 30,
        rates={"weETH": RATE * 1.003},
        supply={f"{prefix}weETH": 1.03 * 1.0001},
        borrow={f"{prefix}WETH": 1.05 * 1.002},
    )
    supplied, owed, _ = KEYS[pool]
    equity = desk.report()[supplied] * RATE * 1.003 - desk.report()[owed] + desk.report().get(ETH, 0.0)
    assert equity == pytest.approx(100.0 * (10.0 * 1.003 * 1.0001 - 9.0 * 1.002), rel=1e-12)
