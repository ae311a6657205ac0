"""A trade at an exchange: sent once, followed to its end, every fill booked, never called undone when it was done."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.venues.live.books import Book
from tests.venues.live.scripts import (
    CarryOut,
    Step,
    answer,
    be_away,
    be_busy,
    change,
    fail,
    lose_the_reply,
    lose_the_request,
    refuse,
)

from basis_actors.errors import AuthFailed, Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import OrderReport, OrderState, OrderTicket, VenueFill
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.journal import IntentState
from basis_actors.messages.orders import Order, OrderType, Side

PERP = "binance:PerpPosition:BTC-PERP"


@pytest.fixture
async def book() -> Book:
    return await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)


def short(book: Book, amount: float = 0.5, **more: object) -> Order:
    return book.trade("BTC-PERP", Side.SHORT, amount, **more)


def limit(book: Book, amount: float = 0.5, **more: object) -> Order:
    return book.trade("BTC/USDT", Side.BUY, amount, price=39_000.0, order_type=OrderType.LIMIT, **more)


def state_of(book: Book) -> tuple[IntentState, Decimal]:
    entry = book.journal.entries[-1]
    return entry.state, entry.filled


def hide_fills(times: int) -> list[Step]:
    return [change(lambda _fills: ())] * times


async def test_a_trade_is_booked_with_its_fee_and_its_evidence(book: Book) -> None:
    handshake = await book.execute(short(book))
    assert handshake.status is ExecutionStatus.CONFIRMED
    assert handshake.actual_deltas == {PERP: -0.5}
    price = handshake.execution_details["executed_price"]
    assert price == pytest.approx(40_000.0 * (1 - 0.0006))
    assert handshake.fee_amount == pytest.approx(0.5 * price * 0.0005)
    assert handshake.fee_currency == "USDT"
    assert state_of(book) == (IntentState.FILLED, Decimal("0.5"))
    entry = book.journal.entries[-1]
    assert handshake.venue_metadata["client_id"] == entry.intent.client_id
    assert handshake.venue_metadata["venue_order_id"] == entry.venue_id
    assert entry.evidence == f"order {entry.venue_id} is filled, 0.5 of 0.5 filled"
    await book.agrees()
    assert book.errors() == []


@pytest.mark.parametrize(
    ("step", "error"),
    [(refuse, Rejected), (be_busy, Transient), (fail(AuthFailed("VEN-005", "no such key")), AuthFailed)],
)
async def test_what_the_exchange_did_not_do_is_raised_as_it_is(book: Book, step: Step, error: type[Exception]) -> None:
    book.api.next("place", step)
    with pytest.raises(error):
        await book.execute(short(book))
    assert state_of(book) == (IntentState.REJECTED, Decimal(0))
    await book.agrees()


async def test_only_after_a_definite_no_it_is_sent_again_under_another_id(book: Book) -> None:
    order = short(book)
    book.api.next("place", be_busy, be_busy)
    for _ in range(2):
        with pytest.raises(Transient):
            await book.execute(order)
    assert (await book.execute(order)).was_successful()
    assert len({ticket.client_id for ticket in book.api.sent}) == 3
    assert [entry.intent.attempt for entry in book.journal.entries] == [0, 1, 2]
    await book.agrees()


async def test_a_journal_restored_from_a_copy_gives_no_id_a_second_time(book: Book) -> None:
    copied = deepcopy(book.journal)
    names = set()
    for journal in (book.journal, copied):
        book.journal = journal
        book.kill()
        await book.start()
        await book.settle()
        await book.clock.sleep(60.0)
        assert (await book.carry_out(short(book, operation_id="t00001"))).was_successful()
        assert book.journal.incarnation == 2
        names.add(book.api.sent[-1].client_id)
    assert len(names) == 2
    await book.agrees()


@pytest.mark.parametrize("step", [lose_the_reply, lose_the_request])
async def test_an_unknown_outcome_is_never_sent_again(book: Book, step: Step) -> None:
    order = short(book)
    book.api.next("place", step)
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    for _ in range(3):
        with pytest.raises(UnknownOutcome, match=r"VEN-002: .* is unknown; it is asked for, never sent again"):
            await book.execute(order)
    assert len(book.api.sent) == 1


async def test_an_order_whose_reply_was_lost_is_found_and_booked_once(book: Book) -> None:
    book.api.next("place", lose_the_reply)
    handshake = await book.carry_out(order := short(book))
    assert handshake.status is ExecutionStatus.CONFIRMED
    again = await book.resolve(order)
    assert again.settlements == handshake.settlements
    await book.agrees()


async def test_an_order_that_never_arrived_ends_after_several_answers_and_not_before_it_could_no_longer_arrive(
    book: Book,
) -> None:
    book.api.next("place", lose_the_request)
    order, sent = short(book), book.clock.ns
    handshake = await book.carry_out(order)
    assert handshake.status is ExecutionStatus.FAILED
    assert not handshake.retryable
    assert handshake.error_message is not None
    assert "the exchange never had it" in handshake.error_message
    assert book.clock.ns - sent >= 35 * 10**9
    assert book.api.calls["order"] >= 3
    assert (await book.resolve(order)).status is ExecutionStatus.FAILED
    await book.agrees()


async def test_a_few_answers_in_a_hurry_prove_nothing(book: Book) -> None:
    order = short(book)
    book.api.next("place", lose_the_reply)
    book.api.always["order"] = answer(None)
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    for _ in range(20):
        assert (await book.resolve(order)).status is ExecutionStatus.UNKNOWN
    del book.api.always["order"]
    assert (await book.resolve(order)).was_successful()


async def test_one_late_answer_proves_nothing(book: Book) -> None:
    """However long ago it was sent: the first answers may come from a copy that has just been brought up."""
    order = short(book)
    book.api.next("place", lose_the_reply)
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    await book.clock.sleep(600.0)
    book.api.next("order", answer(None))
    assert (await book.resolve(order)).status is ExecutionStatus.UNKNOWN
    assert (await book.resolve(order)).was_successful()
    await book.agrees()


async def test_an_order_that_arrives_late_is_found(book: Book) -> None:
    held: list[CarryOut] = []

    async def hold_back(carry_out: CarryOut) -> None:
        held.append(carry_out)
        raise UnknownOutcome("VEN-002", "the connection broke")

    order = short(book)
    book.api.next("place", hold_back)
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    for _ in range(2):
        assert (await book.resolve(order)).status is ExecutionStatus.UNKNOWN
        await book.clock.sleep(2.0)
    await held[0]()
    assert (await book.resolve(order)).was_successful()
    await book.agrees()


@pytest.mark.parametrize("named", [True, False])
async def test_an_order_that_queries_do_not_find_is_found_by_its_trades(book: Book, named: bool) -> None:
    """Some exchanges answer a query from a copy that lags by a minute; not all name our id with a trade."""
    order = short(book)
    book.api.next("place", lose_the_reply)
    book.api.always["order"] = answer(None)

    def name(fills: tuple[VenueFill, ...]) -> tuple[VenueFill, ...]:
        client_id = book.journal.entries[-1].intent.client_id
        return tuple(replace(fill, client_id=client_id if named else None) for fill in fills)

    book.api.always["fills"] = change(name)
    handshake = await book.carry_out(order)
    assert handshake.was_successful()
    assert handshake.actual_deltas == {PERP: -0.5}
    assert state_of(book) == (IntentState.FILLED, Decimal("0.5"))
    await book.agrees()


async def test_an_order_that_queries_do_not_find_is_found_among_open_orders(book: Book) -> None:
    order = limit(book)
    book.api.next("place", lose_the_reply)
    book.api.always["order"] = answer(None)
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    statuses = set()
    for _ in range(45):
        statuses.add((await book.resolve(order)).status)
        await book.clock.sleep(1.0)
    assert statuses == {ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING}
    assert state_of(book)[0] is IntentState.ACKNOWLEDGED


@pytest.mark.parametrize("amount", ["0.3", "0.5"])
@pytest.mark.parametrize(("buys", "client_id"), [(True, None), (False, "theirs"), (False, None)])
async def test_trades_of_somebody_else_are_no_trace_of_an_order(
    book: Book, amount: str, buys: bool, client_id: str | None
) -> None:
    order = short(book)
    book.api.next("place", lose_the_request)
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    await book.by_hand("BTC-PERP", amount, buys=buys)
    book.api.always["fills"] = change(lambda fills: tuple(replace(fill, client_id=client_id) for fill in fills))
    while (handshake := await book.resolve(order)).status is ExecutionStatus.UNKNOWN:
        await book.clock.sleep(1.0)
    assert handshake.status is ExecutionStatus.FAILED
    assert state_of(book) == (IntentState.REJECTED, Decimal(0))
    await book.agrees()


async def test_while_it_is_not_known_whose_a_trade_is_nothing_is_concluded(book: Book) -> None:
    order = short(book)
    book.api.next("place", lose_the_reply)
    book.api.always = {"order": answer(None), "order_by_number": answer(None)}
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    for _ in range(45):
        with suppress(Transient):
            assert (await book.resolve(order)).status is ExecutionStatus.UNKNOWN
        await book.clock.sleep(1.0)
    with pytest.raises(Transient, match=r"VEN-003: binance shows trades of order o\d+ in BTC-PERP, and not the order"):
        await book.resolve(order)
    del book.api.always["order_by_number"]
    assert (await book.resolve(order)).was_successful()
    await book.agrees()


async def test_trades_of_another_order_of_ours_are_no_trace(book: Book) -> None:
    await book.execute(short(book, 0.3))
    book.api.next("place", lose_the_request)
    assert (await book.carry_out(short(book))).status is ExecutionStatus.FAILED
    await book.agrees()


async def test_a_part_that_was_filled_stays_filled(book: Book) -> None:
    """As of an IOC order in a thin book."""
    ticket: list[OrderTicket] = []

    async def fill_in_part(_carry_out: CarryOut) -> OrderReport:
        ticket.append(book.api.sent[-1])  # type: ignore[arg-type]
        return await book.exchange.place_partly(ticket[0], Decimal("0.2"))

    book.api.next("place", fill_in_part)
    handshake = await book.execute(short(book))
    assert handshake.was_successful()
    assert handshake.actual_deltas == {PERP: -0.2}
    assert handshake.execution_details["executed_amount"] == 0.2
    assert handshake.execution_details["order_state"] == "cancelled"
    assert state_of(book) == (IntentState.CANCELLED, Decimal("0.2"))
    await book.agrees()


async def test_an_order_that_is_open_is_pending_and_cancelled_after_its_time(book: Book) -> None:
    order, began = limit(book), book.clock.ns
    assert (await book.execute(order)).status is ExecutionStatus.PENDING
    client_id = book.journal.entries[-1].intent.client_id
    while (await book.resolve(order)).status is ExecutionStatus.PENDING:
        assert client_id in book.exchange.resting
        assert book.clock.ns - began <= 61 * 10**9
        await book.clock.sleep(1.0)
    assert book.clock.ns - began >= 60 * 10**9
    assert client_id not in book.exchange.resting
    handshake = await book.resolve(order)
    assert handshake.status is ExecutionStatus.FAILED
    assert handshake.error_message is not None
    assert "before anything was filled" in handshake.error_message
    await book.agrees()


async def test_an_order_that_is_filled_bit_by_bit_is_one_order(book: Book) -> None:
    order = limit(book)
    assert (await book.execute(order)).status is ExecutionStatus.PENDING
    client_id = book.journal.entries[-1].intent.client_id
    for part, so_far in (("0.1", "0.1"), ("0.15", "0.25")):
        await book.exchange.fill_resting(client_id, part)
        assert (await book.resolve(order)).status is ExecutionStatus.PENDING
        assert state_of(book) == (IntentState.PARTIALLY_FILLED, Decimal(so_far))
    await book.exchange.fill_resting(client_id, "0.25")
    handshake = await book.resolve(order)
    assert handshake.was_successful()
    assert len(handshake.venue_metadata["trades"]) == 3
    assert handshake.actual_deltas["binance:BaseToken:BTC"] == pytest.approx(0.5)
    await book.agrees()


async def test_a_part_filled_while_the_cancellation_was_on_its_way_counts(book: Book) -> None:
    order = limit(book)
    await book.execute(order)
    client_id = book.journal.entries[-1].intent.client_id
    await book.clock.sleep(60.0)

    async def fill_first(carry_out: CarryOut) -> None:
        await book.exchange.fill_resting(client_id, "0.5")
        await carry_out()

    book.api.next("cancel", fill_first)
    handshake = await book.resolve(order)
    assert handshake.was_successful()
    assert handshake.actual_deltas["binance:BaseToken:BTC"] == pytest.approx(0.5)
    assert state_of(book) == (IntentState.FILLED, Decimal("0.5"))
    await book.agrees()


async def test_an_order_that_was_taken_is_not_called_undone_because_its_trades_cannot_be_read(book: Book) -> None:
    order = short(book)
    book.api.next("fills", fail(Rejected("VEN-004", "no such market")), be_away)
    assert (await book.execute(order)).status is ExecutionStatus.PENDING
    with pytest.raises(Transient):
        await book.resolve(order)
    assert (await book.resolve(order)).was_successful()
    assert len(book.api.sent) == 1
    await book.agrees()


@pytest.mark.parametrize("method", ["cancel", "order"])
async def test_an_order_is_not_called_undone_because_its_end_cannot_be_read(book: Book, method: str) -> None:
    order = limit(book)
    await book.execute(order)
    await book.clock.sleep(61.0)
    book.api.next(method, be_away)
    with pytest.raises(Transient):
        await book.resolve(order)
    assert (await book.resolve(order)).status is ExecutionStatus.FAILED
    assert len(book.api.sent) == 1
    await book.agrees()


async def test_trades_that_are_shown_late_are_waited_for(book: Book) -> None:
    order = short(book)
    book.api.next("fills", *hide_fills(5))
    handshake = await book.execute(order)
    assert handshake.status is ExecutionStatus.PENDING
    assert handshake.error_message is not None
    assert "its trades are not all shown yet" in handshake.error_message
    assert state_of(book) == (IntentState.FILLED, Decimal("0.5"))
    assert (await book.resolve(order)).was_successful()
    await book.agrees()


async def test_a_position_that_is_shown_before_its_trades_is_not_booked_twice(book: Book) -> None:
    """The account is read while the trades of an order are not all shown: what is not explained yet is ours."""
    order = short(book)
    book.api.always["fills"] = change(lambda _fills: ())
    assert (await book.execute(order)).status is ExecutionStatus.PENDING
    await book.settle()
    assert "adjustment" not in book.sources()
    del book.api.always["fills"]
    assert (await book.resolve(order)).was_successful()
    await book.agrees()


async def test_trades_that_come_before_the_order_is_known_are_its_all_the_same(book: Book) -> None:
    """A tick may look at the account while nobody knows what became of an order."""
    order = short(book)
    book.api.next("place", lose_the_reply)
    with pytest.raises(UnknownOutcome):
        await book.execute(order)
    await book.settle()
    assert [code for code, _ in book.errors()] == ["VEN-007"]
    handshake = await book.resolve(order)
    assert handshake.was_successful()
    assert handshake.actual_deltas == {PERP: -0.5}
    await book.agrees()


async def test_news_that_are_older_than_what_is_known_change_nothing(book: Book) -> None:
    order = limit(book)
    await book.execute(order)
    client_id = book.journal.entries[-1].intent.client_id
    await book.exchange.fill_resting(client_id, "0.3")
    await book.resolve(order)
    old = replace(book.exchange._orders[client_id], state=OrderState.OPEN, filled=Decimal(0))
    book.api.next("order", answer(old))
    assert (await book.resolve(order)).status is ExecutionStatus.PENDING
    assert state_of(book) == (IntentState.PARTIALLY_FILLED, Decimal("0.3"))


async def test_an_order_that_was_taken_and_then_refused_failed(book: Book) -> None:
    def refused(report: OrderReport) -> OrderReport:
        return replace(report, state=OrderState.REJECTED, filled=Decimal(0), average_price=None)

    book.api.next("place", answer(refused(await book.exchange.place(_limit_ticket("x")))))
    handshake = await book.execute(limit(book))
    assert (handshake.status, handshake.error_code) == (ExecutionStatus.FAILED, "EXEC-004")
    assert state_of(book) == (IntentState.REJECTED, Decimal(0))


def _limit_ticket(client_id: str) -> OrderTicket:
    return OrderTicket(client_id=client_id, pair="BTC/USDT", buys=True, amount=Decimal("0.5"), limit=Decimal(39_000))


async def test_what_never_reached_the_journal_was_not_sent(book: Book) -> None:
    handshake = await book.resolve(short(book))
    assert handshake.status is ExecutionStatus.FAILED
    assert handshake.error_message is not None
    assert "was not sent" in handshake.error_message


async def test_an_order_that_is_put_together_wrongly_leaves_no_trace(book: Book) -> None:
    with pytest.raises(Rejected, match="EXEC-004"):
        await book.execute(short(book, 0.50001))
    assert book.journal.entries == ()
    assert book.api.sent == []


class TestOfAnEarlierProcess:
    """What became of orders whose process was killed is found out before anything else."""

    async def test_an_order_that_was_not_handed_over_was_not_sent(self, book: Book) -> None:
        await _intend(book, short(book))
        book.kill()
        await book.start()
        assert state_of(book) == (IntentState.CANCELLED, Decimal(0))
        await book.settle()
        await book.agrees()

    @pytest.mark.parametrize("step", [lose_the_reply, lose_the_request])
    async def test_an_order_without_an_answer_is_looked_for(self, book: Book, step: Step) -> None:
        book.api.next("place", step)
        with pytest.raises(UnknownOutcome):
            await book.execute(short(book))
        book.kill()
        await book.start()
        filled = step is lose_the_reply
        expected = (IntentState.FILLED, Decimal("0.5")) if filled else (IntentState.REJECTED, Decimal(0))
        assert state_of(book) == expected
        await book.settle()
        assert book.positions.get(PERP, 0.0) == (-0.5 if filled else 0.0)
        await book.agrees()
        ((code, text),) = book.errors()
        assert code == "VEN-002"
        assert f"of an earlier process is {expected[0]}" in text

    async def test_an_open_order_is_cancelled_and_what_it_filled_is_kept(self, book: Book) -> None:
        await book.execute(limit(book))
        await book.exchange.fill_resting(book.journal.entries[-1].intent.client_id, "0.3")
        book.kill()
        await book.start()
        assert state_of(book) == (IntentState.CANCELLED, Decimal("0.3"))
        assert not book.exchange.resting
        await book.settle()
        assert book.positions["binance:BaseToken:BTC"] == pytest.approx(0.3)
        await book.agrees()

    async def test_an_open_order_of_somebody_else_is_left_alone(self, book: Book) -> None:
        await book.exchange.place(_limit_ticket("theirs"))
        book.kill()
        await book.start()
        assert list(book.exchange.resting) == ["theirs"]
        ((code, text),) = book.errors()
        assert (code, "(theirs), which is not ours; it is left alone" in text) == ("VEN-007", True)

    async def test_an_open_order_of_ours_that_a_restored_journal_lacks_is_cancelled(self, book: Book) -> None:
        copied = deepcopy(book.journal)
        await book.execute(limit(book))
        await book.exchange.fill_resting(book.journal.entries[-1].intent.client_id, "0.3")
        book.journal = copied
        book.kill()
        await book.start()
        assert not book.exchange.resting
        await book.settle()
        assert book.positions["binance:BaseToken:BTC"] == pytest.approx(0.3)
        await book.agrees()
        ((code, text),) = book.errors()
        assert (code, "which nobody waits for any more; it is cancelled" in text) == ("VEN-002", True)

    @pytest.mark.parametrize("step", [be_away, lose_the_request, refuse])
    async def test_nothing_is_traded_before_an_open_order_that_a_restored_journal_lacks_is_cancelled(
        self, book: Book, step: Step
    ) -> None:
        copied = deepcopy(book.journal)
        await book.execute(limit(book))
        book.journal = copied
        book.kill()
        book.api.next("cancel", step)
        with pytest.raises(Transient, match="VEN-003"):
            await book.start()
        await book.start()
        assert not book.exchange.resting

    async def test_trades_of_an_order_that_is_known_are_no_trace_of_another(self, book: Book) -> None:
        await book.execute(short(book, 0.3))
        book.api.next("place", lose_the_request)
        with pytest.raises(UnknownOutcome):
            await book.execute(short(book, 0.5))
        book.kill()
        await book.start()
        assert state_of(book) == (IntentState.REJECTED, Decimal(0))

    async def test_an_order_that_the_exchange_has_forgotten_has_ended(self, book: Book) -> None:
        await book.execute(order := limit(book))
        client_id = book.journal.entries[-1].intent.client_id
        await book.exchange.fill_resting(client_id, "0.3")
        await book.resolve(order)
        await book.exchange.cancel("BTC/USDT", client_id)
        book.kill()
        book.api.always["order"] = answer(None)
        await book.start()
        assert state_of(book) == (IntentState.CANCELLED, Decimal("0.3"))

    async def test_nothing_is_traded_while_it_is_not_known(self, book: Book) -> None:
        await book.execute(limit(book))
        book.kill()
        book.api.always["cancel"] = answer(None)
        await book.account.prepare()
        began = book.clock.ns
        with pytest.raises(
            Transient, match=r"VEN-003: binance does not say what became of op-1, .*; nothing is traded"
        ):
            await book.account.conclude_earlier()
        assert book.clock.ns - began >= 900 * 10**9

    async def test_a_trade_that_is_shown_after_the_ledger_began_is_in_it_already(self, book: Book) -> None:
        book.api.next("place", lose_the_reply)
        with pytest.raises(UnknownOutcome):
            await book.execute(short(book))
        book.kill()
        book.api.always["fills"] = change(lambda _fills: ())
        await book.start()
        del book.api.always["fills"]
        await book.settle()
        assert book.positions[PERP] == -0.5
        await book.agrees()


async def _intend(book: Book, order: Order) -> None:
    """Kill the process between intent and request: writing down that it is handed over fails."""
    advance = book.journal.advance

    async def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    book.journal.advance = killed  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        await book.account.execute(order)
    book.journal.advance = advance  # type: ignore[method-assign]


async def test_a_sale_that_may_only_reduce_sells_no_more_than_is_there(book: Book) -> None:
    """A purchase whose fee was taken out of it leaves less to sell than was bought. An old account does not count."""
    await book.by_hand("BTC/USDT", "0.49949")
    await book.settle()
    book.api.next("account", change(lambda state: replace(state, balances=())))
    handshake = await book.carry_out(book.trade("BTC/USDT", Side.SELL, 0.5, reduce_only=True))
    assert handshake.actual_deltas["binance:BaseToken:BTC"] == pytest.approx(-0.49949)
    with pytest.raises(Rejected, match=r"EXEC-009: .* 0 BTC is less than a lot"):
        await book.execute(book.trade("BTC/USDT", Side.SELL, 0.5, reduce_only=True))
    await book.agrees()


async def test_what_may_only_reduce_is_cut_to_whole_lots(book: Book) -> None:
    """A share of a leg is no whole number of them."""
    await book.by_hand("BTC/USDT", "0.5")
    await book.settle()
    handshake = await book.carry_out(book.trade("BTC/USDT", Side.SELL, 0.1234567, reduce_only=True))
    assert handshake.actual_deltas["binance:BaseToken:BTC"] == pytest.approx(-0.12345)
    with pytest.raises(Rejected, match="not a multiple of the lot"):
        await book.execute(book.trade("BTC/USDT", Side.SELL, 0.1234567))


async def test_a_close_closes_no_more_than_is_open(book: Book) -> None:
    """As when a leg is undone, and the owner has closed a part of it by hand."""
    await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 0.5))
    await book.by_hand("BTC-PERP", "0.2")
    book.kill()
    await book.account.prepare()
    close = book.trade("BTC-PERP", Side.LONG, 0.5, reduce_only=True)
    handshake = await book.account.execute(close)
    assert handshake.actual_deltas["binance:PerpPosition:BTC-PERP"] == pytest.approx(0.3)
    again = replace(close, operation_id="again")
    with pytest.raises(Rejected, match=r"EXEC-009: .* a position of 0 leaves nothing"):
        await book.account.execute(again)
    with pytest.raises(Rejected, match=r"EXEC-009: .* leaves nothing"):
        await book.account.execute(replace(again, operation_id="other", side=Side.SHORT))


async def test_before_the_ledger_begins_what_is_there_is_read_until_it_is_steady(book: Book) -> None:
    """As when a group is undone that an earlier process began."""
    await book.by_hand("BTC/USDT", "0.3")
    book.kill()
    await book.account.prepare()
    old = change(lambda state: replace(state, balances=()))
    book.api.next("account", old)
    with pytest.raises(Transient, match="shows its account differently each time"):
        await book.account.execute(book.trade("BTC/USDT", Side.SELL, 0.5, reduce_only=True))
    handshake = await book.account.execute(book.trade("BTC/USDT", Side.SELL, 0.5, reduce_only=True))
    assert handshake.actual_deltas["binance:BaseToken:BTC"] == pytest.approx(-0.3)
