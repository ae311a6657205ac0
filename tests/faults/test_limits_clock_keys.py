"""Faults 14 to 16 and 22: the exchange wants to be left alone, clocks differ, the key serves no longer."""

from __future__ import annotations

import pytest
from tests.exchange.journal import Request
from tests.faults.house import TICK_SECONDS, House
from tests.faults.verdict import PERP, PERP_KEY, SPOT, assert_whole, held_at, queries, sent_ids, story

from basis_actors.bus import BusFailed
from basis_actors.times import NS_PER_SECOND

ENTERED = LEFT = ["perp confirmed", "spot confirmed", "group confirmed"]
NOT_SENT = ["spot failed EXEC-001", "EXEC-001"]
KEPT_BACK = ["perp failed VEN-006", "VEN-006", "spot failed VEN-006", "group failed"]
"""Nothing is sent of a group while it is known that one of its legs would be refused; why is said once."""
HALTED = ["perp failed VEN-008", "VEN-008", "spot failed VEN-008", "group failed"]
TOO_MANY = {"code": -1003, "msg": "Too many requests."}
NO_KEY = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
WALLET = "GET /fapi/v3/account"


def again(refused: list[str]) -> list[str]:
    """The same, once it has been said why."""
    return [line for line in refused if " " in line]


def goes_on(code: str) -> list[str]:
    """A group that is done, and how many orders were kept back before it."""
    return ["perp confirmed", code, "spot confirmed", "group confirmed"]


def after(house: House, struck: Request, host: str = "/") -> list[Request]:
    """Requests to a host after one that was struck."""
    requests = house.exchange.journal.requests
    return [each for each in requests[requests.index(struck) + 1 :] if each.path.startswith(host)]


async def test_14_a_host_that_limits_is_left_alone_for_as_long_as_it_says(house: House) -> None:
    process = await house.start()
    house.exchange.faults.answer(PERP, 429, TOO_MANY, {"Retry-After": "7000"})
    await process.tick(5)
    await process.stop()
    assert_whole(house)
    struck = next(request for request in house.exchange.journal.of(PERP) if request.status == 429)
    pause = after(house, struck, "/fapi")[0].time_ns - struck.time_ns
    assert 7000 * NS_PER_SECOND <= pause <= (7000 + TICK_SECONDS) * NS_PER_SECOND
    assert not queries(house, struck.params["newClientOrderId"])
    refused = ["perp failed VEN-006", "VEN-006", *NOT_SENT, "group failed"]
    assert story(process) == ["opening", *refused, "VEN-006", *again(KEPT_BACK), *goes_on("VEN-006")]


async def test_14_a_leg_that_is_refused_for_a_moment_is_waited_for_and_the_other_is_not_undone(house: House) -> None:
    process = await house.start()
    house.exchange.faults.answer(SPOT, 429, TOO_MANY, {"Retry-After": "20"})
    await process.tick()
    await process.stop()
    assert_whole(house)
    struck, again = house.exchange.journal.of(SPOT)
    pause = again.time_ns - struck.time_ns
    assert 20 * NS_PER_SECOND <= pause < 21 * NS_PER_SECOND
    assert not after(house, struck, "/api")[: after(house, struck, "/api").index(again)], "the host is left alone"
    assert len(sent_ids(house, PERP)) == 1
    assert story(process) == ["opening", *ENTERED]


async def test_14_a_group_of_which_a_later_leg_cannot_be_sent_now_costs_nothing(house: House) -> None:
    process = await house.start()
    await process.tick()
    process.strategy.wanted = False
    house.exchange.faults.answer("GET /api/v3/account", 429, TOO_MANY, {"Retry-After": "3000"})
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    struck = next(each for each in house.exchange.journal.requests if each.status == 429)
    first = after(house, struck, "/fapi/v1/order")[0]
    assert first.time_ns - struck.time_ns >= 3000 * NS_PER_SECOND, "the perpetual waits for its other leg"
    assert story(process) == ["opening", *ENTERED, "VEN-006", *KEPT_BACK, *goes_on("VEN-006")]


