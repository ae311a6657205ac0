"""Faults 5 to 7: the exchange says no, or fills otherwise than was asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.faults.house import House
from tests.faults.verdict import PERP, SPOT, assert_whole, held_at, queries, sent_ids, story

from basis_actors.messages.events import AtomicOperationGroupEvent

ENTERED = ["perp confirmed", "spot confirmed", "group confirmed"]
NOT_SENT = ["spot failed EXEC-001", "EXEC-001"]
UNDONE = ["perp undone confirmed", "group compensated"]
FELL_SHORT = ["perp confirmed", "STRAT-004", *NOT_SENT]
SOLD_BUT_FOR_FEE = ["spot undone confirmed", "STRAT-004", "spot undone failed EXEC-009", "EXEC-009"]
"""The exchange takes the fee of a purchase out of what was bought, and nobody buys so little."""
CANCEL = "DELETE /fapi/v1/order"
LIMIT = 41_000.0


@pytest.mark.parametrize(
    ("code", "text"),
    [(-1013, "Filter failure: LOT_SIZE"), (-2010, "Account has insufficient balance for requested action.")],
)
async def test_05_a_leg_that_is_refused_is_not_retried_and_the_other_is_undone(
    house: House, code: int, text: str
) -> None:
    process = await house.start()
    house.exchange.faults.answer(SPOT, 400, {"code": code, "msg": text})
    await process.tick()
    assert (len(sent_ids(house, SPOT)), len(sent_ids(house))) == (1, 2)
    assert held_at(house.exchange).keys() == {"binance:BaseToken:USDT", "binance:Margin:USDT"}
    await process.stop()
    assert_whole(house)
    assert story(process) == ["opening", "perp confirmed", "spot failed EXEC-004", "EXEC-004", *UNDONE]


async def test_05_after_a_first_leg_that_is_refused_nothing_is_sent(house: House) -> None:
    process = await house.start()
    house.exchange.faults.answer(PERP, 400, {"code": -2019, "msg": "Margin is insufficient."})
    await process.tick()
    assert (len(sent_ids(house, SPOT)), len(sent_ids(house))) == (0, 1)
    await process.stop()
    assert_whole(house)
    assert not queries(house, sent_ids(house)[0])
    assert story(process) == ["opening", "perp failed EXEC-004", "EXEC-004", *NOT_SENT, "group failed"]


async def test_06_an_order_that_is_filled_while_its_cancel_is_sent_is_filled(house: House) -> None:
    process = await house.start(shape=lambda pair: setattr(pair, "limit", LIMIT))
    account = house.exchange.account
    house.exchange.faults.happen_before(CANCEL, lambda: account.fill(sent_ids(house)[0], "0.01"))
    await process.tick()
    await process.stop()
    assert_whole(house)
    (cancelled,) = house.exchange.journal.of(CANCEL)
    assert cancelled.status == 400
    assert queries(house, sent_ids(house)[0])[-1].time_ns >= cancelled.time_ns
    assert len(sent_ids(house)) == 1
    assert story(process) == ["opening", *ENTERED]


async def test_07_of_an_order_that_is_cancelled_the_filled_part_is_undone(house: House) -> None:
    process = await house.start(shape=lambda pair: setattr(pair, "limit", LIMIT))
    account = house.exchange.account
    house.exchange.faults.happen_before(CANCEL, lambda: account.fill(sent_ids(house)[0], "0.004"))
    await process.tick()
    await process.stop()
    assert_whole(house)
    assert [trade.amount for trade in account.trades] == [Decimal("0.004"), Decimal("0.004")]
    assert story(process) == ["opening", *FELL_SHORT, *UNDONE]


@pytest.mark.parametrize("leg", [PERP, SPOT])
async def test_07_of_an_order_that_expires_only_what_is_filled_is_undone(house: House, leg: str) -> None:
    process = await house.start()
    house.exchange.account.fill_only(*(["0.01"] if leg == SPOT else []), "0.004")
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    filled = ["perp confirmed", "spot confirmed", "STRAT-004", *SOLD_BUT_FOR_FEE] if leg == SPOT else FELL_SHORT
    assert story(process) == ["opening", *filled, *UNDONE, *ENTERED]
    group = next(event for event in process.events() if isinstance(event, AtomicOperationGroupEvent))
    assert (group.all_succeeded, group.rollback_occurred) == (False, True)
    assert str(group.rollback_reason).endswith("0.004 of 0.01 were filled")
