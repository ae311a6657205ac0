"""After orders that failed new risk waits, in seconds, ever longer up to a limit, also in the process that comes after;
what reduces risk never waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from tests.actors.desk import START, buy, market
from tests.actors.store import MemoryStore

from basis_actors.actors.strategy_manager import StrategyManager
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import StrategyManagerConfig, load_mode
from basis_actors.errors import BasisError
from basis_actors.messages.book import (
    BookView,
    ExposureView,
    PositionsView,
    RiskLevel,
    RiskView,
    TickStarted,
    Trigger,
    Valuation,
)
from basis_actors.messages.commands import ExecuteOrders, OrderResult, OrdersDone
from basis_actors.messages.events import StrategyDecision, SystemErrorEvent
from basis_actors.messages.market import MarketSpec
from basis_actors.messages.safety import NewRiskPutOff, ResumeTrading
from basis_actors.strategies.base import Decision, Situation, Strategy

pytestmark = pytest.mark.anyio
FIRST, LONGEST = 60.0, 200.0
CONFIG = StrategyManagerConfig(time_throttle_interval=0.0, failure_pause_seconds=FIRST, longest_pause_seconds=LONGEST)
GROW, SHRINK = "entry_full", "exit_partial"


class Wants(Strategy):
    """Wants one order at every tick, to the end that it is told."""

    hedged: ClassVar[bool] = False
    action = GROW

    @property
    def market_spec(self) -> MarketSpec:
        return MarketSpec(assets=("BTC",))

    def decide(self, situation: Situation) -> Decision:
        kind = "entry" if self.action == GROW else "exit"
        return Decision(
            decision_type=kind, action=self.action, reasoning="wanted", invested=True, orders=(buy("order", 0.1),)
        )

    def close_all(self, situation: Situation) -> Decision:
        return Decision.hold("nothing is held", invested=False)


class Manager:
    """A strategy manager among probes, in a process that begins some time after `START`."""

    def __init__(self, runtime: Runtimes, store: MemoryStore | None = None, seconds: float = 0.0) -> None:
        self.bus = runtime.bus(START + round(seconds * 10**9), log_sink="event_logger")
        run = load_mode("btc_basis")
        self.strategy = Wants(run)
        self.execution, self.log = Probe("execution_manager"), Probe("event_logger")
        self._tick = 0
        self.switch = Probe("kill_switch")
        manager = StrategyManager(self.strategy, CONFIG, run.mode.risk_limits, "kill_switch", store=store)
        for actor in (self.log, self.switch, self.execution, Probe("engine"), manager):
            self.bus.add(actor)

    async def sends(self, action: str = GROW) -> bool:
        """Whether at a tick right now the order goes out."""
        self.strategy.action = action
        self._tick += 1
        tick = TickStarted(self._tick, market())
        book = PositionsView(tick, Trigger.TICK, {}, {}, (), {}, Valuation({}, {}, 100.0, 0.0, ()))
        risk = RiskView(ExposureView(book, 0.0), RiskLevel.LOW, {}, {}, None, None, ())
        before = len(self.execution.of(ExecuteOrders))
        self.bus.post("strategy_manager", BookView(risk, 100.0, 0.0, 0.0))
        await self.bus.settled()
        return len(self.execution.of(ExecuteOrders)) > before

    async def ended(self, *, well: bool) -> None:
        """Say how the order of the last tick ended."""
        result = OrderResult("order", well, None if well else "EXEC-004")
        self.bus.post("strategy_manager", OrdersDone(self._tick, (result,)))
        await self.bus.settled()

    async def fails(self, action: str = GROW) -> None:
        assert await self.sends(action)
        await self.ended(well=False)

    async def waits(self, seconds: float) -> None:
        """New risk is held back for exactly that long."""
        await self.bus.advance(seconds - 1.0)
        assert not await self.sends(), f"{seconds - 1.0} s after the failure"
        await self.bus.advance(1.0)

    def told(self) -> list[tuple[int, float]]:
        """What the kill switch heard: failures, and how many seconds after `START` the wait is over."""
        return [(seen.failures, seen.until.timestamp() - START / 1e9) for seen in self.switch.of(NewRiskPutOff)]


@asynccontextmanager
async def manager(runtime: Runtimes, store: MemoryStore | None = None, seconds: float = 0.0) -> AsyncIterator[Manager]:
    here = Manager(runtime, store, seconds)
    async with here.bus:
        yield here


async def test_the_pause_is_in_seconds_doubles_and_is_capped(runtime: Runtimes) -> None:
    async with manager(runtime) as m:
        for seconds in (FIRST, 2.0 * FIRST, LONGEST, LONGEST):
            await m.fails()
            await m.waits(seconds)


async def test_however_many_ticks_pass_the_pause_is_as_long(runtime: Runtimes) -> None:
    async with manager(runtime) as m:
        await m.fails()
        for _ in range(30):
            assert not await m.sends()
        assert "EXEC-001" in m.log.of(StrategyDecision)[-1].constraints_violated
        await m.waits(FIRST)
        assert await m.sends()


async def test_what_reduces_risk_is_never_held_back(runtime: Runtimes) -> None:
    async with manager(runtime) as m:
        await m.fails()
        for _ in range(5):
            await m.fails(SHRINK)
        assert not await m.sends()


async def test_only_new_risk_that_succeeded_ends_the_doubling(runtime: Runtimes) -> None:
    async with manager(runtime) as m:
        await m.fails()
        await m.waits(FIRST)
        await m.fails()
        assert await m.sends(SHRINK)
        await m.ended(well=True)
        assert not await m.sends(), "a reduction that succeeded does not end the pause"
        await m.waits(2.0 * FIRST)
        await m.fails()
        await m.waits(LONGEST)
        assert await m.sends()
        await m.ended(well=True)
        await m.fails()
        await m.waits(FIRST)
        assert await m.sends()


async def test_a_venue_that_refuses_to_reduce_for_weeks_puts_new_risk_off_for_one_pause(
    runtime: Runtimes,
) -> None:
    async with manager(runtime, MemoryStore()) as m:
        for _ in range(1_100):
            await m.bus.advance(1.0)
            await m.fails(SHRINK)
        assert m.told()[-1] == (1, 1_100.0 + FIRST), "the last of them counts, and status says so"
        await m.waits(FIRST)
        await m.fails()
        await m.waits(2.0 * FIRST)
        assert await m.sends()


async def test_a_reduction_that_fails_shortens_no_wait_and_begins_one_where_none_is_left(runtime: Runtimes) -> None:
    async with manager(runtime) as m:
        await m.fails()
        await m.waits(FIRST)
        await m.fails()
        await m.fails(SHRINK)
        await m.waits(2.0 * FIRST)
        await m.fails(SHRINK)
        await m.waits(FIRST)
        await m.fails()
        await m.waits(LONGEST)


async def test_a_venue_that_refuses_for_weeks_leaves_the_pause_at_its_longest(runtime: Runtimes) -> None:
    async with manager(runtime) as m:
        for _ in range(1_100):
            await m.bus.advance(LONGEST)
            await m.fails()
        await m.waits(LONGEST)
        assert await m.sends()


async def test_a_wait_that_no_clock_can_have_left_is_cut_to_the_longest_and_that_is_kept(runtime: Runtimes) -> None:
    until = START + 10 * 365 * 86_400 * 10**9
    store = MemoryStore({"failures.json": b'{"failures":1,"seconds":1e308,"until_ns":%d}' % until})
    async with manager(runtime, store) as m:
        await m.bus.settled()
        assert m.told() == [(1, LONGEST)]
        assert not await m.sends()
    async with manager(runtime, store, LONGEST - 1.0) as m:
        assert not await m.sends()
        await m.bus.advance(1.0)
        await m.fails()
        await m.waits(LONGEST)
        assert await m.sends()


async def test_whoever_resumes_trading_has_looked_at_what_failed(runtime: Runtimes) -> None:
    async with manager(runtime) as m:
        await m.fails()
        assert not await m.sends()
        m.bus.control("strategy_manager", ResumeTrading())
        assert await m.sends()


async def test_the_next_process_waits_as_long_as_this_one_would_have_and_goes_on_doubling(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with manager(runtime, store) as m:
        await m.fails()
        await m.waits(FIRST)
        await m.fails()
        assert m.told() == [(1, FIRST), (2, 3.0 * FIRST)]
    async with manager(runtime, store, FIRST + 30.0) as m:
        await m.bus.settled()
        assert m.told() == [(2, 3.0 * FIRST)], "before it decides anything"
        assert not await m.sends()
        assert "orders failed 2 times" in m.log.of(StrategyDecision)[-1].reasoning
        assert await m.sends(SHRINK), "what reduces risk waits for nothing"
        await m.ended(well=True)
        await m.waits(2.0 * FIRST - 30.0)
        await m.fails()
        await m.waits(LONGEST)
    async with manager(runtime, store, 3.0 * FIRST + LONGEST) as m:
        await m.fails()
        await m.waits(LONGEST)


async def test_a_success_and_a_resume_are_remembered_as_well(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with manager(runtime, store) as m:
        await m.fails()
        await m.waits(FIRST)
        assert await m.sends()
        await m.ended(well=True)
        assert m.told()[-1][0] == 0
    async with manager(runtime, store, FIRST) as m:
        await m.fails()
        m.bus.control("strategy_manager", ResumeTrading())
        await m.bus.settled()
        assert m.told()[-1][0] == 0
    async with manager(runtime, store, FIRST) as m:
        await m.fails()
        await m.waits(FIRST)


async def test_nothing_is_written_where_nothing_has_failed(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with manager(runtime, store) as m:
        assert await m.sends()
        await m.ended(well=True)
        m.bus.control("strategy_manager", ResumeTrading())
        await m.bus.settled()
    assert store.files == {}


async def test_a_failure_that_cannot_be_written_down_counts_and_is_said(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with manager(runtime, store) as m:
        store.broken = True
        await m.fails()
        (said,) = m.log.of(SystemErrorEvent)
        assert (said.component, said.error_code) == ("strategy_manager", "ENGINE-004")
        assert "the next process will not know how often orders have failed" in said.message
        await m.waits(FIRST)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b'{"\xff": 1}',
        b'{"failures": "two"}',
        b'{"failures": 1, "wait": 3}',
        b'{"failures": -1}',
        b'{"failures": 0, "until_ns": 9000000000000000000}',
        b'{"failures": 1, "seconds": -5}',
        b'{"failures": 1, "seconds": 60, "until_ns": -1}',
        b'{"failures": 1, "seconds": 60, "until_ns": 10000000000000000000000000}',
    ],
)
def test_what_cannot_be_understood_is_refused(runtime: Runtimes, content: bytes) -> None:
    with pytest.raises(BasisError, match=r"^ENGINE-001: failures.json is damaged .* or remove it to wait no longer"):
        Manager(runtime, MemoryStore({"failures.json": content}))


def test_what_cannot_be_read_is_refused(runtime: Runtimes) -> None:
    store = MemoryStore()
    store.broken = True
    with pytest.raises(BasisError, match=r"^ENGINE-004"):
        Manager(runtime, store)
