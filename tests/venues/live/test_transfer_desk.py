"""A transfer: in transit until the other side has it, never sent twice, undone in the books when it fails later."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.venues.live.books import Book
from tests.venues.live.scripts import (
    CarryOut,
    Step,
    answer,
    be_away,
    be_busy,
    fail,
    go_well,
    lose_the_reply,
    lose_the_request,
    refuse,
)

from basis_actors.errors import AuthFailed, Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import OrderTicket, TransferState
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.journal import Intent, IntentState
from basis_actors.messages.orders import Order, Side

CASH, MARGIN = "binance:BaseToken:USDT", "binance:Margin:USDT"
WALLET, BYBIT, TRANSIT = "wallet:BaseToken:USDT", "bybit:BaseToken:USDT", "transit:BaseToken:USDT"


@pytest.fixture
async def book() -> Book:
    return await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)


def inside(book: Book, amount: float = 1_000.0) -> Order:
    return book.transfer(CASH, MARGIN, amount)


def away(book: Book, amount: float = 1_000.0, target: str = BYBIT) -> Order:
    return book.transfer(CASH, target, amount)


def state_of(book: Book) -> IntentState:
    return book.journal.entries[-1].state


async def on_its_way(book: Book, venue: str = "bybit") -> list[float]:
    return [transfer.amount for transfer in await book.journal.expected(venue)]


async def test_a_transfer_between_purses_is_done_at_once(book: Book) -> None:
    handshake = await book.execute(inside(book))
    assert handshake.was_successful()
    assert handshake.actual_deltas == {CASH: -1_000.0, MARGIN: 1_000.0}
    assert (handshake.fee_amount, handshake.fee_currency) == (0.0, None)
    assert state_of(book) is IntentState.FILLED
    await book.agrees()


@pytest.mark.parametrize(("target", "announced"), [(BYBIT, [1_000.0]), (WALLET, [])])
async def test_a_withdrawal_is_in_transit_and_an_account_of_ours_learns_of_it(
    book: Book, target: str, announced: list[float]
) -> None:
    """A wallet sees for itself what has arrived; nobody would ever strike it out there."""
    handshake = await book.execute(away(book, target=target))
    assert handshake.actual_deltas == {CASH: -1_000.0, TRANSIT: 1_000.0}
    assert (handshake.fee_amount, handshake.fee_currency) == (1.0, "USDT")
    assert [ticket.address for ticket in book.withdrawn] == [target]
    assert await on_its_way(book, target.split(":")[0]) == announced
    assert book.positions.pop(TRANSIT) == 1_000.0
    await book.agrees()


@pytest.mark.parametrize(
    ("step", "error"), [(refuse, Rejected), (be_busy, Transient), (fail(AuthFailed("VEN-005", "no")), AuthFailed)]
)
async def test_what_was_not_sent_is_expected_nowhere(book: Book, step: Step, error: type[Exception]) -> None:
    book.api.next("move", step)
    with pytest.raises(error):
        await book.execute(away(book))
    assert state_of(book) is IntentState.REJECTED
    assert await on_its_way(book) == []
    await book.agrees()


async def test_it_is_expected_before_it_leaves(book: Book) -> None:
    """A kill right after the request must not leave tokens that nobody waits for."""
    seen: list[list[float]] = []

    async def look(carry_out: object) -> object:
        seen.append(await on_its_way(book))
        return await go_well(carry_out)  # type: ignore[arg-type]

    book.api.next("move", look)
    await book.execute(away(book))
    assert seen == [[1_000.0]]


@pytest.mark.parametrize("order", [inside, away])
async def test_one_whose_reply_was_lost_is_found_and_booked_once(book: Book, order: object) -> None:
    sent = order(book)  # type: ignore[operator]
    book.api.next("move", lose_the_reply)
    handshake = await book.carry_out(sent)
    assert handshake.was_successful()
    assert (await book.resolve(sent)).settlements == handshake.settlements
    assert len(book.api.sent) == 1
    book.positions.pop(TRANSIT, None)
    await book.agrees()


async def test_one_that_never_arrived_is_called_off(book: Book) -> None:
    sent, began = away(book), book.clock.ns
    book.api.next("move", lose_the_request)
    with pytest.raises(UnknownOutcome):
        await book.execute(sent)
    assert await on_its_way(book) == [1_000.0], "while nobody knows, it may be"
    while (handshake := await book.resolve(sent)).status is ExecutionStatus.UNKNOWN:
        await book.clock.sleep(1.0)
    assert handshake.status is ExecutionStatus.FAILED
    assert book.clock.ns - began >= 35 * 10**9
    assert await on_its_way(book) == []
    await book.agrees()


async def test_an_unknown_outcome_is_never_sent_again(book: Book) -> None:
    sent = away(book)
    book.api.next("move", lose_the_reply)
    for _ in range(3):
        with pytest.raises(UnknownOutcome):
            await book.execute(sent)
    assert len(book.api.sent) == 1


async def test_one_that_is_refused_where_it_was_taken_failed(book: Book) -> None:
    book.exchange.withdrawal_state = TransferState.FAILED
    handshake = await book.execute(away(book))
    assert (handshake.status, handshake.error_code) == (ExecutionStatus.FAILED, "EXEC-001")
    assert state_of(book) is IntentState.REJECTED
    assert await on_its_way(book) == []
    assert TRANSIT not in book.positions


async def give_back(book: Book) -> None:
    """The exchange gives up a withdrawal: its tokens and its fee are back."""
    book.exchange.end_withdrawal(book.journal.entries[-1].intent.client_id, TransferState.FAILED)
    book.exchange._exchange._balances[CASH] += 1_001.0
    book.withdrawn.clear()


@pytest.mark.parametrize("target", [BYBIT, WALLET])
@pytest.mark.parametrize("killed", [False, True])
async def test_a_withdrawal_that_fails_after_it_was_accepted_brings_its_tokens_back(
    book: Book, target: str, killed: bool
) -> None:
    book.exchange.withdrawal_state = TransferState.PENDING
    assert (await book.execute(away(book, target=target))).was_successful()
    assert state_of(book) is IntentState.ACKNOWLEDGED
    if killed:
        book.kill()
        await book.clock.sleep(1.0)
        await book.start()
        await book.settle()
        if target == BYBIT:
            book.positions[TRANSIT] = 1_000.0  # the ledger of the account that waits for it opens with it
    await book.settle()
    assert state_of(book) is IntentState.ACKNOWLEDGED
    await give_back(book)
    await book.settle()
    assert state_of(book) is IntentState.REJECTED
    assert TRANSIT not in book.positions
    assert await on_its_way(book) == []
    assert any(
        code == "EXEC-001" and "accepted op-1 and did not carry it out" in text and "1000 USDT are back" in text
        for code, text in book.errors()
    )
    await book.agrees()
    await book.settle()
    await book.agrees()


@pytest.mark.parametrize("killed", [False, True])
async def test_a_withdrawal_that_is_accepted_ends_when_the_exchange_says_so(book: Book, killed: bool) -> None:
    book.exchange.withdrawal_state = TransferState.PENDING
    await book.execute(away(book))
    if killed:
        book.kill()
        await book.clock.sleep(1.0)
        await book.start()
    book.exchange.end_withdrawal(book.journal.entries[-1].intent.client_id, TransferState.DONE)
    await book.settle()
    assert state_of(book) is IntentState.FILLED
    assert await on_its_way(book) == [1_000.0], "it left; that it arrives is for the other side to say"


async def test_a_failure_that_contradicts_what_is_known_changes_nothing(book: Book) -> None:
    """It was done, and a copy says that it failed: it stays on its way."""
    order = away(book)
    await book.execute(order)
    client_id = book.journal.entries[-1].intent.client_id
    book.exchange.end_withdrawal(client_id, TransferState.FAILED)
    await book.resolve(order)
    assert state_of(book) is IntentState.FILLED
    assert await on_its_way(book) == [1_000.0]


async def test_one_that_fails_while_the_account_cannot_be_read_is_brought_back_afterwards(book: Book) -> None:
    book.exchange.withdrawal_state = TransferState.PENDING
    await book.execute(away(book))
    await give_back(book)
    book.api.next("moved", be_away)
    await book.settle()
    assert book.positions[TRANSIT] == 1_000.0
    await book.settle()
    assert TRANSIT not in book.positions
    await book.agrees()


class TestOfAnEarlierProcess:
    """What became of transfers whose process was killed."""

    @pytest.mark.parametrize(
        ("step", "state", "expected"),
        [(lose_the_reply, IntentState.FILLED, [1_000.0]), (lose_the_request, IntentState.REJECTED, [])],
    )
    async def test_one_without_an_answer_is_looked_for(
        self, book: Book, step: Step, state: IntentState, expected: list[float]
    ) -> None:
        book.api.next("move", step)
        with pytest.raises(UnknownOutcome):
            await book.execute(away(book))
        book.kill()
        await book.clock.sleep(1.0)
        await book.start()
        assert state_of(book) is state
        assert await on_its_way(book) == expected
        await book.settle()
        await book.agrees()

    @pytest.mark.parametrize("look", [1, 2, 3, 4, 7])
    async def test_one_that_comes_back_while_the_ledger_begins_is_in_it_once(self, book: Book, look: int) -> None:
        """Before, between and after the reads of the account that the ledger begins with."""
        book.exchange.withdrawal_state = TransferState.PENDING
        await book.execute(away(book, target=WALLET))
        book.kill()
        await book.clock.sleep(1.0)
        looks = 0

        async def come_back(carry_out: CarryOut) -> object:
            nonlocal looks
            looks += 1
            if looks == look:
                await give_back(book)
            return await carry_out()

        book.api.always["account"] = come_back
        await book.start()
        await book.settle()
        while looks < look:
            await book.settle()
        await book.settle()
        assert state_of(book) is IntentState.REJECTED
        assert book.positions[CASH] == 50_000.0
        await book.agrees()

    async def test_what_an_answer_from_an_old_copy_does_not_know_of_is_acknowledged_all_the_same(
        self, book: Book
    ) -> None:
        book.exchange.withdrawal_state = TransferState.PENDING
        await book.execute(away(book))
        book.kill()
        book.api.always["moved"] = answer(None)
        await book.account.prepare()
        with pytest.raises(Transient, match="VEN-003: binance does not say what became of op-1"):
            await book.account.conclude_earlier()
        assert state_of(book) is IntentState.ACKNOWLEDGED

    async def test_it_is_looked_for_from_before_it_was_decided(self, book: Book) -> None:
        """Not every exchange takes an id with a transfer; then amount and time have to find it."""
        asked: list[int] = []

        original = book.exchange.moved

        async def moved(ticket: object, since_ns: int) -> object:
            asked.append(since_ns)
            return await original(ticket, since_ns)  # type: ignore[arg-type]

        book.exchange.moved = moved  # type: ignore[method-assign,assignment]
        book.api.next("move", lose_the_reply)
        await book.carry_out(away(book))
        assert asked[0] == book.journal.entries[-1].intent.created_ns - 120 * 10**9


@pytest.mark.parametrize("end", [IntentState.REJECTED, IntentState.FILLED])
async def test_what_never_left_is_expected_nowhere_also_after_a_kill_in_between(book: Book, end: IntentState) -> None:
    """The end of a transfer and that it is called off are two writes; the account that waits for it strikes it out."""
    book.api.next("move", lose_the_request if end is IntentState.REJECTED else lose_the_reply)
    with pytest.raises(UnknownOutcome):
        await book.execute(away(book))
    (entry,) = book.journal.entries
    await book.journal.advance(entry.intent.client_id, end, entry.filled, "known", book.clock.ns)
    journal = book.journal.reopened()
    trade = book.trade("BTC-PERP", Side.SHORT, 0.5, operation_id=entry.intent.order.operation_id)
    ticket = OrderTicket(client_id="c9", pair="BTC-PERP", buys=False, amount=Decimal("0.5"))
    fields = {"domain": "binance", "incarnation": 2, "attempt": 0, "created_ns": book.clock.ns}
    await journal.intend(Intent(client_id="c9", order=trade, ticket=ticket, **fields))  # type: ignore[arg-type]
    await journal.advance("c9", IntentState.CANCELLED, Decimal(0), "never sent", book.clock.ns)
    other = Book(split=False)
    other.journal, other.clock.ns = journal.reopened(), book.clock.ns
    other._begin()
    await other.advance(hours=2)
    await other.start()
    assert await on_its_way(book) == ([] if end is IntentState.REJECTED else [1_000.0])


async def test_what_is_answered_twice_is_booked_once(book: Book) -> None:
    order = away(book)
    first = await book.execute(order)
    assert (await book.resolve(order)).settlements == first.settlements


@pytest.mark.parametrize("killed", [False, True])
async def test_a_withdrawal_to_the_wallet_that_hangs_is_late_until_it_has_ended(book: Book, killed: bool) -> None:
    book.exchange.withdrawal_state = TransferState.PENDING
    await book.execute(away(book, target=WALLET))
    if killed:
        book.kill()
        await book.clock.sleep(1.0)
        await book.start()
    await book.settle()
    assert book.account.late is None
    await book.clock.sleep(book.terms.patience.late_transfer_seconds + 1.0)
    await book.settle()
    assert "1000 USDT for wallet:BaseToken:USDT are on their way since" in (book.account.late or "")
    assert "VEN-002" in [code for code, _ in book.errors()]
    book.exchange.end_withdrawal(book.journal.entries[-1].intent.client_id, TransferState.DONE)
    await book.settle()
    await book.settle()
    assert book.account.late is None
