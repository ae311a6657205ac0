"""How trades and statement entries reach the ledger: each once, in order of time, whatever order they are shown in."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from tests.venues.live.books import Book
from tests.venues.live.scripts import be_away, change, lose_the_reply

from basis_actors.errors import Transient, UnknownOutcome
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import Payment, PaymentKind, VenueFill, Wallet
from basis_actors.messages.execution import OWNERS_FLOWS, DeltaSource, PositionDelta
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Side

CASH, MARGIN = "binance:BaseToken:USDT", "binance:Margin:USDT"
TRANSIT = "transit:BaseToken:USDT"


@pytest.fixture
async def book() -> Book:
    return await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)


def pay(book: Book, kind: PaymentKind, amount: str, **more: Any) -> Payment:
    """Put an entry into the statement, and what it says on the account."""
    payment = Payment(
        payment_id=more.pop("payment_id", book.exchange._next("p")),
        kind=kind,
        wallet=more.pop("wallet", Wallet.SPOT),
        token=more.pop("token", "USDT"),
        amount=Decimal(amount),
        pair=None,
        time_ns=more.pop("time_ns", book.clock.ns),
    )
    book.exchange._payments.append(payment)
    key = book.terms.cash_key(payment.wallet, payment.token)
    balances = book.exchange._exchange._balances
    balances[key] = balances.get(key, 0.0) + float(payment.amount)
    return payment


async def test_everything_is_booked_once_however_often_it_is_shown(book: Book) -> None:
    random = Random(5)

    def stir(items: tuple[Any, ...]) -> tuple[Any, ...]:
        stirred = [*items, *items]
        random.shuffle(stirred)
        return tuple(stirred)

    book.api.always = {"fills": change(stir), "payments": change(stir)}
    await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 0.5))
    for pair, amount in (("BTC/USDT", "0.1"), ("ETH-PERP", "0.5"), ("BTC/USDT", "0.2")):
        await book.by_hand(pair, amount)
        await book.clock.sleep(1.0)
    stamp = FundingStamp(book.clock.ns + 10**9, "binance:BTC-PERP", 0.0001, 40_000.0)
    await book.advance(funding=[stamp])
    pay(book, PaymentKind.DEPOSIT, "100")
    for _ in range(3):
        await book.settle()
    await book.agrees()
    counts = {source: book.sources().count(source) for source in ("execution", "funding", "deposit")}
    assert counts == {"execution": 4, "funding": 1, "deposit": 1}


async def test_what_happened_is_booked_in_order_of_time(book: Book) -> None:
    began = book.clock.ns
    for number in range(5):
        await book.by_hand("BTC/USDT" if number % 2 else "ETH/USDT", "0.1")
        await book.clock.sleep(1.0)
        pay(book, PaymentKind.OTHER, "1.5")
        await book.clock.sleep(1.0)
    await book.settle()
    times = [each.timestamp for each in book.settlements if each.timestamp.timestamp() * 1e9 >= began]
    assert times == sorted(times)
    assert len({*times}) == 10


@pytest.mark.parametrize("late", [1.0, 60.0, 119.0])
async def test_what_is_shown_late_is_booked_all_the_same(book: Book, late: float) -> None:
    """Far enough back is read again that an entry may come a while after others that are younger."""
    pay(book, PaymentKind.FUNDING, "5")
    hidden = book.exchange._payments.pop()
    book.exchange._exchange._balances[CASH] -= 5.0
    await book.clock.sleep(late)
    pay(book, PaymentKind.FUNDING, "7")
    await book.settle()
    book.exchange._payments.append(hidden)
    book.exchange._exchange._balances[CASH] += 5.0
    await book.settle()
    assert book.sources().count("funding") == 2
    await book.agrees()


async def test_fees_in_a_token_that_is_not_booked_are_said_once(book: Book) -> None:
    """Binance takes them in BNB from whoever lets it."""
    for number in range(2):
        await book.by_hand("BTC-PERP", "0.1")
        trade = book.exchange._fills[-1]
        book.exchange._exchange._balances[MARGIN] += float(trade.fee)
        book.exchange._fills[-1] = replace(trade, fee=Decimal("0.01"), fee_currency="BNB")
        await book.settle()
        said = [text for code, text in book.errors() if code == "VEN-004"]
        assert ["takes fees in BNB, 0.01 of it" in text for text in said] == [True] * (not number)
    await book.agrees()


async def test_a_quiet_market_is_not_read_from_the_beginning_every_time(book: Book) -> None:
    """Exchanges give a day or a week of trades at most in one answer."""
    asked: list[int] = []
    original = book.exchange.fills

    async def fills(pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        asked.append(book.clock.ns - since_ns)
        return await original(pair, since_ns)

    book.exchange.fills = fills  # type: ignore[method-assign]
    for _ in range(3):
        await book.advance(hours=24)
        await book.settle()
    asked.clear()
    await book.clock.sleep(10.0)
    await book.settle()
    assert max(asked) <= 130 * 10**9


async def test_nothing_is_skipped_over_by_a_reading_that_failed(book: Book) -> None:
    await book.by_hand("BTC/USDT", "0.1")
    book.api.next("payments", *[be_away] * 3)
    for _ in range(3):
        await book.settle()
        await book.advance()
    assert "execution" not in book.sources()
    await book.settle()
    await book.agrees()
    assert book.sources().count("execution") == 1


async def test_a_trade_that_nobody_ordered_is_booked_and_said(book: Book) -> None:
    await book.by_hand("BTC/USDT", "0.1")
    (settlement, fee) = await book.settle()
    assert (settlement.operation_id, fee.operation_id) == (None, None)
    ((code, text),) = book.errors()
    assert code == "VEN-007"
    assert "binance bought 0.1 BTC/USDT at 40016" in text
    assert "which is not ours: a liquidation, or somebody else; the trade is booked" in text
    await book.agrees()


async def test_a_trade_of_an_earlier_process_that_is_shown_late_is_said_to_be_its(book: Book) -> None:
    """Concluded by its query before the ledger began, filled further by a copy that lagged."""
    await book.execute(book.trade("BTC-PERP", Side.SHORT, 0.5))
    number = book.journal.entries[-1].venue_id
    book.kill()
    await book.clock.sleep(1.0)
    await book.start()
    await book.settle()
    await book.clock.sleep(1.0)
    await book.by_hand("BTC-PERP", "0.1", buys=False)
    book.exchange._fills[-1] = replace(book.exchange._fills[-1], venue_order_id=str(number))
    await book.settle()
    ((code, text),) = book.errors()
    assert (code, "which is of an earlier process; the trade is booked" in text) == ("VEN-007", True)
    await book.agrees()


async def test_a_liquidation_is_booked_with_what_it_cost(book: Book) -> None:
    await book.carry_out(book.trade("BTC-PERP", Side.LONG, 10.0))
    await book.advance(btc=33_000.0, lows={"BTC": 33_000.0})
    await book.settle()
    assert "binance:PerpPosition:BTC-PERP" not in book.positions
    assert {code for code, _ in book.errors()} == {"VEN-007"}
    assert book.sources()[-2:] == ["execution", "fee"]
    await book.agrees()


@pytest.mark.parametrize(
    ("kind", "amount", "source", "said"),
    [
        (PaymentKind.FUNDING, "-3.25", "funding", False),
        (PaymentKind.OTHER, "5", "adjustment", True),
        (PaymentKind.LIQUIDATION_FEE, "-2", "fee", True),
        (PaymentKind.WITHDRAWAL, "-1000", "withdrawal", True),
        (PaymentKind.DEPOSIT, "1000", "deposit", False),
    ],
)
async def test_each_kind_of_entry_has_its_source(
    book: Book, kind: PaymentKind, amount: str, source: str, said: bool
) -> None:
    pay(book, kind, amount, wallet=Wallet.LINEAR)
    (settlement,) = await book.settle()
    assert settlement.source.value == source
    assert [(delta.position_key, delta.delta_amount) for delta in settlement.deltas] == [(MARGIN, float(amount))]
    assert [code for code, _ in book.errors()] == (["VEN-007"] if said else [])
    assert (await book.report())[MARGIN] == pytest.approx(book.positions[MARGIN])


async def test_a_token_that_is_not_booked_is_nobodys_business(book: Book) -> None:
    pay(book, PaymentKind.OTHER, "5", token="BNB")
    assert await book.settle() == ()
    assert book.errors() == []


async def test_more_is_withdrawn_by_the_owner_than_the_ledger_knows_of(book: Book) -> None:
    """The statement may show what left before it shows what came."""
    pay(book, PaymentKind.WITHDRAWAL, "-60000")
    late = pay(book, PaymentKind.DEPOSIT, "20000")
    book.exchange._payments.remove(late)
    await book.settle()
    assert CASH not in await book.report(), "ten thousand that nothing explains are not believed at once"
    book.exchange._payments.append(late)
    await book.settle()
    await book.clock.sleep(book.terms.patience.unexplained_seconds)
    await book.settle()
    assert (await book.report())[CASH] == pytest.approx(10_000.0) == book.positions[CASH]
    flows = [each for each in book.settlements if each.source in OWNERS_FLOWS]
    assert sum(delta.delta_amount for each in flows for delta in each.deltas) == pytest.approx(20_000.0 - 60_000.0)
    assert DeltaSource.ADJUSTMENT not in {each.source for each in book.settlements}


# What is on its way


def on_its_way(book: Book, amount: float, operation: str = "op-sent") -> IncomingTransfer:
    return IncomingTransfer(operation, CASH, TRANSIT, amount, book.clock.ns)


async def expect(book: Book, *transfers: IncomingTransfer) -> None:
    """Another domain has sent tokens: they are in transit in the ledger."""
    for transfer in transfers:
        await book.account.expect(transfer)
        book.positions[TRANSIT] = book.positions.get(TRANSIT, 0.0) + transfer.amount


async def test_tokens_that_were_on_their_way_arrive(book: Book) -> None:
    await expect(book, on_its_way(book, 1_000.0))
    assert (await book.report())[TRANSIT] == 1_000.0
    pay(book, PaymentKind.DEPOSIT, "1000")
    (settlement,) = await book.settle()
    assert (settlement.source.value, settlement.operation_id) == ("transfer", "op-sent")
    assert TRANSIT not in book.positions
    assert TRANSIT not in await book.report()
    assert await book.journal.expected("binance") == ()
    assert book.errors() == []


async def test_tokens_that_were_seen_long_before_they_are_credited_arrive(book: Book) -> None:
    """A deposit carries the time at which it was first seen."""
    await expect(book, on_its_way(book, 1_000.0))
    await book.clock.sleep(7_200.0)
    await book.settle()
    pay(book, PaymentKind.DEPOSIT, "1000", time_ns=book.clock.ns - 3_500 * 10**9)
    (settlement,) = await book.settle()
    assert settlement.source.value == "transfer"
    assert await book.journal.expected("binance") == ()
    await book.agrees()


async def test_what_the_way_has_cost_is_a_fee(book: Book) -> None:
    await expect(book, on_its_way(book, 1_000.0))
    pay(book, PaymentKind.DEPOSIT, "998.5")
    transfer, fee = await book.settle()
    assert (transfer.source.value, fee.source.value) == ("transfer", "fee")
    assert fee.deltas[0].delta_amount == pytest.approx(-1.5)
    assert (await book.report())[CASH] == pytest.approx(50_998.5) == book.positions[CASH]
    assert TRANSIT not in book.positions


@pytest.mark.parametrize("amount", ["899", "1101"])
async def test_an_amount_that_is_not_alike_is_the_owners(book: Book, amount: str) -> None:
    await expect(book, on_its_way(book, 1_000.0))
    pay(book, PaymentKind.DEPOSIT, amount)
    (settlement,) = await book.settle()
    assert settlement.source.value == "deposit"
    assert len(await book.journal.expected("binance")) == 1


async def test_the_closest_in_amount_is_meant(book: Book) -> None:
    sent = [on_its_way(book, amount, name) for name, amount in (("a", 1_000.0), ("b", 950.0), ("c", 1_050.0))]
    await expect(book, *sent)
    pay(book, PaymentKind.DEPOSIT, "951")
    await book.settle()
    assert {transfer.operation_id for transfer in await book.journal.expected("binance")} == {"a", "c"}


async def test_another_token_is_not_meant(book: Book) -> None:
    await expect(book, on_its_way(book, 1_000.0))
    pay(book, PaymentKind.DEPOSIT, "1000", token="ETH")
    (settlement,) = await book.settle()
    assert settlement.source.value == "deposit"


async def test_the_same_word_twice_is_one_transfer(book: Book) -> None:
    for _ in range(2):
        await book.account.expect(on_its_way(book, 1_000.0))
    assert len(await book.journal.expected("binance")) == 1


async def test_a_transfer_of_the_same_name_by_the_next_process_is_another(book: Book) -> None:
    await expect(book, on_its_way(book, 1_000.0, "op-1"))
    book.kill()
    await book.clock.sleep(1.0)
    await book.start()
    await expect(book, on_its_way(book, 2_000.0, "op-1"))
    assert [transfer.amount for transfer in await book.journal.expected("binance")] == [1_000.0, 2_000.0]


async def test_what_is_on_its_way_at_the_start_is_in_the_ledger(book: Book) -> None:
    await expect(book, on_its_way(book, 1_000.0))
    book.kill()
    await book.clock.sleep(1.0)
    await book.start()
    await book.settle()
    assert book.positions[TRANSIT] == 1_000.0
    pay(book, PaymentKind.DEPOSIT, "1000")
    await book.settle()
    assert TRANSIT not in book.positions
    assert book.positions[CASH] == 51_000.0


@pytest.mark.parametrize("days", [0, 5])
async def test_what_arrived_while_no_process_ran_is_not_on_its_way_any_more(book: Book, days: int) -> None:
    """However long that was."""
    await expect(book, on_its_way(book, 1_000.0))
    book.kill()
    await book.clock.sleep(60.0)
    pay(book, PaymentKind.DEPOSIT, "1000")
    await book.advance(hours=24 * days + 1)
    await book.start()
    await book.settle()
    assert TRANSIT not in book.positions
    assert book.positions[CASH] == 51_000.0
    await book.settle()
    assert "deposit" not in book.sources()


async def test_a_withdrawal_of_ours_that_the_statement_shows_is_booked_once(book: Book) -> None:
    handshake = await book.execute(book.transfer(CASH, "wallet:BaseToken:USDT", 500.0))
    assert handshake.was_successful()
    number = str(handshake.venue_metadata["venue_transfer_id"])
    statement = Payment(
        payment_id=number,
        kind=PaymentKind.WITHDRAWAL,
        wallet=Wallet.SPOT,
        token="USDT",
        amount=Decimal(-501),
        pair=None,
        time_ns=book.clock.ns,
    )
    book.exchange._payments.append(statement)
    await book.settle()
    assert "withdrawal" not in book.sources()
    assert book.positions.pop(TRANSIT) == 500.0
    await book.agrees()


async def test_a_withdrawal_of_an_earlier_process_is_no_owners(book: Book) -> None:
    book.api.next("move", lose_the_reply)
    with pytest.raises(UnknownOutcome):
        await book.execute(book.transfer(CASH, "wallet:BaseToken:USDT", 500.0))
    book.kill()
    await book.clock.sleep(1.0)
    await book.start()
    number = book.journal.entries[-1].venue_id
    assert number is not None
    book.exchange._payments.append(
        Payment(
            payment_id=number,
            kind=PaymentKind.WITHDRAWAL,
            wallet=Wallet.SPOT,
            token="USDT",
            amount=Decimal(-501),
            pair=None,
            time_ns=book.clock.ns,
        )
    )
    await book.settle()
    assert book.sources() == ["opening"]
    await book.agrees()


async def test_it_says_what_it_cannot_read(book: Book) -> None:
    book.api.always["fills"] = be_away
    with pytest.raises(Transient):
        await book.report()


@pytest.mark.parametrize("seed", range(20))
async def test_in_whatever_pieces_things_are_shown_the_ledger_ends_the_same(seed: int) -> None:
    """Trades and entries turn up at any of several readings, doubled, in any order."""
    random = Random(seed)
    book = await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)
    shown: set[str] = set()

    def part(items: tuple[Any, ...]) -> tuple[Any, ...]:
        for item in items:
            if random.random() < 0.5:
                shown.add(getattr(item, "trade_id", None) or item.payment_id)
        found = [item for item in items if (getattr(item, "trade_id", None) or item.payment_id) in shown]
        random.shuffle(found)
        return tuple(found)

    book.api.always = {"fills": change(part), "payments": change(part)}
    for _ in range(12):
        what = random.randrange(4)
        if what == 0:
            await book.by_hand("BTC-PERP", str(random.randint(1, 500) / 1000), buys=random.random() < 0.5)
        elif what == 1:
            await book.by_hand("BTC/USDT", "0.1")
        elif what == 2:
            pay(book, PaymentKind.FUNDING, str(random.randint(-100, 100) / 8), wallet=Wallet.LINEAR)
        else:
            await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 0.25))
        await book.clock.sleep(random.uniform(0.0, 5.0))
    book.api.always = {}
    await book.settle()
    held = await book.exchange.everything()
    assert await book.report() == pytest.approx(held, rel=1e-9)
    assert book.positions == pytest.approx(held, rel=1e-9)


async def test_what_has_not_arrived_in_time_is_an_error_again_and_again_until_it_has(book: Book) -> None:
    """Two hours are late; a look every half hour says it after them, and then every two hours."""
    await expect(book, on_its_way(book, 1_000.0))
    said = []
    for half_hour in range(1, 14):
        await book.clock.sleep(1_800.0)
        await book.settle()
        said += [(half_hour, code, text) for code, text in book.errors()]
        assert (book.account.late is not None) == (half_hour > 4)
    assert [(half_hour, code) for half_hour, code, _ in said] == [(5, "VEN-002"), (9, "VEN-002"), (13, "VEN-002")]
    text = "1000 USDT for binance:BaseToken:USDT are on their way since 2024-01-01 01:00 UTC: 2.5 h, 2 h is late"
    assert text in said[0][2]
    pay(book, PaymentKind.DEPOSIT, "1000")
    await book.settle()
    assert (book.account.late, book.errors()) == (None, [])


async def test_a_process_that_comes_after_says_at_once_what_is_late(book: Book) -> None:
    await expect(book, on_its_way(book, 1_000.0))
    await book.clock.sleep(3 * 3_600.0)
    book.kill()
    await book.start()
    await book.settle()
    assert [code for code, _ in book.errors()] == ["VEN-002"]


# What the owner moves while no process runs


async def test_what_the_owner_moves_between_two_processes_is_his_and_no_gain_or_loss(book: Book) -> None:
    """5,000 come and 12,000 go while nothing runs: the next process opens with them as flows, and only once."""
    pay(book, PaymentKind.DEPOSIT, "700")
    await book.settle()
    book.kill()
    pay(book, PaymentKind.DEPOSIT, "5000")
    pay(book, PaymentKind.WITHDRAWAL, "-12000")
    await book.clock.sleep(60.0)
    await book.start()
    opening, deposit, withdrawal = await book.settle()
    assert [each.source.value for each in (opening, deposit, withdrawal)] == ["opening", "deposit", "withdrawal"]
    assert {delta.position_key: delta.delta_amount for delta in opening.deltas} == {CASH: 50_700.0, MARGIN: 50_000.0}
    assert [each.deltas[0].delta_amount for each in (deposit, withdrawal)] == [5_000.0, -12_000.0]
    await book.agrees()
    book.kill()
    await book.clock.sleep(60.0)
    await book.start()
    assert [each.source.value for each in await book.settle()] == ["opening"]
    await book.agrees()


@pytest.mark.parametrize("opened", [False, True])
async def test_a_start_that_fails_forgets_nothing_of_what_the_owner_moved(book: Book, opened: bool) -> None:
    """The ledger of whoever trades next goes on from the last one that traded."""
    book.kill()
    pay(book, PaymentKind.WITHDRAWAL, "-12000")
    await book.clock.sleep(60.0)
    await book.account.prepare()
    if opened:
        await book.account.conclude_earlier()
        await book.account.open()
    book.kill()
    await book.clock.sleep(60.0)
    await book.start()
    assert [each.source.value for each in await book.settle()] == ["opening", "withdrawal"]
    await book.agrees()


async def test_what_came_and_was_moved_on_to_another_purse_leaves_room_for_what_was_taken_before(book: Book) -> None:
    """Of an account with other markets than before, which begins with what it shows."""
    book.terms = book.terms._replace(pairs=book.terms.pairs[:-1])
    book.kill()
    pay(book, PaymentKind.WITHDRAWAL, "-1000")
    await book.clock.sleep(1.0)
    pay(book, PaymentKind.DEPOSIT, "5000")
    held = book.exchange._exchange._balances
    held[MARGIN] += held.pop(CASH)
    await book.clock.sleep(60.0)
    await book.start()
    await book.settle()
    assert sorted(book.sources()) == ["deposit", "opening", "withdrawal"]
    await book.agrees()


@pytest.mark.parametrize("runs", [False, True])
async def test_a_withdrawal_of_the_owner_that_comes_back_is_no_gain(book: Book, runs: bool) -> None:
    pay(book, PaymentKind.WITHDRAWAL, "-12000")
    await book.settle()
    if not runs:
        book.kill()
    await book.clock.sleep(60.0)
    pay(book, PaymentKind.WITHDRAWAL, "12000")
    if not runs:
        await book.start()
    await book.settle()
    assert book.sources()[-1] == "withdrawal"
    assert book.settlements[-1].deltas == (PositionDelta(CASH, 12_000.0),)
    await book.agrees()


async def test_the_first_process_opens_with_what_there_is() -> None:
    book = Book()
    pay(book, PaymentKind.DEPOSIT, "700")
    await book.open()
    assert book.sources() == ["opening"]


async def test_what_was_on_its_way_is_not_the_owners_also_when_it_arrives_between_two_processes(book: Book) -> None:
    await expect(book, on_its_way(book, 1_000.0))
    book.kill()
    pay(book, PaymentKind.DEPOSIT, "1000")
    await book.clock.sleep(60.0)
    await book.start()
    assert [each.source.value for each in await book.settle()] == ["opening"]
    await book.agrees()
