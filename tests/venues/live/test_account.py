"""A live account as the engine sees it: what it believes when, what it says, and when it gives up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.venues.live.books import Book
from tests.venues.live.scripts import answer, be_away, change, fail
from tests.venues.live.test_intake import pay
from tests.venues.worlds import START, market

from basis_actors.errors import AuthFailed, Rejected, Transient
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import ReconciliationEvent
from basis_actors.messages.exchange import AccountState, PaymentKind, Wallet, WalletBalance
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import OrderType, Side
from basis_actors.times import NS_PER_SECOND

CASH, MARGIN = "binance:BaseToken:USDT", "binance:Margin:USDT"
PERP = "binance:PerpPosition:BTC-PERP"


@pytest.fixture
async def book() -> Book:
    return await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)


def lose(book: Book, amount: float, key: str = CASH) -> None:
    """Tokens vanish from the account without a line in the statement."""
    book.exchange._exchange._balances[key] -= amount


def more(amount: str) -> Any:
    """An account that shows so much more cash than there is."""

    def edit(state: AccountState) -> AccountState:
        balances = [
            WalletBalance(each.wallet, each.token, each.total + Decimal(amount), each.free)
            if each.token == "USDT"
            else each
            for each in state.balances
        ]
        return replace(state, balances=tuple(balances))

    return change(edit)


async def test_it_begins_with_what_the_account_holds(book: Book) -> None:
    (opening,) = book.settlements
    assert opening.source is DeltaSource.OPENING
    assert book.positions == {CASH: 50_000.0, MARGIN: 50_000.0}
    await book.agrees()


@pytest.mark.parametrize("split", [True, False])
async def test_a_position_is_taken_over_at_the_exchanges_entry(split: bool) -> None:
    book = await Book(split=split).open(USDT=50_000.0, **({"Margin_USDT": 50_000.0} if split else {}))
    await book.by_hand("BTC-PERP", "0.5")
    book.kill()
    await book.clock.sleep(1.0)
    await book.start()
    await book.settle()
    key = f"{book.terms.venue}:PerpPosition:BTC-PERP"
    assert book.positions[key] == 0.5
    assert book.entries == pytest.approx(book.exchange._exchange.entries)
    await book.agrees()


async def test_what_nothing_explains_is_believed_after_several_looks_and_said(book: Book) -> None:
    lose(book, 10.0)
    calls = book.api.calls["account"]
    (settlement,) = await book.settle()
    assert settlement.source is DeltaSource.ADJUSTMENT
    assert [(delta.position_key, delta.delta_amount) for delta in settlement.deltas] == [(CASH, -10.0)]
    assert book.api.calls["account"] - calls == 3
    events = book.account.findings.take_events()
    reconciled, error = events
    assert isinstance(reconciled, ReconciliationEvent)
    assert (reconciled.reconciliation_type, reconciled.success) == ("venue_wins", False)
    assert [(each.position_key, each.difference) for each in reconciled.mismatches] == [(CASH, -10.0)]
    assert "binance:BaseToken:USDT is 49990, 50000 is booked; the exchange is believed" in error.message  # type: ignore[attr-defined]
    await book.agrees(adjusted=True)


@pytest.mark.parametrize("looks", [1, 2])
async def test_what_goes_away_by_itself_is_not_believed(book: Book, looks: int) -> None:
    book.api.next("account", *[more("10")] * looks)
    assert await book.settle() == ()
    assert book.errors() == []
    await book.agrees()


async def test_only_what_stays_the_same_is_believed(book: Book) -> None:
    """An account that shows something else each time is not at rest."""
    book.api.next("account", *[more(str(10 + look)) for look in range(8)])
    await book.settle()
    await book.agrees()


async def test_an_account_that_never_rests_is_not_believed(book: Book) -> None:
    amounts = iter(range(1, 100))

    def edit(state: AccountState) -> AccountState:
        return replace(
            state,
            balances=tuple(replace_total(each, next(amounts)) for each in state.balances),
        )

    book.api.always["account"] = change(edit)
    assert await book.settle() == ()
    assert book.api.calls["account"] < 30
    book.api.always.clear()
    await book.agrees()


def replace_total(balance: WalletBalance, extra: int) -> WalletBalance:
    return WalletBalance(balance.wallet, balance.token, balance.total + extra, balance.free)


@pytest.mark.parametrize("pair", ["BTC-PERP", "BTCUSD-PERP"])
async def test_trades_that_were_shown_in_another_order_than_they_were_made_leave_the_exchanges_entry(pair: str) -> None:
    """What they realise depends on their order, what they are worth together does not."""
    book = await Book().open(Margin_USDT=50_000.0, Margin_BTC=2.0)
    amounts = ("0.5", 0.1, "0.2") if pair == "BTC-PERP" else ("20000", 4_000.0, "8000")
    await book.carry_out(book.trade(pair, Side.SHORT, float(amounts[0])))
    await book.advance(1, btc=41_000.0)
    await book.settle()
    await book.by_hand(pair, amounts[2])
    theirs = book.exchange._fills[-1]
    book.api.next("fills", *[change(lambda fills: tuple(each for each in fills if each != theirs))])
    await book.carry_out(book.trade(pair, Side.SHORT, amounts[1]))
    settled = await book.settle()
    assert [each.source for each in settled][-1] is DeltaSource.EXECUTION
    assert book.entries == pytest.approx(book.exchange._exchange.entries, rel=1e-12)
    await book.agrees()
    assert [code for code, _ in book.errors()] == ["VEN-007", "VEN-007"]


async def test_nothing_is_believed_while_an_order_of_ours_is_open(book: Book) -> None:
    await book.execute(book.trade("BTC/USDT", Side.BUY, 0.5, price=39_000.0, order_type=OrderType.LIMIT))
    lose(book, 10.0)
    assert await book.settle() == ()
    book.exchange.resting.clear()
    lose(book, -10.0)
    await book.agrees()


async def test_an_outage_is_said_once_and_what_happened_meanwhile_is_booked_after_it(book: Book) -> None:
    await book.by_hand("BTC-PERP", "0.5")
    book.api.always["account"] = be_away
    for _ in range(3):
        await book.advance()
        await book.settle()
    assert [code for code, _ in book.errors()].count("VEN-003") == 1
    book.api.always.clear()
    await book.settle()
    await book.agrees()
    book.api.next("account", be_away)
    await book.settle()
    assert [code for code, _ in book.errors()] == ["VEN-003"], "a further outage is said again"


async def test_a_report_during_an_outage_is_none(book: Book) -> None:
    book.api.next("account", be_away)
    with pytest.raises(Transient):
        await book.report()


@pytest.mark.parametrize("method", ["fills", "payments", "account"])
async def test_without_its_keys_an_account_is_halted_until_they_are_good_again(book: Book, method: str) -> None:
    book.api.always[method] = fail(AuthFailed("VEN-005", "the key was revoked"))
    for _ in range(2):
        await book.settle()
        assert book.account.key_refused == "the key was revoked"
    with pytest.raises(AuthFailed, match="VEN-005"):
        await book.report()
    book.api.always[method] = be_away
    await book.settle()
    assert book.account.key_refused is not None, "an outage says nothing of a key"
    book.api.always.clear()
    await book.settle()
    assert (book.account.key_refused, book.account.lost_since) == (None, None)
    assert [code for code, _ in book.errors()] == ["VEN-005", "VEN-005"], "that it is not taken, and that it is"
    await book.agrees()


async def test_what_is_not_said_of_a_position_is_not_flat(book: Book) -> None:
    await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 0.5))

    def say_nothing(state: AccountState) -> AccountState:
        return replace(state, holdings=(), pairs=frozenset({"ETH-PERP"}))

    book.api.always["account"] = change(say_nothing)
    await book.settle()
    ((code, text),) = book.errors()
    assert (code, "does not say what it holds of BTC-PERP, BTCUSD-PERP" in text) == ("VEN-003", True)
    assert book.positions[PERP] == -0.5
    book.api.always.clear()
    await book.agrees()


async def test_an_account_without_positions_is_no_start(book: Book) -> None:
    book.kill()
    await book.account.prepare()
    book.api.always["account"] = change(lambda state: replace(state, pairs=frozenset()))
    with pytest.raises(Transient, match="does not say what it holds"):
        await book.account.open()


@pytest.mark.parametrize(("seconds", "text"), [(31.0, "31 s ahead of"), (-31.0, "31 s behind"), (29.0, None)])
async def test_nothing_is_concluded_by_a_clock_that_is_not_that_of_the_exchange(
    book: Book, seconds: float, text: str | None
) -> None:
    """Trades would be looked for after they were made, and an order that was filled would count as never arrived."""
    book.kill()
    book.api.always["prepare"] = change(lambda ns: ns - round(seconds * NS_PER_SECOND))
    if text is None:
        await book.start()
        return
    with pytest.raises(Transient, match=f"VEN-003: the clock of this computer is {text} that of binance, 30 s are"):
        await book.account.prepare()


async def test_a_start_waits_for_the_account_to_come_to_rest(book: Book) -> None:
    book.kill()
    await book.account.prepare()
    book.api.next("account", more("5"), more("3"))
    await book.account.open()
    await book.settle()
    await book.agrees()


async def test_a_start_gives_up_on_an_account_that_somebody_else_trades_on(book: Book) -> None:
    book.kill()
    await book.account.prepare()

    async def trade_meanwhile(carry_out: Any) -> Any:
        await book.by_hand("BTC/USDT", "0.001")
        return await carry_out()

    book.api.always["account"] = trade_meanwhile
    with pytest.raises(Transient, match="VEN-003: binance goes on trading while its account is read"):
        await book.account.open()


async def test_a_start_is_not_misled_by_a_list_in_another_order(book: Book) -> None:
    for _ in range(4):
        await book.by_hand("BTC/USDT", "0.001")
    book.kill()
    flip = iter([1, -1] * 100)
    book.api.always["fills"] = change(lambda fills: fills[:: next(flip)])
    await book.account.prepare()
    await book.account.open()


async def test_a_market_that_is_not_there_is_named(book: Book) -> None:
    book.kill()
    filters = {pair: rules for pair, rules in (await book.exchange.filters()).items() if pair != "ETH-PERP"}
    book.api.next("filters", answer(filters))
    with pytest.raises(Rejected, match="VEN-004: binance has no market ETH-PERP; correct the venue's configuration"):
        await book.account.prepare()


async def test_an_exchange_has_no_transactions(book: Book) -> None:
    orders = tuple(
        replace(book.trade("BTC-PERP", Side.SHORT, 0.5), atomic_group_id="g", sequence_in_group=place)
        for place in range(2)
    )
    with pytest.raises(Rejected, match="EXEC-004: binance has no transactions, so the 2 orders of group 'g'"):
        await book.account.execute_group(orders)


async def test_funding_and_trades_of_a_week_add_up_to_the_last_digit(book: Book) -> None:
    await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 0.5))
    for hour in range(2, 170):
        at = START + hour * 3600 * 10**9
        stamps = [FundingStamp(at, "binance:BTC-PERP", 0.0001, 40_000.0)] if hour % 8 == 0 else []
        await book.advance(btc=40_000.0 + 7 * (hour % 31), funding=stamps)
        if hour % 24 == 5:
            side = Side.LONG if hour % 48 == 5 else Side.SHORT
            await book.carry_out(book.trade("BTC-PERP", side, 0.1))
        await book.settle()
    assert book.sources().count("funding") == 21
    await book.agrees()


def shift(token: str, amount: str) -> Any:
    """An account of which so much stands in the funding purse instead of where trades are paid."""

    def edit(state: AccountState) -> AccountState:
        balances = [
            replace(each, total=each.total - Decimal(amount)) if each.token == token else each
            for each in state.balances
        ]
        purse = WalletBalance(Wallet.FUNDING, token, Decimal(amount), Decimal(amount))
        return replace(state, balances=(*balances, purse))

    return change(edit)


async def test_what_is_moved_between_purses_is_neither_gain_nor_loss() -> None:
    book = await Book(split=False).open(USDT=50_000.0)
    book.api.always["account"] = shift("USDT", "9000")
    (settlement,) = await book.settle()
    assert settlement.source is DeltaSource.TRANSFER
    assert book.positions == {"bybit:BaseToken:USDT": 41_000.0, "bybit:Funding:USDT": 9_000.0}
    ((code, text),) = book.errors()
    assert code == "VEN-007"
    assert "was moved between its purses: bybit:" in text
    assert await book.settle() == ()


async def test_of_what_is_moved_and_lost_only_the_loss_is_an_adjustment() -> None:
    book = await Book(split=False).open(USDT=50_000.0, BTC=1.0)
    book.exchange._exchange._balances["bybit:BaseToken:BTC"] -= 0.0001
    book.api.always["account"] = shift("USDT", "9000")
    settled = await book.settle()
    assert [each.source for each in settled] == [DeltaSource.TRANSFER, DeltaSource.ADJUSTMENT]
    assert [delta.position_key for delta in settled[1].deltas] == ["bybit:BaseToken:BTC"]


# What nothing explains and is too much to be believed at once


WAITS = 900.0


def shows(**totals: str) -> Any:
    """An account that shows these amounts of tokens in each purse that has any."""

    def edit(state: AccountState) -> AccountState:
        return replace(
            state,
            balances=tuple(
                replace(each, total=Decimal(totals[each.token])) if each.token in totals else each
                for each in state.balances
            ),
        )

    return change(edit)


@pytest.mark.parametrize("amount", ["0", "50000000", "-50000"])
async def test_an_absurd_answer_is_said_and_not_booked(book: Book, amount: str) -> None:
    book.api.always["account"] = shows(USDT=amount)
    for _ in range(3):
        assert await book.settle() == ()
        await book.clock.sleep(200.0)
    ((code, text),) = book.errors()
    assert code == "VEN-009"
    assert f"{CASH} is {float(amount):.12g}, 50000 is booked" in text
    assert book.account.doubt is not None
    assert await book.report() == book.positions == {CASH: 50_000.0, MARGIN: 50_000.0}
    book.api.always.clear()
    assert await book.settle() == ()
    assert book.account.doubt is None
    ((code, text),) = book.errors()
    assert (code, "shows what is booked again" in text) == ("VEN-009", True)
    await book.agrees()


async def test_what_it_shows_for_long_enough_is_believed_and_no_return(book: Book) -> None:
    lose(book, 40_000.0)
    assert await book.settle() == ()
    await book.clock.sleep(WAITS - 60.0)
    assert await book.settle() == ()
    await book.clock.sleep(60.0)
    (settlement,) = await book.settle()
    assert settlement.source is DeltaSource.UNEXPLAINED
    assert [(each.position_key, each.delta_amount) for each in settlement.deltas] == [(CASH, -40_000.0)]
    assert [code for code, _ in book.errors()] == ["VEN-009", "VEN-007"]
    assert book.account.doubt is None
    await book.agrees()


async def test_what_it_shows_differently_each_time_is_not_believed(book: Book) -> None:
    for turn in range(6):
        lose(book, 5_000.0)
        assert await book.settle() == (), turn
        await book.clock.sleep(WAITS / 2)
    assert [code for code, _ in book.errors()] == ["VEN-009"]


async def test_what_the_history_explains_later_is_booked_as_what_it_is(book: Book) -> None:
    lose(book, 40_000.0)
    assert await book.settle() == ()
    lose(book, -40_000.0)
    pay(book, PaymentKind.WITHDRAWAL, "-40000")
    assert [each.source for each in await book.settle()] == [DeltaSource.WITHDRAWAL]
    assert book.account.doubt is None
    await book.agrees()


async def test_trades_go_on_being_booked_while_an_answer_is_not_believed(book: Book) -> None:
    book.api.always["account"] = more("7000")
    await book.settle()
    await book.by_hand("BTC-PERP", "0.5")
    (execution, _fee) = await book.settle()
    assert execution.source is DeltaSource.EXECUTION
    assert book.account.doubt is not None
    book.api.always.clear()
    await book.settle()
    await book.agrees()


def without_perps(state: AccountState) -> AccountState:
    return replace(state, holdings=())


async def test_a_position_that_has_vanished_is_kept_first_and_closed_at_its_mark_at_last(book: Book) -> None:
    """What it had gained was equity before; that the cash does not show it is money that has gone, and no loss."""
    await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 1.0))
    await book.advance(1, btc=38_000.0)
    await book.settle()
    size, cash, entry = book.positions[PERP], book.positions[MARGIN], book.entries[PERP]
    book.api.always["account"] = change(without_perps)
    assert await book.settle() == ()
    assert (await book.report())[PERP] == size == -1.0
    await book.clock.sleep(WAITS)
    closed, gone = await book.account.settle(TickStarted(1, market(1, btc=38_000.0)))
    book.apply((closed, gone))
    mark = market(1, btc=38_000.0).perps["binance:BTC-PERP"].mark
    assert mark is not None
    assert (closed.source, gone.source) == (DeltaSource.ADJUSTMENT, DeltaSource.UNEXPLAINED)
    assert [(each.position_key, each.delta_amount) for each in closed.deltas] == [
        (PERP, 1.0),
        (MARGIN, pytest.approx(entry - mark)),
    ]
    assert [(each.position_key, each.delta_amount) for each in gone.deltas] == [(MARGIN, pytest.approx(mark - entry))]
    assert PERP not in book.positions
    assert book.positions[MARGIN] == pytest.approx(cash)
