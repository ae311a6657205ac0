"""What is told while a process waits for exchanges before it trades."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.actors.desk import START, group, short
from tests.venues.journal.intents import intent

from basis_actors.actors.start_watch import StartWatch
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.journal import IntentState
from basis_actors.messages.operations import ProcessFails, TradingPhase, TradingStatus
from basis_actors.messages.safety import StartReport, StartWaits
from basis_actors.venues.journal.memory import MemoryJournal

pytestmark = pytest.mark.anyio
AT = datetime(2026, 1, 2, tzinfo=UTC)
CASH = {"binance:BaseToken:USDT": 9_000.0, "binance:Margin:USDT": 5.0, "okx:BaseToken:BTC": 0.0}


class Watched:
    """The actor on a bus, and what it says."""

    def __init__(self, runtime: Runtimes, journal: MemoryJournal, held: dict[str, float]) -> None:
        self.journal = journal
        self.bus = runtime.bus(START, log_sink="event_logger")
        self.log, self.told = Probe("event_logger"), Probe("status", StartReport)
        for actor in (self.log, self.told, StartWatch(journal, "USDT", held, AT)):
            self.bus.add(actor)

    async def says(self, message: StartWaits | TradingStatus | ProcessFails) -> StartReport:
        """Its last report once it has heard that."""
        self.bus.publish(message)
        await self.bus.settled()
        report: StartReport = self.told.of(StartReport)[-1]
        return report

    @property
    def errors(self) -> list[SystemErrorEvent]:
        """What it has logged."""
        return list(self.log.of(SystemErrorEvent))


@asynccontextmanager
async def watched(runtime: Runtimes, journal: MemoryJournal, held: dict[str, float]) -> AsyncIterator[Watched]:
    here = Watched(runtime, journal, held)
    async with here.bus:
        await here.bus.settled()
        yield here


async def journal_with_an_undecided_order() -> MemoryJournal:
    journal = MemoryJournal("d1")
    sent = intent("c1")
    await journal.intend(sent)
    await journal.advance("c1", IntentState.SENT, Decimal(0), "on its way", START)
    return journal


async def test_who_is_waited_for_and_who_has_answered_is_told_with_each_change(runtime: Runtimes) -> None:
    async with watched(runtime, MemoryJournal("d1"), CASH) as here:
        (first,) = here.told.of(StartReport)
        assert (first.waits_for, first.answered, first.held_at) == ((), (), AT)
        assert first.held == {key: amount for key, amount in CASH.items() if amount}
        report = await here.says(StartWaits("okx", "it says nothing"))
        since = report.waits_for[0].since
        await here.bus.advance(60.0)
        await here.says(StartWaits("binance", "it bans us"))
        report = await here.says(StartWaits("okx", "it is closed"))
        waits = [(venue.domain, venue.why) for venue in report.waits_for]
        assert waits == [("okx", "it is closed"), ("binance", "it bans us")]
        assert report.waits_for[0].since == since, "since it began, whatever it has said since"
        report = await here.says(StartWaits("okx", None))
        assert ([venue.domain for venue in report.waits_for], report.answered) == (["binance"], ("okx",))
        report = await here.says(StartWaits("okx", "gone again"))
        assert ([venue.domain for venue in report.waits_for], report.answered) == (["binance", "okx"], ())
        await here.says(TradingStatus(TradingPhase.TRADING))
        assert here.errors == [], "cash is no reason for an alarm"
    assert here.errors == []


async def test_with_something_open_the_wait_is_an_error_once_and_its_end_as_well(runtime: Runtimes) -> None:
    journal = await journal_with_an_undecided_order()
    await journal.begin_group("group", group(short("o1", 0.5), short("o2", 0.5, venue="okx")))
    async with watched(runtime, journal, CASH | {"bybit:PerpPosition:BTC-PERP": -0.25}) as here:
        assert here.errors == [], "it does not wait yet"
        report = await here.says(StartWaits("okx", "it says nothing"))
        assert [order.client_id for order in report.undecided] == ["c1"]
        assert report.cut_groups == ("group (short 0.5 BTC-PERP on bybit, short 0.5 BTC-PERP on okx)",)
        await here.says(StartWaits("okx", "it still says nothing"))
        (error,) = here.errors
        assert (error.error_code, error.severity) == ("VEN-003", "CRITICAL")
        for part in (
            "waits for okx: it says nothing",
            "(c1)",
            report.cut_groups[0],
            "bybit:PerpPosition:BTC-PERP -0.25",
        ):
            assert part in error.message
        assert "9000" not in error.message
        await journal.advance("c1", IntentState.FILLED, Decimal(1), "the exchange says so", START)
        assert (await here.says(StartWaits("okx", None))).undecided == ()
        await here.says(TradingStatus(TradingPhase.STARTING, "something else"))
        assert len(here.errors) == 1
        await here.says(TradingStatus(TradingPhase.TRADING))
        assert [error.severity for error in here.errors] == ["CRITICAL", "CRITICAL"]
    assert len(here.errors) == 2


@pytest.mark.parametrize("held", ["okx:PerpPosition:BTC-PERP", "binance:BaseToken:BTC", "aave:debtToken:debtWETH"])
async def test_whatever_is_more_than_cash_is_open_and_an_end_before_trading_is_told(
    runtime: Runtimes, held: str
) -> None:
    async with watched(runtime, MemoryJournal("d1"), {held: 2.0}) as here:
        await here.says(StartWaits("okx", "it says nothing"))
    assert [error.message.partition(":")[0] for error in here.errors] == [
        "the process waits for okx",
        "the process ends before it has traded",
    ]


async def test_a_start_that_fails_does_not_end_for_want_of_an_answer(runtime: Runtimes) -> None:
    async with watched(runtime, MemoryJournal("d1"), {"okx:PerpPosition:BTC-PERP": 2.0}) as here:
        await here.says(StartWaits("okx", "it says nothing"))
        await here.says(ProcessFails("the start failed: bybit has no BTC-PERP", "VEN-004"))
    assert [error.message.partition(":")[0] for error in here.errors] == ["the process waits for okx"]
