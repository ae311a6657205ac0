"""An exchange that hangs while an order is sent: the order is left to its account, which asks until it knows, and takes
nothing else before; everybody else goes on. On both runtimes."""

from __future__ import annotations

import pytest
from tests.actors.desk import CONFIG, buy, group, short
from tests.actors.live_desk import LiveDesk, World, running
from tests.actors.test_exchange_adapter import COIN, PERP, agree
from tests.venues.live.scripts import CarryOut, Step

from basis_actors.bus import Lane
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.commands import OrderDecided, StopTrading, StopWaiting
from basis_actors.messages.events import OperationExecutionEvent
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.orders import Order, Side
from basis_actors.messages.safety import LookAgain, OrdersUndecided, VenueSeen

pytestmark = pytest.mark.anyio
REQUEST_SECONDS = 10.0
READS = ("order", "open_orders", "fills", "payments", "account", "order_by_number")


@pytest.fixture
async def world(runtime: Runtimes) -> World:
    return await World(runtime).fund()


def hangs(desk: LiveDesk, venue: str, *, carried_out: bool) -> None:
    """From now on an exchange takes every connection and answers nothing; orders are carried out, or not."""

    async def place(carry_out: CarryOut) -> object:
        if carried_out:
            await carry_out()
        await desk.bus.clock.sleep(REQUEST_SECONDS)
        raise UnknownOutcome("VEN-002", "no answer came")

    async def read(_carry_out: CarryOut) -> object:
        await desk.bus.clock.sleep(REQUEST_SECONDS)
        raise Transient("VEN-003", "no answer came")

    steps: dict[str, Step] = {**dict.fromkeys(READS, read), "place": place}
    desk.apis[venue].always.update(steps)


async def ask_again(desk: LiveDesk) -> None:
    """As the kill switch does with each heartbeat."""
    desk.bus.post("venue_bybit", LookAgain())
    await desk.bus.settled()


def statuses(desk: LiveDesk, operation_id: str) -> list[ExecutionStatus]:
    events = desk.logged(OperationExecutionEvent)
    return [event.status for event in events if event.operation_id == operation_id]


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_leg_of_which_nobody_knows_halts_its_exchange_and_nothing_else(world: World, carried_out: bool) -> None:
    told = Probe("told", OrdersUndecided, OrderDecided, VenueSeen)
    async with running(world, lambda desk: desk.bus.add(told)) as desk:
        hangs(desk, "bybit", carried_out=carried_out)
        began = desk.bus.clock.now()
        done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)), buy("c", 0.1))
        held_up = (desk.bus.clock.now() - began) / 1e9
        assert held_up < CONFIG.unanswered_seconds + 2 * REQUEST_SECONDS
        assert [result.error_code for result in done.results] == [None, "VEN-002", None], "elsewhere it goes on"
        assert desk.engine.of(StopTrading) == []
        assert (await desk.tick()).positions[COIN] == pytest.approx(0.1, rel=0.01), "the other leg is undone"
        assert len(await world.journal.open_groups()) == 1, "a process that comes after a kill has to see to it"
        (left,) = [each.orders for each in told.of(OrdersUndecided)]
        assert [(each.operation_id, each.symbol, each.side, each.amount) for each in left] == [
            ("b", "BTC-PERP", "short", 0.5)
        ]
        assert left[0].client_id == desk.apis["bybit"].sent[-1].client_id
        assert [each.domain for each in told.of(VenueSeen) if each.lost_since_ns is not None][-1] == "bybit"

        sent = {name: len(api.sent) for name, api in desk.apis.items()}
        legs = group(buy("d", 0.5), short("e", 0.5))
        done = await desk.execute(*legs, short("f", 0.1), buy("g", 0.1))
        assert [result.error_code for result in done.results] == ["VEN-008", "VEN-008", "VEN-008", None]
        await ask_again(desk)
        assert told.of(OrderDecided) == []
        assert {name: len(api.sent) - sent[name] for name, api in desk.apis.items()} == {"binance": 1, "bybit": 0}

        desk.apis["bybit"].always.clear()
        for _ in range(4):
            await ask_again(desk)
            await desk.bus.advance(30.0)
        await desk.bus.settled()
        assert told.of(OrderDecided) == [OrderDecided("b")]
        found = ExecutionStatus.CONFIRMED if carried_out else ExecutionStatus.FAILED
        assert statuses(desk, "b") == [ExecutionStatus.UNKNOWN, found]
        assert await world.journal.open_groups() == ()
        assert told.of(OrdersUndecided)[-1] == OrdersUndecided("bybit", (), None)
        view = await desk.tick(reconcile=True)
        assert view.positions.get(PERP, 0.0) == (-0.5 if carried_out else 0.0)
        await agree(world, view.positions)
        assert sum(ticket.client_id == left[0].client_id for ticket in desk.apis["bybit"].sent) == 1, "sent once"
        assert "VEN-007" not in desk.codes(), "its trades are known for ours"
        assert (await desk.execute(short("h", 0.1))).results[0].succeeded


