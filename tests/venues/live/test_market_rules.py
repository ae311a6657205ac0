"""What an exchange requires of orders changes while a process runs for months."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.venues.live.books import PATIENCE, Book
from tests.venues.live.scripts import Step, be_busy, change

from basis_actors.errors import Rejected
from basis_actors.messages.exchange import MarketFilters
from basis_actors.messages.orders import Order, Side

PERP = "BTC-PERP"


@pytest.fixture
async def book() -> Book:
    return await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)


def say(**changes: Any) -> Step:
    """The rules as they are, but for these of one market."""

    def edit(rules: dict[str, MarketFilters]) -> dict[str, MarketFilters]:
        return rules | {PERP: replace(rules[PERP], **changes)}

    return change(edit)


def delist(rules: dict[str, MarketFilters]) -> dict[str, MarketFilters]:
    return {pair: each for pair, each in rules.items() if pair != PERP}


def short(book: Book) -> Order:
    return book.trade(PERP, Side.SHORT, 0.5)


async def grow_old(book: Book) -> None:
    await book.clock.sleep(PATIENCE.market_rules_seconds)
    await book.settle()


async def test_they_are_read_again_when_they_are_old(book: Book) -> None:
    book.api.always["filters"] = say(lot=Decimal("0.4"))
    await book.settle()
    assert (await book.execute(short(book))).was_successful()
    await grow_old(book)
    with pytest.raises(Rejected, match=r"EXEC-004: .*amount 0.5 is not a multiple of the lot 0.4"):
        await book.execute(short(book))
    await book.agrees()


async def test_a_market_that_was_closed_at_the_start_is_traded_once_it_opens(book: Book) -> None:
    book.kill()
    book.api.next("filters", say(trading=False), say(trading=False))
    await book.start()
    await book.settle()
    with pytest.raises(Rejected, match=r"VEN-003: .*takes no orders in BTC-PERP at present"):
        await book.execute(short(book))
    assert (await book.execute(short(book))).was_successful()
    await book.agrees()


async def test_a_market_that_is_gone_takes_no_orders_and_is_still_known(book: Book) -> None:
    assert (await book.execute(short(book))).was_successful()
    book.api.always["filters"] = change(delist)
    await grow_old(book)
    with pytest.raises(Rejected, match=r"VEN-003: .*takes no orders in BTC-PERP at present"):
        await book.execute(short(book))
    await book.agrees()


async def test_what_cannot_be_read_stays_and_is_said_once(book: Book) -> None:
    book.errors()
    book.api.next("filters", be_busy, be_busy)
    await grow_old(book)
    await book.settle()
    (said,) = book.errors()
    assert said[0] == "VEN-006"
    assert "binance does not say what it requires of orders: " in said[1]
    assert (await book.execute(short(book))).was_successful()
    await book.settle()
    assert book.errors() == []
