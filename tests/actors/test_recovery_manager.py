"""Before anything is traded: what earlier processes sent is known, cut groups are mended, the ledger is the accounts'.

On both runtimes.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, buy, group, short
from tests.actors.live_desk import LiveDesk, World, running
from tests.actors.store import MemoryStore
from tests.actors.test_engine import Ticks
from tests.venues.live.books import HandClock, account_terms
from tests.venues.live.scripts import (
    CarryOut,
    ScriptedApi,
    Step,
    be_away,
    be_busy,
    change,
    fail,
    go_well,
    lose_the_reply,
    lose_the_request,
    refuse,
)

from basis_actors.actors.engine import Engine
from basis_actors.actors.latch_file import read_latch
from basis_actors.actors.recovery_manager import RecoveryManager
from basis_actors.bus import BusFailed
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.errors import AuthFailed, Rejected, Transient
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import OperationExecutionEvent, SystemErrorEvent
from basis_actors.messages.exchange import OrderReport, OrderState, OrderTicket
from basis_actors.messages.journal import Intent, IntentState
from basis_actors.messages.orders import OrderType, Side
from basis_actors.messages.safety import TradingState
from basis_actors.times import utc_from_ns
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.live.account import ExchangeAccount

pytestmark = pytest.mark.anyio
PERP, COIN = "bybit:PerpPosition:BTC-PERP", "binance:BaseToken:BTC"


@pytest.fixture
async def world(runtime: Runtimes) -> World:
    return await World(runtime).fund()


async def crash(_carry_out: CarryOut) -> object:
    """The process is killed before the request leaves."""
    raise KeyboardInterrupt


async def crash_after(carry_out: CarryOut) -> object:
    """The process is killed before the answer is read."""
    await carry_out()
    raise KeyboardInterrupt


async def cut_in_two(world: World, step: Step, *, at: str = "bybit") -> None:
    """A process that is killed in the middle of a group, as if its power were cut: nothing of it goes on."""
    clock = HandClock(world.clock.now())
    legs = group(buy("a", 0.5), short("b", 0.5))

    async def trade() -> None:
        for leg in legs:
            api = ScriptedApi(world.exchanges[leg.venue])
            terms = account_terms(leg.venue, split=leg.venue == "binance")
            account = ExchangeAccount(terms, api, world.journal, {}, clock)  # type: ignore[arg-type]
            await account.prepare()
            await account.open()
            if leg.venue == at:
                api.next("place", step)
            await account.execute(leg)

    await world.journal.begin_group("group", legs)
    with pytest.raises(KeyboardInterrupt):
        await trade()
    world.clock.move_to(clock.now())
    world.journal = world.journal.reopened()


async def started(world: World, prepare: Callable[[LiveDesk], None] = lambda _desk: None) -> None:
    """A process that starts, and stops again."""
    async with running(world, prepare):
        pass


async def whole(world: World, desk: LiveDesk) -> tuple[float, float]:
    """Both legs as the ledger has them, which is what the accounts hold."""
    view = await desk.tick()
    held = {key: amount for key, amount in (await world.held()).items() if not key.startswith("transit")}
    assert view.positions == pytest.approx(held, rel=1e-9)
    assert "adjustment" not in {event.source.value for domain in world.exchanges for event in desk.deltas(domain)}
    assert await world.journal.open_groups() == ()
    assert all([await world.journal.unresolved(domain) == () for domain in world.exchanges])
    return view.positions.get(COIN, 0.0), view.positions.get(PERP, 0.0)


async def test_a_first_start_begins_with_what_the_accounts_hold(world: World) -> None:
    async with running(world) as desk:
        assert await whole(world, desk) == (0.0, 0.0)
        assert [event.source.value for event in desk.deltas("bybit")] == ["opening"]
        assert desk.codes() == []


async def test_a_group_whose_second_leg_never_left_is_undone(world: World) -> None:
    await cut_in_two(world, crash)
    async with running(world) as desk:
        assert await whole(world, desk) == (0.0, 0.0)
        assert [event.operation_id for event in desk.logged(OperationExecutionEvent)] == ["a-undone-1-0"]
        texts = [event.message for event in desk.logged(SystemErrorEvent)]
        assert any("of an earlier process is rejected: the exchange never had it" in text for text in texts)
        assert any("group group was cut in two by the end of an earlier process" in text for text in texts)


async def test_a_group_whose_second_leg_was_done_unseen_is_whole(world: World) -> None:
    await cut_in_two(world, crash_after)
    async with running(world) as desk:
        assert await whole(world, desk) == pytest.approx((0.5, -0.5))
        assert desk.logged(OperationExecutionEvent) == []


async def test_a_group_whose_first_leg_never_left_is_nothing(world: World) -> None:
    await cut_in_two(world, crash, at="binance")
    async with running(world) as desk:
        assert await whole(world, desk) == (0.0, 0.0)


async def test_a_group_that_cannot_be_undone_is_finished(world: World) -> None:
    await cut_in_two(world, crash)
    async with running(world, lambda desk: desk.apis["binance"].next("place", refuse)) as desk:
        assert await whole(world, desk) == pytest.approx((0.5, -0.5))
        assert [event.operation_id for event in desk.logged(OperationExecutionEvent)] == ["b-finished-1-0"]


async def test_a_group_that_the_exchange_takes_and_then_rejects_to_undo_is_finished(world: World) -> None:
    await cut_in_two(world, crash)

    async def take_and_reject(_carry_out: CarryOut) -> OrderReport:
        ticket = desk_of[0].apis["binance"].sent[-1]
        assert isinstance(ticket, OrderTicket)
        return OrderReport(
            client_id=ticket.client_id,
            venue_order_id="r1",
            pair=ticket.pair,
            buys=ticket.buys,
            state=OrderState.REJECTED,
            amount=ticket.amount,
            filled=Decimal(0),
            average_price=None,
            updated_ns=START,
        )

    desk_of: list[LiveDesk] = []

    def prepare(desk: LiveDesk) -> None:
        desk_of.append(desk)
        desk.apis["binance"].next("place", take_and_reject)

    async with running(world, prepare) as desk:
        assert await whole(world, desk) == pytest.approx((0.5, -0.5))


@pytest.mark.parametrize("step", [lose_the_reply, lose_the_request, be_busy])
async def test_an_undoing_trade_is_followed_whatever_becomes_of_it(world: World, step: Step) -> None:
    await cut_in_two(world, crash)
    async with running(world, lambda desk: desk.apis["binance"].next("place", step)) as desk:
        assert await whole(world, desk) == (0.0, 0.0)
        sent = [ticket.client_id for ticket in desk.apis["binance"].sent]
        assert len(sent) == len(set(sent))


@pytest.mark.parametrize("method", ["prepare", "filters", "account", "fills", "payments", "open_orders", "order"])
async def test_an_exchange_that_does_not_answer_at_first_is_waited_for(world: World, method: str) -> None:
    await cut_in_two(world, crash_after)
    async with running(world, lambda desk: desk.apis["bybit"].next(method, *[be_away] * 4)) as desk:
        assert await whole(world, desk) == pytest.approx((0.5, -0.5))


@pytest.mark.parametrize("step", [lose_the_request, lose_the_reply, refuse])
async def test_a_cancellation_that_is_not_said_to_be_done_is_asked_for_again(world: World, step: Step) -> None:
    """What is asked for again is no order: a start that gave up here would leave the order open."""
    clock, exchange = HandClock(world.clock.now()), world.exchanges["binance"]
    account = ExchangeAccount(account_terms(), ScriptedApi(exchange), world.journal, {}, clock)  # type: ignore[arg-type]
    await account.prepare()
    await account.open()
    await account.execute(replace(buy("a", 0.5), order_type=OrderType.LIMIT, price=39_000.0))
    assert len(exchange.resting) == 1
    world.clock.move_to(clock.now())
    world.journal = world.journal.reopened()
    async with running(world, lambda desk: desk.apis["binance"].next("cancel", step)) as desk:
        assert await whole(world, desk) == (0.0, 0.0)
        assert not exchange.resting


async def test_an_exchange_that_never_answers_is_given_up(world: World) -> None:
    def prepare(desk: LiveDesk) -> None:
        desk.apis["bybit"].always["account"] = be_away

    with pytest.raises(BusFailed, match=r"recovery_manager.* VEN-003: cannot be reached"):
        await started(world, prepare)
    assert world.clock.now() >= START + 900 * 10**9


async def test_an_exchange_that_wants_to_be_left_alone_is_not_asked_before(world: World) -> None:
    asked: list[int] = []

    def limited(desk: LiveDesk) -> None:
        async def step(_carry_out: CarryOut) -> object:
            asked.append(desk.bus.clock.now())
            raise Transient("VEN-006", "bybit takes no request for 120 s", 120.0)

        async def see(carry_out: CarryOut) -> object:
            asked.append(desk.bus.clock.now())
            return await carry_out()

        desk.apis["bybit"].next("prepare", step, see)

    await started(world, limited)
    first, second = asked
    assert second - first == 120 * 10**9


async def test_what_goes_on_in_the_same_words_is_said_once(world: World) -> None:
    banned = fail(Transient("VEN-006", "bybit bans this address for 120 s"))
    steps = [banned] * 5 + [be_away] * 3 + [banned] * 2
    async with running(world, lambda desk: desk.apis["bybit"].next("account", *steps)) as desk:
        assert desk.codes() == ["VEN-006", "VEN-003", "VEN-006"]


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("prepare", Rejected("VEN-004", "positions are not one-way")),
        ("account", AuthFailed("VEN-005", "the key cannot read")),
        ("filters", AuthFailed("VEN-005", "the key cannot read")),
    ],
)
async def test_what_does_not_pass_ends_the_start_and_nothing_is_sent(
    world: World, method: str, error: Exception
) -> None:
    desks: list[LiveDesk] = []

    def prepare(desk: LiveDesk) -> None:
        desks.append(desk)
        desk.apis["bybit"].next(method, fail(error))

    with pytest.raises(BusFailed, match=str(error)):
        await started(world, prepare)
    assert all(api.sent == [] for api in desks[0].apis.values())


async def test_a_group_that_can_be_neither_undone_nor_finished_ends_the_start(world: World) -> None:
    await cut_in_two(world, crash)

    def prepare(desk: LiveDesk) -> None:
        for api in desk.apis.values():
            api.always["place"] = refuse

    with pytest.raises(BusFailed, match="EXEC-001: margin is insufficient"):
        await started(world, prepare)
    async with running(world) as desk:
        assert await whole(world, desk) == (0.0, 0.0), "the next start tries again"


async def test_where_a_kill_switch_is_the_start_goes_on_with_nothing_but_what_reduces(world: World) -> None:
    """A process that cannot start levels nothing."""
    await cut_in_two(world, crash)
    world.latch = MemoryStore()

    def prepare(desk: LiveDesk) -> None:
        for api in desk.apis.values():
            api.next("place", refuse)

    async with running(world, prepare) as desk:
        latch = read_latch(world.latch, utc_from_ns(START))
        assert (latch.state, latch.error_code, latch.who) == (TradingState.STOPPED, "EXEC-006", "recovery_manager")
        assert "group group of an earlier process stays one-sided: margin is insufficient" in latch.reason
        assert "EXEC-006" in desk.codes()
        assert await world.journal.open_groups() == (), "from here on it is the strategy's to level"
        done = await desk.execute(buy("more", 0.1))
        assert [result.error_code for result in done.results] == ["RISK-008"]
        done = await desk.execute(buy("level", 0.5, Side.SELL))
        assert [result.succeeded for result in done.results] == [True]
        assert await whole(world, desk) == (0.0, 0.0)


async def test_the_latch_is_on_disk_before_the_journal_forgets_a_group_that_stays_one_sided(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cut_in_two(world, crash)
    world.latch = store = MemoryStore()
    states = []
    end_group = MemoryJournal.end_group

    async def watched(journal: MemoryJournal, incarnation: int, group_id: str) -> None:
        states.append(read_latch(store, utc_from_ns(START)).state)
        await end_group(journal, incarnation, group_id)

    monkeypatch.setattr(MemoryJournal, "end_group", watched)

    def refuse_to_undo(desk: LiveDesk) -> None:
        for api in desk.apis.values():
            api.next("place", refuse)

    async with running(world, refuse_to_undo) as desk:
        assert states == [TradingState.STOPPED]
        await desk.execute(buy("level", 0.5, Side.SELL))
    world.latch = store = MemoryStore()
    states.clear()
    async with running(world) as desk:
        desk.apis["bybit"].always["place"] = refuse
        desk.apis["binance"].next("place", go_well, *[refuse] * 3)
        await desk.execute(*group(buy("c", 0.5), short("d", 0.5)))
    assert states == [TradingState.STOPPED]


async def test_an_undoing_trade_that_never_ends_ends_the_start(world: World) -> None:
    await cut_in_two(world, crash)
    with pytest.raises(BusFailed, match=r"VEN-002: binance does not say how a-undone-1-0 ended: .* not all shown yet"):
        await started(world, hide_trades)


def hide_trades(desk: LiveDesk) -> None:
    """The exchange never shows a trade."""
    desk.apis["binance"].always["fills"] = change(lambda _fills: ())


async def test_a_journal_with_business_elsewhere_is_not_started_with(world: World) -> None:
    journal: MemoryJournal = world.journal
    order = short("a", 0.5, "binance")
    ticket = OrderTicket(client_id="c1", pair="BTC-PERP", buys=False, amount=Decimal("0.5"))
    await journal.intend(
        Intent(client_id="c1", order=order, ticket=ticket, domain="okx", incarnation=1, attempt=0, created_ns=START)
    )
    text = "ENGINE-003: the order journal has unfinished business at okx, where this process does not trade"
    with pytest.raises(BusFailed, match=text):
        await started(world)
    await journal.advance("c1", IntentState.CANCELLED, Decimal(0), "never sent", START)
    async with running(world):
        pass


async def begun(start: Start) -> None:
    async with start.bus as bus:
        await bus.settled()


class Start:
    """A recovery and the engine that waits for it, and nothing else."""

    def __init__(self, world: World) -> None:
        self.desk = world.process()
        self.bus = world.runtime.bus(world.clock.now() + 10**9, log_sink="event_logger")
        world.clock.bus = self.bus
        self.ticks = Probe("ticks", TickStarted)
        accounts = [
            ExchangeAccount(account_terms(name, split=name == "binance"), api, world.journal, {}, self.bus.clock)  # type: ignore[arg-type]
            for name, api in self.desk.apis.items()
        ]
        for actor in (
            Probe("event_logger"),
            RecoveryManager(accounts, world.journal),
            self.ticks,
            Engine(Ticks(1), (), "recovery_manager"),
        ):
            self.bus.add(actor)


async def test_no_tick_begins_before_the_accounts_are_in_order(world: World) -> None:
    start = Start(world)

    async def look(carry_out: CarryOut) -> object:
        await start.bus.clock.sleep(5.0)
        assert start.ticks.received == []
        return await carry_out()

    start.desk.apis["bybit"].always["account"] = look
    async with start.bus:
        await start.ticks.next_of(TickStarted)
    assert start.desk.apis["bybit"].calls["account"] == 3


async def test_no_tick_begins_when_the_start_fails(world: World) -> None:
    start = Start(world)
    start.desk.apis["bybit"].next("account", fail(AuthFailed("VEN-005", "the key was revoked")))
    with pytest.raises(BusFailed, match="VEN-005"):
        await begun(start)
    assert start.ticks.received == []


async def test_two_groups_of_one_name_are_both_mended(world: World) -> None:
    """Names of groups repeat from one process to the next; a start that fails leaves both open."""
    for _ in range(2):
        await world.journal.begin_group("group", group(buy("a", 0.5), short("b", 0.5)))
        world.journal = world.journal.reopened()
    async with running(world) as desk:
        assert await whole(world, desk) == (0.0, 0.0)


async def test_a_process_that_fails_between_two_legs_undoes_what_it_knows_and_the_next_one_the_rest(
    world: World,
) -> None:
    """The failing process does not know what became of the second leg, which is there."""

    async def fail_after(carry_out: CarryOut) -> object:
        await carry_out()
        raise RuntimeError("a fault of the connection")

    async def trade() -> None:
        async with running(world, lambda desk: desk.apis["bybit"].next("place", fail_after)) as desk:
            await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))

    with pytest.raises(BusFailed, match="a fault of the connection"):
        await trade()
    assert (await world.held())[PERP] == -0.5
    async with running(world) as desk:
        assert await whole(world, desk) == (0.0, 0.0)
