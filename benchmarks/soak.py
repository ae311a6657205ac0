"""A live process on paper at a multiple of real time, with faults in every minute, watched for what must not grow.

Asks for flat memory, bounded inboxes, an event loop that is never held, a complete log, and a replay of it that
verifies. Which ticks are missed and which orders fail depends on the machine; what must hold does not.
Run it as `python benchmarks/soak.py [--minutes M] [--speed X] [--data DIR] [--mode MODE] [--seed N] [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import msgspec

from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.errors import Transient, UnknownOutcome
from basis_actors.logs.reader import EventLog
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import Order
from basis_actors.ports import Settling, VenueClient
from basis_actors.results.summary import RunSummary
from basis_actors.results.verification import verify
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.surroundings import on_paper
from basis_actors.venues.simulated.build import build_simulated_venues
from basis_actors.venues.simulated.domain import VenueClock
from measuring import Row, quiet_start, render

_START = datetime(2024, 3, 1, tzinfo=UTC)
_SPELL_EVERY, _SPELL_SECONDS = 60.0, (5.0, 20.0)
_LOOK = 0.005
_MIB = 2**20
_LAG_LIMIT_MS, _DEPTH_LIMIT, _GROWTH_LIMIT = 50.0, 1000, 1.1


class Weather:
    """Begins a spell of one fault in every minute of real time, seeded."""

    KINDS = ("outage", "slow", "lost reply", "busy")

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._began = time.monotonic()
        self._minute = -1
        self._spell = ("fine", 0.0, 0.0)
        self.told: dict[str, int] = {}

    def now(self) -> str:
        """What it is like at the moment."""
        elapsed = time.monotonic() - self._began
        minute = int(elapsed / _SPELL_EVERY)
        if minute != self._minute:
            self._minute = minute
            begin = minute * _SPELL_EVERY + self._random.uniform(0.0, _SPELL_EVERY / 2)
            self._spell = (self._random.choice(self.KINDS), begin, begin + self._random.uniform(*_SPELL_SECONDS))
        kind, begin, end = self._spell
        return kind if begin <= elapsed < end else "fine"

    def strikes(self, kind: str) -> bool:
        """Whether it is like that now, and half of the time so."""
        if self.now() != kind or self._random.random() < 0.5:
            return False
        self.told[kind] = self.told.get(kind, 0) + 1
        return True


class Exposed:
    """A venue in the weather."""

    def __init__(self, venue: VenueClient, weather: Weather, clock: VenueClock) -> None:
        self._venue, self._weather, self._clock = venue, weather, clock

    @property
    def domain(self) -> str:
        return self._venue.domain

    @property
    def venues(self) -> tuple[str, ...]:
        return self._venue.venues

    def settle(self, tick: TickStarted) -> Settling:
        return self._venue.settle(tick)

    async def execute(self, order: Order) -> ExecutionHandshake:
        await self._look(f"order {order.operation_id} was not sent")
        if self._weather.strikes("busy"):
            raise Transient("VEN-006", f"{self.domain} is busy; nothing was done")
        handshake = await self._venue.execute(order)
        if self._weather.strikes("lost reply"):
            raise UnknownOutcome("VEN-002", f"{self.domain} did not answer in time")
        return handshake

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        return await self._venue.execute_group(orders)

    async def resolve(self, order: Order) -> ExecutionHandshake:
        await self._look("nothing was read")
        return await self._venue.resolve(order)

    async def report(self) -> dict[str, float]:
        await self._look("the account cannot be read")
        return await self._venue.report()

    async def expect(self, transfer: IncomingTransfer) -> None:
        await self._venue.expect(transfer)

    async def _look(self, consequence: str) -> None:
        if self._weather.strikes("outage"):
            raise Transient("VEN-003", f"{self.domain} cannot be reached: {consequence}")
        if self._weather.strikes("slow"):
            await self._clock.sleep(0.5)


class Watch:
    """What is looked at while it runs: how late the loop is, how long the inboxes are, how much memory there is."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self.lags: Counter[int] = Counter()
        """How often it was so late, in hundredths of a millisecond: a list of them would be what grows."""
        self.depth = 0
        self.resident: list[int] = []

    async def look(self) -> None:
        """Until cancelled."""
        following = time.monotonic()
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_LOOK)
            self.lags[round((time.perf_counter() - before - _LOOK) * 1e5)] += 1
            bus = self._run.bus
            if bus is not None:
                self.depth = max(self.depth, *(bus.stats(name).depth for name in bus.cells))
            if time.monotonic() >= following:
                following += 1.0
                self.resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    def lag(self, share: float) -> float:
        """What this share of all looks were not later than, ms."""
        left = share * self.lags.total()
        for late, count in sorted(self.lags.items()):
            left -= count
            if left <= 0:
                return late / 100.0
        raise RuntimeError("nobody has looked at the loop")

    @property
    def growth(self) -> float:
        """Largest memory of the last quarter, as a multiple of that of the second."""
        quarter = max(1, len(self.resident) // 4)
        return max(self.resident[-quarter:]) / max(self.resident[quarter : 2 * quarter] or self.resident)


async def _soak(run: LiveRun, seconds: float) -> tuple[RunSummary, Watch]:
    watch = Watch(run)
    looking = asyncio.create_task(watch.look())
    asyncio.get_running_loop().call_later(seconds, run.cancel, "the soak is over")
    try:
        return await run.run_async(), watch
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def main() -> int:
    """Print the table; 0 when everything that must hold does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--speed", type=float, default=20_000.0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--mode", default="btc_basis")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds = options.minutes * 60.0
    with quiet_start() as folder:
        end = _START + timedelta(hours=ceil(seconds * options.speed * 1.1 / 3600.0) + 2)
        prepared = prepare(
            BacktestRequest(
                mode=options.mode, data=options.data, start=_START, end=end, out=folder, always_in=True, runtime="live"
            )
        )
        weather = Weather(options.seed)

        def exposed(config: RunConfig, clock: VenueClock) -> Sequence[VenueClient]:
            exchanges = {name for name, venue in config.venues.items() if isinstance(venue, ExchangeVenue)}
            venues = build_simulated_venues(config, clock=clock)
            return [Exposed(venue, weather, clock) if venue.domain in exchanges else venue for venue in venues]

        run = LiveRun(prepared, on_paper(prepared, options.speed, exposed))
        summary, watch = asyncio.run(_soak(run, seconds))
        again = verify(run.record.run_dir)
        errors = [event for event in EventLog(run.record.run_dir).all() if isinstance(event, SystemErrorEvent)]
    missed = sum(error.error_code == "ENGINE-005" for error in errors)
    criticals = [error for error in errors if error.severity == "CRITICAL"]
    p99 = watch.lag(0.99)
    rows = [
        Row(measure="soak, ticks", value=summary.ticks, unit="ticks"),
        Row(measure="soak, market time", value=seconds * options.speed / 86_400.0, unit="days"),
        Row(measure="soak, faults", value=sum(weather.told.values()), unit="faults"),
        Row(measure="soak, moments at which ticks were missed", value=missed, unit="times"),
        Row(measure="soak, event loop late, p99", value=p99, unit="ms", compared_with="at most 50 is wanted"),
        Row(measure="soak, deepest inbox", value=watch.depth, unit="messages", compared_with="at most 1,000 is wanted"),
        Row(measure="soak, memory", value=max(watch.resident) / _MIB, unit="MiB"),
        Row(
            measure="soak, memory of the last quarter",
            value=max(watch.resident[-max(1, len(watch.resident) // 4) :]) / _MIB,
            unit="MiB",
            ratio=watch.growth,
            compared_with="that of the second quarter; at most 1.1× is wanted",
        ),
        Row(measure="soak, findings of the replay", value=len(again.findings), unit="findings"),
    ]
    broken = [
        name
        for name, holds in {
            # An order that no longer fits, because an earlier one of its decision was undone, is refused: no harm.
            f"trading stopped: {summary.failure or summary.stopped}": not criticals and summary.stopped is None,
            "the loop is late": p99 <= _LAG_LIMIT_MS,
            "an inbox grows": watch.depth <= _DEPTH_LIMIT,
            "memory grows": watch.growth <= _GROWTH_LIMIT,
            "the log is not whole": not again.findings and again.has_summary,
        }.items()
        if not holds
    ]
    print(msgspec.json.encode(rows).decode() if options.json else render(rows))
    for problem in broken:
        print(f"soak: {problem}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
