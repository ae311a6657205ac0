"""What people are told when a live process begins, and when its start fails, by receivers that take it or do not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession
from tests.actors.desk import group, short
from tests.actors.test_start_watch import journal_with_an_undecided_order
from tests.services.published import Published
from tests.telemetry.receiver import Receiver, Reply, receiver

from basis_actors.bus import WallClock
from basis_actors.cli.live import _run
from basis_actors.config import ExchangeVenue
from basis_actors.errors import Rejected, Transient, severity_of
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.results.summary import RunSummary
from basis_actors.services.live import LiveRun
from basis_actors.services.live_setup import live_market, prepare_live
from basis_actors.services.preparation import BacktestRequest
from basis_actors.services.surroundings import Surroundings, simulated_venues
from basis_actors.venues.journal.memory import MemoryJournal

pytestmark = pytest.mark.anyio
NEVER = 60.0
"""Seconds after which a test has failed that waits for something."""
UNKNOWN = Rejected("VEN-004", "okx has no market BTC-PERP")


class Process:
    """One of btc_basis whose exchanges publish what a test says, and the receiver of its alerts if it has one."""

    def __init__(
        self, folder: Path, there: Receiver | None, journal: MemoryJournal | None = None, **alerts: Any
    ) -> None:
        routes = {"oncall": {"format": "json", "min_severity": "CRITICAL"}} if there is not None else {}
        feed = {"reconnect_seconds": 0.001}
        component = {"monitoring": {"port": 0}, "alerts": {"routes": routes, **alerts}, "market_feed": feed}
        request = BacktestRequest(
            mode="btc_basis", out=folder, runtime="live", capital=50_000.0, overrides={"component_config": component}
        )
        ready, clock = prepare_live(request), WallClock()
        self.request = request
        self.there = there or Receiver()
        self.exchanges: dict[str, Published] = {}

        def publishing(venue: ExchangeVenue, pairs: tuple[str, ...]) -> Published:
            found = self.exchanges[venue.venue] = Published(venue.venue, pairs, clock.now)
            return found

        market = live_market(ready.run, ready.strategy.market_spec, publishing, clock, Random(1))
        self.live = LiveRun(ready, Surroundings(clock, market, simulated_venues, ready.flows, journal))
        self.summary: RunSummary | None = None
        self.ended = anyio.Event()

    async def run(self) -> None:
        self.summary = await self.live.run_async()
        self.ended.set()

    async def begin_and_stop(self) -> None:
        """Let it wait for okx until its receiver has heard of its beginning, then stop it."""
        self.exchanges["okx"].hangs = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            await self.there.until(1)
            self.live.cancel("told so")

    async def health(self, word: str) -> list[str]:
        """The problems of the process, once one of them has a word in it."""
        with anyio.fail_after(NEVER):
            return await self._problems(word)

    async def _problems(self, word: str) -> list[str]:
        async with ClientSession() as session:
            while True:
                watching = self.live.actors.monitoring
                if watching is not None and watching.url is not None:
                    async with session.get(f"{watching.url}/health") as answer:
                        problems: list[str] = json.loads(await answer.text())["problems"]
                    if any(word in problem for problem in problems):
                        return problems
                await anyio.sleep(0.02)

    @property
    def told(self) -> list[str]:
        """What has reached the receiver; one that is on its way when the process ends may do that twice."""
        return list(dict.fromkeys(f"{body['severity']} {body['message']}" for body in self.there.received))

    def logged(self, code: str) -> list[str]:
        events = EventLog(self.live.record.run_dir).events(SystemErrorEvent)
        return [event.message for event in events if event.error_code == code]


@asynccontextmanager
async def process(
    folder: Path, monkeypatch: pytest.MonkeyPatch, journal: MemoryJournal | None = None, **alerts: Any
) -> AsyncIterator[Process]:
    """One that has not been run yet."""
    async with receiver() as there:
        monkeypatch.setenv("BASIS_ACTORS_ALERTS__ONCALL", there.url)
        yield Process(folder, there, journal, **alerts)


async def test_a_process_on_paper_says_what_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with process(tmp_path, monkeypatch) as here:
        await here.begin_and_stop()
        assert here.told == [
            "LOW the process begins: btc_basis, on paper, with 50,000 USDT of its own and nothing open",
            "MEDIUM the process stops as it was told to",
        ]
        assert here.live.start_failed is False


async def test_a_process_on_accounts_says_what_it_finds_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = MemoryJournal("d1")
    await journal.begin_group("group", group(short("o1", 0.5), short("o2", 0.5, venue="okx")))
    async with process(tmp_path, monkeypatch, journal) as here:
        await here.begin_and_stop()
        assert here.told[0] == (
            "LOW the process begins: btc_basis, live, on its accounts; open: cut in two: group (short 0.5 BTC-PERP on"
            " bybit, short 0.5 BTC-PERP on okx)"
        )


async def test_a_stop_that_leaves_an_order_undecided_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await journal_with_an_undecided_order()
    async with process(tmp_path, monkeypatch, journal) as here:
        await here.begin_and_stop()
        assert here.summary is not None
        left = here.summary.failure
        assert left is not None
        assert left.startswith("VEN-002: 1 order is left undecided: ")
        assert here.told[1:] == [f"HIGH the process ends: {left.removeprefix('VEN-002: ')}"]
        assert [order.client_id for order in here.live.undecided] == ["c1"]


async def test_a_receiver_that_takes_nothing_is_seen_before_anything_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(tmp_path, monkeypatch, retry_seconds=600.0, longest_retry_seconds=600.0) as here:
        here.there.replies = [Reply(503)]
        here.exchanges["okx"].hangs = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.run)
            assert "alert route oncall reaches nobody: status 503" in await here.health("oncall")
            here.live.cancel("told so")
            await here.ended.wait()
        seen, left = here.logged("MON-002")
        assert seen == "the receiver of alert route oncall takes none: status 503; check its address"
        assert left == (
            "2 alerts of route oncall had not been delivered when the process stopped: MEDIUM process: the process"
            " stops as it was told to (status 503); LOW process: the process begins: btc_basis, on paper, with 50,000"
            " USDT of its own and nothing open (status 503)"
        )


@pytest.mark.parametrize(
    ("failure", "code", "why"),
    [(UNKNOWN, "VEN-004", UNKNOWN.message), (RuntimeError("out of luck"), "ENGINE-002", "RuntimeError: out of luck")],
)
async def test_a_start_that_fails_is_told_and_logged_as_that(
    failure: Any, code: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(tmp_path, monkeypatch) as here:
        here.exchanges["okx"].broken["open"] = [failure]
        await here.run()
        begun, ended = here.told
        assert begun.startswith("LOW the process begins: btc_basis, ")
        assert (ended, here.there.received[-1]["code"]) == (f"{severity_of(code)} the start failed: {why}", code)
        assert here.logged(code) == [f"the start failed: {why}"]
        assert here.live.start_failed
        assert here.summary is not None
        assert here.summary.failure is not None
        assert str(failure) in here.summary.failure
        written = b"".join(path.read_bytes() for path in here.live.record.run_dir.rglob("*") if path.is_file())
        assert b"as it was told to" not in written


def test_the_last_line_of_a_start_that_fails_says_that_it_was_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Process(tmp_path, None)
    here.exchanges["okx"].broken["open"] = [UNKNOWN]
    assert _run(here.request, lambda _request, _held: here.live, accounts=None, as_json=False, quiet=True) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The start failed: VEN-004: okx has no market BTC-PERP ")
    assert line.endswith(f"; the log is in {here.live.record.run_dir}")


async def test_why_a_start_waits_is_told_at_each_try_and_written_down_once(tmp_path: Path) -> None:
    here, said = Process(tmp_path, None), []
    here.exchanges["okx"].broken["open"] = [Transient("VEN-003", "okx is closed")] * 4

    def wait(venue: str, why: str | None) -> None:
        said.append((venue, why))
        if said.count(("okx", "okx is closed")) == 3:
            here.live.cancel("told so")

    summary = await here.live.run_async(waiting=wait)
    assert (summary.failure, here.live.start_failed) == (None, False)
    lines = (here.live.record.run_dir / "engine.log").read_text().splitlines()
    written = [line["why"] for line in map(json.loads, lines) if line["event"] == "waiting for the market"]
    assert written == ["okx: is closed"], "named once"
