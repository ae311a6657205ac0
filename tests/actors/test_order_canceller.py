"""When trading is stopped nothing of ours goes on resting at an exchange, and nobody else's order is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from tests.actors.desk import PRICE, buy
from tests.actors.live_desk import LiveDesk, World, running
from tests.venues.live.scripts import CarryOut, be_away, be_busy, fail

from basis_actors.actors.order_canceller import OrderCanceller
from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import AuthFailed
from basis_actors.messages.commands import ExecuteOrders, OrdersDone, ReportVenue
from basis_actors.messages.events import OperationExecutionEvent, SystemErrorEvent
from basis_actors.messages.exchange import OrderTicket
from basis_actors.messages.journal import IntentState
from basis_actors.messages.orders import Order, OrderType
from basis_actors.messages.safety import CancelOrders
from basis_actors.venues.live.tickets import client_id_of

pytestmark = pytest.mark.anyio
BTC = "binance:BaseToken:BTC"


@pytest.fixture
async def world(runtime: Runtimes) -> World:
    return await World(runtime).fund()


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[LiveDesk]:
    """A process that can cancel what rests."""
    async with running(world, lambda desk: desk.bus.add(OrderCanceller(desk.accounts["binance"]))) as desk:
        yield desk


def limit(name: str, amount: float = 0.5) -> Order:
    return buy(name, amount, order_type=OrderType.LIMIT)


async def rest(desk: LiveDesk, *orders: Order) -> str:
    """Send orders, and wait for the first of them to rest; its id."""
    desk.bus.post("execution_manager", ExecuteOrders(desk.tick_of_now(), orders))
    resting = desk.world.exchanges["binance"].resting
    before = set(resting)
    await desk.bus.until(lambda: bool(set(resting) - before), "an order to rest")
    (name,) = set(resting) - before
    return name


def stop(desk: LiveDesk) -> None:
    desk.bus.publish(CancelOrders(desk.bus.clock.now()))


async def by_hand(world: World) -> None:
    """Somebody else has an order resting on the account."""
    await world.exchanges["binance"].place(
        OrderTicket(client_id="theirs", pair="BTC/USDT", buys=True, amount=Decimal("0.1"), limit=Decimal(30_000))
    )


def said(desk: LiveDesk) -> list[tuple[str, str]]:
    every = desk.logged(SystemErrorEvent)
    return [(event.error_code, event.severity) for event in every if event.component == "order_canceller_binance"]


async def test_what_rests_is_cancelled_at_once_and_what_it_filled_is_booked(world: World) -> None:
    async with watched(world) as desk:
        await by_hand(world)
        name = await rest(desk, limit("a"))
        await world.exchanges["binance"].fill_resting(name, "0.2")
        began = desk.bus.clock.now()
        stop(desk)
        await desk.bus.until(lambda: name not in world.exchanges["binance"].resting, "the order to end")
        assert desk.bus.clock.now() - began < 10**9, "long before it has rested for its time"
        done = await desk.engine.next_of(OrdersDone)
        assert done.results[0].succeeded
        assert list(world.exchanges["binance"].resting) == ["theirs"]
        assert (await desk.tick()).positions[BTC] == pytest.approx(0.2)
        assert len(desk.apis["binance"].sent) == 1
        assert said(desk) == [("RISK-008", "MEDIUM")]
        (event,) = (each for each in desk.logged(SystemErrorEvent) if each.error_code == "RISK-008")
        assert f"in BTC/USDT ({name}) is cancelled at binance: trading is stopped" in event.message
        assert desk.apis["binance"].calls["countdown_cancel"] == 0


async def test_a_stop_does_not_wait_for_what_the_account_is_busy_with(world: World) -> None:
    async with watched(world) as desk:
        name = await rest(desk, limit("a"))

        async def take_long(carry_out: CarryOut) -> object:
            await desk.bus.clock.sleep(20.0)
            return await carry_out()

        desk.apis["binance"].next("account", take_long)
        desk.bus.post("venue_binance", ReportVenue())
        asked = desk.apis["binance"].calls["account"]
        await desk.bus.until(lambda: desk.apis["binance"].calls["account"] > asked, "the account to be read")
        began = desk.bus.clock.now()
        stop(desk)
        await desk.bus.until(lambda: name not in world.exchanges["binance"].resting, "the order to end")
        assert desk.bus.clock.now() - began < 10**9
        await desk.engine.next_of(OrdersDone)


async def test_an_order_that_is_on_its_way_is_cancelled_when_it_turns_out_to_rest(world: World) -> None:
    async with watched(world) as desk:

        async def take_long(carry_out: CarryOut) -> object:
            await desk.bus.clock.sleep(10.0)
            return await carry_out()

        desk.apis["binance"].next("place", take_long)
        desk.bus.post("execution_manager", ExecuteOrders(desk.tick_of_now(), (limit("a"),)))
        await desk.bus.until(lambda: bool(desk.apis["binance"].sent), "the order to leave")
        began = desk.bus.clock.now()
        stop(desk)
        done = await desk.engine.next_of(OrdersDone)
        assert not done.results[0].succeeded
        assert desk.bus.clock.now() - began < 15 * 10**9, "an order that is wanted rests for 60 s"
        assert world.exchanges["binance"].resting == {}
        assert len(desk.apis["binance"].sent) == 1
        assert world.journal.entries[-1].state is IntentState.CANCELLED
        ended = desk.logged(OperationExecutionEvent)[-1]
        assert (ended.error_code, ended.error_message) == (
            "RISK-008",
            "order o3 was cancelled before anything was filled: trading was stopped",
        )
        severities = {event.severity for event in desk.logged(SystemErrorEvent)}
        assert severities == {"MEDIUM"}, "the stop itself is told, and need not wake anybody a second time"


async def test_what_was_to_follow_a_cancelled_order_is_not_sent_and_no_failure(world: World) -> None:
    async with watched(world) as desk:
        await rest(desk, limit("a"), buy("b", 0.1))
        stop(desk)
        done = await desk.engine.next_of(OrdersDone)
        assert [result.error_code for result in done.results] == ["RISK-008", "RISK-008"]
        last = desk.logged(OperationExecutionEvent)[-1]
        assert (last.operation_id, last.error_message) == ("b", "not sent, because a before it failed")
        assert {event.severity for event in desk.logged(SystemErrorEvent)} == {"MEDIUM"}


async def test_an_order_that_is_sent_after_the_stop_is_left_alone(world: World) -> None:
    async with watched(world) as desk:
        stop(desk)
        await desk.bus.settled()
        await desk.bus.advance(1.0)
        name = await rest(desk, limit("a"))
        desk.bus.publish(CancelOrders(desk.bus.clock.now() - 10**9))
        await desk.bus.advance(5.0)
        assert list(world.exchanges["binance"].resting) == [name]
        assert said(desk) == []
        await desk.engine.next_of(OrdersDone)


async def test_what_cannot_be_cancelled_now_is_tried_again_and_holds_nothing_up(world: World) -> None:
    """Orders that nobody follows: their process is long gone."""
    async with watched(world) as desk:
        exchange, api = world.exchanges["binance"], desk.apis["binance"]
        prefix = client_id_of(world.journal.deployment, 0, "gone", 0, 0)[:8]
        for name in "12":
            price = Decimal(int(PRICE))
            ticket = OrderTicket(
                client_id=prefix + name * 24, pair="BTC/USDT", buys=True, amount=Decimal(1), limit=price
            )
            await exchange.place(ticket)
        api.next("open_orders", be_away)
        api.next("cancel", be_busy)
        stop(desk)
        await desk.bus.until(lambda: not exchange.resting, "all of it to be cancelled")
        await desk.bus.settled()
        codes = [code for code, _ in said(desk)]
        assert codes == ["VEN-003", "RISK-008", "VEN-006", "RISK-008"]


async def test_without_its_keys_it_says_so_and_gives_up(world: World) -> None:
    async with watched(world) as desk:
        await rest(desk, limit("a"))
        desk.apis["binance"].next("open_orders", fail(AuthFailed("VEN-005", "the key was revoked")))
        before = desk.apis["binance"].calls["open_orders"]
        stop(desk)
        await desk.bus.advance(5.0)
        assert said(desk) == [("VEN-005", "CRITICAL")]
        assert desk.apis["binance"].calls["open_orders"] == before + 1
        await desk.engine.next_of(OrdersDone)


async def test_an_exchange_that_stays_away_is_given_up_in_the_end(world: World) -> None:
    async with watched(world) as desk:
        desk.apis["binance"].always["open_orders"] = be_away
        stop(desk)
        await desk.bus.advance(1800.0)
        codes = said(desk)
        assert codes[-1] == ("VEN-003", "CRITICAL")
        assert set(codes[:-1]) == {("VEN-003", "MEDIUM")}
        assert len(codes) <= 12
        assert desk.apis["binance"].calls["open_orders"] == len(codes) + 1, "and once at the start"
