"""What goes wrong in stories: each fault as it is meant, and none that never strikes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace
from tests.simulation.settings import setting
from tests.venues.journal.intents import fill, incoming, intent, payment
from tests.venues.live.books import Book
from tests.venues.worlds import at_once

from basis_actors.errors import AuthFailed, Transient, UnknownOutcome
from basis_actors.messages.exchange import AccountState, OrderState, TransferState, TransferTicket, Wallet
from basis_actors.messages.journal import IntentState
from basis_actors.messages.orders import Side
from basis_actors.services.simulation.copies import Copies
from basis_actors.services.simulation.fate import Fate, Rates
from basis_actors.services.simulation.faults import FaultyExchangeApi
from basis_actors.services.simulation.frail_journal import FrailJournal, KilledWhileWriting
from basis_actors.services.simulation.stranger import MARK, Stranger
from basis_actors.services.simulation.telling import tell
from basis_actors.services.simulation.world import World, WorldClock

R = TypeVar("R")
NEVER = 10**30
FAULTS = {
    "account without positions",
    "blank account",
    "filled in part",
    "keys revoked",
    "killed after a write",
    "killed at work",
    "killed before a write",
    "killed by hand",
    "killed early",
    "late trade",
    "no answer",
    "old account",
    "old copy",
    "order: busy",
    "order: hangs",
    "order: limited",
    "order: refused",
    "order: reply lost",
    "order: reply slow",
    "order: request late",
    "order: request lost",
    "outage",
    "repeated",
    "trade by hand",
    "transfer: busy",
    "transfer: hangs",
    "transfer: limited",
    "transfer: refused",
    "transfer: reply lost",
    "transfer: reply slow",
    "transfer: request late",
    "transfer: request lost",
    "withdrawal given up",
    "withdrawal pending",
}


@pytest.mark.long
def test_every_fault_strikes_now_and_then() -> None:
    struck: Counter[str] = Counter()
    for report in tell(setting("eth_basis", 168), range(20)):
        struck.update(report.faults)
    assert set(struck) == FAULTS


def fate(seed: int = 0, until_ns: int = NEVER, **rates: float) -> Fate:
    """Nothing is left to chance but `rates`."""
    return Fate(Random(seed), Rates.calm()._replace(**rates), until_ns)


def test_nothing_strikes_in_a_calm_or_after_the_end() -> None:
    assert not any(rate for name, rate in Rates.calm()._asdict().items() if not name.endswith(("_seconds", "_delay")))
    assert not fate(until_ns=10).strikes("anything", 1.0, 10)
    assert fate(until_ns=10).strikes("anything", 1.0, 9)


async def copies_of(book: Book, **rates: float) -> tuple[Copies, WorldClock]:
    clock = WorldClock(book.clock.ns)
    return Copies(fate(**rates), clock), clock


def pass_seconds(clock: WorldClock, seconds: float) -> None:
    clock.move_to(clock.now() + round(seconds * 10**9))


@pytest.fixture
async def book() -> Book:
    return await Book().open(USDT=50_000.0, Margin_USDT=50_000.0)


async def test_an_account_that_has_just_changed_is_shown_as_it_was_for_a_while(book: Book) -> None:
    copies, clock = await copies_of(book, old_account=1.0)
    before = await book.exchange.account()
    copies.keep(before)
    await book.by_hand("BTC-PERP", "0.5")
    after = await book.exchange.account()
    pass_seconds(clock, 1.9)
    assert copies.account(after).holdings == ()
    pass_seconds(clock, 0.2)
    assert copies.account(after).holdings == after.holdings


async def test_a_trade_of_ours_may_be_shown_late_and_is_shown_from_then_on(book: Book) -> None:
    copies, clock = await copies_of(book, late_trade=1.0)
    await book.by_hand("BTC-PERP", "0.5")
    (ours,) = await book.exchange.fills("BTC-PERP", 0)
    report = await book.exchange.order_by_number("BTC-PERP", ours.venue_order_id)
    assert copies.fills([ours]) == (ours,), "one of somebody else is not held back"
    assert report is not None
    copies.know(report)
    copies._shown_from.clear()
    shown = []
    for _ in range(20):
        pass_seconds(clock, 0.6)
        shown.append(bool(copies.fills([ours])))
    assert shown == sorted(shown)
    assert 3 <= shown.count(False) <= 17


def test_a_clock_that_differs_differs_everywhere_by_the_same() -> None:
    clock = WorldClock(10**18)
    copies = Copies(fate(clock_difference=2.0), clock)
    by = copies.fills([fill("f1")])[0].time_ns - fill("f1").time_ns
    assert 0 < abs(by) <= 2 * 10**9
    assert copies.payments([payment("p1")])[0].time_ns - payment("p1").time_ns == by
    assert copies.account(AccountState((), (), frozenset(), 100)).time_ns == 100 + by
    assert copies.since(1_000) == 1_000 - by


@pytest.mark.parametrize("is_known", [False, True])
async def test_an_account_that_somebody_knew_is_shown_empty_for_a_while(book: Book, is_known: bool) -> None:
    clock = WorldClock(book.clock.ns)
    copies = Copies(fate(blank=1.0), clock, is_known=is_known)
    state = await book.exchange.account()
    shown = copies.account(state)
    assert (shown.balances, shown.pairs) == (() if is_known else state.balances, state.pairs)
    pass_seconds(clock, 600.0)
    assert copies.account(state) == state


def test_lists_hold_something_twice_and_lose_nothing() -> None:
    copies = Copies(fate(repeated=1.0), WorldClock(10**18))
    fills = [fill(f"f{number}") for number in range(5)]
    shown = copies.fills(fills)
    assert len(shown) == 6
    assert set(shown) == set(fills)


# The journal whose writes kill


def killed(work: Awaitable[R]) -> R | None:
    """What a write gives; None when the process is killed in it."""
    try:
        return at_once(work)  # type: ignore[arg-type]
    except KilledWhileWriting:
        return None


@pytest.mark.parametrize(("where", "is_there"), [("killed before a write", False), ("killed after a write", True)])
def test_a_kill_strikes_before_a_write_takes_effect_or_after_it(where: str, is_there: bool) -> None:
    armed = [False]
    journal = FrailJournal("test", lambda place: armed[0] and place == where)
    at_once(journal.expect("bybit", incoming("op")))
    at_once(journal.intend(intent("c0")))
    at_once(journal.begin_group("old", ()))
    armed[0] = True
    for write in (
        journal.intend(intent("c1")),
        journal.advance("c0", IntentState.SENT, Decimal(0), "sent", 1),
        journal.book_fill("binance", fill("f1")),
        journal.book_payment("binance", payment("p1")),
        journal.expect("bybit", incoming("new")),
        journal.arrived("bybit", incoming("op")),
        journal.begin_group("group", ()),
        journal.end_group(1, "old"),
    ):
        assert killed(write) is None
    found = journal.reopened()
    assert found.incarnation == 2
    armed[0] = False
    assert [entry.intent.client_id for entry in found.entries] == (["c0", "c1"] if is_there else ["c0"])
    assert found.entries[0].state is (IntentState.SENT if is_there else IntentState.PENDING)
    assert at_once(found.book_fill("binance", fill("f1"))) is not is_there
    assert at_once(found.book_payment("binance", payment("p1"))) is not is_there
    names = [transfer.operation_id for transfer in at_once(found.expected("bybit"))]
    assert names == (["new"] if is_there else ["op"])
    assert [name for _, name, _ in found._book.groups] == (["group"] if is_there else ["old"])


def test_what_writes_nothing_kills_nobody() -> None:
    armed = [False]
    journal = FrailJournal("test", lambda _place: armed[0])
    at_once(journal.book_fill("binance", fill("f1")))
    at_once(journal.book_payment("binance", payment("p1")))
    armed[0] = True
    assert not at_once(journal.book_fill("binance", fill("f1")))
    assert not at_once(journal.book_payment("binance", payment("p1")))
    assert at_once(journal.unresolved("binance")) == ()


# What the exchange does by itself


async def test_somebody_else_trades_a_little_of_what_there_is(book: Book) -> None:
    stranger = Stranger(book.exchange, fate(3))
    await stranger.trade()
    assert await book.exchange.fills("BTC-PERP", 0) == (), "nothing is held, so there is nothing to trade"
    await book.carry_out(book.trade("BTC-PERP", Side.SHORT, 0.5))
    for _ in range(6):
        await stranger.trade()
    names = [name for name in book.exchange.carried_out if name.startswith(MARK)]
    assert len(names) == 6
    assert all(
        Decimal("0.005") * Decimal("0.9") <= book.exchange.carried_out[name] <= Decimal("0.06") for name in names
    )
    await book.settle()
    await book.agrees()


async def test_somebody_else_trades_no_less_than_a_lot(book: Book) -> None:
    await book.by_hand("BTC-PERP", "0.005")
    stranger, before = Stranger(book.exchange, fate(3)), dict(book.exchange.carried_out)
    book.exchange._exchange._balances["binance:BaseToken:BTC"] = -1e-13
    for _ in range(20):
        await stranger.trade()
    assert book.exchange.carried_out == before


@pytest.mark.parametrize("end", [TransferState.DONE, TransferState.FAILED])
async def test_a_withdrawal_that_was_accepted_leaves_or_comes_back(book: Book, end: TransferState) -> None:
    before = await book.exchange.everything()
    ticket = TransferTicket(
        client_id="t1",
        token="USDT",
        amount=Decimal(500),
        source=Wallet.SPOT,
        target=None,
        address="bybit:BaseToken:USDT",
    )
    report = await book.exchange.accept(ticket)
    assert (report.state, report.fee) == (TransferState.PENDING, 1)
    assert before["binance:BaseToken:USDT"] - (await book.exchange.everything())["binance:BaseToken:USDT"] == 501.0
    assert book.withdrawn == []
    await book.exchange.conclude(ticket, end)
    found = await book.exchange.moved(ticket, 0)
    assert found == replace(report, state=end)
    done = end is TransferState.DONE
    assert book.withdrawn == ([ticket] if done else [])
    assert (await book.exchange.everything() == before) is not done


async def test_an_order_is_found_by_its_number(book: Book) -> None:
    await book.by_hand("BTC-PERP", "0.5")
    (trade,) = await book.exchange.fills("BTC-PERP", 0)
    report = await book.exchange.order_by_number("BTC-PERP", trade.venue_order_id)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.FILLED, Decimal("0.5"))
    assert await book.exchange.order_by_number("ETH-PERP", trade.venue_order_id) is None
    assert await book.exchange.order_by_number("BTC-PERP", "o999") is None


def test_without_its_keys_a_process_is_answered_nothing() -> None:
    told = setting("btc_basis", 48)
    world = World(told.run, told.states, told.capital)
    api = FaultyExchangeApi(world.exchanges["binance"], world, fate(revoked=1.0), 5.0)
    requests: list[Any] = [
        lambda: api.prepare({}),
        api.filters,
        api.account,
        lambda: api.fills("BTC-PERP", 0),
        lambda: api.payments(0),
        lambda: api.order("BTC-PERP", "x"),
    ]
    for request in requests:
        with pytest.raises(AuthFailed, match="VEN-005: binance does not know the key"):
            at_once(request())
    ((since, until),) = api.revoked
    assert since == world.now_ns < until
    world.clock.move_to(until)
    with pytest.raises(AuthFailed):
        api._require_reachable("they are revoked again: each hour decides anew")
    assert len(api.revoked) == 2
    world.clock.move_to(api.revoked[-1][1])
    api._checked_hour = world.now_ns // (3600 * 10**9)
    api._require_reachable("nothing is done")


class ByHand:
    """The clock of a world in which whoever waits moves time."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> int:
        return self._world.now_ns

    async def sleep(self, seconds: float) -> None:
        pass_seconds(self._world.clock, seconds)


