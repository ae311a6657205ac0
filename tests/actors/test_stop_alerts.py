"""One alert for each stop and each resumption, as severe as its cause, from the kill switch to the receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.actors.desk import START
from tests.actors.store import MemoryStore
from tests.actors.test_alerts import CONFIG, Courier
from tests.actors.test_kill_switch import switch, views
from tests.engine.play import Recorder

from basis_actors.actors.alerts import AlertRoute
from basis_actors.actors.event_logger import TellingEventLogger
from basis_actors.actors.live_health import LiveHealthMonitor
from basis_actors.bus import LiveBus, SimBus
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import load_mode
from basis_actors.errors import Severity
from basis_actors.logs.component import ComponentLogs
from basis_actors.messages.book import RiskLevel
from basis_actors.messages.commands import Kill, Resume
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.safety import BookClosed, KeyRefused
from basis_actors.results.accumulator import RunStatistics

pytestmark = pytest.mark.anyio
ALICE, BOB = "alice (uid 1000, pid 7)", "bob (uid 1001, pid 8)"
TRADING = "MEDIUM trading was starting and is trading"


@asynccontextmanager
async def told_by(runtime: Runtimes, folder: Path) -> AsyncIterator[tuple[SimBus | LiveBus, Courier]]:
    """A process that trades, without what trades."""
    bus, courier = runtime.bus(START, log_sink="event_logger"), Courier()
    components = ComponentLogs(folder, "alerts-1", 1)
    health = load_mode("btc_basis").mode.component_config.health_monitor
    bus.add(TellingEventLogger(Recorder(), RunStatistics(), components))
    bus.add(LiveHealthMonitor(health, lambda: bus.actors, bus.stats))
    config = CONFIG.model_copy(update={"burst": 20})
    bus.add(AlertRoute("oncall", config, Severity.MEDIUM, courier, str), sink=True)
    bus.add(switch(MemoryStore()))
    for name in ("engine", "strategy_manager", "execution_manager", "venue_binance"):
        bus.add(Probe(name))
    try:
        async with bus:
            for message in (TradingStatus(TradingPhase.TRADING), *views()):
                bus.publish(message)
            await bus.advance(0.0)
            yield bus, courier
    finally:
        components.close()


def words(courier: Courier) -> list[str]:
    """Severity and text of what was told until the process stopped."""
    return [f"{alert.severity} {alert.message}" for alert in courier.alerts]


async def test_a_kill_is_told_once_and_a_resumption_wakes_nobody(runtime: Runtimes, tmp_path: Path) -> None:
    async with told_by(runtime, tmp_path) as (bus, courier):
        await bus.ask("kill_switch", Kill("enough", ALICE, flatten=False))
        await bus.advance(1.0)
        await bus.ask("kill_switch", Resume(BOB))
        await bus.advance(1.0)
        begun, killed, resumed = words(courier)
    assert (begun, killed) == (TRADING, f"HIGH trading is killed: enough ({ALICE})")
    assert resumed.startswith(f"MEDIUM trading is resumed by {BOB}")
    times = [alert.time for alert in courier.alerts]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("cause", "code"),
    [(KeyRefused("binance", "the key was revoked"), "VEN-005"), (views(RiskLevel.CRITICAL)[1], "RISK-001")],
)
async def test_a_stop_by_itself_is_critical(runtime: Runtimes, tmp_path: Path, cause: object, code: str) -> None:
    async with told_by(runtime, tmp_path) as (bus, courier):
        bus.publish(cause)
        await bus.advance(1.0)
        begun, stopped = words(courier)
    assert begun == TRADING
    assert stopped.startswith(f"CRITICAL trading is stopped: {code}: ")


async def test_a_book_that_is_closed_at_the_end_wakes_nobody(runtime: Runtimes, tmp_path: Path) -> None:
    async with told_by(runtime, tmp_path) as (bus, courier):
        await bus.ask("kill_switch", Kill("SIGTERM", "the stop", flatten=True, until_closed=True))
        bus.publish(BookClosed())
        await bus.advance(1.0)
    assert words(courier) == [
        TRADING,
        "MEDIUM trading is killed, and the book is to be closed: SIGTERM (the stop)",
        "MEDIUM the book is closed",
        "MEDIUM the process stops as it was told to",
    ]
