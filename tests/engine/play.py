"""Plays a mode on the Sim runtime in memory: the engine of a backtest, with venues and feed that a test may wrap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from basis_actors.actors.event_logger import EventLogger
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import BusError, SimBus, VirtualClock
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.messages.book import Flow, TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.events import DomainEvent, PnLCalculation, SystemErrorEvent
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.orders import Order
from basis_actors.ports import MarketFeed, VenueClient
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.wiring import EVENT_LOGGER, STOP_ORDER, add_engine
from basis_actors.venues.simulated.build import build_simulated_venues

E = TypeVar("E", bound=DomainEvent)
FOUR_MODES = ("pure_lending_usdt", "pure_lending_eth", "btc_basis", "eth_basis")
ALWAYS_IN = "strategy_config.always_in=true"


def utc(text: str) -> datetime:
    """A UTC time such as `2024-01-01` or `2024-01-01T08:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def flow(when: str, amount: float) -> Flow:
    """A deposit, or a withdrawal when negative."""
    return Flow(utc(when), amount)


class Recorder:
    """An event sink that keeps the events."""

    unwritten = 0

    def __init__(self) -> None:
        self.events: list[DomainEvent] = []

    def log(self, event: DomainEvent) -> None:
        self.events.append(event)

    def flush_if_due(self) -> None:
        """Nothing waits."""

    def flush(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Played:
    """A run that is over."""

    events: list[DomainEvent]
    ticks: int
    failure: BaseException | None
    flows: tuple[Flow, ...]
    """By time, the capital first."""

    def of(self, kind: type[E]) -> list[E]:
        """All events of one type, in order."""
        return [event for event in self.events if type(event) is kind]

    @property
    def worst_residual(self) -> float:
        """Largest |residual| of one calculation, as a fraction of equity."""
        return max(abs(pnl.residual) / max(abs(pnl.equity), 1e-300) for pnl in self.of(PnLCalculation) if pnl.equity)

    @property
    def codes(self) -> set[str]:
        """Codes of all errors."""
        return {error.error_code for error in self.of(SystemErrorEvent)}


def play(
    mode: str,
    folder: Path,
    *,
    start: str | None = None,
    end: str | None = None,
    flows: Sequence[Flow] = (),
    wrap_venue: Callable[[VenueClient], VenueClient] = lambda client: client,
    wrap_feed: Callable[[MarketFeed], MarketFeed] = lambda feed: feed,
    **request: Any,
) -> Played:
    """Run `mode`; `folder` takes the component logs. A failure of the run is in the result, not raised."""
    prepared = prepare(
        BacktestRequest(
            mode=mode,
            start=None if start is None else utc(start),
            end=None if end is None else utc(end),
            flows=flows,
            out=folder,
            **request,
        )
    )
    run_dir = LogDirectoryManager.create_run_logs("played", len(list(folder.glob("played/*"))), mode, "", 1.0, folder)
    components = ComponentLogs(run_dir, "played", 0)
    recorder = Recorder()
    bus = SimBus(VirtualClock(prepared.feed.ticks[0]), log_sink=EVENT_LOGGER, stop_order=STOP_ORDER)
    add_engine(
        bus,
        run=prepared.run,
        strategy=prepared.strategy,
        feed=wrap_feed(prepared.feed),
        venues=[wrap_venue(client) for client in build_simulated_venues(prepared.run, clock=bus.clock)],
        flows=prepared.flows,
        event_logger=EventLogger(recorder, RunStatistics(), components),
        stopwatch=Stopwatch(lambda: 0.0),
        simulated=True,
    )
    failure: BaseException | None = None
    try:
        bus.run()
    except BusError as error:
        failure = error
    components.close()
    return Played(recorder.events, len(prepared.feed.ticks), failure, prepared.flows)


class Tampered:
    """A venue whose settlements are changed on the way to the ledger, and whose report is changed to match.

    So nothing but the attribution can notice. `change` gives what is booked in place of a settlement.
    """

    def __init__(self, client: VenueClient, change: Callable[[Settlement], Settlement]) -> None:
        self._client = client
        self._change = change
        self._shift: dict[str, float] = {}

    @property
    def domain(self) -> str:
        return self._client.domain

    @property
    def venues(self) -> tuple[str, ...]:
        return self._client.venues

    def _tamper(self, settlements: Iterable[Settlement]) -> tuple[Settlement, ...]:
        changed = []
        for settlement in settlements:
            other = self._change(settlement)
            for sign, deltas in ((1.0, other.deltas), (-1.0, settlement.deltas)):
                for delta in deltas:
                    self._shift[delta.position_key] = (
                        self._shift.get(delta.position_key, 0.0) + sign * delta.delta_amount
                    )
            changed.append(other)
        return tuple(changed)

    def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        return self._tamper(self._client.settle(tick))

    async def execute(self, order: Order) -> ExecutionHandshake:
        answer = await self._client.execute(order)
        return replace(answer, settlements=self._tamper(answer.settlements))

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        return await self._client.execute_group(orders)

    async def resolve(self, order: Order) -> ExecutionHandshake:
        return await self._client.resolve(order)

    async def report(self) -> dict[str, float]:
        shown = await self._client.report()
        for key, shift in self._shift.items():
            shown[key] = shown.get(key, 0.0) + shift
        return shown

    async def expect(self, transfer: IncomingTransfer) -> None:
        await self._client.expect(transfer)
