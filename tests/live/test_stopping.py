"""A process that is told to stop has done so, unless something failed or the book is not closed that should be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from basis_actors.bus.errors import Lost, StopTimeout
from basis_actors.config import RunConfig
from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.errors import Rejected
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import Kill
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.orders import Order
from basis_actors.ports import VenueClient
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Progress
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest, Prepared, prepare
from basis_actors.services.state import Holder, StateDirectory
from basis_actors.services.stopping import loses_nothing
from basis_actors.services.surroundings import MakesVenues, on_paper, simulated_venues
from basis_actors.venues.simulated.domain import VenueClock

PACE = 36_000.0
INVESTED = 24
"""Ticks after which the book is open."""


class Fails:
    """A venue that from some tick on does not answer any more, or refuses every order."""

    def __init__(self, venue: VenueClient, from_tick: int, *, hangs: bool) -> None:
        self._venue = venue
        self._from = from_tick
        self._hangs = hangs
        self._tick = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        self._tick = tick.number
        if self._hangs and self._tick >= self._from:
            await anyio.Event().wait()
        return await self._venue.settle(tick)

    async def execute(self, order: Order) -> ExecutionHandshake:
        if self._tick >= self._from:
            raise Rejected("EXEC-001", "no market orders today")
        return await self._venue.execute(order)


def failing(venue: str, *, hangs: bool) -> MakesVenues:
    def make(run: RunConfig, clock: VenueClock) -> list[VenueClient]:
        found = simulated_venues(run, clock)
        return [
            Fails(each, INVESTED - 1, hangs=hangs) if each.domain == venue else each  # type: ignore[misc]
            for each in found
        ]

    return make


@pytest.fixture(scope="module")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of a synthetic market as files."""
    folder = tmp_path_factory.mktemp("market")
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 30 * DAY), folder)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    with StateDirectory(tmp_path / "state", Holder.this_process("btc_basis", datetime.now(UTC))) as taken:
        yield taken


def ready(folder: Path, out: Path, **component: Any) -> Prepared:
    overrides = {"component_config": {"monitoring": {"port": 0}, **component}}
    request = BacktestRequest(
        mode="btc_basis", data=folder, out=out, runtime="live", always_in=True, overrides=overrides
    )
    return prepare(request)


def stopped(live: LiveRun, *, kill: bool = False) -> RunSummary:
    """What became of a process that was told to stop when it was invested, if need be killed before."""
    killed_at: list[int] = []

    def look(progress: Progress) -> None:
        if progress.ticks < INVESTED:
            return
        if kill and not killed_at:
            assert live.bus is not None
            live.bus.post("kill_switch", Kill("leave it", "a person", flatten=False))
            killed_at.append(progress.ticks)
        elif not kill or progress.ticks > killed_at[0] + 2:
            live.cancel("told so")

    return live.run(look)


def test_a_stop_after_a_kill_is_no_failure_and_what_is_open_is_known(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    here = ready(market_folder, tmp_path)
    live = LiveRun(here, on_paper(here, PACE)._replace(state=state))
    summary = stopped(live, kill=True)
    assert (summary.failure, summary.stopped) == (None, "leave it (a person)")
    assert live.record.statistics.open_positions["binance:PerpPosition:BTC-PERP"] < 0.0


def test_a_book_that_a_kill_left_open_is_not_closed_by_the_stop_that_should_and_says_so(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    here = ready(market_folder, tmp_path)
    live = LiveRun(here, on_paper(here, PACE)._replace(state=state), flattens=True)
    assert stopped(live, kill=True).failure == (
        "RISK-008: the book was to be closed before the process ended, and is not: trading is stopped: leave it (a"
        " person); `basis-actors kill --flatten` has the next process close it"
    )


def test_a_book_that_is_not_closed_in_time_fails_the_stop(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    here = ready(market_folder, tmp_path, kill_switch={"flatten_ticks": 1})
    live = LiveRun(here, on_paper(here, PACE, failing("bybit", hangs=False))._replace(state=state), flattens=True)
    summary = stopped(live)
    assert "RISK-008: the book was to be closed before the process ended, and is not: " in (summary.failure or "")
    assert "the ticks that it may take, were too few" in (summary.failure or "")
    assert [key for key in live.record.statistics.open_positions if key.endswith("-PERP")] == [
        "bybit:PerpPosition:BTC-PERP"
    ]


def test_a_book_whose_tokens_are_not_gathered_yet_is_closed(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    here = ready(market_folder, tmp_path, kill_switch={"flatten_ticks": 1})
    live = LiveRun(here, on_paper(here, PACE)._replace(state=state), flattens=True)
    assert stopped(live).failure is None
    assert live.record.statistics.open_positions == {}


def test_a_stop_does_not_wait_for_an_exchange_that_hangs_and_fails_of_nothing(
    market_folder: Path, tmp_path: Path, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ready(market_folder, tmp_path)
    orders = here.run.mode.component_config.execution_manager.tight_loop_timeout
    monkeypatch.setattr(LiveRun, "BEYOND_SECONDS", 0.1 - orders)
    monkeypatch.setattr(LiveRun, "DRAIN_SECONDS", 0.2)
    live = LiveRun(here, on_paper(here, PACE, failing("bybit", hangs=True))._replace(state=state))
    summary = stopped(live)
    assert summary.failure is None
    assert any("the stop did not wait for" in said and "venue_bybit" in said for said in summary.warnings)
    assert live.record.statistics.open_positions["bybit:PerpPosition:BTC-PERP"] < 0.0


@pytest.mark.parametrize(
    ("lost", "nothing"),
    [
        ([Lost("venue_bybit", "TickStarted", {}), Lost("kill_switch", None, {"Beat": 1})], True),
        ([Lost("venue_bybit", "TickStarted", {}), Lost("execution_manager", None, {})], True),
        ([Lost("venue_bybit", "ExecuteOrder", {}), Lost("execution_manager", "ExecuteOrders", {})], False),
        ([Lost("execution_manager", None, {"ExecuteOrders": 1})], False),
        ([Lost("event_logger", None, {})], False),
    ],
)
def test_an_order_without_an_end_and_events_without_a_disk_are_lost(lost: list[Lost], nothing: bool) -> None:
    assert loses_nothing(StopTimeout(tuple(lost))) is nothing
