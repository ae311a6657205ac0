"""The latch: who may send what, why, and for how long. On both runtimes, with the actors that it commands as probes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.actors.desk import NO_LIMITS, START, buy, desk, late, market, short, skewed
from tests.actors.store import MemoryStore

from basis_actors.actors.kill_switch import KillSwitch
from basis_actors.actors.latch_file import LATCH_FILE, write_latch
from basis_actors.bus import BusFailed
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import KillSwitchConfig
from basis_actors.messages.book import (
    ExposureView,
    PositionsView,
    RiskLevel,
    RiskView,
    TickStarted,
    Trigger,
    Valuation,
)
from basis_actors.messages.commands import GetLatch, GetStatus, Kill, Resume, StopTrading, SwitchAnswer
from basis_actors.messages.events import OperationExecutionEvent, SystemErrorEvent
from basis_actors.messages.operations import TickEnded, TradingPhase, TradingStatus
from basis_actors.messages.orders import Side
from basis_actors.messages.safety import (
    AccountDoubted,
    AskPulse,
    BookClosed,
    BookOneSided,
    BookStillOpen,
    CancelOrders,
    CloseBook,
    Decided,
    KeyRefused,
    Latch,
    LedgerCompared,
    LevelBook,
    LookAgain,
    NewRiskPutOff,
    OrdersUndecided,
    PositionsUnprotected,
    Pulse,
    ReduceOnly,
    RefreshCountdown,
    ResumeTrading,
    SilentVenue,
    StateUnwritable,
    TickAtWork,
    TradingState,
    TransfersLate,
    UndecidedOrder,
    VenueBusy,
    VenueSeen,
)
from basis_actors.times import utc_from_ns, utc_text

pytestmark = pytest.mark.anyio
CONFIG = KillSwitchConfig(
    mismatches=3,
    mismatch_window_seconds=3600.0,
    venue_lost_seconds=300.0,
    heartbeat_seconds=10.0,
    dead_man_seconds=60.0,
    countdown_seconds=120,
    flatten_ticks=5,
    flatten_pause_seconds=30.0,
)
SHORT = {"binance:PerpPosition:BTC-PERP": -1.0, "binance:Margin:USDT": 1_000.0}
CASH = {"binance:Margin:USDT": 1_000.0, "binance:BaseToken:USDT": 5.0}
DOMAINS = {"binance": "binance", "aave": "ethereum", "wallet": "ethereum"}


def switch(store: MemoryStore, *, enforce: bool = True, currency: str = "USDT") -> KillSwitch:
    return KillSwitch(CONFIG, store, DOMAINS, currency, enforce=enforce)


def latched(store: MemoryStore) -> Latch:
    return msgspec.json.decode(store.files[LATCH_FILE], type=Latch)


def views(level: RiskLevel = RiskLevel.LOW, held: dict[str, float] | None = None) -> tuple[PositionsView, RiskView]:
    """What one tick says of ledger and risk."""
    valuation = Valuation({}, {}, 1_000.0, 0.0, ())
    book = PositionsView(TickStarted(0, market()), Trigger.TICK, held or {}, {}, (), {}, valuation)
    breaches = ("drawdown 0.06 above the limit 0.05",) if level is RiskLevel.CRITICAL else ()
    code = "RISK-001" if breaches else None
    return book, RiskView(ExposureView(book, 0.0), level, {}, {}, None, None, breaches, code)


class Room:
    """A kill switch among probes. `lives` says whether the engine gives a sign of life."""

    def __init__(self, runtime: Runtimes, store: MemoryStore | None = None, **more: Any) -> None:
        self.store = store or MemoryStore()
        self.bus = runtime.bus(START, log_sink="event_logger")
        self.log = Probe("event_logger")
        self.engine = Probe("engine")
        self.manager, self.execution = Probe("strategy_manager"), Probe("execution_manager")
        self.countdown = Probe("countdown_binance", RefreshCountdown)
        self.canceller = Probe("order_canceller_binance", CancelOrders)
        # The switch starts first, as in a live process: what it says then waits for those who hear it.
        self.venues = [Probe("venue_binance"), Probe("venue_ethereum")]
        accounts, traders = (self.countdown, self.canceller), (self.engine, self.manager, self.execution)
        for actor in (self.log, switch(self.store, **more), *traders, *accounts, *self.venues):
            self.bus.add(actor)

    async def pulse(self, ticks: int = 1, *, at_work: bool = False) -> None:
        self.bus.post("kill_switch", Pulse(ticks, at_work))
        await self.bus.settled()

    async def says(self, *messages: object) -> Latch:
        """What the latch is after the engine has said these things."""
        for message in messages:
            self.bus.publish(message)
        await self.bus.settled()
        return await self.bus.ask("kill_switch", GetLatch())

    async def tick(self, level: RiskLevel = RiskLevel.LOW, held: dict[str, float] | None = None) -> Latch:
        """One tick's views of ledger and risk."""
        return await self.says(*views(level, held))

    async def kill(self, *, flatten: bool = False, reason: str = "enough") -> SwitchAnswer:
        return await self.bus.ask("kill_switch", Kill(reason, "alice (uid 1000, pid 7)", flatten))

    async def resume(self) -> SwitchAnswer:
        return await self.bus.ask("kill_switch", Resume("bob (uid 1001, pid 8)"))

    def told(self, kind: type) -> list[str]:
        """Who was told something."""
        return [probe.name for probe in (self.execution, self.manager, self.engine) if probe.of(kind)]


