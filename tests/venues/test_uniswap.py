"""A simulated decentralised exchange: market rate, impact, fee of the pool, and the least that must arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.chain_worlds import defi_desk, refused
from tests.venues.worlds import in_group

from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.orders import OperationType

ETH, WEETH, EIGEN = "wallet:BaseToken:ETH", "etherfi:LST:weETH", "wallet:BaseToken:EIGEN"


def test_a_swap_is_at_the_market_rate_worse_by_impact_and_fee() -> None:
    desk = defi_desk(capital=0.0)
    desk.give(ETH, 1.0)
    desk.give(WEETH, 10.0)
    desk.tick(traded={"weETH": 1.04})
    answer = desk.send(desk.swap(10.0, "weETH", "ETH"))
    gross = 10.0 * 1.04 * (1.0 - 0.0024)
    assert answer.actual_deltas == {WEETH: -10.0, ETH: pytest.approx(gross)}
    trade, fee, gas = answer.settlements
    assert [one.source for one in (trade, fee, gas)] == [DeltaSource.EXECUTION, DeltaSource.FEE, DeltaSource.GAS]
    assert [delta.price for delta in trade.deltas] == [pytest.approx(gross / 10.0), None]
    assert fee.deltas[0].delta_amount == pytest.approx(-gross * 5e-4)
    assert answer.fee_amount == pytest.approx(gross * 5e-4)
    assert answer.fee_currency == "ETH"
    assert answer.get_total_cost() == pytest.approx(gross * 1.0005)
    assert desk.report()[ETH] == pytest.approx(1.0 + gross * (1.0 - 5e-4) - 180_000 * 20.5e-9)


def test_size_decides_the_impact() -> None:
    desk = defi_desk(capital=1_000.0)
    for amount, bps in ((5.0, 20.0), (5.0001, 24.0), (50.0, 24.0), (50.001, 35.0)):
        answer = desk.send(desk.swap(amount, "ETH", "weETH"))
        assert answer.execution_details["impact_bps"] == bps
        assert answer.actual_deltas[WEETH] == pytest.approx(amount / 1.05 * (1.0 - bps / 1e4), rel=1e-12)


def test_the_pool_fee_of_a_purchase_is_paid_in_the_token_bought() -> None:
    desk = defi_desk("USDT", capital=0.0)
    desk.give(ETH, 10.0)
    answer = desk.send(desk.swap(4.0, "ETH", "weETH"))
    assert answer.fee_currency == "weETH"
    assert answer.settlements[1].deltas[0].position_key == WEETH
    assert desk.report()["gas:Payable:USDT"] == pytest.approx(-180_000 * 20.5e-9 * 2_000.0)


def test_a_depeg_hurts_who_sells_and_not_who_holds() -> None:
    desk = defi_desk(free=True)
    desk.send(desk.stake(21.0))
    desk.tick(traded={"weETH": 1.05 * 0.95})
    assert desk.report()[WEETH] == pytest.approx(20.0)
    answer = desk.send(desk.swap(20.0, "weETH", "ETH"))
    assert answer.actual_deltas[ETH] == pytest.approx(21.0 * 0.95)


def test_reward_tokens_are_sold_at_their_own_price() -> None:
    desk = defi_desk(free=True)
    desk.give(EIGEN, 100.0)
    desk.tick(tokens={"EIGEN": 3.0})
    assert desk.send(desk.swap(100.0, "EIGEN", "ETH")).actual_deltas[ETH] == pytest.approx(300.0 / 2_000.0)


def test_less_than_min_out_reverts_and_names_both_numbers() -> None:
    desk = defi_desk()
    desk.give(WEETH, 10.0)
    net = 10.0 * 1.05 * (1.0 - 0.0024) * (1.0 - 0.0005)
    refused(desk, desk.swap(10.0, "weETH", "ETH", net * 1.000001), "EXEC-004", f"{net:.12g}", f"{net * 1.000001:.12g}")
    desk.send(desk.swap(10.0, "weETH", "ETH", net * 0.999999))


@pytest.mark.parametrize("least", [None, "1.0", True, float("nan"), float("inf")])
def test_a_swap_without_a_number_for_min_out_is_malformed(least: object) -> None:
    desk = defi_desk()
    refused(desk, desk.swap(10.0, "ETH", "weETH", least), "EXEC-003", "min_out")


def test_what_has_no_pool_or_no_rate_is_refused() -> None:
    desk = defi_desk()
    refused(desk, desk.swap(1.0, "USDT", "ETH"), "VEN-004", "USDT", "ETH/weETH")
    refused(desk, desk.swap(1.0, "ETH", "WETH"), "VEN-004")
    refused(desk, desk.order(OperationType.STAKE, 1.0, "ETH", "weETH", venue="uniswap"), "VEN-004", "does swap")
    refused(desk, desk.swap(1.0, "ETH", "EIGEN"), "STRAT-006", "EIGEN", "ETH")
    desk.tick(traded={"weETH": None})
    refused(desk, desk.swap(1.0, "ETH", "weETH"), "STRAT-006", "weETH")


@pytest.mark.parametrize(("source", "target"), [("weETH", "ETH"), ("ETH", "weETH")])
def test_without_a_price_of_eth_no_swap_has_a_size(source: str, target: str) -> None:
    """A sale of 100 weETH had the impact of the smallest one: 20 bps instead of 35."""
    desk = defi_desk(capital=200.0)
    desk.give(WEETH, 100.0)
    desk.tick(unpriced=("ETH",))
    refused(desk, desk.swap(100.0, source, target), "STRAT-006", "no price of ETH is known yet", "2024-")
    answers = desk.group(*in_group((desk.stake(1.0), desk.swap(1.0, source, target))))
    assert [answer.error_code for answer in answers] == ["EXEC-006", "STRAT-006"]
    desk.tick()
    assert desk.send(desk.swap(100.0, source, target)).execution_details["impact_bps"] == 35.0


def test_a_staking_token_is_not_bought_at_an_old_rate_but_sold() -> None:
    desk = defi_desk()
    desk.give(WEETH, 10.0)
    desk.tick(rates_fresh=False)
    refused(desk, desk.swap(1.0, "ETH", "weETH"), "STRAT-006", "weETH", "staleness")
    desk.send(desk.swap(1.0, "weETH", "ETH"))


def test_more_than_there_is_beside_gas_is_refused() -> None:
    desk, gas = defi_desk(), 180_000 * 20.5e-9
    refused(desk, desk.swap(100.0, "ETH", "weETH"), "EXEC-004", "needs 100 ETH", f"{100.0 - gas:.12g} is there")
    desk.send(desk.swap(100.0 - gas, "ETH", "weETH"))
    assert set(desk.report()) == {WEETH}


@given(st.floats(0.001, 90.0), st.floats(0.9, 1.1), st.floats(1.0, 1.2), st.booleans())
def test_what_a_swap_loses_is_discount_impact_fee_and_gas(amount: float, peg: float, rate: float, buys: bool) -> None:
    """Value before and after at the protocol's rate, against the parts of the loss one by one."""
    desk = defi_desk()
    desk.give(WEETH, 100.0)
    desk.tick(rates={"weETH": rate}, traded={"weETH": rate * peg})
    before = desk.report()[ETH] + desk.report()[WEETH] * rate
    answer = desk.send(desk.swap(amount, "ETH", "weETH") if buys else desk.swap(amount, "weETH", "ETH"))
    after = desk.report()[ETH] + desk.report()[WEETH] * rate
    worth = amount if buys else amount * rate
    fair = worth / peg if buys else worth * peg
    impact = fair * answer.execution_details["impact_bps"] / 1e4
    fee = (fair - impact) * 5e-4
    lost = (worth - fair) + impact + fee + 180_000 * 20.5e-9
    assert before - after == pytest.approx(lost, abs=1e-11)
