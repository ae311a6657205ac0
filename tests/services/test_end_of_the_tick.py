"""A stop lets a tick come to its end that has orders, and does not wait for the venues of one that has none yet."""

from __future__ import annotations

from math import inf
from typing import cast

import anyio
import pytest
from tests.actors.test_engine_closing import Floor

from basis_actors.bus import LiveBus
from basis_actors.bus.testkit import Runtimes
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import DecisionMade, OrderResult, OrdersDone
from basis_actors.services.stopping import end_the_tick

pytestmark = pytest.mark.anyio
NEVER = 30.0
"""Seconds after which a test that waits for ever is given up."""


async def ended(floor: Floor, orders_seconds: float, beyond_seconds: float) -> None:
    with anyio.fail_after(NEVER):
        await end_the_tick(cast("LiveBus", floor.bus), floor.engine, orders_seconds, beyond_seconds)


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
