"""What an exchange says of an order that cannot be so: what is booked is what its trades say, and nothing is undone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.venues.live.books import Book
from tests.venues.live.scripts import Step, change, lose_the_reply

from basis_actors.errors import Transient, UnknownOutcome
from basis_actors.messages.exchange import OrderState
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.journal import IntentState
from basis_actors.messages.orders import Order, Side

AMOUNTS = {"BTC-PERP": 0.5, "BTCUSD-PERP": 600.0}
EVERYWHERE = pytest.mark.parametrize("pair", sorted(AMOUNTS))


@pytest.fixture
async def book() -> Book:
    return await Book().open(USDT=50_000.0, Margin_USDT=50_000.0, Margin_BTC=2.0)


def short(book: Book, pair: str) -> Order:
    return book.trade(pair, Side.SHORT, AMOUNTS[pair])


def says(**values: Any) -> Step:
    """Say something else of an order."""
    return change(lambda report: None if report is None else replace(report, **values))


def hide_fills(times: int) -> list[Step]:
    return [change(lambda _fills: ())] * times


@EVERYWHERE
@pytest.mark.parametrize("average", [None, Decimal(0)], ids=["none", "zero"])
async def test_an_order_without_an_average_price_was_filled_at_that_of_its_trades(
    book: Book, pair: str, average: Decimal | None
) -> None:
    book.api.next("place", says(average_price=average))
    details = (await book.execute(short(book, pair))).execution_details
    fill = book.exchange._fills[-1]
    worth = AMOUNTS[pair] * float(fill.price) if pair == "BTC-PERP" else AMOUNTS[pair] / float(fill.price)
    assert details["executed_price"] == pytest.approx(float(fill.price))
    assert details["executed_value"] == pytest.approx(worth)
    await book.agrees()


@EVERYWHERE
@pytest.mark.parametrize("state", [OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED])
async def test_an_order_with_trades_has_been_filled_whatever_is_said_of_it(
    book: Book, pair: str, state: OrderState
) -> None:
    book.api.next("place", says(state=state, filled=Decimal(0), average_price=None))
    handshake = await book.execute(short(book, pair))
    assert handshake.status is ExecutionStatus.CONFIRMED
    assert handshake.execution_details["executed_amount"] == AMOUNTS[pair]
    await book.agrees()


async def test_an_order_that_is_filled_with_nothing_waits_for_its_trades(book: Book) -> None:
    book.api.next("place", says(filled=Decimal(0)))
    book.api.next("fills", *hide_fills(3))
    handshake = await book.execute(order := short(book, "BTC-PERP"))
    assert handshake.status is ExecutionStatus.PENDING
    assert (await book.resolve(order)).status is ExecutionStatus.CONFIRMED
    await book.agrees()


async def test_what_was_filled_is_not_taken_back_by_a_later_answer(book: Book) -> None:
    book.api.next("fills", *hide_fills(6))
    book.api.next("order", says(state=OrderState.CANCELLED, filled=Decimal(0), average_price=None))
    order = short(book, "BTC-PERP")
    assert (await book.execute(order)).status is ExecutionStatus.PENDING
    assert (await book.resolve(order)).status is ExecutionStatus.PENDING
    assert (await book.resolve(order)).status is ExecutionStatus.CONFIRMED
    await book.agrees()


async def test_trades_of_an_order_that_was_called_refused_are_booked_and_told(book: Book) -> None:
    book.api.next("place", says(state=OrderState.REJECTED, filled=Decimal(0), average_price=None))
    book.api.next("fills", *hide_fills(1))
    assert (await book.execute(short(book, "BTC-PERP"))).status is ExecutionStatus.FAILED
    await book.settle()
    ((code, text),) = book.errors()
    assert code == "VEN-007"
    assert "which is said to have been refused; the trade is booked" in text
    await book.agrees()


@pytest.mark.parametrize("other", [{"buys": True}, {"pair": "ETH-PERP"}], ids=["side", "pair"])
async def test_another_order_under_our_id_is_not_taken_for_ours(book: Book, other: dict[str, Any]) -> None:
    book.api.next("place", lose_the_reply)
    book.api.always["order"] = says(**other)
    with pytest.raises(UnknownOutcome):
        await book.execute(order := short(book, "BTC-PERP"))
    with pytest.raises(Transient, match=r"VEN-001: binance shows order \S+ under ba\w+, and it .*; what was sent"):
        await book.resolve(order)
    assert book.journal.entries[-1].state is IntentState.UNKNOWN
    assert len(book.api.sent) == 1


async def test_an_answer_about_another_order_leaves_ours_undecided(book: Book) -> None:
    book.api.next("place", says(buys=True))
    handshake = await book.execute(order := short(book, "BTC-PERP"))
    assert handshake.status is ExecutionStatus.PENDING
    assert (await book.resolve(order)).status is ExecutionStatus.CONFIRMED
    await book.agrees()
