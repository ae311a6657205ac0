"""The process that is killed: live actors, the journal on disk, and Binance's adapter over real sockets.

`python -m tests.crash.process SETTINGS.json`; the market is one price, told again every fraction of a second.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from basis_actors.bus import WallClock
from basis_actors.cli.interruption import Interruption
from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.config.secrets import load_secrets
from basis_actors.messages.market import MarketState
from basis_actors.services.accounts import LiveAccounts
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.surroundings import Surroundings
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.journal.sqlite import SqliteJournal
from basis_actors.venues.wire.pauses import Pauses

START = datetime(2024, 1, 10, tzinfo=UTC)


class PresentFeed:
    """One state of the market, told anew at every step of real time."""

    def __init__(self, state: MarketState, step_seconds: float, clock: WallClock) -> None:
        self._state = state
        self._step = round(step_seconds * NS_PER_SECOND)
        self._clock = clock

    def next_tick(self, after_ns: int | None) -> int:
        """The next step."""
        after = self._clock.now() if after_ns is None else after_ns
        return after - after % self._step + self._step

    async def take(self, ns: int) -> MarketState:
        """The same market, now."""
        return replace(self._state, ns=ns, timestamp=utc_from_ns(ns), funding=())

    async def between(self, ns: int) -> MarketState:
        """The same market."""
        return await self.take(ns)


def configured(run: RunConfig, settings: dict[str, Any]) -> RunConfig:
    """Binance where the test has it, and patience for a test."""
    venue = run.venues["binance"]
    assert isinstance(venue, ExchangeVenue)
    assert venue.api is not None
    terms = venue.account_terms.model_copy(update=settings["patience"])
    api = venue.api.model_copy(update={"timeout_seconds": settings["timeout_seconds"]})
    assert venue.spot is not None
    assert venue.perp is not None
    changed = venue.model_copy(
        update={
            "urls": settings["urls"],
            "account_terms": terms,
            "api": api,
            "spot": venue.spot.model_copy(update={"markets": {"BTC": venue.spot.markets["BTC"]}}),
            "perp": venue.perp.model_copy(update={"markets": {"BTC": venue.perp.markets["BTC"]}}),
            "inverse_perp": None,
        }
    )
    return run.model_copy(update={"venues": {**run.venues, "binance": changed}})


def main() -> int:
    """Run until it is told to stop, or killed; the exit code of a live process."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    prepared = prepare(
        BacktestRequest(
            mode=Path(settings["mode"]), start=START, end=START + timedelta(hours=2), out=Path(settings["out"])
        )
    )
    run = configured(prepared.run, settings)
    prepared = dataclasses.replace(prepared, run=run)
    state = [prepared.feed.take(ns) for ns in prepared.feed.ticks][-1]
    clock = WallClock()
    journal = SqliteJournal(Path(settings["journal"]))
    accounts = LiveAccounts(run, journal, load_secrets(), lambda _call: None, Pauses())
    feed = PresentFeed(state, settings["step_seconds"], clock)
    live = LiveRun(prepared, Surroundings(clock, feed, accounts.make, (), journal))

    async def go() -> int:
        try:
            summary = await live.run_async()
        finally:
            await accounts.close()
        if summary.failure is not None:
            sys.stderr.write(f"{summary.failure}\n")
        return 0 if summary.failure is None else 1

    with Interruption() as interruption:
        interruption.hold()
        interruption.cancels(live.cancel)
        return asyncio.run(go())


if __name__ == "__main__":
    sys.exit(main())
