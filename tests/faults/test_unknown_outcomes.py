"""Faults 1 to 4 and 21: a request left, and nobody knows what became of it. It is asked for, never sent again."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from tests.exchange.faults import FOREVER, Fault
from tests.exchange.worlds import impatient
from tests.faults.house import House
from tests.faults.verdict import PERP, SPOT, assert_whole, queries, sent_ids, story

from basis_actors.messages.commands import RouteOrder
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.orders import Order
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.times import NS_PER_SECOND

ENTERED = ["perp confirmed", "spot confirmed", "group confirmed"]
NEVER_SENT = ["perp failed EXEC-001", "EXEC-001", "spot failed EXEC-001", "EXEC-001", "group failed"]
UNDONE = [
    "perp confirmed",
    "spot failed EXEC-001",
    "EXEC-001",
    "perp undone confirmed",
    "group compensated",
]
NOT_FOUND = {"code": -2013, "msg": "Order does not exist."}
FIND = "GET /fapi/v1/order"
ABSENCE_NS = 35 * NS_PER_SECOND
"""Receive window and margin of Binance as it is configured."""


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("done", [False, True])
async def test_01_an_order_without_an_answer_is_asked_for_and_never_resent(
    house: House, done: bool, hangs: bool
) -> None:
    process = await house.start()
    house.exchange.faults.armed.append(Fault(PERP, carried_out=done, hangs=hangs))
    with impatient(process.api) if hangs else nullcontext():
        await process.tick()
    await process.tick()
    await process.stop()
    assert_whole(house)
    asked = queries(house, sent_ids(house)[0])
    if done:
        assert [query.status for query in asked] == [200]
    else:
        assert len(asked) >= 3
        assert asked[-1].time_ns - asked[0].time_ns >= ABSENCE_NS
    assert story(process) == ["opening", *([] if done else NEVER_SENT), *ENTERED]


async def test_02_an_order_that_is_not_found_once_is_asked_for_again(house: House) -> None:
    process = await house.start()
    house.exchange.faults.drop_after(PERP)
    house.exchange.faults.answer(FIND, 400, NOT_FOUND)
    await process.tick()
    await process.stop()
    assert_whole(house)
    (first,) = sent_ids(house)
    assert [query.status for query in queries(house, first)] == [400, 200]
    assert story(process) == ["opening", *ENTERED]


async def test_02_an_order_that_arrives_late_is_waited_for(house: House) -> None:
    process = await house.start()
    house.exchange.faults.arrive_late(PERP)
    house.exchange.faults.answer(FIND, 400, NOT_FOUND, times=3)
    house.exchange.faults.happen_before(FIND, house.exchange.deliver)
    await process.tick()
    await process.stop()
    assert_whole(house)
    (first,) = sent_ids(house)
    assert [query.status for query in queries(house, first)] == [400, 400, 400, 200]
    assert story(process) == ["opening", *ENTERED]


async def test_02_an_order_that_is_never_found_by_its_id_is_found_by_its_trades(house: House) -> None:
    process = await house.start()
    house.exchange.faults.drop_after(PERP)
    house.exchange.faults.answer(FIND, 400, NOT_FOUND, times=FOREVER, having="origClientOrderId")
    await process.tick()
    await process.stop()
    assert_whole(house)
    (first,) = sent_ids(house)
    asked = queries(house, first)
    assert asked[-1].time_ns - asked[0].time_ns >= ABSENCE_NS
    assert house.exchange.journal.of("GET /fapi/v1/openOrders")[-1].time_ns >= asked[-1].time_ns
    assert story(process) == ["opening", *ENTERED]


async def test_03_no_id_is_ever_used_twice_though_the_exchange_would_take_it(house: House) -> None:
    for _ in range(2):
        process = await house.start()
        for wanted in (True, False):
            process.strategy.wanted = wanted
            await process.tick()
        await process.die()
    process = await house.start()
    await process.tick()
    sent = house.exchange.journal.orders_sent()
    assert (len(sent), set(sent.values())) == (10, {1})
    await process.stop()
    assert_whole(house)


async def test_03_an_order_that_is_handed_over_twice_is_not_sent_twice(house: House) -> None:
    process = await house.start()
    seen: list[Order] = []

    def errand(writer: OrderWriter) -> tuple[Order, ...]:
        seen.extend(process.strategy.legs(writer._situation, leaves=False))
        return tuple(seen)

    process.strategy.errand = errand
    await process.tick()
    again = await process.bus.ask("venue_interface_manager", RouteOrder(seen[0], resolve=False), 60)
    assert (again.status, again.error_code) == (ExecutionStatus.UNKNOWN, "VEN-002")
    await process.tick()
    await process.stop()
    assert len(sent_ids(house)) == 1
    assert_whole(house)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (504, {"code": -1006, "msg": "An unexpected response was received from the message bus."}),
        (408, {"code": -1007, "msg": "Timeout waiting for response from backend server."}),
        (503, {"code": -1000, "msg": "Unknown error, please check your request or try again later."}),
        (502, "<html>Bad gateway</html>"),
    ],
)
async def test_04_an_answer_that_leaves_the_outcome_open_is_no_failure(
    house: House, status: int, body: object, done: bool
) -> None:
    process = await house.start()
    house.exchange.faults.answer(SPOT, status, body, carried_out=done)
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    assert queries(house, sent_ids(house, SPOT)[0])
    assert story(process) == ["opening", *([] if done else UNDONE), *ENTERED]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, {"code": -1, "msg": "Service Unavailable."}),
        (503, {"code": -1008, "msg": "Server is currently overloaded with other requests."}),
        (500, {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}),
    ],
)
async def test_04_an_answer_that_says_it_was_not_done_is_tried_again(house: House, status: int, body: object) -> None:
    process = await house.start()
    house.exchange.faults.answer(PERP, status, body)
    await process.tick()
    await process.stop()
    assert_whole(house)
    one, other = sent_ids(house)
    assert one != other
    assert not queries(house, one)
    assert story(process) == ["opening", *ENTERED]


def inside(writer: OrderWriter) -> tuple[Order, ...]:
    return (writer.transfer("binance:BaseToken:USDT", "binance:Margin:USDT", 100.0, "top_up"),)


def outward(writer: OrderWriter) -> tuple[Order, ...]:
    return (writer.transfer("binance:BaseToken:USDT", "wallet:BaseToken:USDT", 100.0, "home"),)


MOVES = {
    inside: ("POST /sapi/v1/asset/transfer", "GET /sapi/v1/asset/transfer"),
    outward: ("POST /sapi/v1/capital/withdraw/apply", "GET /sapi/v1/capital/withdraw/history"),
}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("errand", MOVES)
async def test_21_a_transfer_without_an_answer_is_looked_for_and_never_sent_unseen(
    house: House, errand: object, done: bool
) -> None:
    send, find = MOVES[errand]
    process = await house.start()
    process.strategy.wanted = False
    process.strategy.errand = errand
    house.exchange.faults.armed.append(Fault(send, carried_out=done))
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    (sent,) = house.exchange.journal.of(send)
    looked = [request for request in house.exchange.journal.of(find) if request.time_ns >= sent.time_ns]
    assert len(looked) >= (1 if done else 3)
    account = house.exchange.account
    assert len(account.transfers if errand is inside else account.withdrawals) == done
    told = ["transfer confirmed"] if done else ["transfer failed EXEC-001", "EXEC-001"]
    assert story(process) == ["opening", *told]


async def test_21_tokens_go_to_no_address_that_is_not_on_the_list(house: House) -> None:
    house.exchange.account.fund("spot", "BTC", "0.1")
    process = await house.start()
    process.strategy.errand = lambda writer: (
        writer.transfer("binance:BaseToken:BTC", "wallet:BaseToken:BTC", 0.1, "home"),
    )
    await process.tick()
    await process.stop()
    assert house.exchange.journal.of("POST /sapi*") == []
    assert "transfer failed VEN-001" in story(process)
