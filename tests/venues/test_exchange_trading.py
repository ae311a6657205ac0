"""Spot and perp orders on a simulated exchange: prices, fees, lots, margin, refusals."""

import pytest
from msgspec.structs import replace
from tests.venues.worlds import Desk, StillClock, chain_desk, exchange_desk, exchange_terms, in_group

from basis_actors.errors import Rejected
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.orders import Order, OrderType, Side
from basis_actors.venues.simulated.exchange import SimulatedExchange
from basis_actors.venues.simulated.terms import SpotMarket

BTC, CASH, MARGIN = "binance:BaseToken:BTC", "binance:BaseToken:USDT", "binance:Margin:USDT"
PERP = "binance:PerpPosition:BTC-PERP"


def funded(**more: bool) -> Desk:
    desk = exchange_desk(**more)
    desk.send(desk.transfer(50_000.0, MARGIN, CASH, "binance"))
    return desk


def refused(desk: Desk, order: Order, code: str, *words: str) -> None:
    before = desk.report()
    with pytest.raises(Rejected) as error:
        desk.send(order)
    assert error.value.code == code
    for word in words:
        assert word in error.value.message
    assert desk.report() == before
    assert desk.report() == {key: amount for key, amount in desk.ledger.items() if amount != 0.0}


def test_a_spot_buy_pays_price_impact_and_fee() -> None:
    desk = funded()
    answer = desk.send(desk.spot(Side.BUY, 1.0))
    assert answer.actual_deltas == {BTC: 1.0, CASH: pytest.approx(-40_000.0 * 1.0006)}
    assert answer.fee_amount == pytest.approx(40.024)
    assert answer.fee_currency == "USDT"
    assert [settlement.source for settlement in answer.settlements] == [DeltaSource.EXECUTION, DeltaSource.FEE]
    assert {settlement.operation_id for settlement in answer.settlements} == {answer.operation_id}
    assert answer.settlements[0].deltas[0].price == pytest.approx(40_024.0)
    assert answer.get_total_cost() == pytest.approx(40_024.0 + 40.024)
    assert desk.report()[CASH] == pytest.approx(50_000.0 - 40_064.024)


def test_a_frictionless_round_trip_costs_nothing() -> None:
    desk = funded(free=True)
    before = desk.report()
    for side in (Side.BUY, Side.SELL):
        answer = desk.send(desk.spot(side, 0.37))
        assert answer.fee_amount == 0.0
        assert answer.fee_currency is None
        assert len(answer.settlements) == 1
    for side in (Side.SHORT, Side.LONG):
        desk.send(desk.perp(side, 0.37))
    assert desk.report() == before


def test_impact_follows_the_size_of_the_order() -> None:
    desk = funded(unified=False)
    prices = [desk.send(desk.spot(Side.BUY, amount)).execution_details["executed_price"] for amount in (0.1, 0.5)]
    assert prices == pytest.approx([40_000.0 * 1.0004, 40_000.0 * 1.0006])
    sold = desk.send(desk.spot(Side.SELL, 0.1)).execution_details["executed_price"]
    assert sold == pytest.approx(40_000.0 * 0.9996)


def test_many_small_buys_are_sold_in_one_order_without_dust() -> None:
    desk = funded(free=True)
    for _ in range(7):
        desk.send(desk.spot(Side.BUY, 0.1))
    desk.send(desk.spot(Side.SELL, 0.4))
    assert desk.report()[BTC] == 0.3
    desk.send(desk.spot(Side.SELL, 0.3))
    assert BTC not in desk.report()
    assert desk.ledger[BTC] == 0.0


def test_many_small_shorts_are_closed_in_one_order_without_dust() -> None:
    desk = funded()
    for _ in range(7):
        desk.send(desk.perp(Side.SHORT, 0.1))
    desk.send(desk.perp(Side.LONG, 0.4, reduce_only=True))
    assert desk.report()[PERP] == -0.3
    desk.send(desk.perp(Side.LONG, 0.3, reduce_only=True))
    assert PERP not in desk.report()
    assert desk.ledger[PERP] == 0.0


def test_a_spot_price_of_the_venue_is_preferred_to_the_reference_price() -> None:
    with_spot, without = funded(free=True), exchange_desk(unified=True, free=True)
    with_spot.tick(btc=41_000.0)
    without.tick(btc=41_000.0)
    assert with_spot.send(with_spot.spot(Side.BUY, 0.1)).execution_details["executed_price"] == 41_000.0
    assert without.send(without.spot(Side.BUY, 0.1)).execution_details["executed_price"] == 41_000.0


