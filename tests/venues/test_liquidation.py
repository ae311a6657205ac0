"""Liquidation of a simulated exchange account."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.worlds import BRACKETS, HOUR, START, Desk, at_once, exchange_desk

from basis_actors.finance.margin import maintenance_margin
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import DeltaSource, Settlement
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Side

MARGIN, PERP = "binance:Margin:USDT", "binance:PerpPosition:BTC-PERP"


def short(leverage: float, *, free: bool = True, amount: float = 1.0) -> Desk:
    desk = exchange_desk(free=free, usdt=amount * 40_000.0 / leverage)
    desk.send(desk.perp(Side.SHORT, amount))
    return desk


def closing_price(settled: Sequence[Settlement]) -> float:
    (liquidation,) = settled
    assert liquidation.source is DeltaSource.LIQUIDATION
    price = liquidation.deltas[0].price
    assert price is not None
    return price


@pytest.mark.parametrize("leverage", [1.0, 2.0, 3.0, 10.0])
def test_a_short_is_liquidated_at_the_analytic_price(leverage: float) -> None:
    desk = short(leverage)
    expected = 40_000.0 * (1.0 + 1.0 / leverage) / 1.004
    below, above = expected * (1.0 - 1e-6), expected * (1.0 + 1e-6)
    assert desk.tick(highs={"BTC": below}) == ()
    assert closing_price(desk.tick(highs={"BTC": above})) == pytest.approx(expected, rel=1e-12)
    left = maintenance_margin(expected, BRACKETS)
    assert desk.report() == {MARGIN: pytest.approx(left, rel=1e-9)}


def test_a_long_is_liquidated_on_the_low_of_the_bar() -> None:
    desk = exchange_desk(free=True, usdt=20_000.0)
    desk.send(desk.perp(Side.LONG, 1.0))
    expected = (40_000.0 - 20_000.0) / (1.0 - 0.004)
    assert desk.tick(highs={"BTC": 90_000.0}, lows={"BTC": expected * 1.000001}) == ()
    assert closing_price(desk.tick(lows={"BTC": expected * 0.5})) == pytest.approx(expected, rel=1e-12)


def test_a_long_without_leverage_is_never_liquidated() -> None:
    desk = exchange_desk(free=True, usdt=41_000.0)
    desk.send(desk.perp(Side.LONG, 1.0))
    assert desk.tick(lows={"BTC": 0.01}) == ()


def test_the_fee_takes_what_the_maintenance_margin_left_and_the_account_ends_at_zero() -> None:
    desk = short(2.0, free=False)
    (liquidation,) = desk.tick(highs={"BTC": 65_000.0})
    size, realised, fee = liquidation.deltas
    assert (size.position_key, size.delta_amount) == (PERP, 1.0)
    assert size.price is not None
    entry = 40_000.0 * 0.9994
    assert realised.delta_amount == pytest.approx(entry - size.price)
    assert fee.delta_amount == pytest.approx(-maintenance_margin(size.price, BRACKETS))
    assert desk.report() == {}
    assert desk.ledger[MARGIN] == 0.0


def test_the_bar_on_which_a_position_was_opened_cannot_liquidate_it() -> None:
    desk = exchange_desk(free=True, usdt=20_000.0)
    desk.tick(highs={"BTC": 90_000.0})
    desk.send(desk.perp(Side.SHORT, 1.0))
    assert desk.tick() == ()
    assert desk.report()[PERP] == -1.0


def test_the_test_comes_before_the_funding_of_the_tick() -> None:
    desk = short(2.0)
    rich = FundingStamp(START + (desk.hour + 1) * HOUR, "binance:BTC-PERP", 0.5, 60_000.0)
    settled = desk.tick(highs={"BTC": 60_000.0}, funding=[rich])
    assert [settlement.source for settlement in settled] == [DeltaSource.LIQUIDATION]


def test_margin_that_arrives_within_the_bar_comes_too_late() -> None:
    desk = short(2.0)

    rescue = IncomingTransfer("late", MARGIN, "transit:BaseToken:USDT", 1e6, desk.clock.ns + HOUR // 2)
    at_once(desk.venue.expect(rescue))
    desk.ledger["transit:BaseToken:USDT"] = 1e6
    settled = desk.tick(highs={"BTC": 60_000.0})
    assert [settlement.source.value for settlement in settled] == ["liquidation", "transfer"]
    assert desk.report()[MARGIN] > 1e6 - 1.0


def test_added_margin_moves_the_price_away() -> None:
    desk = short(2.0)
    desk.give(MARGIN, 20_000.0)
    assert desk.tick(highs={"BTC": 79_000.0}) == ()
    assert desk.tick(highs={"BTC": 80_000.0}) != ()


def test_adding_to_a_position_moves_the_price_nearer() -> None:
    desk = short(4.0)
    assert desk.tick(highs={"BTC": 48_000.0}) == ()
    desk.send(desk.perp(Side.SHORT, 1.0))
    expected = 40_000.0 * (1.0 + 1.0 / 8.0) / 1.004
    assert closing_price(desk.tick(highs={"BTC": 48_000.0})) == pytest.approx(expected, rel=1e-12)


def test_reducing_a_position_moves_the_price_away() -> None:
    desk = short(4.0, amount=2.0)
    assert desk.tick(highs={"BTC": 49_000.0}) == ()
    desk.send(desk.perp(Side.LONG, 1.0))
    assert desk.tick(highs={"BTC": 59_000.0}) == ()


def test_an_account_below_maintenance_at_the_last_mark_is_closed_there() -> None:
    desk = short(2.0)
    drain = FundingStamp(START + (desk.hour + 1) * HOUR, "binance:BTC-PERP", -0.498, 40_000.0)
    desk.tick(funding=[drain])
    assert desk.report()[MARGIN] == pytest.approx(80.0)
    assert closing_price(desk.tick(btc=39_000.0, highs={"BTC": 39_500.0})) == 40_000.0


def test_a_loss_beyond_the_cash_is_borne_by_the_venue_at_an_effective_price() -> None:
    desk = short(2.0)
    drain = FundingStamp(START + (desk.hour + 1) * HOUR, "binance:BTC-PERP", -0.6, 40_000.0)
    desk.tick(btc=39_900.0, funding=[drain])
    assert desk.report()[MARGIN] == pytest.approx(-4_000.0)
    (liquidation,) = desk.tick()
    size, realised = liquidation.deltas
    assert size.price == pytest.approx(36_000.0)
    assert realised.delta_amount == pytest.approx(4_000.0)
    assert desk.ledger[MARGIN] == pytest.approx(0.0, abs=1e-9)


def test_cross_margin_lets_one_position_carry_the_other() -> None:
    desk = exchange_desk(free=True, usdt=20_000.0)
    desk.send(desk.perp(Side.SHORT, 1.0))
    desk.send(desk.perp(Side.LONG, 20.0, "ETH"))
    assert desk.tick(btc=58_000.0, eth=3_000.0) == ()
    assert desk.report()[PERP] == -1.0


def test_cross_margin_liquidates_the_whole_account_in_one_settlement() -> None:
    desk = exchange_desk(free=True, usdt=20_000.0)
    desk.send(desk.perp(Side.SHORT, 1.0))
    desk.send(desk.perp(Side.LONG, 10.0, "ETH"))
    (liquidation,) = desk.tick(highs={"BTC": 52_000.0}, lows={"ETH": 1_000.0})
    prices = {delta.position_key: delta.price for delta in liquidation.deltas if delta.price is not None}
    assert set(prices) == {PERP, "binance:PerpPosition:ETH-PERP"}
    btc, eth = prices[PERP], prices["binance:PerpPosition:ETH-PERP"]
    balance = 20_000.0 - (btc - 40_000.0) + 10.0 * (eth - 2_000.0)
    needed = maintenance_margin(btc, BRACKETS) + maintenance_margin(10.0 * eth, BRACKETS)
    assert balance == pytest.approx(needed, rel=1e-9)
    assert (btc - 40_000.0) / 12_000.0 == pytest.approx((2_000.0 - eth) / 1_000.0), "all marks move together"
    assert not any("PerpPosition" in key for key in desk.report())


@given(st.floats(1.0, 20.0), st.integers(1, 3000), st.floats(1.0, 2.2))
def test_close_and_fee_explain_what_a_liquidation_cost(leverage: float, lots: int, rally: float) -> None:
    """-signed closing quantity x (close - mark) - fee is the difference to having kept the position."""
    amount = lots / 1000.0
    desk = exchange_desk(usdt=amount * 40_000.0 * (1.0 / leverage + 0.01))
    entry = desk.send(desk.perp(Side.SHORT, amount)).execution_details["executed_price"]
    mark = 40_000.0 * rally
    cash = desk.report()[MARGIN]
    kept = cash - amount * (mark - entry)
    settled = desk.tick(btc=mark)
    if not settled:
        assert desk.report() == {MARGIN: cash, PERP: -amount}
        return
    close, *booked = settled[0].deltas
    assert close.price is not None
    realised = -close.delta_amount * (close.price - entry)
    fee = realised - sum(delta.delta_amount for delta in booked)
    explained = -close.delta_amount * (close.price - mark) - fee
    assert desk.report().get(MARGIN, 0.0) - kept == pytest.approx(explained, abs=1e-9 * amount * mark)
    assert desk.report().get(MARGIN, 0.0) >= 0.0
    assert fee >= -1e-9 * amount * mark
