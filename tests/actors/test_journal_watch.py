"""A disk that takes no journal: nothing is sent, what is on its way is followed, and it goes on when there is room."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.actors.desk import buy, group, short
from tests.actors.live_desk import LiveDesk, World, running
from tests.venues.journal.disk import fill_disk, free_disk
from tests.venues.live.scripts import CarryOut, lose_the_reply

from basis_actors.actors.journal_watch import JournalWatch
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.commands import StopTrading
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.journal import IntentState
from basis_actors.messages.safety import JournalReport, StateUnwritable
from basis_actors.venues.journal.sqlite import SqliteJournal

pytestmark = pytest.mark.anyio
PERP = "bybit:PerpPosition:BTC-PERP"
SECONDS = 30.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(tmp_path / "orders.sqlite")
    yield opened
    opened.close()


@pytest.fixture
async def desk(journal: SqliteJournal) -> AsyncIterator[LiveDesk]:
    """On the live runtime alone: the journal writes in a thread."""
    world = await World(Runtimes("live"), journal).fund()

    def watch(desk: LiveDesk) -> None:
        watch = JournalWatch(journal.try_again, SECONDS)
        desk.bus.add(watch)
        journal.tell = lambda problem: desk.bus.post(watch.name, JournalReport(problem))

    async with running(world, watch) as there:
        yield there


def told(desk: LiveDesk) -> list[tuple[str, str]]:
    """Code and severity of what the watch has said."""
    return [
        (event.error_code, event.severity)
        for event in desk.logged(SystemErrorEvent)
        if event.component == "journal_watch"
    ]


@pytest.mark.parametrize("grouped", [True, False])
async def test_nothing_is_sent_that_cannot_be_written_down_and_it_goes_on_when_there_is_room(
    desk: LiveDesk, journal: SqliteJournal, grouped: bool
) -> None:
    fill_disk(journal)
    orders = group(buy("a", 0.5), short("b", 0.5)) if grouped else (short("b", 0.5),)
    done = await desk.execute(*orders)
    assert {(result.succeeded, result.error_code) for result in done.results} == {(False, "ENGINE-006")}
    assert [api.sent for api in desk.apis.values()] == [[], []]
    assert desk.engine.of(StopTrading) == []
    assert (await desk.tick(reconcile=True)).positions, "it goes on looking"
    await desk.bus.settled()
    assert told(desk) == [("ENGINE-006", "CRITICAL")]
    for event in desk.logged(SystemErrorEvent):
        assert event.severity == ("CRITICAL" if event.component == "journal_watch" else "MEDIUM")
    await desk.bus.advance(3 * SECONDS)
    assert told(desk) == [("ENGINE-006", "CRITICAL")], "said once, however often it is tried"
    free_disk(journal)
    await desk.bus.advance(SECONDS)
    await desk.bus.settled()
    assert told(desk) == [("ENGINE-006", "CRITICAL"), ("ENGINE-006", "MEDIUM")]
    done = await desk.execute(*group(buy("c", 0.5), short("d", 0.5)))
    assert [result.succeeded for result in done.results] == [True, True]
    assert await journal.open_groups() == ()


async def test_an_order_that_was_sent_is_followed_and_its_group_left_to_the_strategy_while_the_disk_is_full(
    desk: LiveDesk, journal: SqliteJournal
) -> None:
    async def as_the_disk_fills_up(carry_out: CarryOut) -> object:
        fill_disk(journal)
        return await carry_out()

    desk.apis["binance"].next("place", as_the_disk_fills_up)
    done = await desk.execute(*group(buy("a", 0.5), short("b", 0.5)))
    assert [result.succeeded for result in done.results] == [True, False]
    assert (len(desk.apis["binance"].sent), desk.apis["bybit"].sent) == (1, [])
    view = await desk.tick()
    assert view.positions["binance:BaseToken:BTC"] == pytest.approx(0.5), "what it bought is in the ledger"
    await desk.bus.settled()
    assert told(desk) == [("ENGINE-006", "CRITICAL")]
    (entry,) = await journal.attempts(1, "a")
    assert (entry.state, entry.filled) == (IntentState.FILLED, Decimal("0.5"))
    assert "EXEC-006" in desk.codes(), "the book is not hedged"
    assert [event.severity for event in desk.logged(SystemErrorEvent)].count("CRITICAL") == 1
    # A process that comes now finds the group cut in two; once there is room the next decision has made it good.
    on_disk = sqlite3.connect(journal._path)
    assert on_disk.execute("SELECT count(*) FROM groups").fetchone() == (1,)
    free_disk(journal)
    done = await desk.execute(short("c", 0.5))
    assert done.results[0].succeeded
    assert on_disk.execute("SELECT count(*) FROM groups").fetchone() == (0,)
    on_disk.close()


async def test_a_sale_whose_end_cannot_be_written_is_known_to_the_exchange_and_here(
    desk: LiveDesk, journal: SqliteJournal
) -> None:
    async def as_the_disk_fills_up(carry_out: CarryOut) -> object:
        fill_disk(journal)
        return await lose_the_reply(carry_out)

    desk.apis["bybit"].next("place", as_the_disk_fills_up)
    done = await desk.execute(short("a", 0.5))
    assert done.results[0].succeeded
    assert len(desk.apis["bybit"].sent) == 1, "nothing is sent again"
    assert (await desk.tick()).positions[PERP] == -0.5


async def test_it_is_said_once_and_again_when_it_is_over() -> None:
    bus, log, seen = Runtimes("sim").bus(log_sink="event_logger"), Probe("event_logger"), Probe("seen", StateUnwritable)
    tries: list[int] = []

    async def try_again() -> None:
        tries.append(len(tries))
        bus.post("journal_watch", JournalReport("full" if len(tries) < 3 else None))

    for actor in (log, seen, JournalWatch(try_again, SECONDS)):
        bus.add(actor)
    async with bus:
        bus.post("journal_watch", JournalReport(None))
        await bus.settled()
        assert log.of(SystemErrorEvent) == []
        for _ in range(3):
            bus.post("journal_watch", JournalReport("full"))
        await bus.advance(10 * SECONDS)
        assert [event.severity for event in log.of(SystemErrorEvent)] == ["CRITICAL", "MEDIUM"]
        assert log.of(SystemErrorEvent)[1].message == "the order journal can be written again, after 90 s"
        assert seen.of(StateUnwritable) == [
            StateUnwritable("order journal", "full"),
            StateUnwritable("order journal", None),
        ]
        assert len(tries) == 3, "nobody tries any more"
