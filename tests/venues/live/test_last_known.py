"""What is remembered of an account from a process for the next one, and what becomes of what nothing explains."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.venues.live.books import HOUR, Book
from tests.venues.live.scripts import change, lose_the_reply
from tests.venues.live.test_intake import pay

from basis_actors.errors import UnknownOutcome
from basis_actors.messages.events import ReconciliationEvent
from basis_actors.messages.exchange import AccountState, PaymentKind
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Order, Side
from basis_actors.times import NS_PER_SECOND

CASH, MARGIN, COIN = "binance:BaseToken:USDT", "binance:Margin:USDT", "binance:BaseToken:BTC"
PERP = "binance:PerpPosition:BTC-PERP"
WAITS = 900.0


@pytest.fixture
async def book() -> Book:
    """A hedged book whose process has been killed."""
    book = await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)
    await book.carry_out(book.trade("BTC/USDT", Side.BUY, 1.0))
    await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 1.0))
    await book.settle()
    book.kill()
    await book.clock.sleep(60.0)
    return book


def nothing(state: AccountState) -> AccountState:
    """As some exchanges answer for a while after maintenance."""
    return replace(state, balances=(), holdings=())


async def begin(book: Book) -> None:
    await book.start()
    await book.settle()


def codes(book: Book) -> list[str]:
    """Of what is said, but for what the last process left."""
    return [code for code, _ in book.errors() if code != "VEN-002"]


async def test_a_book_as_it_was_left_is_said_nothing_of(book: Book) -> None:
    await begin(book)
    assert codes(book) == []
    assert set(book.sources()) == {"opening"}
    await book.agrees()


async def test_an_account_that_shows_nothing_at_the_start_is_not_believed(book: Book) -> None:
    before = {key: amount for key, amount in (await book.exchange.everything()).items() if "transit" not in key}
    book.api.always["account"] = change(nothing)
    await begin(book)
    assert book.positions == pytest.approx(before)
    assert book.entries == pytest.approx(book.exchange._exchange.entries)
    errors = dict(book.errors())
    assert f"{COIN} is 0, 1 is booked" in errors["VEN-009"]
    assert f"{PERP} is 0, -1 is booked" in errors["VEN-009"]
    assert book.account.doubt is not None
    assert await book.report() == pytest.approx(before)
    book.api.always.clear()
    assert await book.settle() == ()
    assert book.account.doubt is None
    assert ["shows what is booked again" in text for _, text in book.errors()] == [True]
    await book.agrees()


async def test_what_it_goes_on_showing_is_believed_as_the_owners(book: Book) -> None:
    book.exchange._exchange._balances[MARGIN] -= 40_000.0
    await begin(book)
    assert codes(book) == ["VEN-009"]
    assert book.positions[MARGIN] == pytest.approx(book.exchange._exchange._balances[MARGIN] + 40_000.0)
    await book.clock.sleep(WAITS - 60.0)
    assert await book.settle() == ()
    await book.clock.sleep(60.0)
    (settlement,) = await book.settle()
    assert settlement.source is DeltaSource.UNEXPLAINED
    assert [(each.position_key, each.delta_amount) for each in settlement.deltas] == [
        (MARGIN, pytest.approx(-40_000.0))
    ]
    said = book.account.findings.take_events()
    assert isinstance(said[0], ReconciliationEvent)
    await book.agrees()


async def test_what_is_not_believed_by_one_process_is_not_by_the_next(book: Book) -> None:
    book.exchange._exchange._balances[MARGIN] -= 40_000.0
    for _ in range(2):
        await begin(book)
        assert codes(book) == ["VEN-009"]
        book.kill()
        await book.clock.sleep(1.0)
    await begin(book)
    await book.clock.sleep(WAITS)
    (settlement,) = await book.settle()
    assert settlement.source is DeltaSource.UNEXPLAINED
    book.kill()
    await book.clock.sleep(1.0)
    book.account.findings.take_events()
    await begin(book)
    assert codes(book) == [], "what was believed is what is remembered"
    await book.agrees()


async def test_little_is_booked_at_once_and_said(book: Book) -> None:
    book.exchange._exchange._balances[COIN] -= 0.001
    await begin(book)
    assert book.sources() == ["opening", "adjustment"]
    assert codes(book) == ["VEN-007"]
    await book.agrees(adjusted=True)


async def test_what_its_owner_moved_between_purses_is_neither_gain_nor_loss(book: Book) -> None:
    book.exchange._exchange._balances[CASH] -= 5_000.0
    book.exchange._exchange._balances[MARGIN] += 5_000.0
    await begin(book)
    assert book.sources() == ["opening", "transfer"]
    assert codes(book) == ["VEN-007"]
    await book.agrees()


@pytest.mark.parametrize("absurd", [False, True])
async def test_what_the_history_tells_is_in_what_should_be_there(book: Book, absurd: bool) -> None:
    """Trades, funding, the owner's own money: also those of days ago."""
    await book.by_hand("BTC-PERP", "0.5")
    await book.by_hand("BTC/USDT", "0.25", buys=False)
    stamp = FundingStamp(book.clock.ns + NS_PER_SECOND, "binance:BTC-PERP", 0.0001, 40_000.0)
    await book.advance(5 * 24, funding=[stamp])
    pay(book, PaymentKind.WITHDRAWAL, "-1000")
    pay(book, PaymentKind.DEPOSIT, "7000")
    held = {key: amount for key, amount in (await book.exchange.everything()).items() if "transit" not in key}
    if absurd:
        book.api.always["account"] = change(nothing)
    await begin(book)
    assert book.positions == pytest.approx(held)
    assert sorted(book.sources()) == ["deposit", "opening", "withdrawal"]
    assert codes(book) == (["VEN-009"] if absurd else [])
    book.api.always.clear()
    await book.agrees()