async def test_14_what_is_left_of_the_budget_is_kept_for_what_reduces_risk(house: House) -> None:
    process = await house.start()
    await process.tick()
    process.strategy.errand = lambda writer: process.strategy.legs(writer._situation, leaves=False)
    house.use_most_of_the_budget()
    await process.tick()
    assert len(sent_ids(house)) == 1
    process.strategy.wanted = False
    house.use_most_of_the_budget()
    await process.tick()
    await process.stop()
    assert_whole(house)
    assert held_at(house.exchange).get(PERP_KEY) is None
    assert 429 not in {request.status for request in house.exchange.journal.requests}
    assert story(process) == ["opening", *ENTERED, *KEPT_BACK, *goes_on("VEN-006")]


async def test_15_an_exchange_that_bans_is_asked_nothing_until_the_ban_is_over(house: House) -> None:
    process = await house.start()
    await process.tick()
    process.strategy.wanted = False
    house.exchange.faults.answer(WALLET, 418, TOO_MANY, {"Retry-After": "9000"})
    await process.tick(5)
    await process.stop()
    assert_whole(house)
    struck = next(request for request in house.exchange.journal.of(WALLET) if request.status == 418)
    pause = after(house, struck)[0].time_ns - struck.time_ns
    assert 9000 * NS_PER_SECOND <= pause <= (9000 + TICK_SECONDS) * NS_PER_SECOND
    refused = [line.replace("006", "003") for line in KEPT_BACK]
    assert story(process) == ["opening", *ENTERED, "VEN-003", *refused, *again(refused) * 2, *goes_on("VEN-003")]


@pytest.mark.parametrize("skew", [-90.0, 90.0])
async def test_16_a_clock_that_is_off_is_read_again(house: House, skew: float) -> None:
    process = await house.start()
    await process.tick()
    process.strategy.wanted = False
    house.exchange.clock.drift(skew)
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    (refused,) = (request for request in house.exchange.journal.requests if request.status != 200)
    assert after(house, refused)[0].route == "GET /api/v3/time"
    assert story(process) == ["opening", *ENTERED, "VEN-001", *LEFT]


async def test_16_an_order_that_comes_too_late_was_not_carried_out_and_is_sent_anew(house: House) -> None:
    process = await house.start()
    house.exchange.faults.answer(PERP, 400, {"code": -1021, "msg": "Timestamp is outside of the recvWindow."})
    await process.tick()
    await process.stop()
    assert_whole(house)
    one, _other = sent_ids(house)
    struck, _again = house.exchange.journal.of(PERP)
    assert after(house, struck)[0].route == "GET /api/v3/time"
    assert not queries(house, one)
    assert story(process) == ["opening", *ENTERED]


async def test_22_a_key_that_is_revoked_halts_its_venue_and_is_not_tried_again(house: House) -> None:
    process = await house.start()
    await process.tick()
    house.exchange.revoked = True
    before = len(house.exchange.journal.requests)
    process.strategy.wanted = False
    await process.tick(3)
    asked = [request for request in house.exchange.journal.requests[before:] if request.status == 401]
    assert len(asked) == len(house.exchange.journal.requests) - before == 3, "one look at each tick, and nothing sent"
    house.exchange.revoked = False
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    assert story(process) == [
        "opening",
        *ENTERED,
        "VEN-005",
        *HALTED,
        *again(HALTED) * 2,
        "VEN-005",
        *goes_on("VEN-008"),
    ]


async def test_22_a_key_that_is_revoked_begins_no_process(house: House) -> None:
    process = await house.start()
    await process.tick()
    await process.stop()
    house.exchange.revoked = True
    with pytest.raises(BusFailed, match="VEN-005"):
        await house.start()
    house.exchange.revoked = False
    process = await house.start()
    await process.tick()
    await process.stop()
    assert_whole(house)


@pytest.mark.parametrize("leg", [PERP, SPOT])
async def test_22_an_order_that_is_refused_for_its_key_is_the_last(house: House, leg: str) -> None:
    process = await house.start()
    house.exchange.faults.answer(leg, 401, NO_KEY)
    await process.tick(3)
    await process.stop()
    assert_whole(house)
    assert len(sent_ids(house, leg)) == 1
    refused = ["VEN-005", "perp failed VEN-005", "VEN-005", *NOT_SENT, "group failed"]
    undone = [
        "perp confirmed",
        "VEN-005",
        "spot failed VEN-005",
        "VEN-005",
        "perp undone confirmed",
        "group compensated",
    ]
    assert story(process) == ["opening", *(refused if leg == PERP else undone), *HALTED, *again(HALTED)]
