"""Stop-losses and take-profits that a simulated exchange keeps for perp positions, linear and inverse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venues.worlds import HOUR, START, Desk, at_once, exchange_desk

from basis_actors.errors import Rejected
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import DeltaSource, Settlement
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Order, Side

LINEAR, CASH = "binance:PerpPosition:BTC-PERP", "binance:Margin:USDT"
TRANSIT = "transit:BaseToken:USDT"
INVERSE, COINS = "binance:InversePerp:BTCUSD-PERP", "binance:Margin:BTC"


def desk_of(contract: str, *, free: bool = True) -> Desk:
    desk = exchange_desk(free=free, usdt=60_000.0)
    if contract == INVERSE:
        desk.give(COINS, 2.0)
    return desk


def entry(desk: Desk, contract: str, side: Side, **more: float) -> Order:
    return desk.perp(side, 1.0, "BTC", **more) if contract == LINEAR else desk.inverse(side, 40_000.0, **more)


def reach(desk: Desk, **extremes: float) -> tuple[Settlement, ...]:
    """A tick whose BTC bar has these `highs` and `lows`; the mark at its end is as it was."""
    highs, lows = ({"BTC": extremes[name]} if name in extremes else {} for name in ("highs", "lows"))
    return desk.tick(highs=highs, lows=lows)


def profit(contract: str, side: Side, fill: float, opened: float = 40_000.0) -> float:
    sign = 1.0 if side is Side.LONG else -1.0
    return sign * (fill - opened) if contract == LINEAR else sign * 40_000.0 * (1.0 / opened - 1.0 / fill)


def stopped(settled: tuple[Settlement, ...]) -> tuple[str, float, float, float]:
    """Operation id, fill, trigger and profit of the only thing that happened."""
    (only,) = settled
    assert only.source is DeltaSource.EXECUTION
    size, realised = only.deltas
    assert only.operation_id is not None
    assert size.price is not None
    assert size.index is not None
    return only.operation_id, size.price, size.index, realised.delta_amount


both = pytest.mark.parametrize("contract", [LINEAR, INVERSE])
cases = pytest.mark.parametrize(
    ("side", "stop", "target", "worse", "better"),
    [(Side.LONG, 38_000.0, 43_000.0, "lows", "highs"), (Side.SHORT, 42_000.0, 37_000.0, "highs", "lows")],
)


@both
@cases
def test_a_stop_fills_at_its_level_on_the_adverse_extreme_of_the_bar(
    contract: str, side: Side, stop: float, target: float, worse: str, better: str
) -> None:
    desk = desk_of(contract)
    order = entry(desk, contract, side, stop_loss=stop, take_profit=target)
    desk.send(order)
    beyond = 0.999 if worse == "lows" else 1.001
    assert reach(desk, **{worse: stop / beyond, better: target * beyond}) == ()
    *told, realised = stopped(reach(desk, **{worse: stop * beyond}))
    assert told == [f"{order.operation_id}-stop_loss", stop, stop]
    assert realised == pytest.approx(profit(contract, side, stop))
    assert contract not in desk.report()


@both
@cases
def test_a_target_fills_at_its_level_on_the_favourable_extreme_of_the_bar(
    contract: str, side: Side, stop: float, target: float, worse: str, better: str
) -> None:
    desk = desk_of(contract)
    order = entry(desk, contract, side, stop_loss=stop, take_profit=target)
    desk.send(order)
    beyond = 1.1 if better == "highs" else 0.9
    *told, realised = stopped(reach(desk, **{better: target * beyond, worse: 40_000.0}))
    assert told == [f"{order.operation_id}-take_profit", target, target]
    assert realised == pytest.approx(profit(contract, side, target))


@both
@cases
def test_a_bar_that_reaches_both_is_stopped(
    contract: str, side: Side, stop: float, target: float, worse: str, better: str
) -> None:
    desk = desk_of(contract)
    desk.send(entry(desk, contract, side, stop_loss=stop, take_profit=target))
    assert {worse, better} == {"lows", "highs"}
    name, fill, _, _ = stopped(reach(desk, lows=30_000.0, highs=50_000.0))
    assert name.endswith("-stop_loss")
    assert fill == stop


@both
def test_a_mark_that_opens_beyond_the_stop_fills_there(contract: str) -> None:
    """Without a gap a bar opens at the mark of the last tick, which no bar has brought below the stop before."""
    desk = desk_of(contract)
    desk.send(entry(desk, contract, Side.LONG, stop_loss=38_000.0))
    assert desk.tick(btc=36_000.0, lows={"BTC": 39_000.0}, highs={"BTC": 40_000.0}) == ()
    _, fill, trigger, realised = stopped(desk.tick(btc=39_500.0, lows={"BTC": 35_000.0}))
    assert (fill, trigger) == (36_000.0, 36_000.0)
    assert realised == pytest.approx(profit(contract, Side.LONG, 36_000.0))


@both
@pytest.mark.parametrize(
    ("side", "stop", "opened", "extremes"),
    [
        (Side.LONG, 38_000.0, 35_000.0, {"lows": 34_000.0, "highs": 35_500.0}),
        (Side.SHORT, 42_000.0, 45_000.0, {"lows": 44_000.0, "highs": 46_000.0}),
    ],
)
def test_a_bar_after_a_gap_that_opens_beyond_the_stop_fills_where_it_opened(
    contract: str, side: Side, stop: float, opened: float, extremes: dict[str, float]
) -> None:
    """No mark was ever at the stop: nobody could have sold there."""
    desk = desk_of(contract)
    desk.send(entry(desk, contract, side, stop_loss=stop))
    ranges = {name: {"BTC": extreme} for name, extreme in extremes.items()}
    _, fill, trigger, realised = stopped(desk.tick(btc=opened, opens={"BTC": opened}, **ranges))
    assert (fill, trigger) == (opened, opened)
    assert realised == pytest.approx(profit(contract, side, opened))


@both
def test_a_bar_that_opens_on_the_good_side_of_the_last_mark_is_stopped_at_its_level(contract: str) -> None:
    desk = desk_of(contract)
    desk.send(entry(desk, contract, Side.LONG, stop_loss=38_000.0))
    _, fill, _, _ = stopped(desk.tick(opens={"BTC": 41_000.0}, highs={"BTC": 41_000.0}, lows={"BTC": 37_000.0}))
    assert fill == 38_000.0


@both
def test_a_stop_pays_impact_and_taker_fee_and_is_stamped_with_the_tick_that_knows_the_bar(contract: str) -> None:
    desk = desk_of(contract, free=False)
    order = entry(desk, contract, Side.LONG, stop_loss=38_000.0)
    opened = desk.send(order).execution_details["executed_price"]
    fill, fee = desk.tick(hours=4, lows={"BTC": 37_000.0})
    price = 38_000.0 * (1.0 - 6.0 / 1e4)
    paid = price * 0.0005 if contract == LINEAR else 40_000.0 / price * 0.0004
    assert fill.deltas[0].price == pytest.approx(price)
    assert fill.deltas[0].index == 38_000.0
    assert fill.deltas[1].delta_amount == pytest.approx(profit(contract, Side.LONG, price, opened))
    assert fee.source is DeltaSource.FEE
    assert fee.deltas[0].delta_amount == pytest.approx(-paid)
    assert fill.operation_id == fee.operation_id == f"{order.operation_id}-stop_loss"
    assert fill.timestamp == fee.timestamp == desk.market.timestamp


def test_what_the_bar_closes_is_stamped_after_the_tick_before_and_not_after_what_settles_within_the_bar() -> None:
    """Two hours in one bar: it stops BTC and liquidates nothing more; ETH is paid for the first of them."""
    desk = desk_of(LINEAR)
    desk.send(entry(desk, LINEAR, Side.LONG, stop_loss=38_000.0))
    desk.send(desk.perp(Side.LONG, 1.0, "ETH"))
    before = desk.market.timestamp
    midway = FundingStamp(START + (desk.hour + 1) * HOUR, "binance:ETH-PERP", 0.01, 2_000.0)
    fill, paid = desk.tick(hours=2, lows={"BTC": 37_000.0}, funding=[midway])
    assert (fill.source, paid.source) == (DeltaSource.EXECUTION, DeltaSource.FUNDING)
    assert before < fill.timestamp == paid.timestamp < desk.market.timestamp


def test_money_that_had_arrived_when_the_bar_opened_is_margin_for_it() -> None:
    """10 BTC on 60,000 USDT: without another 60,000 the fall by a sixth is a liquidation."""
    for arrives, survives in ((0, True), (1, False)):
        desk = desk_of(LINEAR)
        desk.send(desk.perp(Side.LONG, 10.0, "BTC"))
        incoming = IncomingTransfer("top-up", CASH, TRANSIT, 60_000.0, desk.clock.ns + arrives)
        at_once(desk.venue.expect(incoming))
        sources = [settlement.source for settlement in desk.tick(lows={"BTC": 33_500.0})]
        assert sources == ([] if survives else [DeltaSource.LIQUIDATION]) + [DeltaSource.TRANSFER]


@both
def test_the_bar_of_the_entry_stops_nothing_and_the_stop_comes_before_funding(contract: str) -> None:
    desk = desk_of(contract)
    desk.tick(lows={"BTC": 30_000.0})
    desk.send(entry(desk, contract, Side.LONG, stop_loss=38_000.0))
    assert desk.tick() == ()
    name = "binance:BTC-PERP" if contract == LINEAR else "binance:BTCUSD-PERP"
    late = FundingStamp(START + (desk.hour + 1) * HOUR, name, 0.01, 40_000.0)
    stopped(desk.tick(lows={"BTC": 37_000.0}, funding=[late]))


@both
def test_closing_and_turning_drop_the_stops_and_reducing_keeps_them(contract: str) -> None:
    half = {LINEAR: 0.5, INVERSE: 20_000.0}[contract]

    def trade(desk: Desk, side: Side, amount: float) -> None:
        desk.send(desk.perp(side, amount) if contract == LINEAR else desk.inverse(side, amount))

    for sold, left in ((half, -half), (2 * half, None), (4 * half, None)):
        desk = desk_of(contract)
        desk.send(entry(desk, contract, Side.LONG, stop_loss=38_000.0, take_profit=41_000.0))
        trade(desk, Side.SHORT, sold)
        if sold == 2 * half:
            trade(desk, Side.LONG, 2 * half)
        settled = desk.tick(lows={"BTC": 37_000.0}, highs={"BTC": 42_000.0})
        assert [settlement.deltas[0].delta_amount for settlement in settled] == ([] if left is None else [left])


@both
def test_an_order_that_adds_replaces_the_stops_it_brings_and_keeps_those_it_does_not(contract: str) -> None:
    desk = desk_of(contract)
    desk.send(entry(desk, contract, Side.LONG, stop_loss=38_000.0))
    desk.send(entry(desk, contract, Side.LONG))
    newest = entry(desk, contract, Side.LONG, stop_loss=36_000.0)
    assert desk.tick(lows={"BTC": 38_500.0}) == ()
    desk.send(newest)
    assert desk.tick(lows={"BTC": 37_000.0}) == ()
    desk.send(entry(desk, contract, Side.LONG))
    held = desk.report()[contract]
    settled = desk.tick(lows={"BTC": 35_000.0})
    name, fill, _, _ = stopped(settled)
    assert (name, fill) == (f"{newest.operation_id}-stop_loss", 36_000.0)
    assert settled[0].deltas[0].delta_amount == -held, "of all that is held, also what was added later"


@both
def test_stops_that_make_no_sense_are_refused(contract: str) -> None:
    desk = desk_of(contract)

    def refused(order: Order, code: str, *words: str) -> None:
        before = desk.report()
        with pytest.raises(Rejected) as error:
            desk.send(order)
        assert error.value.code == code
        assert all(word in error.value.message for word in words)
        assert desk.report() == before

    refused(entry(desk, contract, Side.LONG, stop_loss=41_000.0), "EXEC-004", "41000 of a long", "mark is 40000")
    refused(entry(desk, contract, Side.LONG, take_profit=39_000.0), "EXEC-004", "39000 of a long", "mark is 40000")
    refused(entry(desk, contract, Side.SHORT, stop_loss=39_000.0), "EXEC-004", "39000 of a short", "mark is 40000")
    desk.send(entry(desk, contract, Side.SHORT))
    closing = entry(desk, contract, Side.LONG, stop_loss=39_000.0, reduce_only=True)
    refused(closing, "EXEC-003", "only reduces")


@both
def test_a_stop_before_the_liquidation_price_saves_the_account_and_one_behind_it_does_not(contract: str) -> None:
    """Ten times leverage is liquidated about nine percent down."""
    for stop, source in ((38_000.0, DeltaSource.EXECUTION), (35_000.0, DeltaSource.LIQUIDATION)):
        desk = exchange_desk(free=True, usdt=4_000.0)
        if contract == INVERSE:
            desk.give(COINS, 0.1)
        desk.send(entry(desk, contract, Side.LONG, stop_loss=stop))
        (settled,) = desk.tick(lows={"BTC": 30_000.0})
        assert settled.source is source
        assert contract not in desk.report()


def test_a_stop_that_fills_first_leaves_the_rest_of_the_way_to_the_other_positions() -> None:
    """Both fall together: at 38,000 the BTC stop takes 2,000, ETH (-5 %) has lost 1,000; ETH goes on to its ruin.

    10 ETH in an account of 5,000 USDT less 2,000: 3,000 + 10 (p - 2,000) = 0.04 p gives p = 17,000 / 9.96.
    """
    desk = exchange_desk(free=True, usdt=5_000.0)
    desk.send(desk.perp(Side.LONG, 1.0, stop_loss=38_000.0))
    desk.send(desk.perp(Side.LONG, 10.0, "ETH"))
    stop, ruin = desk.tick(lows={"BTC": 30_000.0, "ETH": 1_500.0})
    assert (stop.source, ruin.source) == (DeltaSource.EXECUTION, DeltaSource.LIQUIDATION)
    assert stop.deltas[0].price == 38_000.0
    assert ruin.deltas[0].position_key == "binance:PerpPosition:ETH-PERP"
    assert ruin.deltas[0].price == pytest.approx(17_000.0 / 9.96)


@settings(max_examples=80, deadline=None)
@given(
    contract=st.sampled_from([LINEAR, INVERSE]),
    long=st.booleans(),
    stop=st.floats(0.005, 0.2),
    target=st.floats(0.005, 0.2),
    bars=st.lists(st.tuples(st.floats(0.9, 1.1), st.floats(0.0, 0.05), st.floats(0.0, 0.05)), min_size=1, max_size=8),
)
def test_the_first_bar_that_touches_a_level_ends_the_position_as_a_reader_of_the_bars_says(
    contract: str, long: bool, stop: float, target: float, bars: list[tuple[float, float, float]]
) -> None:
    sign = 1.0 if long else -1.0
    levels = (40_000.0 * (1.0 - sign * stop), 40_000.0 * (1.0 + sign * target))
    desk = desk_of(contract)
    desk.send(entry(desk, contract, Side.LONG if long else Side.SHORT, stop_loss=levels[0], take_profit=levels[1]))
    opening = 40_000.0
    for step, up, down in bars:
        close = 40_000.0 * step
        high, low = max(opening, close) * (1.0 + up), min(opening, close) * (1.0 - down)
        settled = desk.tick(btc=close, highs={"BTC": high}, lows={"BTC": low})
        worst, best = (low, high) if long else (high, low)
        if sign * (worst - levels[0]) <= 0.0:
            assert stopped(settled)[0].endswith("stop_loss")
            assert stopped(settled)[1] == (min if long else max)(opening, levels[0])
            return
        if sign * (best - levels[1]) >= 0.0:
            assert stopped(settled)[:2] == ("order-1-take_profit", levels[1])
            return
        assert settled == ()
        opening = close