def test_a_reducing_fill_realises_its_profit_in_the_same_settlement() -> None:
    desk = funded()
    opened = desk.send(desk.perp(Side.SHORT, 1.0)).execution_details["executed_price"]
    desk.tick(btc=38_000.0)
    answer = desk.send(desk.perp(Side.LONG, 0.25, reduce_only=True))
    closed = answer.execution_details["executed_price"]
    assert opened == pytest.approx(40_000.0 * 0.9994)
    assert closed == pytest.approx(38_000.0 * 1.0004)
    size, profit = answer.settlements[0].deltas
    assert (size.position_key, size.delta_amount, size.price) == (PERP, 0.25, closed)
    assert (profit.position_key, profit.price) == (MARGIN, None)
    assert profit.delta_amount == pytest.approx(0.25 * (opened - closed))
    assert answer.actual_deltas == {PERP: 0.25, MARGIN: profit.delta_amount}


def test_a_fill_through_zero_realises_the_old_position_and_enters_the_rest_at_its_price() -> None:
    desk = funded(free=True)
    desk.send(desk.perp(Side.SHORT, 1.0))
    desk.tick(btc=39_000.0)
    desk.send(desk.perp(Side.LONG, 1.5))
    assert desk.report()[PERP] == 0.5
    assert desk.report()[MARGIN] == 51_000.0
    desk.tick(btc=40_000.0)
    assert desk.send(desk.perp(Side.SHORT, 0.5)).actual_deltas[MARGIN] == pytest.approx(500.0)


def test_an_unified_account_margins_perps_with_its_one_cash_key() -> None:
    desk = exchange_desk(unified=True)
    answer = desk.send(desk.perp(Side.SHORT, 1.0))
    assert answer.settlements[1].deltas[0].position_key == "bybit:BaseToken:USDT"
    desk.send(desk.spot(Side.BUY, 1.0))
    assert set(desk.report()) == {"bybit:BaseToken:USDT", "bybit:BaseToken:BTC", "bybit:PerpPosition:BTC-PERP"}


def test_a_spot_buy_of_a_unified_account_cannot_take_the_margin_of_its_perps() -> None:
    desk = exchange_desk(unified=True, usdt=10_000.0)
    desk.send(desk.perp(Side.SHORT, 10.0))
    refused(desk, desk.spot(Side.BUY, 0.2), "EXEC-004", "8011.2032", "5320.24 is free")


def test_an_order_that_would_overdraw_is_refused_with_both_numbers() -> None:
    desk = funded()
    refused(desk, desk.spot(Side.BUY, 1.3), "EXEC-004", "52", "50000")
    refused(desk, desk.spot(Side.SELL, 0.5), "EXEC-004", "needs 0.5 BTC", "0 is there")


def test_a_position_beyond_its_margin_is_refused_with_both_numbers() -> None:
    desk = exchange_desk(usdt=1_000.0)
    refused(desk, desk.perp(Side.SHORT, 5.0), "EXEC-004", "margin balance", "initial margin")
    desk.send(desk.perp(Side.SHORT, 1.0))


def test_a_reducing_order_is_never_refused_for_want_of_margin() -> None:
    desk = exchange_desk(usdt=1_000.0)
    desk.send(desk.perp(Side.SHORT, 1.0))
    desk.tick(btc=40_700.0)
    refused(desk, desk.perp(Side.SHORT, 1.0), "EXEC-004", "initial margin")
    desk.send(desk.perp(Side.LONG, 1.0))
    assert PERP not in desk.report()


def test_reduce_only_never_opens_or_flips() -> None:
    desk = funded()
    refused(desk, desk.perp(Side.LONG, 0.1, reduce_only=True), "EXEC-004", "reduce_only")
    desk.send(desk.perp(Side.SHORT, 0.1))
    refused(desk, desk.perp(Side.SHORT, 0.1, reduce_only=True), "EXEC-004", "reduce_only")
    refused(desk, desk.perp(Side.LONG, 0.2, reduce_only=True), "EXEC-004", "0.2", "-0.1")


