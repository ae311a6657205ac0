"""A simulated Aave account: interest from the indices alone, health from oracle prices."""

import csv
import gzip
from fractions import Fraction
from itertools import pairwise
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.chain_worlds import refused
from tests.venues.worlds import chain_desk

from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.orders import OperationType

SUPPLY, WITHDRAW, BORROW, REPAY = (
    OperationType.SUPPLY,
    OperationType.WITHDRAW,
    OperationType.BORROW,
    OperationType.REPAY,
)
USDT, ETH = "wallet:BaseToken:USDT", "wallet:BaseToken:ETH"
AUSDT, AWEETH, DEBT = "aave:aToken:aUSDT", "aave:aToken:aweETH", "aave:debtToken:debtWETH"
DATA = Path(__file__).parents[3] / "shared" / "data"


def test_supply_then_withdraw_returns_principal_plus_interest() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    desk.tick(supply={"USDT": 1.03 * 1.07})
    earned = desk.report()[AUSDT]
    assert earned == pytest.approx(107_000.0, rel=1e-15)
    answer = desk.send(desk.lend(WITHDRAW, earned, "USDT"))
    assert answer.actual_deltas[USDT] == pytest.approx(107_000.0, rel=1e-15)
    assert desk.report() == {USDT: pytest.approx(107_000.0, rel=1e-15)}
    assert desk.ledger[AUSDT] == 0.0


def test_supply_shows_what_was_supplied_and_not_its_index_multiple() -> None:
    desk = chain_desk(free=True)
    answer = desk.send(desk.lend(SUPPLY, 10_000.0, "USDT"))
    assert answer.actual_deltas == {AUSDT: 10_000.0, USDT: -10_000.0}
    assert answer.settlements[0].deltas[0].index == 1.03
    assert desk.report()[AUSDT] == pytest.approx(10_000.0)
    assert desk.tick() == (), "an index that stands still pays nothing"
    assert sum(desk.report().values()) == pytest.approx(100_000.0, rel=1e-15)


def test_accrual_is_balance_now_minus_balance_before_and_may_be_negative() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 10_000.0, "USDT"))
    (up,) = desk.tick(supply={"USDT": 1.031})
    (down,) = desk.tick(supply={"USDT": 1.0305})
    assert up.source is down.source is DeltaSource.ACCRUAL
    assert up.deltas[0].delta_amount == pytest.approx(10_000.0 * (1.031 / 1.03 - 1.0))
    assert up.deltas[0].index == 1.031
    assert down.deltas[0].delta_amount == pytest.approx(10_000.0 * (1.0305 - 1.031) / 1.03)
    assert desk.ledger[AUSDT] == desk.report()[AUSDT]


@given(st.lists(st.floats(0.9999, 1.001), min_size=1, max_size=60), st.floats(1.0, 1e7))
def test_the_ledger_never_drifts_from_the_pool(steps: list[float], amount: float) -> None:
    desk = chain_desk(free=True, capital=amount)
    desk.send(desk.lend(SUPPLY, amount, "USDT"))
    index = 1.03
    for step in steps:
        index *= step
        desk.tick(supply={"USDT": index})
    assert desk.ledger[AUSDT] == pytest.approx(desk.report()[AUSDT], rel=4e-16)
    exact = Fraction(amount) / Fraction(1.03) * Fraction(index)
    assert desk.ledger[AUSDT] == pytest.approx(float(exact), rel=1e-15)


@pytest.mark.parametrize(("token", "currency"), [("USDT", "USDT"), ("WETH", "ETH")])
def test_frictionless_supply_over_real_indices_earns_their_ratio(token: str, currency: str) -> None:
    path = DATA / "aave_v3" / f"{token}_rates.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with gzip.open(path, "rt") as lines:
        indices = [float(row["liquidity_index"]) for row in csv.DictReader(lines)]
    desk = chain_desk(currency, free=True, capital=1_000.0)
    desk.tick(supply={token: indices[0]})
    desk.send(desk.lend(SUPPLY, 1_000.0, currency))
    for index in indices[1:]:
        desk.tick(supply={token: index}, hours=24)
    key = f"aave:aToken:a{token}"
    ratio = float(Fraction(indices[-1]) / Fraction(indices[0]))
    assert desk.report()[key] / 1_000.0 == pytest.approx(ratio, rel=1e-12)
    assert desk.ledger[key] / 1_000.0 == pytest.approx(ratio, rel=1e-12)
    steps = prod(Fraction(after) / Fraction(before) for before, after in pairwise(indices))
    assert ratio == float(steps)


def test_eth_is_supplied_as_weth() -> None:
    desk = chain_desk("ETH", free=True, capital=5.0)
    answer = desk.send(desk.lend(SUPPLY, 5.0, "ETH"))
    assert answer.actual_deltas == {"aave:aToken:aWETH": 5.0, ETH: -5.0}
    desk.send(desk.lend(WITHDRAW, 2.0, "WETH"))
    assert desk.report()[ETH] == 2.0


