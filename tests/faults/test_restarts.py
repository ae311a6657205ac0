"""Faults 8 to 10, 19 and 20: a process dies, and another one comes to what it left."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.exchange.faults import FOREVER
from tests.faults.house import House
from tests.faults.pair import Pair
from tests.faults.verdict import PERP, PERP_KEY, SPOT, assert_whole, queries, sent_ids, story

from basis_actors.bus import BusFailed
from basis_actors.messages.events import ExecutionDeltaEvent
from basis_actors.messages.execution import DeltaSource
from basis_actors.times import NS_PER_SECOND

ENTERED = ["perp confirmed", "spot confirmed", "group confirmed"]
POSITIONS = "GET /fapi/v3/positionRisk"
COUNTDOWN = "POST /fapi/v1/countdownCancelAll"
LIMIT = 41_000.0


def offering(pair: Pair) -> None:
    pair.limit = LIMIT


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("leg", [PERP, SPOT])
async def test_08_an_order_whose_process_died_before_the_answer_is_asked_for(
    house: House, leg: str, done: bool
) -> None:
    process = await house.start()
    house.exchange.faults.hang(leg, carried_out=done)
    await process.dies_hanging(house.exchange)
    cut = sent_ids(house, leg)[0]
    process = await house.start()
    asked = queries(house, cut)
    assert asked
    assert max(query.time_ns for query in asked) < process.clock.ns
    await process.tick()
    await process.stop()
    assert_whole(house)
    whole, half = leg == SPOT and done, (leg == SPOT) is not done
    mended = ["perp undone confirmed", "VEN-002"] if half else []
    assert story(process) == ["VEN-002", *mended, "opening", *([] if whole else ENTERED)]


async def test_09_an_open_order_of_ours_is_ended_and_one_of_somebody_else_is_left_alone(house: House) -> None:
    process = await house.start(shape=offering)
    exchange = house.exchange
    exchange.faults.hang("GET /fapi/v1/order", carried_out=False)
    await process.dies_hanging(exchange)
    ours = sent_ids(house)[0]
    exchange.account.fill(ours, "0.004")
    market = exchange.account.market("BTC-PERP")
    exchange.account.place(market, "web_1", buys=True, amount=Decimal("0.01"), limit=Decimal(30_000))
    process = await house.start()
    assert exchange.account.find_order(ours).status == "CANCELED"
    await process.tick()
    await process.stop()
    assert exchange.account.find_order("web_1").status == "NEW"
    assert_whole(house)
    assert story(process) == ["VEN-002", "VEN-007", "perp undone confirmed", "VEN-002", "opening", *ENTERED]


async def test_09_nothing_is_traded_while_the_account_cannot_be_read(house: House) -> None:
    process = await house.start()
    await process.tick()
    await process.die()
    sent = house.exchange.journal.orders_sent()
    house.exchange.faults.answer(POSITIONS, 503, "", times=FOREVER)
    began = house.clock.ns
    with pytest.raises(BusFailed, match="VEN-003"):
        await house.start()
    assert house.clock.ns - began >= 900 * NS_PER_SECOND
    assert len(house.exchange.journal.of(POSITIONS)) < 50
    assert house.exchange.journal.orders_sent() == sent
    assert set(story(house.processes[-1])) == {"VEN-003", "ENGINE-002"}
    house.exchange.faults.clear()
    process = await house.start()
    process.strategy.wanted = False
    await process.tick()
    await process.stop()
    assert_whole(house)


async def test_10_trades_that_are_read_again_after_a_restart_are_not_booked_again(house: House) -> None:
    for wanted in (True, False, True):
        process = await house.start()
        process.strategy.wanted = wanted
        await process.tick()
        await process.die()
    process = await house.start()
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    assert story(process) == ["opening"]


async def test_19_a_position_older_than_what_is_read_back_is_opened_at_the_exchanges_own_entry(house: House) -> None:
    account = house.exchange.account
    account.set_price("BTC-PERP", "39000.5")
    account.trade_by_hand("BTC-PERP", "-0.01", "web_1")
    account.trade_by_hand("BTC/USDT", "0.01", "web_2")
    house.leave(3 * 86_400)
    house.traded_since_ms = house.clock.ms
    account.set_price("BTC-PERP", "40770")
    process = await house.start()
    await process.tick()
    process.strategy.wanted = False
    await process.tick()
    await process.stop()
    assert_whole(house)
    opening, *_ = (e for e in process.events() if isinstance(e, ExecutionDeltaEvent))
    assert opening.source is DeltaSource.OPENING
    (perp,) = (delta for delta in opening.deltas if delta.position_key == PERP_KEY)
    assert (perp.delta_amount, perp.price) == (-0.01, 39_000.5)
    assert story(process) == ["opening", *ENTERED]


async def test_20_an_open_order_of_a_process_that_died_is_ended_by_the_exchange_itself(house: House) -> None:
    process = await house.start(shape=offering)
    house.exchange.faults.hang("GET /fapi/v1/order", carried_out=False)
    await process.dies_hanging(house.exchange)
    (offered,) = house.exchange.account.open_orders()
    house.leave(60 + 30 + 1)
    assert offered.status == "CANCELED"
    process = await house.start()
    await process.tick()
    await process.stop()
    assert_whole(house)
    assert house.exchange.journal.of("DELETE /fapi*") == []
    assert story(process) == ["VEN-002", "opening", *ENTERED]


async def test_20_the_countdown_is_called_off_with_the_order_that_it_was_for(house: House) -> None:
    process = await house.start(shape=offering)
    await process.tick()
    told = [request.params["countdownTime"] for request in house.exchange.journal.of(COUNTDOWN)]
    assert told[-1] == "0"
    assert len(told) == 2
    assert not house.exchange.account.countdown
    await process.stop()
    assert_whole(house)


async def test_20_an_order_that_the_exchange_will_not_end_is_ended_by_us(house: House) -> None:
    process = await house.start(shape=offering)
    house.exchange.faults.answer(COUNTDOWN, 503, "", times=FOREVER)
    await process.tick()
    await process.stop()
    (cancelled,) = house.exchange.journal.of("DELETE /fapi/v1/order")
    assert cancelled.carried_out
    assert_whole(house)
