"""Faults 11 to 13 and 18: what the exchange tells comes twice, in disorder, late, wrongly or not at all.

The account is read by requests alone, at each tick and around each order; nothing is taken from its streams, so what
happens to them may change nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from tests.exchange.faults import FOREVER
from tests.exchange.worlds import impatient
from tests.faults.house import House
from tests.faults.verdict import PERP_KEY, assert_whole, held_at, sent_ids, story

from basis_actors.messages.events import PositionSnapshot

ENTERED = ["perp confirmed", "spot confirmed", "group confirmed"]
FIND = "GET /fapi/v1/order"
POSITIONS = "GET /fapi/v3/positionRisk"


async def test_11_trades_that_come_twice_and_in_disorder_are_booked_once_and_in_order(house: House) -> None:
    house.exchange.spot.jumbled = house.exchange.linear.jumbled = True
    process = await house.start()
    for wanted in (True, False, True):
        process.strategy.wanted = wanted
        house.exchange.streams.twice = True
        await process.tick()
        await house.exchange.streams.flush(reverse=True)
    await process.stop()
    assert_whole(house)
    assert story(process) == ["opening", *ENTERED, *ENTERED, *ENTERED]


async def test_11_news_of_an_order_that_are_older_than_what_is_known_change_nothing(house: House) -> None:
    process = await house.start(shape=lambda pair: setattr(pair, "limit", 41_000.0))
    exchange = house.exchange

    def is_filled_in_part() -> None:
        ours = exchange.account.find_order(sent_ids(house)[0])
        exchange.faults.answer(FIND, 200, exchange.linear.shown(ours), times=2)
        exchange.account.fill(ours.client_id, "0.004")

    exchange.faults.happen_before(FIND, is_filled_in_part)
    await process.tick()
    await process.stop()
    assert_whole(house)
    (first, *_) = sent_ids(house)
    assert [state for state, _ in transitions(house, first)] == [
        "pending",
        "sent",
        "acknowledged",
        "partially_filled",
        "cancelled",
    ]
    assert transitions(house, first)[-2:] == [("partially_filled", 0.004), ("cancelled", 0.004)]
    fell_short = ["perp confirmed", "STRAT-004", "spot failed EXEC-001", "EXEC-001"]
    assert story(process) == ["opening", *fell_short, "perp undone confirmed", "group compensated"]


def transitions(house: House, client_id: str) -> list[tuple[str, float]]:
    """What the journal was told of an order: state and amount filled."""
    with closing(sqlite3.connect(house.journal_path)) as database:
        rows = database.execute(
            "SELECT state, filled FROM transitions WHERE client_id = ? ORDER BY rowid", (client_id,)
        )
        return [(state, float(filled)) for state, filled in rows]


async def test_12_what_happened_while_the_exchange_was_out_of_reach_is_booked_once_it_is_back(house: House) -> None:
    process = await house.start()
    await process.tick()
    account, exchange = house.exchange.account, house.exchange
    exchange.faults.drop_before("*", FOREVER)
    await exchange.streams.disconnect()
    await exchange.streams.expire_listen_keys()
    await process.tick()
    account.trade_by_hand("BTC/USDT", "0.004", "web_1")
    account.trade_by_hand("BTC/USDT", "-0.004", "web_2")
    account.pay_funding("BTC-PERP", "0.0001")
    await process.tick(2)
    exchange.faults.clear()
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    told = ["VEN-003", "VEN-007", "VEN-007", "execution", "execution", "funding"]
    assert story(process) == ["opening", *ENTERED, *told]


async def test_13_an_exchange_that_keeps_silent_is_given_up_and_asked_anew(house: House) -> None:
    process = await house.start()
    await process.tick()
    exchange = house.exchange
    exchange.streams.silent = True
    exchange.faults.hang("GET /fapi/v3/account", carried_out=False)
    with impatient(process.api):
        await process.tick()
    exchange.account.trade_by_hand("BTC/USDT", "0.004", "web_1")
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    assert story(process) == ["opening", *ENTERED, "VEN-003", "VEN-007", "execution", "spot confirmed"]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, [], "VEN-003"),
        (200, "{}", "VEN-001"),
        (503, "<html>Bad gateway</html>", "VEN-003"),
        (400, {"code": -1000, "msg": "An unknown error."}, "VEN-003"),
    ],
)
async def test_18_positions_that_are_not_shown_are_not_flat(house: House, status: int, body: object, code: str) -> None:
    process = await house.start()
    await process.tick()
    house.exchange.faults.answer(POSITIONS, status, body, times=FOREVER)
    await process.tick(3)
    house.exchange.faults.clear()
    await process.tick()
    await process.stop()
    assert_whole(house)
    held = [e.positions.get(PERP_KEY) for e in process.events() if isinstance(e, PositionSnapshot)]
    assert set(held[held.index(-0.01) :]) == {-0.01}
    assert len(sent_ids(house)) == 1
    assert story(process) == ["opening", *ENTERED, code]


async def test_18_a_position_that_is_not_shown_at_a_start_is_waited_for(house: House) -> None:
    process = await house.start()
    await process.tick()
    await process.die()
    house.exchange.faults.answer(POSITIONS, 200, [], times=5)
    process = await house.start()
    await process.tick()
    await process.stop()
    assert_whole(house)
    assert held_at(house.exchange)[PERP_KEY] == -0.01
    assert story(process) == ["VEN-003", "opening"], "said once for as long as it lasts"
