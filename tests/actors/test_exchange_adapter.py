"""The actor of a live account: what it sends, when it does not; the ledger misses nothing. On both runtimes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.actors.desk import buy, group, short
from tests.actors.live_desk import World, running
from tests.venues.live.scripts import CarryOut, be_away, change, fail, lose_the_reply

from basis_actors.bus import AskTimeout
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.errors import AuthFailed, Rejected, Transient
from basis_actors.messages.commands import ExecuteOrder, OrdersDone, ReportVenue, ResolveOrder, StopTrading
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    OperationExecutionEvent,
    ReconciliationEvent,
    SystemErrorEvent,
)
from basis_actors.messages.exchange import AccountState, OrderTicket
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.orders import Side
from basis_actors.messages.safety import AccountDoubted, KeyRefused, LookAgain, VenueSeen

pytestmark = pytest.mark.anyio
PERP, COIN = "bybit:PerpPosition:BTC-PERP", "binance:BaseToken:BTC"
REVOKED = fail(AuthFailed("VEN-005", "the key was revoked"))


@pytest.fixture
async def world(runtime: Runtimes) -> World:
    return await World(runtime).fund()


async def by_hand(world: World, venue: str, pair: str, amount: str) -> None:
    """Somebody else trades on an account."""
    exchange = world.exchanges[venue]
    name = exchange._next("hand")
    await exchange.place(OrderTicket(client_id=name, pair=pair, buys=True, amount=Decimal(amount)))


async def agree(world: World, ledger: dict[str, float]) -> None:
    held = {key: amount for key, amount in (await world.held()).items() if not key.startswith("transit")}
    assert ledger == pytest.approx(held, rel=1e-9)


async def test_a_group_over_two_accounts_leaves_the_ledger_as_the_accounts_are(world: World) -> None:
    async with running(world) as desk:
        done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        assert [result.succeeded for result in done.results] == [True, True]
        view = await desk.tick(reconcile=True)
        await agree(world, view.positions)
        await desk.bus.settled()
        assert all(event.success for event in desk.logged(ReconciliationEvent))
        assert [event.reconciliation_type for event in desk.logged(ReconciliationEvent)][-1] == "periodic"
        assert desk.codes() == []


async def test_a_group_of_which_one_exchange_takes_no_order_now_is_refused_before_its_first_leg(world: World) -> None:
    async with running(world) as desk:
        full = Transient("VEN-006", "bybit takes no request for 7000 more s", 7000.0)
        desk.apis["bybit"].next("require_room", fail(full))
        before = await world.held()
        done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)), buy("c", 0.1))
        assert [result.error_code for result in done.results] == ["VEN-006", "VEN-006", None]
        assert [ticket.pair for ticket in desk.apis["binance"].sent] == ["BTC/USDT"], "what is no part of the group"
        assert desk.apis["bybit"].sent == []
        (event,) = desk.logged(AtomicOperationGroupEvent)
        assert (event.group_status, event.rollback_occurred) == ("failed", False)
        held = await world.held()
        assert held["bybit:BaseToken:USDT"] == before["bybit:BaseToken:USDT"]


async def test_a_ban_that_refuses_a_group_stops_no_trading(world: World) -> None:
    async with running(world) as desk:
        desk.apis["bybit"].next("require_room", fail(Transient("VEN-003", "bybit bans this address", 7000.0)))
        await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        assert desk.engine.of(StopTrading) == []
        done = await desk.execute(*group(buy("c", 0.5), short("d", 0.5)))
        assert [result.succeeded for result in done.results] == [True, True]


async def test_a_ban_that_keeps_back_order_after_order_is_said_once_and_then_with_a_count(world: World) -> None:
    async with running(world) as desk:
        desk.apis["bybit"].always["require_room"] = fail(Transient("VEN-003", "bybit bans this address", 7000.0))
        for number in range(12):
            await desk.execute(*group(short(f"a{number}", 0.5), short(f"b{number}", 0.5)))
        told = [event for event in desk.logged(SystemErrorEvent) if event.error_code == "VEN-003"]
        assert [event.operation_id for event in told] == ["a0", "b4"]
        assert told[1].message.endswith("the 10th order there that this happens to")
        desk.apis["bybit"].always.clear()
        await desk.execute(short("c", 0.5))
        assert desk.logged(SystemErrorEvent)[-1].message == "bybit takes orders again; 24 were kept back before c"


async def test_a_group_waits_a_moment_for_an_exchange_that_is_to_be_left_alone(world: World) -> None:
    async with running(world) as desk:
        full = [fail(Transient("VEN-006", "wait", seconds)) for seconds in (5.0, 20.0)]
        desk.apis["bybit"].next("require_room", *full)
        began = desk.bus.clock.now()
        done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        assert [result.succeeded for result in done.results] == [True, True]
        assert desk.bus.clock.now() - began >= 25 * 10**9
        assert len(desk.apis["binance"].sent) == 1


async def test_a_group_waits_for_exchanges_no_longer_than_one_try_may_take(world: World) -> None:
    async with running(world) as desk:
        desk.apis["bybit"].always["require_room"] = fail(Transient("VEN-006", "wait", 8.0))
        began = desk.bus.clock.now()
        done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        assert [result.error_code for result in done.results] == ["VEN-006", "VEN-006"]
        assert desk.bus.clock.now() - began == 24 * 10**9, "three times 8 s, a fourth would be more than 30 s"
        assert desk.apis["binance"].sent == []


async def test_a_group_is_asked_for_by_what_each_leg_would_use(world: World) -> None:
    asked = []

    async with running(world) as desk:
        for name, api in desk.apis.items():
            require = api.exchange.require_room
            api.exchange.require_room = lambda tickets, name=name, require=require: (  # type: ignore[method-assign]
                asked.append((name, [(each.pair, each.buys, each.reduce_only) for each in tickets])) or require(tickets)
            )
        await desk.execute(*group(buy("a", 0.5), short("b", 0.5), short("c", 0.1, "binance")))
        back = short("d", 0.5, side=Side.LONG, reduce_only=True)
        await desk.execute(*group(buy("e", 0.5, side=Side.SELL, reduce_only=True), back))
    spot, perp = ("BTC/USDT", True, False), ("BTC-PERP", False, False)
    entering = [("binance", [spot, perp]), ("bybit", [perp])]
    assert asked == [*entering, ("binance", [("BTC/USDT", False, False)]), ("bybit", [("BTC-PERP", True, True)])]


async def test_what_happens_beside_an_order_is_booked_in_its_turn(world: World) -> None:
    """Trades of somebody else before, while and after: the log has every number of each account once, in order."""
    async with running(world) as desk:
        await by_hand(world, "bybit", "BTC-PERP", "0.01")

        async def meanwhile(carry_out: CarryOut) -> object:
            await by_hand(world, "bybit", "BTC-PERP", "0.02")
            report = await carry_out()
            await by_hand(world, "bybit", "BTC-PERP", "0.03")
            return report

        desk.apis["bybit"].next("place", meanwhile)
        await desk.execute(short("a", 0.5))
        await by_hand(world, "bybit", "BTC-PERP", "0.04")
        await desk.execute(short("b", 0.1))
        view = await desk.tick()
        await agree(world, view.positions)
        for domain in world.exchanges:
            assert [event.domain_sequence for event in desk.deltas(domain)] == list(range(len(desk.deltas(domain))))
        times = [event.timestamp for event in desk.deltas("bybit")]
        assert times == sorted(times)
        assert desk.codes() == ["VEN-007"] * 4
        assert [event.operation_id for event in desk.deltas("bybit") if event.operation_id] == ["a", "a", "b", "b"]


async def test_an_order_whose_answer_comes_too_late_is_followed_to_its_end(world: World) -> None:
    async with running(world) as desk:

        async def take_a_minute(carry_out: CarryOut) -> object:
            report = await carry_out()
            await desk.bus.clock.sleep(45.0)
            return report

        desk.apis["bybit"].next("place", take_a_minute)
        done = await desk.execute(short("a", 0.5))
        assert done.results[0].succeeded
        assert len(desk.apis["bybit"].sent) == 1
        await agree(world, (await desk.tick()).positions)


@pytest.mark.parametrize(("seconds", "sent"), [(4.9, 0), (5.1, 1)])
async def test_an_order_that_nobody_waits_for_any_more_is_not_sent(world: World, seconds: float, sent: int) -> None:
    async with running(world) as desk:
        order = short("a", 0.5)
        answer = await desk.bus.ask("venue_bybit", ExecuteOrder(order), seconds)
        assert len(desk.apis["bybit"].sent) == sent
        if sent:
            assert answer.was_successful()
            return
        assert (answer.status, answer.error_code, answer.retryable) == (ExecutionStatus.FAILED, "EXEC-001", True)
        assert answer.error_message == "4.9 s are left to carry it out, 5 s are needed; not sent"
        assert world.journal.entries == ()
        resolved = await desk.bus.ask("venue_bybit", ResolveOrder(order))
        assert resolved.status is ExecutionStatus.FAILED


async def test_an_order_that_waited_behind_another_is_not_sent_late(world: World) -> None:
    """The account is busy with something that takes long; when its turn comes, whoever asked is gone."""
    async with running(world) as desk:

        async def take_long(carry_out: CarryOut) -> object:
            await desk.bus.clock.sleep(30.0)
            return await carry_out()

        desk.apis["bybit"].next("account", take_long)
        desk.bus.post("venue_bybit", ReportVenue())
        with pytest.raises(AskTimeout):
            await desk.bus.ask("venue_bybit", ExecuteOrder(short("a", 0.5)), 20.0)
        await desk.bus.settled()
        assert desk.apis["bybit"].sent == []


async def test_a_report_brings_the_ledger_up_to_date(world: World) -> None:
    async with running(world) as desk:
        await by_hand(world, "bybit", "BTC-PERP", "0.5")
        report = await desk.bus.ask("venue_bybit", ReportVenue())
        assert report is not None
        assert report.balances == pytest.approx(await world.exchanges["bybit"].everything())
        assert [settlement.source.value for settlement in report.settlements][-2:] == ["execution", "fee"]
        assert desk.codes() == ["VEN-007"]
        desk.apis["bybit"].next("account", be_away)
        assert await desk.bus.ask("venue_bybit", ReportVenue()) is None
        assert desk.codes()[1:] == ["VEN-003"]


async def test_a_tick_is_settled_also_when_an_exchange_cannot_be_reached(world: World) -> None:
    async with running(world) as desk:
        await by_hand(world, "bybit", "BTC-PERP", "0.5")
        desk.apis["bybit"].always["fills"] = be_away
        assert PERP not in (await desk.tick(reconcile=True)).positions
        desk.apis["bybit"].always.clear()
        view = await desk.tick()
        await agree(world, view.positions)


async def test_an_account_that_was_lost_is_found_again_between_two_ticks(world: World) -> None:
    seen = Probe("seen", VenueSeen)
    async with running(world, lambda desk: desk.bus.add(seen)) as desk:
        began = desk.bus.clock.now()
        desk.apis["bybit"].always["account"] = be_away
        await desk.tick()
        for _ in range(2):
            await desk.bus.advance(30.0)
            desk.bus.post("venue_bybit", LookAgain())
            await desk.bus.settled()
        desk.apis["bybit"].always.clear()
        sent = desk.apis["bybit"].calls.total()
        desk.bus.post("venue_bybit", LookAgain())
        await desk.bus.settled()
        assert desk.apis["bybit"].calls.total() == sent + 1, "one request is enough to see it"
        told = [each.lost_since_ns for each in seen.of(VenueSeen) if each.domain == "bybit"]
        assert told[0] is told[-1] is None
        assert len(set(told[1:-1])) == 1
        assert began <= (told[1] or 0) < began + 30 * 10**9
        assert desk.codes() == ["VEN-003"], "said once"


async def test_what_nothing_explains_is_logged_as_a_reconciliation(world: World) -> None:
    async with running(world) as desk:
        world.exchanges["bybit"]._exchange._balances["bybit:BaseToken:USDT"] -= 25.0
        view = await desk.tick(reconcile=True)
        await agree(world, view.positions)
        await desk.bus.settled()
        events = desk.logged(ReconciliationEvent)
        assert [(event.reconciliation_type, event.success) for event in events] == [
            ("venue_wins", False),
            ("periodic", True),
        ]
        assert desk.deltas("bybit")[-1].source.value == "adjustment"


async def test_a_revoked_key_halts_its_exchange_and_nothing_else(world: World) -> None:
    seen = Probe("seen", KeyRefused)
    async with running(world, lambda desk: desk.bus.add(seen)) as desk:
        await desk.execute(buy("a", 0.5), short("b", 0.5))
        desk.apis["bybit"].always.update(dict.fromkeys(("account", "fills", "payments"), REVOKED))
        for _ in range(3):
            assert (await desk.tick(reconcile=True)).positions[PERP] == -0.5, "what was held is known"
        before = {name: len(api.sent) for name, api in desk.apis.items()}
        legs = group(buy("c", 0.5, Side.SELL), short("d", 0.5, side=Side.LONG, reduce_only=True))
        done = await desk.execute(*legs)
        assert {result.error_code for result in done.results} == {"VEN-008"}
        cover = short("e", 0.5, side=Side.LONG, reduce_only=True)
        done = await desk.execute(cover, buy("f", 0.2, Side.SELL))
        assert [result.error_code for result in done.results] == ["VEN-008", None], "elsewhere it goes on"
        assert {name: len(api.sent) - before[name] for name, api in desk.apis.items()} == {"binance": 1, "bybit": 0}
        assert desk.engine.of(StopTrading) == []
        told = [event for event in desk.logged(SystemErrorEvent) if event.error_code == "VEN-005"]
        assert [event.severity for event in told] == ["CRITICAL"], "said once"
        assert {event.severity for event in desk.logged(SystemErrorEvent)} == {"CRITICAL", "MEDIUM"}

        desk.apis["bybit"].always.clear()
        await by_hand(world, "bybit", "BTC-PERP", "0.1")
        desk.bus.post("venue_bybit", LookAgain())
        await desk.bus.settled()
        assert [(each.domain, each.problem) for each in seen.of(KeyRefused)] == [
            ("bybit", "the key was revoked"),
            ("bybit", None),
        ]
        await agree(world, (await desk.tick()).positions)
        assert (await desk.execute(short("g", 0.4, side=Side.LONG, reduce_only=True))).results[0].succeeded


async def test_a_key_that_may_not_send_halts_its_exchange_until_the_process_is_started_again(world: World) -> None:
    seen = Probe("seen", KeyRefused)
    async with running(world, lambda desk: desk.bus.add(seen)) as desk:
        desk.apis["bybit"].next("place", REVOKED)
        done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        assert [result.succeeded for result in done.results] == [True, False]
        view = await desk.tick()
        assert COIN not in view.positions, "the other leg is undone"
        desk.bus.post("venue_bybit", LookAgain())
        await desk.bus.settled()
        assert [each.problem is None for each in seen.of(KeyRefused)] == [False], "that it may be read says nothing"
        sent = [len(api.sent) for api in desk.apis.values()]
        done = await desk.execute(*group(buy("c", 0.5), short("d", 0.5)))
        assert {result.error_code for result in done.results} == {"VEN-008"}
        assert [len(api.sent) for api in desk.apis.values()] == sent
        assert desk.engine.of(StopTrading) == []
    async with running(world) as desk:
        assert (await desk.execute(short("f", 0.5))).results[0].succeeded


async def test_a_leg_that_cannot_be_undone_for_want_of_a_key_is_said_and_ends_nothing(world: World) -> None:
    async with running(world) as desk:

        async def then_revoke(carry_out: CarryOut) -> object:
            report = await carry_out()
            desk.apis["bybit"].always["place"] = REVOKED
            return report

        desk.apis["bybit"].next("place", then_revoke)
        desk.apis["binance"].next("place", fail(Rejected("EXEC-001", "no")))
        done = await desk.execute(*group(short("a", 0.5), buy("b", 0.5)))
        assert [result.succeeded for result in done.results] == [True, False]
        assert (await desk.tick()).positions[PERP] == -0.5
        assert desk.engine.of(StopTrading) == []
        (event,) = [each for each in desk.logged(SystemErrorEvent) if each.error_code == "EXEC-006"]
        assert event.message.startswith(
            "a could not be unwound (VEN-005), so the book is not hedged: the key was revoked"
        )


async def test_an_unknown_leg_is_found_and_its_group_is_whole(world: World) -> None:
    async with running(world) as desk:
        desk.apis["bybit"].next("place", lose_the_reply)
        desk.apis["bybit"].next("order", be_away)
        done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        assert all(result.succeeded for result in done.results)
        assert await world.journal.open_groups() == ()
        await agree(world, (await desk.tick()).positions)


async def test_a_leg_that_is_filled_in_part_is_undone_with_its_group(world: World) -> None:
    async with running(world) as desk:
        exchange = world.exchanges["bybit"]

        async def in_part(_carry_out: CarryOut) -> object:
            ticket = desk.apis["bybit"].sent[-1]
            assert isinstance(ticket, OrderTicket)
            return await exchange.place_partly(ticket, ticket.amount / 5)

        desk.apis["bybit"].next("place", in_part)
        await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        view = await desk.tick()
        assert PERP not in view.positions
        assert "binance:BaseToken:BTC" not in view.positions
        await agree(world, view.positions)
        names = [event.operation_id for event in desk.logged(OperationExecutionEvent)]
        assert names == ["a", "b", "b-unwind", "a-unwind"]


async def test_an_old_account_does_not_undo_what_was_just_traded(world: World) -> None:
    """Two reads from a copy that lags: the difference goes away by itself."""
    async with running(world) as desk:
        old = await world.exchanges["bybit"].account()
        desk.apis["bybit"].next("account", *[change(lambda _state: replace(old))] * 2)
        done: OrdersDone = await desk.execute(short("a", 0.5))
        assert done.results[0].succeeded
        assert "adjustment" not in [event.source.value for event in desk.deltas("bybit")]
        await agree(world, (await desk.tick()).positions)


async def test_a_reduction_is_sent_as_one(world: World) -> None:
    async with running(world) as desk:
        await desk.execute(short("a", 0.5))
        await desk.execute(short("b", 0.5, side=Side.LONG, reduce_only=True))
        ticket = desk.apis["bybit"].sent[-1]
        assert isinstance(ticket, OrderTicket)
        assert (ticket.buys, ticket.reduce_only) == (True, True)
        await agree(world, (await desk.tick()).positions)


def emptied(state: AccountState) -> AccountState:
    return replace(state, balances=())


async def test_to_an_account_that_is_not_believed_only_what_reduces_is_sent(world: World) -> None:
    """An account that says it is empty: the ledger stays, nothing is closed and nothing opened for it."""
    seen = Probe("seen", AccountDoubted)
    async with running(world, lambda desk: desk.bus.add(seen)) as desk:
        await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
        before = (await desk.tick(reconcile=True)).positions
        desk.apis["bybit"].always["account"] = change(emptied)
        assert (await desk.tick(reconcile=True)).positions == before
        await desk.bus.settled()
        assert [each.domain for each in seen.of(AccountDoubted)] == ["bybit"]
        sent = [len(api.sent) for api in desk.apis.values()]
        done = await desk.execute(*group(buy("c", 0.1), short("d", 0.1)))
        assert {result.error_code for result in done.results} == {"VEN-009"}
        assert [len(api.sent) for api in desk.apis.values()] == sent
        back = await desk.execute(short("e", 0.1, side=Side.LONG, reduce_only=True), buy("f", 0.1))
        assert [result.succeeded for result in back.results] == [True, True], "reduced there, bought elsewhere"
        said = [event for event in desk.logged(SystemErrorEvent) if event.component == "venue_bybit"]
        assert [event.error_code for event in said] == ["VEN-009"], "the account says it once"
        assert "POS-005" not in desk.codes()
        desk.apis["bybit"].always.clear()
        await desk.tick()
        await desk.bus.settled()
        assert [each.problem is None for each in seen.of(AccountDoubted)] == [False, True]
        assert (await desk.execute(short("g", 0.1))).results[0].succeeded
        await agree(world, (await desk.tick()).positions)