def test_more_than_there_is_is_refused_and_a_hair_more_means_all() -> None:
    desk = chain_desk(free=True)
    refused(desk, desk.lend(SUPPLY, 100_001.0, "USDT"), "EXEC-004", "100001", "100000")
    desk.send(desk.lend(SUPPLY, 100_000.0 * (1.0 + 9e-10), "USDT"))
    assert desk.report() == {AUSDT: pytest.approx(100_000.0, rel=1e-15)}
    refused(desk, desk.lend(WITHDRAW, 100_001.0, "USDT"), "EXEC-004", "100001", "100000")
    desk.send(desk.lend(WITHDRAW, 100_000.0 * (1.0 + 9e-10), "USDT"))
    assert desk.report() == {USDT: pytest.approx(100_000.0, rel=1e-15)}
    refused(desk, desk.lend(WITHDRAW, 1.0, "USDT"), "EXEC-004", "0 is there")


def test_debt_grows_with_the_borrow_index_and_is_repaid_without_dust() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    desk.send(desk.lend(BORROW, 10.0, "ETH"))
    assert desk.report()[ETH] == 10.0
    desk.tick(borrow={"WETH": 1.05 * 1.02})
    owed = desk.report()[DEBT]
    assert owed == pytest.approx(10.2)
    refused(desk, desk.lend(REPAY, owed, "ETH"), "EXEC-004", "10.2", "10 is there")
    desk.give(ETH, 1.0)
    owed = desk.report()[DEBT]
    desk.send(desk.lend(REPAY, owed, "ETH"))
    assert DEBT not in desk.report()
    assert desk.ledger[DEBT] == 0.0


def test_borrowing_stops_at_the_ltv_of_the_collateral() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    refused(desk, desk.lend(BORROW, 37.6, "ETH"), "EXEC-004", "0.752", "0.75")
    answer = desk.send(desk.lend(BORROW, 37.5, "ETH"))
    assert answer.execution_details["health_factor"] == pytest.approx(0.78 / 0.75)


def test_correlated_collateral_borrows_in_emode_and_only_weth() -> None:
    desk = chain_desk("ETH", free=True, capital=1.0)
    desk.give("etherfi:LST:weETH", 100.0)
    desk.send(desk.lend(SUPPLY, 100.0, "weETH"))
    assert AWEETH in desk.report()
    value = 100.0 * 1.05
    refused(desk, desk.lend(BORROW, value * 0.931, "ETH"), "EXEC-004", "0.931", "0.93")
    answer = desk.send(desk.lend(BORROW, value * 0.9, "ETH"))
    assert answer.execution_details["health_factor"] == pytest.approx(0.95 / 0.9, rel=1e-12)
    refused(desk, desk.lend(BORROW, 1.0, "USDT"), "EXEC-004", "health factor")


def test_without_emode_the_limits_of_the_reserve_hold() -> None:
    desk = chain_desk("ETH", free=True, capital=1.0)
    desk.give("etherfi:LST:weETH", 100.0)
    desk.send(desk.lend(SUPPLY, 100.0, "weETH"))
    worth = 100.0 * 1.05 * 2_000.0
    refused(desk, desk.lend(BORROW, worth * 0.78, "USDT"), "EXEC-004", "0.775")
    desk.send(desk.lend(BORROW, worth * 0.77, "USDT"))


def test_a_withdrawal_that_would_make_the_account_unhealthy_is_refused() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    desk.send(desk.lend(BORROW, 30.0, "ETH"))
    refused(desk, desk.lend(WITHDRAW, 24_000.0, "USDT"), "EXEC-004", "health factor", "at least 1")
    desk.send(desk.lend(WITHDRAW, 23_000.0, "USDT"))


def test_reserves_that_are_missing_closed_or_stale_are_refused() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 50_000.0, "USDT"))
    refused(desk, desk.lend(BORROW, 1.0, "weETH"), "VEN-004", "cannot be borrowed")
    refused(desk, desk.lend(SUPPLY, 1.0, "DAI"), "VEN-004", "DAI", "USDT")
    desk.tick(fresh=False)
    refused(desk, desk.lend(SUPPLY, 1.0, "USDT"), "STRAT-006", "staleness")
    refused(desk, desk.lend(BORROW, 1.0, "ETH"), "STRAT-006", "staleness")
    desk.send(desk.lend(WITHDRAW, 50_000.0, "USDT"))


def test_half_the_debt_is_liquidated_below_health_one() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    desk.send(desk.lend(BORROW, 37.0, "ETH"))
    price = 100_000.0 * 0.78 / 37.0 / 0.97
    (liquidation,) = desk.tick(eth=price)
    assert liquidation.source is DeltaSource.LIQUIDATION
    amounts = {delta.position_key: delta.delta_amount for delta in liquidation.deltas}
    assert amounts[DEBT] == pytest.approx(-18.5)
    assert amounts[AUSDT] == pytest.approx(-18.5 * price * 1.045)
    assert desk.report()[DEBT] == pytest.approx(18.5)
    assert desk.report()[AUSDT] == pytest.approx(100_000.0 - 18.5 * price * 1.045)