def reached(seed: int = 0, **rates: float) -> tuple[World, FaultyExchangeApi, list[int], Any]:
    """An exchange, when it carried out a request, and the request."""
    told = setting("btc_basis", 48)
    world = World(told.run, told.states, told.capital)
    api = FaultyExchangeApi(world.exchanges["binance"], world, fate(seed, **rates), 5.0)
    api._clock = ByHand(world)  # type: ignore[assignment]
    carried_out: list[int] = []

    async def carry_out() -> str:
        carried_out.append(world.now_ns)
        return "done"

    return world, api, carried_out, lambda: api._send("order", carry_out)


def test_an_exchange_that_hangs_says_nothing_for_minutes_and_may_have_carried_out_what_it_was_sent() -> None:
    outcomes = set()
    for seed in range(8):
        world, api, carried_out, send = reached(seed, hangs=1.0)
        began = world.now_ns
        with pytest.raises(UnknownOutcome, match="said nothing for 10 s"):
            at_once(send())
        assert world.now_ns - began >= 10 * 10**9
        outcomes.add(len(carried_out))
        until = api._hangs_until
        assert 60 * 10**9 <= until - began <= 900 * 10**9
        with pytest.raises(Transient, match="said nothing for 10 s"):
            at_once(api.filters())
        world.clock.move_to(until)
        at_once(api.filters())
    assert outcomes == {0, 1}


def test_an_exchange_that_limits_says_for_how_long_and_is_not_asked_before() -> None:
    world, api, carried_out, send = reached(limited=1.0)
    with pytest.raises(Transient) as caught:
        at_once(send())
    wait = caught.value.wait_seconds
    assert (caught.value.code, carried_out) == ("VEN-006", [])
    assert 1.0 <= wait <= 90.0
    for ask in (api.filters(), api.require_room(()), send()):
        with pytest.raises(Transient, match="wants to be left alone") as again:
            at_once(ask)
        assert again.value.wait_seconds == wait
    pass_seconds(world.clock, wait + 0.001)
    at_once(api.require_room(()))
    at_once(api.filters())
