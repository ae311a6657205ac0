"""Staking decides on hand-made books: what it stakes, frees, sells and waits for, with amounts worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.strategies.situations import (
    CLAIM,
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

from basis_actors.errors import BasisError
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import ExecutionMode
from basis_actors.strategies.chain_terms import swap_for, swap_quote
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.strategies.staking import Staking

STAKE, UNSTAKE, SWAP, TRANSFER = 150e3, 200e3, 180e3, 21e3
POOL = 1.0 - 5e-4
"""What the pool of weETH leaves after its fee of 5 bps."""
HELD = {ETH: KEPT, WEETH: 30.0}


def strategy(*extra: str) -> Staking:
    return Staking(run_of("eth_staking_only", *extra))


def test_everything_beside_the_reserve_and_gas_is_staked() -> None:
    decision = strategy().decide(situation({ETH: 40.0}, market()))
    (order,) = decision.orders
    assert (decision.decision_type, decision.action, order.operation) == ("entry", "entry_full", "stake")
    assert order.amount == pytest.approx(40.0 - KEPT - gas(STAKE), rel=1e-12)
    assert after({ETH: 40.0}, decision.orders)[WEETH] == pytest.approx(order.amount / RATE, rel=1e-12)
    assert decision.market_conditions["eth_per_lst"] == RATE
    assert decision.portfolio_state["idle"] == 40.0


def test_staking_needs_no_market_rate() -> None:
    assert operations(strategy().decide(situation({ETH: 40.0}, market(market_rate=None))).orders) == ["stake"]


@pytest.mark.parametrize("state", [market(fresh=False), market(gas_price=None)], ids=["stale rate", "no gas price"])
def test_what_is_not_known_is_waited_for(state: MarketState) -> None:
    decision = strategy().decide(situation({ETH: 40.0}, state))
    assert (decision.decision_type, decision.orders) == ("hold", ())
    assert decision.constraints == ("STRAT-006",)


@pytest.mark.parametrize("spare", [0.009, 0.03], ids=["below the protocol's minimum", "less than twenty times its gas"])
def test_what_is_not_worth_its_gas_stays(spare: float) -> None:
    held = {ETH: KEPT + gas(STAKE) + spare}
    decision = strategy("strategy_config.dust_delta=0").decide(situation(held, market()))
    assert decision.action == "none"
    assert f"{held[ETH]:.6f} ETH stays in the wallet: {KEPT:g} is kept for gas" in decision.reasoning
    assert "more than 0.010000" in decision.reasoning


def test_less_than_the_gas_reserve_is_said_to_stay() -> None:
    decision = strategy().decide(situation({ETH: 0.04}, market()))
    assert decision.action == "none"
    assert decision.reasoning.startswith("0.040000 ETH stays in the wallet")


def test_nothing_is_staked_while_the_market_doubts_the_token() -> None:
    """A discount of 4 % where 3 % is the limit; without enforcement it is only reported."""
    doubted = situation({ETH: 40.0}, market(market_rate=RATE * 0.96))
    decision = strategy().decide(doubted)
    assert (decision.orders, decision.constraints) == ((), ("RISK-001",))
    assert "0.0400" in decision.reasoning
    assert "0.03" in decision.reasoning
    assert operations(strategy("risk_limits.enforce=false").decide(doubted).orders) == ["stake"]


def test_a_withdrawal_sells_what_is_missing_and_pays_at_once() -> None:
    """1.04 on the market, 24 bps of impact up to 100,000 USD, 5 bps to the pool."""
    decision = strategy().decide(situation(HELD, market(market_rate=1.04), wanted=10.0))
    sale, payment = decision.orders
    per_token = 1.04 * (1.0 - 24e-4) * POOL
    assert sale.amount == pytest.approx((10.0 + gas(SWAP, TRANSFER)) / per_token, rel=1e-9)
    assert (payment.operation, payment.amount, payment.target_venue) == ("transfer", 10.0, "external")
    assert {order.execution_mode for order in decision.orders} == {ExecutionMode.SEQUENTIAL}
    cost = sale.amount * RATE - sale.amount * per_token + gas(SWAP, TRANSFER)
    assert decision.market_conditions["unwind_cost"] == pytest.approx(cost, rel=1e-9)
    assert decision.action == "exit_partial"


def test_a_withdrawal_of_nearly_everything_leaves_no_crumb() -> None:
    decision = strategy().decide(situation(HELD, market(), wanted=31.40))
    assert decision.action == "exit_full"
    assert decision.orders[0].amount == 30.0


@pytest.mark.parametrize("state", [market(market_rate=None), market(fresh=False)], ids=["unknown", "stale"])
def test_nothing_is_sold_while_the_market_rate_is_not_known(state: MarketState) -> None:
    decision = strategy().decide(situation(HELD, state, wanted=10.0))
    assert (decision.orders, decision.constraints) == ((), ("STRAT-006",))


def without_price() -> MarketState:
    """A market whose rates are known, before ETH has had its first price."""
    state = market()
    return replace(state, prices={"USDT": 1.0})


def test_nothing_is_sold_while_eth_has_no_price() -> None:
    """How large a sale is, and so what it costs, is not known: a withdrawal and an exit wait and say for what."""
    for decision in (
        strategy().decide(situation(HELD, without_price(), wanted=10.0)),
        strategy().close_all(situation(HELD, without_price())),
    ):
        assert (decision.orders, decision.constraints) == ((), ("STRAT-006",))
        assert "the price of ETH is not known" in decision.reasoning


def test_a_swap_without_a_price_is_not_written() -> None:
    run = run_of("eth_staking_only")
    assert swap_quote(run, without_price(), "uniswap", "weETH", "ETH", 30.0) is None
    writer = OrderWriter(run, situation(HELD, without_price()), 0.01)
    with pytest.raises(
        BasisError, match=r"a swap of 30 weETH at uniswap needs the price of ETH, .* wait for it"
    ) as caught:
        writer.swap("uniswap", "weETH", "ETH", 30.0, "close")
    assert caught.value.code == "STRAT-006"


def test_an_emergency_exit_sells_at_a_fresh_market_rate_while_the_protocol_is_silent() -> None:
    silent = market(market_rate=1.04, fresh=False, market_fresh=True)
    (order,) = strategy().close_all(situation(HELD, silent)).orders
    assert (order.operation, order.amount) == ("swap", 30.0)
    quote = swap_quote(run_of("eth_staking_only"), silent, "uniswap", "weETH", "ETH", 30.0)
    assert quote is not None
    assert after(HELD, [order])[ETH] - KEPT == pytest.approx(quote.gross, rel=1e-12), (
        "what the market is expected to pay"
    )
    assert strategy().decide(situation(HELD, silent, wanted=10.0)).orders == (), "nobody is in a hurry"
    stale = market(market_rate=1.04, market_fresh=False)
    assert strategy().close_all(situation(HELD, stale)).orders == ()


def test_a_withdrawal_that_lies_idle_needs_no_price() -> None:
    decision = strategy().decide(situation({ETH: 12.0, WEETH: 1.0}, market(fresh=False), wanted=10.0))
    assert [(order.operation.value, order.amount) for order in decision.orders] == [("transfer", 10.0)]


def test_more_than_there_is_stops_nothing_else() -> None:
    decision = strategy().decide(situation({ETH: 5.0, WEETH: 30.0}, market(), wanted=100.0))
    assert operations(decision.orders) == ["stake"]
    assert any(text.startswith("EXEC-004") and "100.0" in text for text in decision.constraints)


def test_the_queue_is_asked_once_and_pays_when_it_has_delivered() -> None:
    queue = strategy("strategy_config.unwind_route=queue")
    first = queue.decide(situation(HELD, market(market_rate=None), wanted=10.0))
    (request,) = first.orders
    assert request.operation == "unstake"
    assert request.amount == pytest.approx((10.0 + KEPT + gas(UNSTAKE)) / RATE, rel=1e-9)
    waiting = after(HELD, first.orders) | {ETH: KEPT - gas(UNSTAKE)}
    decision = queue.decide(situation(waiting, market(1), wanted=10.0))
    assert (decision.action, decision.orders) == ("none", ())
    assert "in the queue" in decision.reasoning
    arrived = {**waiting, ETH: waiting[ETH] + waiting[CLAIM], CLAIM: 0.0}
    decision = queue.decide(situation(arrived, market(169), wanted=10.0))
    assert [(order.operation.value, order.amount) for order in decision.orders] == [("transfer", 10.0)]


def test_a_second_withdrawal_asks_the_queue_for_the_rest() -> None:
    queue = strategy("strategy_config.unwind_route=queue")
    decision = queue.decide(situation({ETH: KEPT, WEETH: 20.0, CLAIM: 10.05}, market(), wanted=14.0))
    assert decision.orders[0].amount * RATE == pytest.approx(14.0 + KEPT - 10.05 + gas(UNSTAKE), rel=1e-9)


def test_what_the_queue_owes_the_owner_is_not_staked_again() -> None:
    queue = strategy("strategy_config.unwind_route=queue")
    assert queue.decide(situation({ETH: 6.0, WEETH: 20.0, CLAIM: 10.0}, market(), wanted=14.0)).orders == ()


REWARDS = {"wallet:BaseToken:EIGEN": 100.0, "wallet:BaseToken:ETHFI": 10.0}
PRICED = {"EIGEN": 4.0, "ETHFI": 2.0}


def test_rewards_that_are_worth_it_are_sold_for_ether() -> None:
    """100 EIGEN at 4 USDT are 0.2 ETH, more than the dust of 0.06; 10 ETHFI at 2 USDT are not."""
    decision = strategy().decide(situation({**HELD, **REWARDS}, market(prices=PRICED)))
    (sale,) = decision.orders
    assert (decision.decision_type, decision.action) == ("rebalance", "sell_dust")
    assert (sale.source_token, sale.target_token, sale.amount) == ("EIGEN", "ETH", 100.0)
    gross = 100.0 * 4.0 / ETH_PRICE * (1.0 - 10e-4)
    assert after({}, decision.orders)[ETH] == pytest.approx(gross, rel=1e-12)


@pytest.mark.parametrize(
    "state",
    [market(), market(prices=PRICED, stale=("EIGEN",)), market(prices=PRICED, gas_price=100.0)],
    ids=["no price", "stale price", "gas too dear"],
)
def test_rewards_are_kept_while_selling_makes_no_sense(state: MarketState) -> None:
    decision = strategy().decide(situation({**HELD, **REWARDS}, state))
    assert (decision.action, decision.orders) == ("none", ())


def test_drift_is_counted_anew_once_equity_has_moved() -> None:
    def grown(hour: int) -> MarketState:
        rate = RATE * (1.0 + hour / 1e3)
        return market(hour, rate=rate, market_rate=rate)

    staking = strategy()
    staking.decide(situation({ETH: 40.0}, market()))
    held = {ETH: KEPT, WEETH: (40.0 - KEPT) / RATE}
    seen = [staking.decide(situation(held, grown(hour))) for hour in range(1, 45)]
    reset = [number for number, decision in enumerate(seen, 1) if "moved by" in decision.reasoning]
    assert reset == [21, 42], "more than 2 % after 21 hours of 0.1 % each, and again of a base 2.1 % higher"


def test_rewards_are_kept_while_the_wallet_cannot_pay_the_gas_of_selling_them() -> None:
    """The venue refused the sale, at every tick."""
    short = {ETH: 0.9 * gas(SWAP), WEETH: 30.0, **REWARDS}
    assert strategy().decide(situation(short, market(prices=PRICED))).orders == ()
    (sale,) = strategy().decide(situation({**short, ETH: gas(SWAP)}, market(prices=PRICED))).orders
    assert (sale.operation, sale.source_token) == ("swap", "EIGEN")


def test_closing_sells_everything_and_then_rewards() -> None:
    staking, state = strategy(), market(prices=PRICED)
    first = staking.close_all(situation({**HELD, **REWARDS}, state))
    assert [(order.operation.value, order.amount) for order in first.orders] == [("swap", 30.0)]
    assert (first.decision_type, first.invested) == ("emergency_exit", True)
    rest = staking.close_all(situation({ETH: 31.0, **REWARDS}, state))
    assert [order.source_token for order in rest.orders] == ["EIGEN"]
    last = staking.close_all(situation({ETH: 31.2, "wallet:BaseToken:ETHFI": 10.0}, state))
    assert (last.orders, last.invested) == ((), False)


def test_closing_by_the_queue_waits_for_it() -> None:
    queue = strategy("strategy_config.unwind_route=queue")
    assert operations(queue.close_all(situation(HELD, market(market_rate=None))).orders) == ["unstake"]
    waiting = queue.close_all(situation({ETH: KEPT, CLAIM: 31.5}, market()))
    assert (waiting.orders, waiting.invested) == ((), True)


def test_an_exit_that_cannot_pay_its_gas_says_both_numbers() -> None:
    decision = strategy().close_all(situation({ETH: 0.001, WEETH: 30.0}, market()))
    assert decision.constraints == ("EXEC-004",)
    assert f"{gas(SWAP):.6f}" in decision.reasoning
    assert "0.001000" in decision.reasoning


def test_rewards_need_a_dex_that_trades_them() -> None:
    with pytest.raises(BasisError, match=r"STRAT-003.*EIGEN/ETH"):
        strategy("strategy_config.reward_venue=etherfi")


@settings(max_examples=60, deadline=None)
@given(wanted=st.floats(1e-3, 500.0), rate=st.floats(0.9, 1.2))
def test_a_swap_for_an_amount_gives_it_and_hardly_more(wanted: float, rate: float) -> None:
    run, state = run_of("eth_staking_only"), market(market_rate=rate)
    amount = swap_for(run, state, "uniswap", "weETH", "ETH", wanted)
    assert amount is not None
    quote = swap_quote(run, state, "uniswap", "weETH", "ETH", amount)
    assert quote is not None
    assert wanted <= quote.net <= wanted * (1.0 + 1e-11)