def test_all_of_the_debt_is_liquidated_below_the_second_limit() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    desk.send(desk.lend(BORROW, 37.0, "ETH"))
    price = 100_000.0 * 0.78 / 37.0 / 0.94
    desk.tick(eth=price)
    assert DEBT not in desk.report()
    assert desk.ledger[DEBT] == pytest.approx(0.0, abs=1e-12)
    assert desk.report()[AUSDT] == pytest.approx(100_000.0 - 37.0 * price * 1.045)


def test_health_follows_the_oracle_and_not_the_market() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    desk.send(desk.lend(BORROW, 37.0, "ETH"))
    assert desk.tick(eth=4_000.0, oracle={"WETH": 2_000.0}) == ()
    assert desk.tick(eth=2_000.0, oracle={"WETH": 4_000.0}) != ()


def test_an_account_without_debt_needs_no_oracle() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 100_000.0, "USDT"))
    desk.tick(oracle={})
    desk.send(desk.lend(WITHDRAW, 100_000.0, "USDT"))


def test_collateral_outside_the_category_counts_as_its_reserve_says() -> None:
    desk = chain_desk(free=True, capital=21_000.0)
    desk.give("etherfi:LST:weETH", 10.0)
    desk.send(desk.lend(SUPPLY, 10.0, "weETH"))
    desk.send(desk.lend(SUPPLY, 21_000.0, "USDT"))
    answer = desk.send(desk.lend(BORROW, 15.0, "ETH"))
    assert answer.execution_details["health_factor"] == pytest.approx(
        (21_000.0 * 0.95 + 21_000.0 * 0.78) / (15.0 * 2_000.0)
    )
    highest = 10.5 * 0.93 + 10.5 * 0.75
    refused(desk, desk.lend(BORROW, highest - 15.0 + 1e-3, "ETH"), "EXEC-004", "0.84")
    desk.send(desk.lend(BORROW, highest - 15.0 - 1e-3, "ETH"))


def test_debt_outside_the_category_takes_emode_away() -> None:
    desk = chain_desk(free=True, capital=1.0)
    desk.give("etherfi:LST:weETH", 10.0)
    desk.send(desk.lend(SUPPLY, 10.0, "weETH"))
    desk.send(desk.lend(BORROW, 1_000.0, "USDT"))
    answer = desk.send(desk.lend(BORROW, 5.0, "ETH"))
    assert answer.execution_details["health_factor"] == pytest.approx(21_000.0 * 0.80 / 11_000.0)


def test_the_largest_collateral_is_taken_at_the_bonus_of_its_category() -> None:
    desk = chain_desk(free=True, capital=1.0)
    for key, token in (("etherfi:LST:weETH", "weETH"), ("lido:LST:wstETH", "wstETH")):
        desk.give(key, 10.0)
        desk.send(desk.lend(SUPPLY, 10.0, token))
    desk.send(desk.lend(BORROW, 20.0, "ETH"))
    fallen = {"weETH": 2_000.0 * 1.05 * 0.92, "wstETH": 2_000.0 * 1.2 * 0.92}
    health = 10.0 * sum(fallen.values()) * 0.95 / 40_000.0
    assert 0.95 < health < 1.0
    (taken,) = desk.tick(oracle=fallen)
    amounts = {delta.position_key: delta.delta_amount for delta in taken.deltas}
    assert amounts == {
        "aave:aToken:awstETH": pytest.approx(-10.0 * 2_000.0 * 1.01 / fallen["wstETH"]),
        DEBT: pytest.approx(-10.0),
    }
    assert AWEETH in desk.report()


def test_a_fall_of_the_market_alone_liquidates_nobody() -> None:
    desk = chain_desk("ETH", free=True, capital=1.0)
    desk.give("etherfi:LST:weETH", 100.0)
    desk.send(desk.lend(SUPPLY, 100.0, "weETH"))
    desk.send(desk.lend(BORROW, 105.0 * 0.93, "ETH"))
    assert desk.tick(traded={"weETH": 1.05 * 0.5}) == ()
    (taken,) = desk.tick(oracle={"weETH": 2_000.0 * 1.05 * 0.95})
    assert taken.source is DeltaSource.LIQUIDATION


def test_debt_without_collateral_goes_on_growing() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 10_000.0, "USDT"))
    desk.send(desk.lend(BORROW, 3.0, "ETH"))
    desk.tick(oracle={"WETH": 20_000.0})
    left = desk.report()[DEBT]
    assert AUSDT not in desk.report()
    assert left == pytest.approx(3.0 - 10_000.0 / 1.045 / 20_000.0)
    (grown,) = desk.tick(borrow={"WETH": 1.05 * 1.1})
    assert grown.deltas[0].delta_amount == pytest.approx(left * 0.1)


def test_collateral_without_an_oracle_price_is_not_added_to_a_debt() -> None:
    desk = chain_desk(free=True)
    desk.send(desk.lend(SUPPLY, 50_000.0, "USDT"))
    desk.send(desk.lend(BORROW, 1.0, "ETH"))
    desk.give("etherfi:LST:weETH", 1.0)
    state = desk.venue._market
    assert state is not None
    del state.oracle_usd["weETH"]
    refused(desk, desk.lend(SUPPLY, 1.0, "weETH"), "STRAT-006", "weETH", "health cannot be computed")
