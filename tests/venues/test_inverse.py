"""The coin-margined perp of a simulated exchange: sizes in USD, margin, profit, fees and funding in BTC."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venues.worlds import BRACKETS, HOUR, START, Desk, exchange_desk

from basis_actors.errors import Rejected
from basis_actors.finance.margin import maintenance_margin
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Side

COINS, MARGIN, USDT = "binance:BaseToken:BTC", "binance:Margin:BTC", "binance:Margin:USDT"
PERP = "binance:InversePerp:BTCUSD-PERP"


def coins(amount: float = 1.0, *, free: bool = True, usdt: float = 0.0) -> Desk:
    desk = exchange_desk(free=free, usdt=usdt)
    desk.give(MARGIN, amount)
    return desk


def stamp(desk: Desk, rate: float, mark: float) -> FundingStamp:
    return FundingStamp(START + (desk.hour + 1) * HOUR, "binance:BTCUSD-PERP", rate, mark)


def liquidation(settled: tuple[Settlement, ...]) -> tuple[PositionDelta, ...]:
    (only,) = settled
    assert only.source is DeltaSource.LIQUIDATION
    return only.deltas


def test_an_order_is_in_usd_and_its_fee_in_coins() -> None:
    desk = coins(free=False)
    answer = desk.send(desk.inverse(Side.LONG, 20_000.0))
    price = 40_000.0 * 1.0006
    assert answer.actual_deltas == {PERP: 20_000.0}
    assert answer.settlements[0].deltas[0].price == pytest.approx(price)
    assert answer.fee_amount == pytest.approx(20_000.0 / price * 0.0004)
    assert answer.fee_currency == "BTC"
    assert answer.get_total_cost() == pytest.approx(20_000.0 / price * 1.0004), "in coins, both"
    assert desk.report()[MARGIN] == pytest.approx(1.0 - 20_000.0 / price * 0.0004)


def test_impact_follows_the_usd_size() -> None:
    desk = coins(free=False)
    small = desk.send(desk.inverse(Side.SHORT, 10_000.0)).execution_details["executed_price"]
    assert small == pytest.approx(40_000.0 * 0.9996)


def test_profit_is_paid_in_coins_at_one_over_the_price() -> None:
    """Long 40,000 USD at 40,000, closed at 50,000: 1 coin less 0.8 coins."""
    desk = coins()
    desk.send(desk.inverse(Side.LONG, 40_000.0))
    desk.tick(btc=50_000.0)
    answer = desk.send(desk.inverse(Side.SHORT, 40_000.0, reduce_only=True))
    assert answer.actual_deltas == {PERP: -40_000.0, MARGIN: pytest.approx(0.2)}
    assert desk.report() == {MARGIN: pytest.approx(1.2)}


def test_adding_averages_the_entry_harmonically() -> None:
    """10,000 USD at 40,000 and 10,000 at 50,000 hold 0.45 coins; closed at 50,000 that is 0.05 of profit."""
    desk = coins()
    desk.send(desk.inverse(Side.LONG, 10_000.0))
    desk.tick(btc=50_000.0)
    desk.send(desk.inverse(Side.LONG, 10_000.0))
    assert desk.send(desk.inverse(Side.SHORT, 20_000.0)).actual_deltas[MARGIN] == pytest.approx(0.05)


def test_a_short_receives_a_positive_rate_on_its_coins() -> None:
    desk = coins()
    desk.send(desk.inverse(Side.SHORT, 20_000.0))
    (paid,) = desk.tick(funding=[stamp(desk, 0.0001, 50_000.0)])
    assert (paid.source, paid.deltas[0].position_key) == (DeltaSource.FUNDING, MARGIN)
    assert paid.deltas[0].delta_amount == pytest.approx(0.4 * 0.0001)
    assert paid.deltas[0].price == 0.0001


def test_linear_and_inverse_positions_have_margins_of_their_own() -> None:
    desk = coins(1.0, usdt=10_000.0)
    desk.send(desk.inverse(Side.LONG, 40_000.0))
    desk.send(desk.perp(Side.SHORT, 0.5))
    stamps = [
        stamp(desk, 0.0001, 40_000.0),
        FundingStamp(START + (desk.hour + 1) * HOUR, "binance:BTC-PERP", 1e-4, 4e4),
    ]
    booked = [settlement.deltas[0] for settlement in desk.tick(funding=stamps)]
    assert [delta.position_key for delta in booked] == [MARGIN, USDT]
    assert [delta.delta_amount for delta in booked] == pytest.approx([-0.0001, 2.0])
    settled = desk.tick(highs={"BTC": 62_000.0})
    assert [delta.position_key for delta in liquidation(settled)][:2] == ["binance:PerpPosition:BTC-PERP", USDT]
    assert desk.report()[PERP] == 40_000.0


def test_a_long_is_liquidated_at_the_analytic_price_on_the_low_of_the_bar() -> None:
    """Margin 1 coin, long 40,000 USD at 40,000: (N + M) / (1 coin + 1 coin)."""
    expected = 40_000.0 * 1.004 / 2.0
    desk = coins()
    desk.send(desk.inverse(Side.LONG, 40_000.0))
    assert desk.tick(lows={"BTC": expected * 1.000001}) == ()
    size, profit = liquidation(desk.tick(lows={"BTC": expected * 0.999999}))
    assert (size.position_key, size.delta_amount) == (PERP, -40_000.0)
    assert size.price == pytest.approx(expected)
    assert 1.0 + profit.delta_amount == pytest.approx(160.0 / expected), "the maintenance margin is left"


def test_a_short_covered_by_its_coins_is_never_liquidated() -> None:
    desk = coins(1.01)
    desk.send(desk.inverse(Side.SHORT, 40_000.0))
    assert desk.tick(highs={"BTC": 4e7}) == ()


def test_a_short_beyond_its_coins_is_liquidated_on_the_high_and_pays_the_fee_out_of_what_is_left() -> None:
    desk = coins(0.5, free=False)
    entry = desk.send(desk.inverse(Side.SHORT, 40_000.0)).execution_details["executed_price"]
    cash = desk.report()[MARGIN]
    expected = (40_000.0 - 160.0) / (40_000.0 / entry - cash)
    size, profit, fee = liquidation(desk.tick(highs={"BTC": expected * 1.01}))
    assert size.price == pytest.approx(expected)
    assert profit.delta_amount == pytest.approx(40_000.0 * (1.0 / expected - 1.0 / entry))
    assert fee.delta_amount == pytest.approx(-160.0 / expected), "all that is left, less than 1.25 % of notional"
    assert desk.report() == {}


def test_a_gap_beyond_ruin_costs_no_more_than_the_coins_that_were_there() -> None:
    desk = coins(0.5)
    desk.send(desk.inverse(Side.LONG, 40_000.0))
    desk.send(desk.transfer(0.1, MARGIN, COINS, "binance"))
    rate = FundingStamp(START + (desk.hour + 1) * HOUR, "binance:BTCUSD-PERP", 0.39, 40_000.0)
    desk.tick(funding=[rate], btc=30_000.0)
    size, profit = liquidation(desk.tick(btc=30_000.0))
    assert profit.delta_amount == pytest.approx(-0.01)
    assert size.price == pytest.approx(1.0 / (1.0 / 40_000.0 + 0.01 / 40_000.0))
    assert desk.report() == {COINS: pytest.approx(0.1)}


def test_coins_move_between_spot_and_margin_and_leave_with_their_own_fee() -> None:
    desk = coins(2.0, free=False)
    desk.send(desk.transfer(1.5, MARGIN, COINS, "binance"))
    desk.send(desk.transfer(0.5, COINS, MARGIN, "binance"))
    answer = desk.send(desk.transfer(0.9, COINS, "wallet:BaseToken:BTC", "wallet"))
    assert (answer.fee_amount, answer.fee_currency) == (0.00002, "BTC")
    assert desk.report() == {MARGIN: 1.0, COINS: pytest.approx(1.0 - 0.9 - 0.00002)}


def test_coins_that_margin_a_position_stay() -> None:
    desk = coins(1.0)
    desk.send(desk.inverse(Side.LONG, 40_000.0))
    free = 1.0 - 1.0 / 150.0
    with pytest.raises(Rejected, match="EXEC-004"):
        desk.send(desk.transfer(free + 1e-6, MARGIN, COINS, "binance"))
    desk.send(desk.transfer(free - 1e-6, MARGIN, COINS, "binance"))


@pytest.mark.parametrize(
    ("notional", "words"),
    [
        (150.0, ("150.0 is not a multiple of the lot 100.0", "use 100.0")),
        (9_000_000.0, ("leaves a margin balance of 1 BTC", "initial margin", MARGIN)),
    ],
)
def test_what_the_account_or_the_contract_does_not_allow_is_refused_with_both_numbers(
    notional: float, words: tuple[str, ...]
) -> None:
    desk = coins()
    before = desk.report()
    with pytest.raises(Rejected) as error:
        desk.send(desk.inverse(Side.LONG, notional))
    assert error.value.code == "EXEC-004"
    assert all(word in error.value.message for word in words)
    assert desk.report() == before


@settings(max_examples=60, deadline=None)
@given(
    fills=st.lists(st.tuples(st.integers(1, 300), st.booleans(), st.floats(20_000.0, 80_000.0)), min_size=1, max_size=6)
)
def test_coins_equal_what_every_fill_bought_and_sold(fills: list[tuple[int, bool, float]]) -> None:
    """A contract of N USD filled at p is N / p coins sold for N: cash is what is left when the position is closed."""
    desk = coins(100.0)
    owed = 0.0
    net = 0.0
    for lots, up, price in fills:
        desk.tick(btc=price)
        amount = 100.0 * lots
        desk.send(desk.inverse(Side.LONG if up else Side.SHORT, amount))
        sign = 1.0 if up else -1.0
        owed, net = owed + sign * amount / price, net + sign * amount
    if net:
        side = Side.SHORT if net > 0.0 else Side.LONG
        desk.send(desk.inverse(side, abs(net)))
        owed -= net / price
    assert desk.report()[MARGIN] == pytest.approx(100.0 + owed, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(leverage=st.floats(1.2, 20.0), up=st.booleans(), lots=st.integers(10, 5_000))
def test_liquidation_is_found_by_bisection_on_the_extreme_of_the_bar(leverage: float, up: bool, lots: int) -> None:
    notional = 100.0 * lots
    margin = notional / 40_000.0 / leverage

    def survives(extreme: float) -> bool:
        desk = coins(margin)
        desk.send(desk.inverse(Side.LONG if up else Side.SHORT, notional))
        return not (desk.tick(lows={"BTC": extreme}) if up else desk.tick(highs={"BTC": extreme}))

    good, bad = (40_000.0, 1_000.0) if up else (40_000.0, 4e6)
    for _ in range(12):
        middle = (good + bad) / 2.0
        good, bad = (middle, bad) if survives(middle) else (good, middle)
    signed = notional if up else -notional
    kept = maintenance_margin(notional, BRACKETS)
    left = margin + signed / 40_000.0 - (signed + kept) / ((good + bad) / 2.0)
    width = abs(1.0 / good - 1.0 / bad) * (notional + kept)
    assert abs(left) <= width