async def test_what_was_booked_after_it_was_last_known_counts_once() -> None:
    book = await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)
    await book.carry_out(book.trade("BTC/USDT", Side.BUY, 1.0))
    book.kill()
    await book.clock.sleep(1.0)
    book.api.always["account"] = change(nothing)
    await begin(book)
    held = {key: amount for key, amount in (await book.exchange.everything()).items() if "transit" not in key}
    assert book.positions == pytest.approx(held)
    assert codes(book) == ["VEN-009"]


def inside(book: Book) -> Order:
    return book.transfer(CASH, MARGIN, 9_000.0)


def away(book: Book) -> Order:
    return book.transfer(CASH, "bybit:BaseToken:USDT", 9_000.0)


@pytest.mark.parametrize("absurd", [False, True])
@pytest.mark.parametrize("make", [inside, away])
@pytest.mark.parametrize("known", [False, True])
async def test_transfers_of_ours_are_in_it_whenever_they_are_sent(make: Any, known: bool, absurd: bool) -> None:
    book = await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)
    if known:
        await book.execute(make(book))
        await book.settle()
    else:
        book.api.next("move", lose_the_reply)
        with pytest.raises(UnknownOutcome):
            await book.execute(make(book))
    book.kill()
    await book.clock.sleep(60.0)
    held = {key: amount for key, amount in (await book.exchange.everything()).items() if "transit" not in key}
    if absurd:
        book.api.always["account"] = change(nothing)
    await begin(book)
    assert {key: amount for key, amount in book.positions.items() if "transit" not in key} == pytest.approx(held)
    assert codes(book) == (["VEN-009"] if absurd else [])


async def test_a_first_start_believes_what_it_sees() -> None:
    book = Book()
    await book.deliver(CASH, 50_000.0)
    await book.advance()
    book.api.always["account"] = change(nothing)
    await begin(book)
    assert (book.positions, book.errors()) == ({}, [])


@pytest.mark.parametrize("other", ["account", "tokens", "pairs"])
async def test_what_is_remembered_of_another_account_is_no_use(other: str) -> None:
    book = Book()
    book.account.identify("first")
    await book.open(USDT=50_000.0, Margin_USDT=50_000.0)
    if other == "tokens":
        book.terms = book.terms._replace(tokens=book.terms.tokens | {"SOL"})
    elif other == "pairs":
        book.terms = book.terms._replace(pairs=book.terms.pairs[:-1])
    book.kill()
    book.account.identify("second" if other == "account" else "first")
    book.exchange._exchange._balances[MARGIN] -= 40_000.0
    await begin(book)
    assert (book.sources(), codes(book)) == (["opening"], [])
    assert book.positions == {CASH: 50_000.0, MARGIN: 10_000.0}
    book.kill()
    book.account.identify("second" if other == "account" else "first")
    book.exchange._exchange._balances[MARGIN] -= 9_000.0
    await begin(book)
    assert codes(book) == ["VEN-009"], "what it was then is remembered"


async def test_it_is_written_only_where_something_has_changed_or_is_old() -> None:
    book = await Book().open(USDT=50_000.0)
    first = await book.journal.remembered("binance")
    await book.clock.sleep(60.0)
    await book.settle()
    assert await book.journal.remembered("binance") == first
    await book.carry_out(book.trade("BTC/USDT", Side.BUY, 0.1))
    await book.settle()
    second = await book.journal.remembered("binance")
    assert second is not None
    assert second.held.positions == book.positions
    assert (second.fills, second.payments, second.transfers) == ((), (), ())
    book.clock.ns += 25 * HOUR
    await book.settle()
    third = await book.journal.remembered("binance")
    assert third is not None
    assert third.held.time_ns > second.held.time_ns
    assert Decimal(str(third.held.positions[COIN])) == Decimal(str(second.held.positions[COIN]))
