"""A stop lets a tick come to its end that has orders, and does not wait for the venues of one that has none yet."""

from __future__ import annotations

from math import inf
from typing import cast

import anyio
import pytest
from tests.actors.test_engine_closing import HOUR, Floor, Open

from basis_actors.bus import Lane, LiveBus
from basis_actors.bus.testkit import Runtimes
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import DecisionMade, EndTicks, OrderResult, OrdersDone
from basis_actors.messages.market import MarketState
from basis_actors.services.stopping import end_the_tick

pytestmark = pytest.mark.anyio
NEVER = 30.0
"""Seconds after which a test that waits for ever is given up."""


class Account:
    """One that may have an order of its own on its way."""

    def __init__(self) -> None:
        self.has_own_order = False
        self.may_begin = True

    def begin_nothing(self) -> None:
        self.may_begin = False


async def ended(floor: Floor, orders_seconds: float, beyond_seconds: float, *accounts: Account) -> None:
    with anyio.fail_after(NEVER):
        await end_the_tick(cast("LiveBus", floor.bus), floor.engine, accounts, orders_seconds, beyond_seconds)
    assert not any(account.may_begin for account in accounts)


async def test_a_tick_whose_venues_say_nothing_is_not_waited_for() -> None:
    floor = Floor(Runtimes("live"), ticks=1)
    async with floor.bus:
        await floor.world.next_of(TickStarted)
        assert floor.engine.is_settling
        await ended(floor, inf, 0.01)
        assert floor.engine.at_work


async def test_a_tick_that_has_decided_is_waited_for_as_long_as_its_orders_may_take() -> None:
    floor = Floor(Runtimes("live"), ticks=1)
    async with floor.bus as bus, anyio.create_task_group() as tasks:
        tick = await floor.world.next_of(TickStarted)
        over = anyio.Event()

        async def stop() -> None:
            await ended(floor, inf, 0.01)
            over.set()

        bus.post("engine", DecisionMade(tick.number, 1))
        await bus.settled()
        assert not floor.engine.is_settling
        tasks.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        assert not over.is_set()
        bus.post("engine", OrdersDone(tick.number, (OrderResult("o-1", succeeded=True),)))
        await bus.settled()
        with anyio.fail_after(NEVER):
            await over.wait()
        assert not floor.engine.at_work


async def test_an_order_without_an_end_is_given_up() -> None:
    floor = Floor(Runtimes("live"), ticks=1)
    async with floor.bus as bus:
        tick = await floor.world.next_of(TickStarted)
        bus.post("engine", DecisionMade(tick.number, 1))
        await bus.settled()
        await ended(floor, 0.01, 0.01)
        assert floor.engine.at_work


async def test_between_two_ticks_nothing_is_waited_for() -> None:
    floor = Floor(Runtimes("live"), ticks=1)
    async with floor.bus:
        await floor.step()
        await ended(floor, inf, inf)
        assert not floor.engine.at_work


async def test_an_order_that_an_account_has_sent_by_itself_is_waited_for_and_booked() -> None:
    floor, account, other = Floor(Runtimes("live"), ticks=1), Account(), Account()
    async with floor.bus as bus, anyio.create_task_group() as tasks:
        tick = await floor.world.next_of(TickStarted)
        account.has_own_order = True
        over = anyio.Event()

        async def stop() -> None:
            await ended(floor, inf, 0.01, account, other)
            over.set()

        tasks.start_soon(stop)
        with anyio.move_on_after(0.05):
            await over.wait()
        assert not over.is_set()
        account.has_own_order = False
        bus.post("engine", DecisionMade(tick.number, 0))
        with anyio.fail_after(NEVER):
            await over.wait()
        assert not floor.engine.at_work


async def test_an_order_of_an_account_without_an_end_is_given_up() -> None:
    floor, account = Floor(Runtimes("live"), ticks=1), Account()
    async with floor.bus:
        await floor.world.next_of(TickStarted)
        account.has_own_order = True
        await ended(floor, 0.01, 0.01, account)
        assert floor.engine.at_work


class Slow(Open):
    """A market that is on its way until somebody lets it arrive."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked, self.arrives = anyio.Event(), anyio.Event()

    async def take(self, ns: int) -> MarketState:
        self.asked.set()
        await self.arrives.wait()
        return await super().take(ns)


async def test_a_tick_whose_market_is_being_taken_is_at_work_and_the_last_one() -> None:
    feed = Slow()
    floor, account = Floor(Runtimes("live"), feed=feed), Account()
    async with floor.bus as bus, anyio.create_task_group() as tasks:
        with anyio.fail_after(NEVER):
            await feed.asked.wait()
        bus.post("engine", EndTicks(), lane=Lane.CONTROL)
        tasks.start_soon(ended, floor, inf, inf, account)
        await anyio.wait_all_tasks_blocked()
        assert account.may_begin
        feed.arrives.set()
        await floor.step()
        assert not floor.engine.at_work
    assert not account.may_begin


async def test_no_tick_begins_once_the_process_ends() -> None:
    floor = Floor(Runtimes("live"), ticks=3)
    async with floor.bus as bus:
        await floor.step()
        bus.post("engine", EndTicks(), lane=Lane.CONTROL)
        await bus.settled()
        await bus.advance(10 * HOUR / 1e9)
        await floor.close()
        await bus.advance(10 * HOUR / 1e9)
        assert floor.times == [0]
        assert not floor.engine.at_work
