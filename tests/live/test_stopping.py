"""A process that is told to stop has done so, unless something failed or the book is not closed that should be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.actors.store import MemoryStore

from basis_actors.actors.latch_file import read_latch, write_latch
from basis_actors.bus.errors import Lost, StopTimeout
from basis_actors.config import RunConfig
from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.errors import Rejected
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import Kill, Resume
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import Latch, TradingState
from basis_actors.ports import VenueClient
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Progress
from basis_actors.services.left_open import listed
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest, Prepared, prepare
from basis_actors.services.state import Holder, StateDirectory
from basis_actors.services.stopping import keep_closing, loses_nothing
from basis_actors.services.surroundings import MakesVenues, on_paper, simulated_venues
from basis_actors.services.verdict import left_wrong
from basis_actors.venues.journal.memory import MemoryJournal
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
        settled = self._venue.settle(tick)
        assert isinstance(settled, tuple)
        return settled

    async def execute(self, order: Order) -> ExecutionHandshake:
        if self._tick >= self._from:
            raise Rejected("EXEC-001", "no market orders today")
        return await self._venue.execute(order)


class RefusesOnce:
    """A venue that refuses its first order as one that is wrong."""

    def __init__(self, venue: VenueClient) -> None:
        self._venue = venue
        self._refused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def execute(self, order: Order) -> ExecutionHandshake:
        if not self._refused:
            self._refused = True
            raise Rejected("EXEC-004", "no")
        return await self._venue.execute(order)


def refusing_once(venue: str) -> MakesVenues:
    def make(run: RunConfig, clock: VenueClock) -> list[VenueClient]:
        found = simulated_venues(run, clock)
        return [RefusesOnce(each) if each.domain == venue else each for each in found]  # type: ignore[misc]

    return make


def left(state: StateDirectory) -> Latch:
    """The latch that the next process finds."""
    return read_latch(state, datetime.now(UTC))


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


def taken(folder: Path) -> StateDirectory:
    """The state of one process."""
    return StateDirectory(folder / "state", Holder.this_process("btc_basis", datetime.now(UTC)))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    with taken(tmp_path) as mine:
        yield mine


def ready(folder: Path, out: Path, **component: Any) -> Prepared:
    overrides = {"component_config": {"monitoring": {"port": 0}, **component}}
    request = BacktestRequest(
        mode="btc_basis", data=folder, out=out, runtime="live", always_in=True, overrides=overrides
    )
    return prepare(request)


def stopped(live: LiveRun, *, kill: bool = False, flatten: bool = False, ticks: int = 2) -> RunSummary:
    """What became of a process that was told to stop when it was invested, if need be killed some ticks before."""
    killed_at: list[int] = []

    def look(progress: Progress) -> None:
        if progress.ticks < INVESTED:
            return
        if kill and not killed_at:
            assert live.bus is not None
            live.bus.post("kill_switch", Kill("leave it", "a person", flatten=flatten))
            killed_at.append(progress.ticks)
        elif not kill or progress.ticks >= killed_at[0] + ticks:
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
        f"RISK-008: the book was to be closed, and is not ({listed(live.left_open)}): trading is stopped: leave it (a"
        " person); `basis-actors kill --flatten` has the next process close it"
    )


def test_a_book_that_is_not_closed_in_time_fails_the_stop(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    here = ready(market_folder, tmp_path, kill_switch={"flatten_ticks": 1})
    live = LiveRun(here, on_paper(here, PACE, failing("bybit", hangs=False))._replace(state=state), flattens=True)
    summary = stopped(live)
    assert (summary.failure or "").startswith("RISK-008: the book was to be closed, and is not (")
    assert "the ticks that it may take, were too few; the next process goes on closing it" in (summary.failure or "")
    assert list(live.left_open) == ["bybit:PerpPosition:BTC-PERP", "binance:BaseToken:BTC"]
    assert f"({listed(live.left_open)}): " in (summary.failure or "")


def test_a_book_that_a_person_has_resumed_while_a_stop_closes_it_is_the_next_process_to_trade(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    class Resumed(Fails):
        """Somebody lets trading go on when the first order that closes is refused."""

        async def execute(self, order: Order) -> ExecutionHandshake:
            assert live.bus is not None
            if self._tick >= self._from:
                live.bus.post("kill_switch", Resume("a person"))
            return await super().execute(order)

    def make(run: RunConfig, clock: VenueClock) -> list[VenueClient]:
        found = simulated_venues(run, clock)
        return [
            Resumed(each, INVESTED - 1, hangs=False) if each.domain == "bybit" else each  # type: ignore[misc]
            for each in found
        ]

    here = ready(market_folder, tmp_path)
    surroundings = on_paper(here, PACE, make)._replace(state=state, journal=MemoryJournal("test"))
    live = LiveRun(here, surroundings, flattens=True)
    summary = stopped(live)
    assert summary.failure == (
        f"RISK-008: the book was to be closed, and is not ({listed(live.left_open)}): a person has resumed trading"
        " meanwhile, so closing ended there, and the next process trades"
    )
    assert left(state).state is TradingState.RUNNING


@pytest.mark.parametrize("hangs", [False, True])
def test_a_book_that_a_person_wants_closed_and_is_not_fails_the_end_of_the_process_too(
    market_folder: Path, tmp_path: Path, state: StateDirectory, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setattr(LiveRun, "BEYOND_SECONDS", 0.1)
    monkeypatch.setattr(LiveRun, "DRAIN_SECONDS", 0.2)
    here = ready(market_folder, tmp_path, kill_switch={"flatten_ticks": 1})
    live = LiveRun(here, on_paper(here, PACE, failing("bybit", hangs=hangs))._replace(state=state))
    summary = stopped(live, kill=True, flatten=True, ticks=0 if hangs else 2)
    assert summary.failure == (
        f"RISK-008: the book was to be closed, and is not ({listed(live.left_open)}): the process ended before that was"
        " done; the next process goes on closing it, and trades only after `basis-actors resume`"
    )
    assert live.left_open["bybit:PerpPosition:BTC-PERP"] < 0.0
    assert live.left_open["binance:BaseToken:BTC"] > 0.0
    assert (left(state).state, left(state).flatten) == (TradingState.KILLED, True)


def test_a_book_that_a_person_wants_closed_and_is_fails_nothing(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    here = ready(market_folder, tmp_path)
    live = LiveRun(here, on_paper(here, PACE)._replace(state=state))
    assert stopped(live, kill=True, flatten=True, ticks=24).failure is None
    assert live.left_open == {}


def test_after_a_stop_that_could_not_close_the_book_no_process_trades_before_somebody_resumes(
    market_folder: Path, tmp_path: Path
) -> None:
    with taken(tmp_path) as state:
        here = ready(market_folder, tmp_path / "first", kill_switch={"flatten_ticks": 1})
        venues = failing("bybit", hangs=False)
        stopped(LiveRun(here, on_paper(here, PACE, venues)._replace(state=state), flattens=True))
        latch = left(state)
        assert (latch.state, latch.flatten, latch.who) == (TradingState.KILLED, True, "the stop of the process")
        assert latch.reason == "told so: the book is closed before the process ends"
    with taken(tmp_path) as state:
        here = ready(market_folder, tmp_path / "second")
        again = LiveRun(here, on_paper(here, PACE)._replace(state=state))
        assert stopped(again).failure is None
        assert again.record.statistics.open_positions == {}, "on paper nothing was left to close"
        assert (left(state).state, left(state).until_closed) == (TradingState.KILLED, False)


def test_after_a_stop_that_closed_the_book_the_next_process_trades(market_folder: Path, tmp_path: Path) -> None:
    with taken(tmp_path) as state:
        here = ready(market_folder, tmp_path / "first")
        assert stopped(LiveRun(here, on_paper(here, PACE)._replace(state=state), flattens=True)).failure is None
        assert left(state).state is TradingState.RUNNING
    with taken(tmp_path) as state:
        here = ready(market_folder, tmp_path / "second")
        again = LiveRun(here, on_paper(here, PACE)._replace(state=state))
        stopped(again)
        assert again.record.statistics.open_positions["binance:PerpPosition:BTC-PERP"] < 0.0


@pytest.mark.parametrize("flattens", [False, True])
def test_a_stop_before_the_first_tick_does_not_say_that_a_book_is_closed_of_which_it_knows_nothing(
    market_folder: Path, tmp_path: Path, state: StateDirectory, flattens: bool
) -> None:
    here = ready(market_folder, tmp_path)
    if not flattens:
        said = Latch(state=TradingState.KILLED, reason="enough", who="a person", since=datetime.now(UTC), flatten=True)
        write_latch(state, said)
    surroundings = on_paper(here, PACE)._replace(state=state, journal=MemoryJournal("test"))
    live = LiveRun(here, surroundings, flattens=flattens)
    live.cancel("SIGTERM")
    assert live.run().failure == (
        "RISK-008: the book is to be closed, and nobody knows whether it is: the process had not begun to trade; the"
        " next process goes on closing it, and trades only after `basis-actors resume`"
    )
    assert (left(state).state, left(state).flatten) == (TradingState.KILLED, True)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("EXEC-006", "trading stays stopped until somebody resumes it: EXEC-006: a leg stands alone"),
        ("RISK-001", None),
        (None, None),
    ],
)
def test_what_a_process_leaves_stopped_fails_its_end_unless_risk_or_a_person_stopped_it(
    code: str | None, failure: str | None
) -> None:
    state = TradingState.STOPPED if code else TradingState.KILLED
    latch = Latch(state=state, reason="a leg stands alone", error_code=code, who="x", since=datetime.now(UTC))
    assert left_wrong(None, latch) == failure


def test_a_stop_before_the_first_tick_has_the_next_process_close_the_book() -> None:
    store, now = MemoryStore(), datetime.now(UTC)
    keep_closing(store, "SIGTERM", now)
    latch = read_latch(store, now)
    assert (latch.state, latch.flatten, latch.until_closed) == (TradingState.KILLED, True, False)
    assert latch.reason == "SIGTERM: the book is closed before the process ends"


def test_a_stop_before_the_first_tick_leaves_what_a_person_has_said() -> None:
    store, now = MemoryStore(), datetime.now(UTC)
    said = Latch(state=TradingState.KILLED, reason="leave it", who="a person", since=now)
    write_latch(store, said)
    keep_closing(store, "SIGTERM", now)
    assert read_latch(store, now) == said


def test_an_order_that_was_refused_on_the_way_is_no_failure_of_the_end(
    market_folder: Path, tmp_path: Path, state: StateDirectory
) -> None:
    here = ready(market_folder, tmp_path)
    live = LiveRun(here, on_paper(here, PACE, refusing_once("bybit"))._replace(state=state))
    assert stopped(live).failure is None
    assert live.record.statistics.errors["EXEC-004"] == 1


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
    monkeypatch.setattr(LiveRun, "BEYOND_SECONDS", 0.1)
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