@pytest.mark.parametrize("amount", [0.123456, 0.000004])
def test_an_amount_off_the_lot_is_refused_with_the_amount_to_use(amount: float) -> None:
    desk = funded()
    refused(desk, desk.spot(Side.BUY, amount), "EXEC-004", "multiple of the lot", repr(amount))


def test_an_order_below_the_minimum_is_refused_unless_it_closes_the_whole_position() -> None:
    desk = funded()
    refused(desk, desk.spot(Side.BUY, 0.0002), "EXEC-004", "8.0032 USD", "10 USD")
    desk.send(desk.perp(Side.SHORT, 0.001))
    desk.tick(btc=5_000.0)
    refused(desk, desk.perp(Side.LONG, 0.001), "EXEC-004", "below the minimum order")
    desk.send(desk.perp(Side.LONG, 0.001, reduce_only=True))
    assert PERP not in desk.report()


def test_a_stale_price_is_refused() -> None:
    desk = funded()
    desk.tick(fresh=False)
    refused(desk, desk.spot(Side.BUY, 0.1), "STRAT-006", "staleness limit")
    refused(desk, desk.perp(Side.SHORT, 0.1), "STRAT-006", "staleness limit")


def test_a_stale_mark_blocks_new_risk_and_no_reduction() -> None:
    desk = funded()
    desk.send(desk.perp(Side.SHORT, 0.2))
    desk.tick(mark_fresh=False)
    refused(desk, desk.perp(Side.SHORT, 0.1), "STRAT-006", "mark", "no new risk")
    desk.send(desk.perp(Side.LONG, 0.1))
    assert desk.report()[PERP] == -0.1


def test_a_limit_order_fills_when_it_is_met_and_is_refused_otherwise() -> None:
    desk = funded()
    met = desk.send(desk.spot(Side.BUY, 0.1, order_type=OrderType.LIMIT, price=40_016.0))
    assert met.execution_details["executed_price"] == pytest.approx(40_016.0)
    refused(desk, desk.spot(Side.BUY, 0.1, order_type=OrderType.LIMIT, price=40_015.0), "EXEC-004", "40015", "40016")
    refused(desk, desk.perp(Side.SHORT, 0.1, order_type=OrderType.LIMIT, price=40_000.0), "EXEC-004", "not met")


def test_a_reward_token_is_sold_like_any_other_at_its_price_and_not_while_it_has_none() -> None:
    clock = StillClock()
    terms = exchange_terms()
    line = SpotMarket("EIGEN/USDT", "EIGEN", 0.01, 0.01, (8.0, 13.0, 28.0))
    desk = Desk(SimulatedExchange(replace(terms, spot={**terms.spot, line.pair: line}), clock), clock)
    desk.tick()
    desk.give("binance:BaseToken:EIGEN", 100.0)
    refused(desk, desk.spot(Side.SELL, 100.0, "EIGEN"), "STRAT-006", "EIGEN has no price yet")
    desk.tick(tokens={"EIGEN": 3.0})
    desk.send(desk.spot(Side.SELL, 100.0, "EIGEN"))
    assert desk.report() == {CASH: pytest.approx(300.0 * 0.9992 * 0.999)}


def test_trigger_prices_and_unknown_markets_are_refused() -> None:
    desk = funded()
    refused(desk, desk.spot(Side.BUY, 0.1, take_profit=50_000.0), "EXEC-003", "take_profit")
    refused(desk, desk.spot(Side.BUY, 1.0, "DOGE"), "VEN-004", "DOGE/USDT", "BTC/USDT")
    refused(desk, desk.perp(Side.LONG, 1.0, "DOGE"), "VEN-004", "DOGE-PERP")
    refused(desk, desk.spot(Side.BUY, 1.0, venue="kraken"), "VEN-004", "binance")


def test_an_order_before_the_first_tick_is_refused() -> None:
    clock = StillClock()
    desk = Desk(SimulatedExchange(exchange_terms(), clock), clock)
    refused(desk, desk.spot(Side.BUY, 1.0), "STRAT-006", "no market yet")


def test_an_exchange_has_no_transactions() -> None:
    desk = funded()
    with pytest.raises(Rejected, match="compensated"):
        desk.group(*in_group([desk.spot(Side.BUY, 0.1)]))


def test_the_chain_trades_nothing() -> None:
    desk = chain_desk()
    refused(desk, desk.spot(Side.BUY, 0.1), "VEN-004", "spot_trade")
