"""A book that is to be closed while the start waits: what whoever watches the process is told. On both runtimes."""

from __future__ import annotations

import pytest
from tests.actors.desk import START
from tests.actors.test_engine import Ticks
from tests.actors.test_kill_switch import Room, switch

from basis_actors.actors.engine import Engine
from basis_actors.bus import Actor, on
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import AwaitRecovery, GetStatus, Resume, SwitchAnswer
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.safety import (
    AwaitedVenue,
    CloseBook,
    ResumeTrading,
    StartReport,
    SwitchStatus,
    TradingState,
)
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
OPEN = "nothing is closed anywhere before"


def waits(*domains: str, why: str = "no answer came") -> StartReport:
    return StartReport(waits_for=tuple(AwaitedVenue(domain, why, utc_from_ns(START)) for domain in domains))


class Front(Room):
    """The kill switch of a process that starts, with somebody who watches it."""

    def __init__(self, runtime: Runtimes, before: Room | None = None) -> None:
        super().__init__(runtime, None if before is None else before.store)
        self.watcher = Probe("health_monitor", TradingStatus)
        self.bus.add(self.watcher)

    async def status(self) -> SwitchStatus:
        return await self.bus.ask("kill_switch", GetStatus())

    @property
    def said(self) -> list[SystemErrorEvent]:
        """What its log says of a book that is not being closed."""
        return [event for event in self.log.of(SystemErrorEvent) if OPEN in event.message]

    @property
    def shown(self) -> str:
        """Why it does not trade, as health shows it."""
        reason: str = self.watcher.of(TradingStatus)[-1].reason
        return reason


async def test_a_flatten_while_the_start_waits_says_everywhere_who_has_to_answer_and_what_to_do(
    runtime: Runtimes,
) -> None:
    room = Front(runtime)
    async with room.bus:
        await room.says(waits("okx"))
        assert (await room.status()).unclosed is None, "nobody wants it closed"
        answer = await room.kill(flatten=True)
        await room.bus.settled()
        text = answer.status.unclosed
        assert (answer.refusal, answer.status.latch.state) == (None, TradingState.KILLED), "it is killed all the same"
        assert text is not None
        assert text.startswith(f"{OPEN} okx answers. By hand, ")
        assert "buy back shorts and sell as much of their spot" in text
        assert "leave alone what `status` shows as undecided or cut in two" in text
        (event,) = room.said
        assert (event.message, event.error_code) == (f"the book is to be closed, and {text}", "RISK-008")
        assert event.severity == "HIGH"
        assert room.shown == f"enough (alice (uid 1000, pid 7)); {text}"
        again = await room.kill(flatten=True)
        await room.says(waits("okx", why="it is in maintenance"))
        assert again.status.unclosed == text
        assert len(room.said) == 1, "once, however often it is asked and whatever the exchange says"


async def test_whoever_is_waited_for_is_named_as_it_changes_and_nobody_once_all_have_answered(
    runtime: Runtimes,
) -> None:
    room = Front(runtime)
    async with room.bus:
        await room.kill(flatten=True)
        assert (await room.status()).unclosed is None, "nobody is waited for"
        await room.says(waits("bybit", "okx"))
        assert f"{OPEN} bybit, okx answers" in room.shown
        await room.says(waits("okx"))
        assert f"{OPEN} okx answers" in room.shown
        assert len(room.said) == 2
        await room.says(waits())
        assert (await room.status()).unclosed is None
        assert room.shown == "enough (alice (uid 1000, pid 7))"
        await room.says(waits("okx"))
        assert len(room.said) == 3
        await room.says(TradingStatus(TradingPhase.TRADING))
        assert (await room.status()).unclosed is None
        assert room.shown == "enough (alice (uid 1000, pid 7))"
        assert len(room.engine.of(CloseBook)) == 1, "closing was commanded once, by the kill"


async def test_a_process_that_finds_a_book_to_be_closed_says_what_it_waits_for(runtime: Runtimes) -> None:
    earlier = Room(runtime)
    async with earlier.bus:
        await earlier.kill(flatten=True)
    room = Front(runtime, earlier)
    async with room.bus:
        await room.says(waits("okx"))
        assert len(room.said) == 1
        assert f"{OPEN} okx answers" in room.shown


async def test_a_kill_that_keeps_the_book_and_a_resume_say_nothing_of_closing(runtime: Runtimes) -> None:
    room = Front(runtime)
    async with room.bus:
        await room.says(waits("okx"))
        assert (await room.kill()).status.unclosed is None
        assert (room.said, room.shown) == ([], "enough (alice (uid 1000, pid 7))")
        await room.kill(flatten=True)
        await room.bus.settled()
        assert len(room.said) == 1
        assert (await room.resume()).status.unclosed is None
        await room.kill(flatten=True)
        await room.bus.settled()
        assert len(room.said) == 2, "it is wanted anew"


class LongRecovery(Actor):
    """Its accounts are in order after a minute."""

    def __init__(self) -> None:
        super().__init__("recovery_manager")

    @on(AwaitRecovery)
    async def recover(self, _asked: AwaitRecovery) -> None:
        await self.sleep(60.0)


class Alice(Actor):
    """Lets trading go on half a minute after the process has begun."""

    def __init__(self) -> None:
        super().__init__("alice")
        self.answer: SwitchAnswer | None = None

    def pre_start(self) -> None:
        self.after(30.0, GetStatus())

    @on(GetStatus)
    async def resume(self, _asked: GetStatus) -> None:
        self.answer = await self.ask("kill_switch", Resume("alice"))


async def test_a_resumption_while_the_start_waits_is_the_last_word(runtime: Runtimes) -> None:
    """The engine finds the stop that the process began with in its inbox when the others have been let go on long
    since."""
    earlier = Room(runtime)
    async with earlier.bus:
        await earlier.kill()
    bus = runtime.bus(START, log_sink="event_logger")
    strategy, execution, world = Probe("strategy_manager"), Probe("execution_manager"), Probe("world", TickStarted)
    alice, engine = Alice(), Engine(Ticks(1), (), "recovery_manager")
    others = (strategy, execution, world, alice, LongRecovery(), engine)
    for actor in (Probe("event_logger"), switch(earlier.store), *others):
        bus.add(actor)
    async with bus:
        await world.next_of(TickStarted)
        assert alice.answer is not None
        assert (alice.answer.refusal, alice.answer.status.latch.state) == (None, TradingState.RUNNING)
        await bus.settled()
        assert engine.stopped is None
        assert (await bus.ask("kill_switch", GetStatus())).halted is None
        assert isinstance(strategy.received[-1], ResumeTrading)
        assert isinstance(execution.received[-1], ResumeTrading)
