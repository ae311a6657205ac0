"""What a process keeps on disk and is not in its place any more is said once, and once that it is back."""

from __future__ import annotations

import pytest
from tests.actors.desk import buy, desk
from tests.actors.store import MemoryStore

from basis_actors.actors.place_watch import Place, PlaceWatch
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.commands import StopTrading
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.orders import Side
from basis_actors.messages.safety import StateUnwritable

pytestmark = pytest.mark.anyio
SECONDS = 30.0


async def test_it_is_said_once_and_again_when_it_is_over(runtime: Runtimes) -> None:
    bus, log, seen = runtime.bus(log_sink="event_logger"), Probe("event_logger"), Probe("seen", StateUnwritable)
    state = MemoryStore()
    logs = MemoryStore()
    places = (Place("state directory", "ENGINE-006", state.lost), Place("log directory", "LOG-001", logs.lost))
    for actor in (log, seen, PlaceWatch(places, SECONDS)):
        bus.add(actor)
    async with bus:
        await bus.advance(3 * SECONDS)
        assert log.of(SystemErrorEvent) == []
        state.gone = "/state is gone"
        await bus.advance(3 * SECONDS)
        logs.gone = "/logs is gone"
        await bus.advance(3 * SECONDS)
        state.gone = None
        await bus.advance(3 * SECONDS)
        said = [(event.error_code, event.severity) for event in log.of(SystemErrorEvent)]
        assert said == [("ENGINE-006", "CRITICAL"), ("LOG-001", "HIGH"), ("ENGINE-006", "MEDIUM")]
        assert log.of(SystemErrorEvent)[0].message == (
            "the state directory is lost: /state is gone; nothing that adds risk is sent: bring it back, or stop this"
            " process and start another"
        )
        assert seen.of(StateUnwritable) == [
            StateUnwritable("state directory", "/state is gone"),
            StateUnwritable("log directory", "/logs is gone"),
            StateUnwritable("state directory", None),
        ]


async def test_while_a_place_is_lost_only_what_reduces_passes(runtime: Runtimes) -> None:
    logs = MemoryStore()
    async with desk(runtime) as d:
        d.bus.add(PlaceWatch((Place("log directory", "LOG-001", logs.lost),), SECONDS))
        assert (await d.execute(buy("a", 1.0))).results[0].succeeded
        logs.gone = "/logs is gone"
        await d.bus.advance(SECONDS)
        done = await d.execute(buy("b", 0.1))
        assert done.results[0].error_code == "ENGINE-006"
        assert (await d.execute(buy("c", 0.4, Side.SELL))).results[0].succeeded
        logs.gone = None
        await d.bus.advance(SECONDS)
        assert (await d.execute(buy("d", 0.1))).results[0].succeeded
        assert d.engine.of(StopTrading) == [], "and nothing ends"


async def test_the_state_is_looked_at_before_each_order_that_adds_risk(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with desk(runtime, store=store) as d:
        assert (await d.execute(buy("a", 1.0))).results[0].succeeded
        store.gone = "/state is gone"
        done = await d.execute(buy("b", 0.1))
        assert (done.results[0].error_code, len(d.binance.sent)) == ("ENGINE-006", 1)
        assert (await d.execute(buy("c", 0.4, Side.SELL))).results[0].succeeded