EVERYBODY = ["execution_manager", "strategy_manager", "engine"]


async def test_at_first_everything_may_be_sent(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        latch = await room.tick()
        assert (latch.state, latch.reason) == (TradingState.RUNNING, "nothing has stopped trading")
        assert room.store.files == {}
        assert room.told(StopTrading) == room.told(ReduceOnly) == room.told(CloseBook) == []


async def test_a_kill_stops_everybody_and_is_on_disk_with_reason_time_and_who(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.bus.advance(5.0)
        answer = await room.kill()
        assert (answer.refusal, answer.status.latch.state) == (None, TradingState.KILLED)
        latch = latched(room.store)
        assert latch == answer.status.latch
        assert (latch.reason, latch.who, latch.flatten) == ("enough", "alice (uid 1000, pid 7)", False)
        assert latch.since.isoformat() == "2024-01-01T00:00:05+00:00"
        await room.bus.settled()
        assert room.told(StopTrading) == EVERYBODY
        assert room.execution.of(StopTrading)[0].error_code is None
        (event,) = room.log.of(SystemErrorEvent)
        assert (event.component, event.error_code) == ("kill_switch", "RISK-008")
        assert "trading is killed: enough (alice (uid 1000, pid 7))" in event.message


async def test_a_second_kill_changes_nothing_and_a_flatten_does(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        first = (await room.kill()).status.latch
        assert (await room.kill(reason="again")).status.latch == first
        closing = (await room.kill(flatten=True, reason="close it")).status.latch
        assert (closing.flatten, closing.reason) == (True, "close it")
        assert latched(room.store) == closing
        # A plain kill would leave the book half closed.
        assert (await room.kill(reason="late")).status.latch == closing
        await room.bus.settled()
        assert room.told(CloseBook) == EVERYBODY
        assert room.manager.of(CloseBook)[0] == CloseBook("close it (alice (uid 1000, pid 7))", "RISK-008")
        assert not (await room.bus.ask("kill_switch", GetStatus())).book_closed
        await room.says(BookClosed())
        assert (await room.bus.ask("kill_switch", GetStatus())).book_closed
        assert room.log.of(SystemErrorEvent)[-1].message == "the book is closed"


async def test_a_key_that_is_refused_stops_trading_until_it_is_taken_and_somebody_resumes(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick(held=CASH)
        latch = await room.says(KeyRefused("binance", "the key was revoked"))
        assert (latch.state, latch.error_code, latch.who) == (TradingState.STOPPED, "VEN-005", "venue_binance")
        assert latch == latched(room.store)
        assert room.told(ReduceOnly) == ["execution_manager", "strategy_manager"]
        assert room.told(StopTrading) == []
        await room.bus.advance(CONFIG.heartbeat_seconds)
        assert room.venues[0].of(LookAgain), "it is looked at again and again"
        refused = await room.resume()
        assert "VEN-005: binance does not take our key: the key was revoked" in (refused.refusal or "")
        assert (await room.says(KeyRefused("binance", None))).state is TradingState.STOPPED
        await room.pulse()
        assert (await room.resume()).refusal is None


async def test_whoever_asks_is_told_what_keeps_orders_from_being_sent(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        for problem in ("the disk is full", None):
            await room.says(StateUnwritable("order journal", problem))
            status = await room.bus.ask("kill_switch", GetStatus())
            assert status.unwritable == (() if problem is None else (problem,))
            assert (status.halted, status.latch.state) == (None, TradingState.RUNNING)


CLOSING = Kill("SIGTERM", "the stop", flatten=True, until_closed=True)


async def test_a_stop_that_closes_the_book_is_over_once_it_has(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await bus.ask("kill_switch", CLOSING)
        assert (latched(room.store).state, latched(room.store).until_closed) == (TradingState.KILLED, True)
        assert room.told(CloseBook) == EVERYBODY
        assert (await room.says(BookClosed())).state is TradingState.RUNNING
        assert latched(room.store).state is TradingState.RUNNING
        assert room.told(ResumeTrading) == [], "this process is over"


async def test_what_stopped_trading_before_such_a_stop_outlasts_it(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await room.tick(RiskLevel.CRITICAL)
        await bus.ask("kill_switch", CLOSING)
        await room.says(BookClosed())
        assert (latched(room.store).state, latched(room.store).error_code) == (TradingState.STOPPED, "RISK-001")


@pytest.mark.parametrize("flatten", [False, True])
async def test_a_person_who_kills_a_process_that_stops_is_heard_beyond_its_end(
    runtime: Runtimes, flatten: bool
) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await bus.ask("kill_switch", CLOSING)
        await room.kill(flatten=flatten)
        await room.says(BookClosed())
        latch = latched(room.store)
        assert (latch.state, latch.flatten, latch.reason) == (TradingState.KILLED, True, "enough")


async def test_a_process_that_comes_after_a_stop_that_did_not_close_waits_for_a_person(runtime: Runtimes) -> None:
    store = MemoryStore()
    first = Room(runtime, store)
    async with first.bus as bus:
        await bus.ask("kill_switch", CLOSING)
    second = Room(runtime, store)
    async with second.bus:
        await second.says(BookClosed())
        assert second.told(CloseBook) == EVERYBODY
        latch = latched(store)
        assert (latch.state, latch.flatten, latch.until_closed) == (TradingState.KILLED, True, False)


async def test_what_stays_elsewhere_is_told_with_the_closed_book(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.kill(flatten=True)
        await room.says(BookClosed("USDT at bybit stays"), BookClosed("USDT at bybit stays"))
        texts = [event.message for event in room.log.of(SystemErrorEvent)]
        assert texts.count("the book is closed; USDT at bybit stays") == 1


async def test_after_a_resume_it_is_said_what_is_waited_for(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await room.tick()
        await room.pulse()
        await room.says(Decided("hold: within all bands"))
        assert (await bus.ask("kill_switch", GetStatus())).decided == "hold: within all bands"
        await room.kill()
        bus.post("kill_switch", Pulse(1, at_work=False, next_ns=START + 3_605 * 10**9))
        resumed = (await room.resume()).status
        assert resumed.decided is None
        assert resumed.next_tick == utc_from_ns(START + 3_605 * 10**9)
        assert (
            "the strategy decides at the next tick, at 2024-01-01T01:00:05Z by its schedule"
            in room.log.of(SystemErrorEvent)[-1].message
        )


async def test_a_tick_that_is_waited_for_is_never_one_that_is_past(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await room.tick()
        bus.post("kill_switch", Pulse(1, at_work=False, next_ns=START + 5 * 10**9))
        await bus.advance(5.0)
        await room.says(TickStarted(1, market()))
        assert (await bus.ask("kill_switch", GetStatus())).next_tick is None, "it is at work"
        await room.says(TickEnded(1, START + 10 * 10**9))
        await room.kill()
        assert (await room.resume()).status.next_tick == utc_from_ns(START + 10 * 10**9)
        assert "at 2024-01-01T00:00:10Z by its schedule" in room.log.of(SystemErrorEvent)[-1].message


async def test_a_book_that_cannot_be_closed_is_told(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.kill(flatten=True)
        await room.says(BookStillOpen(5))
        status = await room.bus.ask("kill_switch", GetStatus())
        assert (status.closing_slowly, status.book_closed) == (True, False)
        event = room.log.of(SystemErrorEvent)[-1]
        assert (event.error_code, event.severity) == ("RISK-008", "HIGH")
        assert "the book is not closed after 5 ticks of its own" in event.message
        await room.says(BookClosed())
        await room.tick()
        assert (await room.resume()).refusal is None
        status = await room.bus.ask("kill_switch", GetStatus())
        assert (status.closing_slowly, status.book_closed) == (False, False)


async def test_what_rests_at_exchanges_is_to_be_cancelled_by_any_stop_and_by_no_other_news(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.says(apart())
        assert room.canceller.of(CancelOrders) == []
        await room.bus.advance(5.0)
        await room.tick(RiskLevel.CRITICAL)
        moment = room.bus.clock.now()
        await room.kill()
        await room.kill()
        await room.kill(flatten=True)
        await room.bus.settled()
        assert room.canceller.of(CancelOrders) == [CancelOrders(moment)] * 3


@pytest.mark.parametrize(("flatten", "command"), [(False, StopTrading), (True, CloseBook)])
async def test_a_kill_survives_a_restart(runtime: Runtimes, flatten: bool, command: type) -> None:
    store = MemoryStore()
    room = Room(runtime, store)
    async with room.bus:
        await room.kill(flatten=flatten)
    following = Room(runtime, store)
    async with following.bus:
        assert (await following.tick()).state is TradingState.KILLED
        assert following.told(command) == EVERYBODY
        assert "the process begins killed" in following.log.of(SystemErrorEvent)[0].message


async def test_an_automatic_stop_survives_a_restart(runtime: Runtimes) -> None:
    store = MemoryStore()
    room = Room(runtime, store)
    async with room.bus:
        await room.tick(RiskLevel.CRITICAL)
    following = Room(runtime, store)
    async with following.bus:
        assert (await following.tick()).state is TradingState.STOPPED, "also when the cause is gone"
        assert following.told(ReduceOnly) == ["execution_manager", "strategy_manager"]
        assert following.told(StopTrading) == []


DAMAGED = [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"state":"running"}', b'{"state":"on","reason":"","who":"x"}']
GOOD = b'{"state":"running","reason":"r","who":"w","since":"2024-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    "content", [*DAMAGED, GOOD.replace(b'"r"', b'"\xff"'), GOOD[:-1], GOOD[:-1] + b',"more":1}', GOOD + b"x"]
)
async def test_a_damaged_latch_counts_as_killed_until_somebody_resumes(runtime: Runtimes, content: bytes) -> None:
    room = Room(runtime, MemoryStore({LATCH_FILE: content}))
    async with room.bus:
        latch = await room.tick()
        assert (latch.state, latch.error_code) == (TradingState.KILLED, "ENGINE-004")
        assert "latch.json cannot be read" in latch.reason
        assert room.told(StopTrading) == EVERYBODY
        assert (await room.resume()).refusal is None
        assert latched(room.store).state is TradingState.RUNNING


async def test_a_latch_that_cannot_be_looked_at_counts_as_killed(runtime: Runtimes) -> None:
    store = MemoryStore({LATCH_FILE: GOOD})
    store.broken = True
    room = Room(runtime, store)
    async with room.bus:
        assert (await room.tick()).state is TradingState.KILLED
        refused = await room.resume()
        assert refused.refusal is not None
        assert "no space left" in refused.refusal
        assert (await room.tick()).state is TradingState.KILLED
        assert room.told(ResumeTrading) == []


async def test_a_kill_that_cannot_be_written_down_stops_trading_all_the_same_and_says_so(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        room.store.broken = True
        answer = await room.kill()
        assert answer.status.latch.state is TradingState.KILLED
        assert answer.refusal is not None
        assert "the latch is not on disk" in answer.refusal
        await room.bus.settled()
        assert room.told(StopTrading) == EVERYBODY
        assert [event.error_code for event in room.log.of(SystemErrorEvent)] == ["RISK-008", "ENGINE-004"]


async def test_a_latch_that_could_not_be_written_down_is_once_the_disk_takes_it(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        room.store.broken = True
        await room.kill()
        await room.bus.advance(3 * CONFIG.heartbeat_seconds)
        again = await room.kill()
        assert "the latch is not on disk" in (again.refusal or "")
        assert "the latch is not on disk" in again.status.unwritable[0]
        room.store.broken = False
        await room.bus.advance(CONFIG.heartbeat_seconds)
        assert latched(room.store).state is TradingState.KILLED
        status = (await room.kill()).status
        assert status.unwritable == ()
        said = [event.message for event in room.log.of(SystemErrorEvent) if "on disk" in event.message]
        assert [text.partition(",")[0] for text in said] == ["the latch is not on disk", "the latch is on disk again"]


async def test_a_latch_that_could_not_be_written_down_is_when_the_process_ends(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        room.store.broken = True
        await room.kill()
        room.store.broken = False
    assert latched(room.store).state is TradingState.KILLED


async def test_a_kill_that_was_written_past_a_process_that_ends_is_not_written_over(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        room.store.broken = True
        stopped = await room.tick(RiskLevel.CRITICAL)
        room.store.broken = False
        killed = replace(stopped, state=TradingState.KILLED, since=stopped.since + timedelta(seconds=1.0))
        write_latch(room.store, killed)
    assert latched(room.store) == killed


# By itself


async def test_critical_risk_lets_nothing_through_but_what_reduces(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        latch = await room.tick(RiskLevel.HIGH)
        assert latch.state is TradingState.RUNNING
        latch = await room.tick(RiskLevel.CRITICAL)
        assert (latch.state, latch.error_code, latch.who) == (TradingState.STOPPED, "RISK-001", "risk_monitor")
        assert "drawdown 0.06 above the limit 0.05" in latch.reason
        assert latched(room.store) == latch
        assert await room.tick(RiskLevel.LOW) == latch
        assert room.told(ReduceOnly) == ["execution_manager", "strategy_manager"]
        assert room.told(StopTrading) == []
        assert len(room.manager.of(ReduceOnly)) == 1


async def test_risk_that_is_only_reported_stops_nothing(runtime: Runtimes) -> None:
    room = Room(runtime, enforce=False)
    async with room.bus:
        assert (await room.tick(RiskLevel.CRITICAL)).state is TradingState.RUNNING
        await room.kill()
        assert (await room.resume()).refusal is None


async def test_a_leg_that_stands_alone_since_a_kill_is_not_resumed_before_a_tick_has_assessed_risk(
    runtime: Runtimes,
) -> None:
    """Neither by the process that a person has killed before, nor by the next one."""
    room = Room(runtime)
    async with room.bus:
        await room.kill(flatten=True)
        latch = await room.says(BookOneSided("group g1 of an earlier process stays one-sided"))
        assert (latch.state, latch.flatten, latch.cause) == (TradingState.KILLED, True, "EXEC-006")
        assert latched(room.store) == latch
        assert "risk was not assessed yet" in ((await room.resume()).refusal or "")
    room = Room(runtime, room.store)
    async with room.bus:
        assert "risk was not assessed yet" in ((await room.resume()).refusal or "")
        await room.tick()
        assert (await room.resume()).refusal is None
        assert latched(room.store).cause is None


def apart(place: str = "binance") -> LedgerCompared:
    return LedgerCompared(place, "binance:BaseToken:BTC is 1 where 2 was expected")


async def test_a_disagreement_that_a_clock_ahead_of_ours_has_noted_counts_no_longer_than_the_window(
    runtime: Runtimes,
) -> None:
    running = Latch(state=TradingState.RUNNING, reason="r", who="kill_switch", since=utc_from_ns(START))
    store = MemoryStore()
    write_latch(store, replace(running, mismatches=(START + 30 * 86_400 * 10**9,)))
    room = Room(runtime, store)
    async with room.bus:
        await room.tick()
        await room.says(apart())
        assert len(latched(store).mismatches) == 2
        await room.bus.advance(CONFIG.mismatch_window_seconds)
        assert (await room.says(apart())).state is TradingState.RUNNING
        assert len(latched(store).mismatches) == 1


async def test_a_ledger_that_disagrees_again_and_again_stops_trading(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        assert (await room.says(apart(), LedgerCompared("binance", None), apart("venues"))).state == "running"
        latch = await room.says(apart())
        assert (latch.state, latch.error_code) == (TradingState.STOPPED, "POS-005")
        assert "disagreed 3 times within 3600 s, 3 stop trading: binance:BaseToken:BTC is 1 where 2" in latch.reason


async def test_disagreements_that_are_long_ago_do_not_count(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.says(apart(), apart())
        await room.bus.advance(3599.0)
        await room.pulse()
        assert (await room.says(LedgerCompared("binance", None))).state == "running"
        await room.bus.advance(1.0)
        await room.pulse()
        assert (await room.says(apart(), apart())).state == "running"
        assert (await room.says(apart())).state == "stopped"


async def test_disagreements_are_counted_over_processes(runtime: Runtimes) -> None:
    """A disagreement after an order ends the process: the next one has to know of it."""
    store = MemoryStore()
    for count in (1, 2):
        room = Room(runtime, store)
        async with room.bus:
            await room.tick()
            assert (await room.says(apart())).state == "running"
        assert len(latched(store).mismatches) == count
    room = Room(runtime, store)
    async with room.bus:
        await room.tick()
        assert (await room.says(apart())).state == "stopped"


async def test_a_disagreement_that_ends_the_process_is_on_disk(runtime: Runtimes) -> None:
    store = MemoryStore()

    async def buy_what_the_venue_shows_otherwise() -> None:
        async with desk(runtime, kill_switch=switch(store)) as d:
            d.binance.script = [skewed("binance:BaseToken:BTC", 0.1)]
            await d.execute(buy("a", 0.1))

    with pytest.raises(BusFailed, match="EXEC-007"):
        await buy_what_the_venue_shows_otherwise()
    assert len(latched(store).mismatches) == 1


@pytest.mark.parametrize(
    ("held", "currency", "stops"),
    [
        ({"aave:debtToken:debtUSDT": 5.0, "binance:Margin:USDT": 5.0}, "USDT", None),
        (SHORT, "USDT", True),
        (CASH, "USDT", False),
        ({"binance:BaseToken:BTC": 0.5}, "USDT", True),
        ({"binance:BaseToken:BTC": 0.5}, "BTC", False),
        ({"binance:InversePerp:BTCUSD-PERP": -100.0}, "BTC", True),
        ({"aave:debtToken:debtUSDT": 5.0, "bybit:PerpPosition:BTC-PERP": 1.0}, "USDT", False),
    ],
)
async def test_a_venue_that_is_lost_stops_trading_when_something_is_open_there(
    runtime: Runtimes, held: dict[str, float], currency: str, stops: bool | None
) -> None:
    domain, stops = ("binance", stops) if stops is not None else ("ethereum", True)
    room = Room(runtime, currency=currency)
    async with room.bus:
        await room.pulse()
        await room.tick(held=held)
        lost = VenueSeen(domain, room.bus.clock.now())
        for _ in range(30):
            assert (await room.says(lost)).state == "running"
            await room.bus.advance(10.0)
            await room.pulse()
        assert (await room.says(lost)).state == "running", "300 s are not more than 300 s"
        await room.bus.advance(10.0)
        assert (await room.says()).state == "running", "nobody has asked it since"
        latch = await room.says(lost)
        assert (latch.state == "stopped") is stops
        if stops:
            assert (latch.error_code, latch.who) == ("VEN-003", f"venue_{domain}")
            assert f"{domain} has not answered for 310 s, 300 s stop trading, with " in latch.reason
            assert " open" in latch.reason


async def test_a_venue_that_wants_to_be_left_alone_for_too_long_is_lost_and_said_to_want_that(
    runtime: Runtimes,
) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick(held=SHORT)
        until = START + 3600 * 10**9
        latch = await room.says(VenueSeen("binance", room.bus.clock.now() - 301 * 10**9, until))
        shown = utc_text(utc_from_ns(until))
        assert f"for 301 s (it wants to be left alone until {shown}), 300 s stop trading" in latch.reason


async def test_a_venue_that_is_lost_is_asked_again_with_every_heartbeat_until_it_answers(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.pulse()
        await room.tick(held=SHORT)
        await room.bus.advance(20.0)
        assert room.venues[0].of(LookAgain) == []
        await room.says(VenueSeen("binance", room.bus.clock.now()))
        await room.bus.advance(30.0)
        assert len(room.venues[0].of(LookAgain)) == 3
        await room.says(VenueSeen("binance", None))
        await room.bus.advance(30.0)
        assert len(room.venues[0].of(LookAgain)) == 3
        assert room.venues[1].of(LookAgain) == []


async def test_a_venue_that_answers_again_in_time_stops_nothing(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.pulse()
        await room.tick(held=SHORT)
        await room.says(VenueSeen("binance", room.bus.clock.now()))
        for _ in range(40):
            await room.bus.advance(10.0)
            await room.pulse()
            await room.says(VenueSeen("binance", None))
        assert (await room.says()).state == "running"


async def test_an_engine_without_a_sign_of_life_stops_trading(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.bus.advance(600.0)
        assert (await room.says()).state == "running", "it has not begun: nothing is traded yet"
        assert room.engine.of(AskPulse) == [], "nor could it answer"
        room.bus.publish(TradingStatus(TradingPhase.TRADING))
        await room.bus.advance(600.0)
        assert len(room.engine.of(AskPulse)) == 61, "as soon as it has, then every 10 s"
        await room.pulse()
        await room.bus.advance(60.0)
        assert (await room.says()).state == "running"
        await room.bus.advance(10.0)
        latch = await room.says()
        assert (latch.state, latch.error_code, latch.who) == (TradingState.STOPPED, "ENGINE-003", "engine")
        assert "no sign of life for 70 s, 60 s stop trading" in latch.reason


@pytest.mark.parametrize(("same_tick", "stops"), [(True, True), (False, False)])
async def test_being_at_work_on_one_tick_for_too_long_is_no_sign_of_life(
    runtime: Runtimes, same_tick: bool, stops: bool
) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        for number in range(8):
            await room.pulse(1 if same_tick else number, at_work=True)
            await room.bus.advance(10.0)
        assert ((await room.says()).state == "stopped") is stops


async def test_exchanges_go_on_waiting_only_while_the_engine_lives(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        assert room.countdown.of(RefreshCountdown) == []
        await room.pulse(1, at_work=True)
        assert len(room.countdown.of(RefreshCountdown)) == 1
        for _ in range(6):
            await room.bus.advance(10.0)
            await room.pulse(1, at_work=True)
        assert len(room.countdown.of(RefreshCountdown)) == 7
        for _ in range(3):
            await room.bus.advance(10.0)
            await room.pulse(1, at_work=True)
        assert len(room.countdown.of(RefreshCountdown)) == 7, "stuck in one tick: the exchange may cancel what is open"
        await room.pulse(1)
        assert len(room.countdown.of(RefreshCountdown)) == 8


async def test_what_stops_a_killed_process_changes_nothing(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        killed = (await room.kill()).status.latch
        assert await room.tick(RiskLevel.CRITICAL) == killed
        assert room.told(ReduceOnly) == []


# Going on


async def test_a_resume_tells_everybody_and_is_on_disk_first(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.kill()
        answer = await room.resume()
        assert (answer.refusal, answer.status.latch.state) == (None, TradingState.RUNNING)
        assert (latched(room.store).state, latched(room.store).who) == ("running", "bob (uid 1001, pid 8)")
        await room.bus.settled()
        assert room.told(ResumeTrading) == EVERYBODY
        assert "trading is resumed by bob" in room.log.of(SystemErrorEvent)[-1].message


async def test_what_runs_need_not_be_resumed(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        assert (await room.resume()).refusal is None
        assert room.told(ResumeTrading) == []
        assert room.store.files == {}


async def test_new_risk_that_is_put_off_is_shown_until_it_is_not_and_a_resume_ends_that(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        put_off = NewRiskPutOff(3, utc_from_ns(START + 60 * 10**9))
        await room.tick()
        await room.says(put_off)
        await room.bus.advance(59.0)
        assert (await room.bus.ask("kill_switch", GetStatus())).put_off == put_off
        assert (await room.resume()).status.put_off is None
        await room.bus.settled()
        assert room.told(ResumeTrading) == EVERYBODY
        await room.says(put_off)
        await room.bus.advance(1.0)
        assert (await room.bus.ask("kill_switch", GetStatus())).put_off is None, "it is over"


async def test_a_process_that_has_stopped_without_the_switch_can_be_resumed_and_says_why(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.says(TradingStatus(TradingPhase.STOPPED, "o-1 ended with VEN-005", "VEN-005"))
        status = await room.bus.ask("kill_switch", GetStatus())
        assert (status.halted, status.latch.state) == ("VEN-005: o-1 ended with VEN-005", "running")
        assert (await room.resume()).status.halted is None
        await room.bus.settled()
        assert room.told(ResumeTrading) == EVERYBODY


async def refusal_of(room: Room) -> str:
    answer = await room.resume()
    assert answer.refusal is not None
    assert answer.status.latch.state != "running"
    await room.bus.settled()
    assert room.told(ResumeTrading) == []
    return answer.refusal


async def test_a_resume_is_refused_while_risk_is_critical_or_not_known(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.says(KeyRefused("binance", "revoked"), KeyRefused("binance", None))
        assert "RISK-006: risk was not assessed yet" in await refusal_of(room)
        await room.kill(flatten=True)
        assert "RISK-006: risk was not assessed yet" in await refusal_of(room), "a kill covers no cause"
        await room.tick(RiskLevel.CRITICAL)
        assert "RISK-001: risk is critical: drawdown 0.06" in await refusal_of(room)
        await room.tick(RiskLevel.HIGH)
        assert (await room.resume()).refusal is None


@pytest.mark.parametrize("by_the_process_before", [True, False])
async def test_what_a_person_stopped_is_taken_back_before_the_first_tick(
    runtime: Runtimes, by_the_process_before: bool
) -> None:
    store = MemoryStore()
    if by_the_process_before:
        before = Room(runtime, store)
        async with before.bus:
            await before.kill(flatten=True)
    room = Room(runtime, store)
    async with room.bus:
        await room.says(TradingStatus(TradingPhase.STARTING, "waiting for the market"))
        await room.kill(flatten=True)
        assert (await room.bus.ask("kill_switch", GetStatus())).causes == ()
        answer = await room.resume()
        assert (answer.refusal, answer.status.latch.state) == (None, "running")
        assert latched(store) == answer.status.latch
        await room.bus.settled()
        for probe in (room.execution, room.manager, room.engine):
            heard = [type(message) for message in probe.received if isinstance(message, (CloseBook, ResumeTrading))]
            assert heard == [CloseBook, ResumeTrading]
        await room.kill()
        await room.bus.settled()
        assert isinstance(room.manager.received[-1], StopTrading), "and it can be killed again"


async def test_what_is_taken_back_begins_as_its_causes_allow(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.kill()
        await room.says(KeyRefused("binance", "revoked"))
        answer = await room.resume()
        assert "it has stopped again: stopped: VEN-005: binance does not take our key" in (answer.refusal or "")
        assert answer.status.latch.state == latched(room.store).state == "stopped"


async def test_disagreements_count_on_after_a_kill_that_was_taken_back(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.kill()
        await room.says(apart(), apart())
        assert (await room.resume()).refusal is None
        assert len(latched(room.store).mismatches) == 2
        assert (await room.says(apart())).error_code == "POS-005"


async def test_a_resume_is_refused_while_ledger_and_venue_disagree(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.says(apart(), apart(), apart("bybit"))
        refusal = await refusal_of(room)
        assert "POS-005: ledger and binance disagree since they were last compared" in refusal
        assert "ledger and bybit disagree" in refusal
        await room.says(LedgerCompared("binance", None))
        assert "binance disagree" not in await refusal_of(room)
        await room.says(LedgerCompared("bybit", None))
        assert (await room.resume()).refusal is None
        assert (await room.says(apart())).state == "running", "counting begins anew"


async def test_a_resume_is_refused_while_a_venue_is_lost(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick(held=SHORT)
        await room.says(VenueSeen("binance", room.bus.clock.now() - 301 * 10**9))
        assert "VEN-003: binance has not answered for 301 s" in await refusal_of(room)
        await room.tick(held=CASH)
        assert (await room.resume()).refusal is None, "nothing is open there any more"


async def test_a_resume_is_refused_while_the_engine_does_not_answer(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick()
        await room.pulse()
        await room.bus.advance(70.0)
        assert "ENGINE-003: the engine has given no sign of life" in await refusal_of(room)
        await room.pulse()
        assert (await room.resume()).refusal is None


async def test_the_status_has_what_is_needed_to_judge(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        before = await room.bus.ask("kill_switch", GetStatus())
        assert (before.ticks, before.equity, before.risk_level, before.positions) == (0, None, None, {})
        await room.tick(RiskLevel.MEDIUM, held={**SHORT, "wallet:BaseToken:USDT": 0.0})
        status = await room.bus.ask("kill_switch", GetStatus())
        assert (status.ticks, status.equity, status.risk_level) == (1, 1_000.0, "medium")
        assert status.positions == SHORT
        assert status.causes == ()


# The gate asks it


LEFT = UndecidedOrder(
    client_id="ba1",
    operation_id="o-1",
    venue="binance",
    symbol="BTC-PERP",
    side="short",
    amount=0.5,
    since=utc_from_ns(START),
)


async def test_the_status_of_a_tick_that_waits_says_for_what_and_how_old_the_book_is(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await room.tick(held=SHORT)
        await bus.advance(5.0)
        await room.says(TickStarted(1, market()), VenueBusy("binance", "perp_trade o-1"), VenueBusy("ethereum", "x"))
        await room.says(VenueBusy("ethereum", None))
        await bus.advance(4.0)
        status = await bus.ask("kill_switch", GetStatus())
        began = utc_from_ns(START + 5 * 10**9)
        assert status.tick == TickAtWork(number=1, since=began, waits_for=("binance: perp_trade o-1, for 4 s",))
        assert status.positions_at == utc_from_ns(START)
        await room.says(VenueBusy("binance", None), TickEnded(1))
        status = await bus.ask("kill_switch", GetStatus())
        assert status.tick is None


async def test_an_exchange_that_owes_an_answer_is_not_asked_again_before_it_has_given_it(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await room.says(VenueSeen("binance", START), VenueBusy("binance", "whether it is there"))
        asked = len(room.venues[0].of(LookAgain))
        await bus.advance(10 * CONFIG.heartbeat_seconds)
        assert len(room.venues[0].of(LookAgain)) == asked, "a tick would have to wait for every question before it"
        await room.says(VenueBusy("binance", None))
        await bus.advance(CONFIG.heartbeat_seconds)
        assert len(room.venues[0].of(LookAgain)) == asked + 1


async def test_the_status_names_who_is_silent_and_what_nobody_knows_and_trading_goes_on(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus as bus:
        await room.tick(held=SHORT)
        latch = await room.says(VenueSeen("binance", START), OrdersUndecided("binance", (LEFT,), "it is asked"))
        assert latch.state is TradingState.RUNNING
        status = await bus.ask("kill_switch", GetStatus())
        assert status.silent == (SilentVenue("binance", utc_from_ns(START)),)
        assert status.halted_venues == {"binance": "it is asked"}
        assert status.undecided == (LEFT,)
        await room.says(VenueSeen("binance", None))
        asked = len(room.venues[0].of(LookAgain))
        await bus.advance(CONFIG.heartbeat_seconds)
        assert len(room.venues[0].of(LookAgain)) > asked, "it answers, and has not said what became of it"
        asked = len(room.venues[0].of(LookAgain))
        assert room.engine.of(LevelBook) == []
        await room.says(TickStarted(1, market()), OrdersUndecided("binance", (), None))
        assert room.engine.of(LevelBook) == [], "the tick at work may have been begun without it"
        await room.says(TickEnded(1))
        assert room.engine.of(LevelBook) == [LevelBook()]
        await bus.advance(CONFIG.heartbeat_seconds)
        status = await bus.ask("kill_switch", GetStatus())
        assert (status.silent, status.halted_venues, status.undecided) == ((), {}, ())
        assert len(room.venues[0].of(LookAgain)) == asked


@pytest.mark.parametrize("flatten", [False, True])
async def test_while_latched_the_gate_lets_nothing_through_but_what_reduces(runtime: Runtimes, flatten: bool) -> None:
    async with desk(runtime, limits=NO_LIMITS, kill_switch=switch(MemoryStore())) as d:
        await d.execute(buy("a"), short("b"))
        await d.bus.ask("kill_switch", Kill("enough", "alice", flatten))
        # The kill itself has stopped execution; the gate is what holds when that is not so.
        await d.bus.settled()
        d.bus.control("execution_manager", ResumeTrading())
        await d.bus.settled()
        done = await d.execute(buy("c", 0.1))
        assert done.results[0].error_code == "RISK-008"
        text = d.logged(OperationExecutionEvent)[-1].error_message or ""
        assert "trading is killed (enough); c does not only reduce" in text
        cover = replace(short("e", 0.5, side=Side.LONG), reduce_only=True)
        done = await d.execute(buy("d", 0.5, Side.SELL), cover)
        assert [r.succeeded for r in done.results] == [True, True]
        done = await d.execute(replace(short("f", 0.6, side=Side.LONG), reduce_only=True))
        assert done.results[0].error_code == "RISK-008", "half a bitcoin is left to cover"


async def test_a_kill_ends_what_has_not_been_sent_of_a_decision(runtime: Runtimes) -> None:
    async with desk(runtime, kill_switch=switch(MemoryStore())) as d:
        d.binance.script = [late(5.0)]
        d.send(buy("a", 0.1), buy("b", 0.1))
        await d.bus.until(lambda: bool(d.binance.sent), "an order to be sent")
        await d.bus.ask("kill_switch", Kill("enough", "alice"))
        await d.bus.advance(10.0)
        assert d.binance.sent == ["a"]
        codes = [event.error_code for event in d.logged(OperationExecutionEvent)]
        assert codes == [None, "RISK-008"]
        refused = [event for event in d.logged(SystemErrorEvent) if event.component == "execution_manager"]
        assert [(event.error_code, event.severity) for event in refused] == [("RISK-008", "MEDIUM")]


async def test_whoever_asks_is_told_what_somebody_should_look_at(runtime: Runtimes) -> None:
    room = Room(runtime)
    async with room.bus:
        await room.tick(held=CASH)
        assert (await room.says(AccountDoubted("okx", "okx shows 0, 9000 is booked"))).state is TradingState.RUNNING
        assert (await room.bus.ask("kill_switch", GetStatus())).concerns == ("okx shows 0, 9000 is booked",)
        await room.says(TransfersLate("okx", "9000 USDT are late"))
        await room.says(AccountDoubted("okx", None))
        assert (await room.bus.ask("kill_switch", GetStatus())).concerns == ("9000 USDT are late",)
        await room.says(PositionsUnprotected("okx", "0.25 of 0.5 has no stop"))
        await room.says(TransfersLate("okx", None))
        assert (await room.bus.ask("kill_switch", GetStatus())).concerns == ("0.25 of 0.5 has no stop",)
        await room.says(PositionsUnprotected("okx", None))
        assert (await room.bus.ask("kill_switch", GetStatus())).concerns == ()
