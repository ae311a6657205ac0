"""The kill switch on a whole engine: real actors, real strategies, simulated venues, on both runtimes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest
from tests.actors.store import MemoryStore
from tests.engine.play import utc

from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import LiveBus, SimBus
from basis_actors.bus.testkit import Probe, Runtimes, runtimes
from basis_actors.finance.keys import parse_key
from basis_actors.messages.commands import GetStatus, Kill, Resume
from basis_actors.messages.events import OperationExecutionEvent, PositionSnapshot, RiskAssessment, StrategyDecision
from basis_actors.messages.market import MarketState
from basis_actors.messages.safety import SwitchStatus, TradingState
from basis_actors.ports import MarketFeed
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.wiring import STOP_ORDER, add_engine
from basis_actors.times import utc_from_ns
from basis_actors.venues.simulated.build import build_simulated_venues

pytestmark = pytest.mark.anyio
runtime = runtimes()
Act = Callable[["Run"], None]
AT_WORK = ("aToken", "debtToken", "LST", "UnstakeClaim", "PerpPosition", "InversePerp", "flashDebt")


class Interrupted:
    """A feed at some of whose ticks something happens, right before the tick begins."""

    def __init__(self, feed: MarketFeed, run: Run, acts: dict[int, Act]) -> None:
        self._feed, self._run, self._acts, self._count = feed, run, acts, 0

    def next_tick(self, after_ns: int | None) -> int | None:
        return self._feed.next_tick(after_ns)

    async def between(self, ns: int) -> MarketState | None:
        return await self._feed.between(ns)

    def take(self, ns: int) -> MarketState | Awaitable[MarketState]:
        act = self._acts.get(self._count)
        self._count += 1
        if act is not None:
            act(self._run)
        return self._feed.take(ns)


class Run:
    """A mode on the synthetic market with a kill switch."""

    def __init__(
        self,
        runtime: Runtimes,
        mode: str,
        folder: Path,
        store: MemoryStore | None,
        acts: dict[int, Act],
        *settings: str,
        frictionless: bool = False,
    ) -> None:
        prepared = prepare(
            BacktestRequest(
                mode=mode,
                start=utc("2024-02-01"),
                end=utc("2024-02-03"),
                out=folder,
                settings=settings,
                always_in=False,
                frictionless=frictionless,
            )
        )
        start = prepared.feed.ticks[0]
        self.bus: SimBus | LiveBus = runtime.bus(start, log_sink="event_logger", stop_order=STOP_ORDER)
        self.log = Probe("event_logger")
        self.engine = add_engine(
            self.bus,
            run=prepared.run,
            strategy=prepared.strategy,
            feed=Interrupted(prepared.feed, self, acts),
            venues=build_simulated_venues(prepared.run, clock=self.bus.clock),
            flows=prepared.flows,
            event_logger=self.log,  # type: ignore[arg-type]
            stopwatch=Stopwatch(lambda: 0.0),
            simulated=True,
            state=store,
        )
        self.times = [utc_from_ns(ns) for ns in prepared.feed.ticks]
        """Of the ticks of the market; there are others between them while the book is being closed."""
        self.switched = store is not None

    async def to_its_end(self) -> SwitchStatus | None:
        """How things stand after the last tick; None without a switch."""
        async with self.bus as bus:
            await bus.until(lambda: self.engine.finished, "the last tick")
            await bus.settled()
            return await bus.ask("kill_switch", GetStatus()) if self.switched else None

    def decisions(self, first: int, last: int = -1) -> list[StrategyDecision]:
        """From one tick of the market to another."""
        every = self.log.of(StrategyDecision)
        return [each for each in every if self.times[first] <= each.timestamp <= self.times[last]]

    def orders(self) -> list[OperationExecutionEvent]:
        return self.log.of(OperationExecutionEvent)

    def at_work(self, tick: int) -> list[str]:
        """What is not cash at a tick."""
        shots = [shot for shot in self.log.of(PositionSnapshot) if shot.timestamp == self.times[tick]]
        held = next(shot.positions for shot in shots if shot.trigger_source == "tick")
        return [key for key, amount in held.items() if amount and parse_key(key).kind in AT_WORK]


def kill(*, flatten: bool) -> Act:
    return lambda run: run.bus.control("kill_switch", Kill("enough", "alice", flatten)) and None


def resume(run: Run) -> None:
    run.bus.control("kill_switch", Resume("bob"))


def kinds(decisions: Iterable[StrategyDecision]) -> set[str]:
    return {decision.decision_type for decision in decisions}


MODES = {
    "btc_basis": ("strategy_config.always_in=true",),
    "pure_lending_usdt": (),
    "eth_leveraged": (),
    "usdt_market_neutral": (),
}


@pytest.mark.parametrize("mode", MODES)
async def test_a_flatten_closes_the_book_by_orders_that_only_reduce_and_then_stops(
    mode: str, runtime: Runtimes, tmp_path: Path
) -> None:
    run = Run(runtime, mode, tmp_path, MemoryStore(), {12: kill(flatten=True)}, *MODES[mode])
    status = await run.to_its_end()
    assert status is not None
    assert run.at_work(11), "there is something to close"
    assert (status.latch.state, status.latch.flatten, status.book_closed) == (TradingState.KILLED, True, True)
    assert run.at_work(-1) == []
    assert {order.status for order in run.orders()} == {"confirmed"}, "the gate refuses none of the exit"
    after = run.decisions(12)
    assert after[0].decision_type == "emergency_exit"
    assert "enough (alice)" in after[0].reasoning
    assert "RISK-008" in after[0].constraints_violated
    assert kinds(after) == {"emergency_exit", "hold"}
    assert after[-1].reasoning.startswith("trading is stopped: enough (alice)")


async def test_a_kill_leaves_the_book_as_it_is(runtime: Runtimes, tmp_path: Path) -> None:
    run = Run(runtime, "btc_basis", tmp_path, MemoryStore(), {12: kill(flatten=False)}, *MODES["btc_basis"])
    status = await run.to_its_end()
    assert status is not None
    assert (status.latch.state, status.latch.flatten) == (TradingState.KILLED, False)
    assert sorted(run.at_work(11)) == sorted(run.at_work(-1)) != []
    sent = len(run.orders())
    assert kinds(run.decisions(12)) == {"hold"}
    assert len([d for d in run.decisions(0) if d.orders_generated]) <= 12
    assert sent == sum(d.orders_generated for d in run.decisions(0, 11))


async def test_a_kill_can_be_followed_by_a_flatten_and_that_by_a_resume(runtime: Runtimes, tmp_path: Path) -> None:
    acts = {10: kill(flatten=False), 16: kill(flatten=True), 30: resume}
    run = Run(runtime, "btc_basis", tmp_path, MemoryStore(), acts, *MODES["btc_basis"])
    status = await run.to_its_end()
    assert status is not None
    assert (status.latch.state, status.halted) == (TradingState.RUNNING, None)
    assert kinds(run.decisions(10, 15)) == {"hold"}
    assert run.decisions(16)[0].decision_type == "emergency_exit"
    assert run.at_work(29) == []
    assert "entry" in kinds(run.decisions(30))
    assert run.at_work(-1) != []
    assert {order.status for order in run.orders()} == {"confirmed"}


async def test_what_risk_has_stopped_goes_on_reducing_and_takes_no_new_risk(runtime: Runtimes, tmp_path: Path) -> None:
    """A drawdown that is critical for less than the ticks that close the book; an entry that costs more is not made."""
    tight = ("risk_limits.max_drawdown=0.00002", "risk_limits.escalation_ticks=3")
    run = Run(runtime, "btc_basis", tmp_path, MemoryStore(), {}, *MODES["btc_basis"], *tight, frictionless=True)
    status = await run.to_its_end()
    assert status is not None
    first = next(n for n, a in enumerate(run.log.of(RiskAssessment)) if a.risk_level == "critical")
    assert (status.latch.state, status.latch.error_code) == (TradingState.STOPPED, "RISK-001")
    assert first > 0
    assert run.at_work(-1) == [], "risk itself closes the book"
    assert status.halted is not None
    assert status.halted.startswith("RISK-001: risk was critical")
    assert status.causes, "so it cannot be resumed"


async def test_a_process_that_begins_stopped_takes_no_new_risk_until_it_is_resumed(
    runtime: Runtimes, tmp_path: Path
) -> None:
    stopped = (
        b'{"state":"stopped","reason":"binance was lost","error_code":"VEN-003","who":"venue_binance",'
        b'"since":"2024-01-31T00:00:00Z"}'
    )
    run = Run(runtime, "btc_basis", tmp_path, MemoryStore({"latch.json": stopped}), {20: resume}, *MODES["btc_basis"])
    status = await run.to_its_end()
    assert status is not None
    before = run.decisions(0, 19)
    assert any("binance was lost (venue_binance); what the strategy wants adds to it" in d.reasoning for d in before)
    assert all("RISK-008" in d.constraints_violated for d in before if "adds to it" in d.reasoning)
    assert run.at_work(19) == []
    assert run.at_work(-1) != []
    assert status.latch.state is TradingState.RUNNING
    assert not [order for order in run.orders() if order.status != "confirmed"]


async def test_a_flatten_that_a_restart_cut_short_goes_on(runtime: Runtimes, tmp_path: Path) -> None:
    """Paper accounts begin anew with each process: the latch alone is what is left, and nothing is entered."""
    store = MemoryStore()
    first = Run(runtime, "btc_basis", tmp_path, store, {12: kill(flatten=True)}, *MODES["btc_basis"])
    await first.to_its_end()
    again = Run(runtime, "btc_basis", tmp_path, store, {}, *MODES["btc_basis"])
    status = await again.to_its_end()
    assert status is not None
    assert (status.latch.state, status.latch.flatten, status.book_closed) == (TradingState.KILLED, True, True)
    assert again.at_work(-1) == []
    assert kinds(again.decisions(0)) == {"emergency_exit", "hold"}


async def test_a_switch_that_is_not_used_changes_nothing(runtime: Runtimes, tmp_path: Path) -> None:
    runs = [Run(runtime, "btc_basis", tmp_path, store, {}, *MODES["btc_basis"]) for store in (MemoryStore(), None)]
    for run in runs:
        await run.to_its_end()
    for kind in (StrategyDecision, OperationExecutionEvent, PositionSnapshot):
        assert runs[0].log.of(kind) == runs[1].log.of(kind) != []
