"""The last alert of a process names orders of which nobody knows what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from tests.actors.desk import START
from tests.actors.test_alerts import CONFIG, Courier
from tests.actors.test_start_watch import journal_with_an_undecided_order
from tests.engine.play import Recorder
from tests.venues.journal.intents import intent

from basis_actors.actors.alerts import AlertRoute
from basis_actors.actors.end_watch import EndWatch
from basis_actors.actors.event_logger import TellingEventLogger
from basis_actors.bus import Actor
from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import Severity
from basis_actors.logs.component import ComponentLogs
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.journal import IntentState
from basis_actors.results.accumulator import RunStatistics
from basis_actors.venues.journal.memory import MemoryJournal

pytestmark = pytest.mark.anyio


class FindsOut(Actor):
    """An account that hears at its own stop what became of an order."""

    def __init__(self, journal: MemoryJournal) -> None:
        super().__init__("venue_binance")
        self._journal = journal

    async def post_stop(self) -> None:
        await self._journal.advance("c1", IntentState.FILLED, Decimal(1), "the exchange says so", START)


class Ended:
    """What was told and logged of a process until it had ended."""

    def __init__(self) -> None:
        self.courier, self.log = Courier(), Recorder()

    @property
    def alerts(self) -> list[str]:
        return [f"{alert.severity} {alert.message}" for alert in self.courier.alerts]


@asynccontextmanager
async def ending(runtime: Runtimes, folder: Path, journal: MemoryJournal, *others: Actor) -> AsyncIterator[Ended]:
    """A process that stops at the end of this."""
    here, bus, components = Ended(), runtime.bus(START, log_sink="event_logger"), ComponentLogs(folder, "end-1", 1)
    bus.add(TellingEventLogger(here.log, RunStatistics(), components))
    for actor in others:
        bus.add(actor)
    bus.add(AlertRoute("oncall", CONFIG, Severity.MEDIUM, here.courier, str), sink=True)
    bus.add(EndWatch(journal), sink=True)
    try:
        async with bus:
            yield here
    finally:
        components.close()


async def test_orders_that_are_left_undecided_are_the_last_alert(runtime: Runtimes, tmp_path: Path) -> None:
    journal = await journal_with_an_undecided_order()
    await journal.intend(intent("c2"))
    await journal.advance("c2", IntentState.SENT, Decimal(0), "on its way", START)
    await journal.advance("c2", IntentState.UNKNOWN, Decimal(0), "no answer", START)
    async with ending(runtime, tmp_path, journal) as here:
        assert here.alerts == []
    names = f"{intent('c1').order.operation_id} on binance, {intent('c2').order.operation_id} on binance"
    text = (
        f"the process ends: 2 orders are left undecided: {names}; start the process again: it asks what became of each"
        " before it trades, and sends none again"
    )
    assert here.alerts == [f"HIGH {text}"]
    (logged,) = here.log.events
    assert isinstance(logged, SystemErrorEvent)
    assert (logged.error_code, logged.message) == ("VEN-002", text)


async def test_an_order_that_is_found_out_about_during_the_stop_is_not_undecided(
    runtime: Runtimes, tmp_path: Path
) -> None:
    journal = await journal_with_an_undecided_order()
    async with ending(runtime, tmp_path, journal, FindsOut(journal)) as here:
        pass
    assert here.alerts == ["MEDIUM the process stops as it was told to"]
    assert here.log.events == []