async def test_an_order_that_is_done_before_its_exchange_hangs_is_compared_before_the_next(world: World) -> None:
    async with running(world) as desk:
        fills = desk.apis["bybit"].exchange.fills

        async def then_hang(_carry_out: CarryOut) -> object:
            hangs(desk, "bybit", carried_out=True)
            (ticket,) = desk.apis["bybit"].sent
            return await fills(ticket.pair, 0)  # type: ignore[union-attr]

        desk.apis["bybit"].next("fills", then_hang)
        done = await desk.execute(short("a", 0.5), short("b", 0.5), buy("c", 0.1))
        assert [result.error_code for result in done.results] == [None, "VEN-008", None]
        assert desk.engine.of(StopTrading) == []
        assert len(desk.apis["bybit"].sent) == 1
        desk.apis["bybit"].always.clear()
        await ask_again(desk)
        await agree(world, (await desk.tick()).positions)
        assert statuses(desk, "a") == [ExecutionStatus.CONFIRMED], "it was never in doubt"
        assert (await desk.execute(short("d", 0.1))).results[0].succeeded


async def test_a_leg_at_a_halted_exchange_is_not_undone_and_the_strategy_finds_it(world: World) -> None:
    async with running(world) as desk:

        async def refuse_and_hang(_carry_out: CarryOut) -> object:
            hangs(desk, "bybit", carried_out=False)
            raise Rejected("EXEC-001", "no")

        desk.apis["binance"].next("place", refuse_and_hang)
        done = await desk.execute(*group(short("a", 0.5), buy("b", 0.5)))
        assert [result.error_code for result in done.results] == [None, "EXEC-001"]
        assert desk.engine.of(StopTrading) == []
        assert "EXEC-006" in desk.codes()
        assert statuses(desk, "a-unwind") == [ExecutionStatus.UNKNOWN]
        desk.apis["bybit"].always.clear()
        for _ in range(4):
            await ask_again(desk)
            await desk.bus.advance(30.0)
        assert statuses(desk, "a-unwind") == [ExecutionStatus.UNKNOWN, ExecutionStatus.FAILED]
        assert await world.journal.open_groups() == ()
        assert (await desk.tick()).positions[PERP] == -0.5
        level: Order = short("c", 0.5, side=Side.LONG, reduce_only=True)
        assert (await desk.execute(level)).results[0].succeeded


async def test_a_stop_leaves_an_order_to_the_next_process_after_one_question(world: World) -> None:
    async with running(world) as desk:
        hangs(desk, "bybit", carried_out=True)
        desk.bus.post("execution_manager", StopWaiting(), lane=Lane.CONTROL)
        began = desk.bus.clock.now()
        done = await desk.execute(short("a", 0.5))
        assert [result.error_code for result in done.results] == ["VEN-002"]
        assert (desk.bus.clock.now() - began) / 1e9 < 2.5 * REQUEST_SECONDS
    async with running(world) as desk:
        assert (await desk.tick()).positions[PERP] == -0.5
