"""The event logger as an actor: what it writes and counts, and how it fails, on both runtimes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from basis_actors.actors.event_logger import EventLogger, LiveEventLogger
from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, AskFailed, BusFailed, Reason, on
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.errors import BasisError
from basis_actors.logs.async_event_logger import AsyncDomainEventLogger
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.domain_event_logger import (
    DomainEventLogger,
    EventSink,
    NullEventLogger,
)
from basis_actors.logs.wall_clock import fixed_clock
from basis_actors.messages.events import (
    EVENT_TYPES,
    DomainEvent,
    PositionSnapshot,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.messages.operations import EventLogged
from basis_actors.messages.safety import StateUnwritable
from basis_actors.results.accumulator import RunStatistics
from basis_actors.times import utc_from_ns

MakeSnapshot = Callable[[float], PositionSnapshot]


class Say(msgspec.Struct, frozen=True):
    events: tuple[DomainEvent, ...]


class Break(msgspec.Struct, frozen=True):
    events: tuple[DomainEvent, ...]
    error: Exception


class Speaker(Actor):
    """Logs what it is told to."""

    @on(Say)
    def say(self, message: Say) -> None:
        for event in message.events:
            self.log(event)

    @on(Break)
    def break_down(self, message: Break) -> None:
        for event in message.events:
            self.log(event)
        raise message.error


class Run:
    """One run with a speaker and an event logger."""

    def __init__(self, run_dir: Path, sink: EventSink | None = None) -> None:
        run_dir.mkdir(exist_ok=True)
        self.run_dir = run_dir
        self.sink = sink or DomainEventLogger(run_dir, run_dir.name, 1, clock=fixed_clock)
        self.statistics = RunStatistics()
        self.components = ComponentLogs(run_dir, run_dir.name, 1, secrets=["hunter2"])
        self.logger = EventLogger(self.sink, self.statistics, self.components)

    def on_a_bus(self, runtime: Runtimes, **options: Any) -> Any:
        bus = runtime.bus(log_sink="event_logger", **options)
        bus.add(Speaker("speaker"))
        bus.add(self.logger)
        return bus

    async def play(self, runtime: Runtimes, message: object) -> None:
        """A whole run in which the speaker gets one message."""
        await play(self.on_a_bus(runtime), message)

    def lines(self, stem: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.run_dir / "events" / f"{stem}.jsonl").read_bytes().splitlines()]

    def component_lines(self, component: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.run_dir / f"{component}.log").read_bytes().splitlines()]


async def play(bus: Any, message: object) -> None:
    async with bus:
        bus.post("speaker", message)
        await bus.settled()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


async def test_what_actors_log_is_on_disk_after_the_stop(runtime: Runtimes, run: Run, snapshot: MakeSnapshot) -> None:
    async with run.on_a_bus(runtime) as bus:
        bus.post("speaker", Say(tuple(snapshot(amount) for amount in range(250))))
        await bus.settled()
        assert len(run.lines("positions")) == 200
        assert run.logger.backlog == 50
    assert [line["sequence"] for line in run.lines("positions")] == list(range(250))
    assert [line["total_value_usd"] for line in run.lines("positions")] == list(range(250))
    assert run.statistics.events == {"PositionSnapshot": 250}


def test_every_event_type_has_a_handler(run: Run) -> None:
    assert set(EVENT_TYPES) <= run.logger.handlers().keys()


async def test_without_events_all_is_counted_and_nothing_is_written(
    runtime: Runtimes, tmp_path: Path, snapshot: MakeSnapshot, decision: StrategyDecision, error: Callable[..., Any]
) -> None:
    run = Run(tmp_path, NullEventLogger())
    async with run.on_a_bus(runtime) as bus:
        bus.post("speaker", Say((snapshot(1.0), decision, error("it broke", "CRITICAL"), snapshot(2.0))))
        await bus.settled()
    assert run.statistics.events == {"PositionSnapshot": 2, "StrategyDecision": 1, "SystemErrorEvent": 1}
    assert run.statistics.ticks == 1
    assert run.statistics.errors == {"EXEC-001": 1}
    assert not (tmp_path / "events").exists()
    assert [line["event"] for line in run.component_lines("execution_manager")] == ["it broke"]


async def test_at_the_end_of_a_tick_the_wall_clock_decides_whether_to_write(
    runtime: Runtimes, tmp_path: Path, snapshot: MakeSnapshot, decision: StrategyDecision
) -> None:
    wall = [0.0]
    run = Run(tmp_path, DomainEventLogger(tmp_path, "r", 1, monotonic=lambda: wall[0]))
    async with run.on_a_bus(runtime) as bus:
        bus.post("speaker", Say((snapshot(1.0), decision)))
        await bus.settled()
        wall[0] = 5.0
        bus.post("speaker", Say((snapshot(2.0),)))
        await bus.settled()
        assert run.lines("positions") == []
        bus.post("speaker", Say((decision,)))
        await bus.settled()
        assert len(run.lines("positions")) == 2


async def test_a_critical_error_is_written_at_once(
    runtime: Runtimes, run: Run, snapshot: MakeSnapshot, error: Callable[..., SystemErrorEvent]
) -> None:
    async with run.on_a_bus(runtime) as bus:
        bus.post("speaker", Say((snapshot(1.0), error("bad"))))
        await bus.settled()
        assert run.lines("system_errors") == []
        bus.post("speaker", Say((error("worse", "CRITICAL"),)))
        await bus.settled()
        assert [line["message"] for line in run.lines("system_errors")] == ["bad", "worse"]
        assert len(run.lines("positions")) == 1


async def test_an_actor_that_fails_leaves_an_error_after_what_it_logged_before(
    runtime: Runtimes, run: Run, snapshot: MakeSnapshot
) -> None:
    with pytest.raises(BusFailed, match="speaker"):
        await run.play(runtime, Break((snapshot(1.0),), BasisError("STRAT-001", "no price")))
    assert [line["sequence"] for line in run.lines("positions")] == [0]
    (failure,) = run.lines("system_errors")
    assert failure["sequence"] == 1
    assert (failure["component"], failure["error_code"], failure["severity"]) == ("speaker", "STRAT-001", "HIGH")
    assert "speaker failed while handling Break: BasisError: STRAT-001: no price" in failure["message"]
    assert failure["stack_trace"].startswith("Traceback")
    assert run.statistics.errors == {"STRAT-001": 1}
    assert run.component_lines("speaker")[0]["error_code"] == "STRAT-001"


@pytest.mark.parametrize(
    "error",
    [
        BasisError("ENGINE-001", "the account at okx is taken by process 7"),
        AskFailed(f"'recovery_manager' did not handle AwaitRecovery: {Reason.FAILED.value}"),
    ],
)
async def test_a_start_that_is_refused_is_no_fault_of_which_the_place_is_logged(
    runtime: Runtimes, run: Run, error: Exception
) -> None:
    with pytest.raises(BusFailed):
        await run.play(runtime, Break((), error))
    (failure,) = run.lines("system_errors")
    assert (failure["stack_trace"], str(error) in failure["message"]) == (None, True)
    assert "stack_trace" not in run.component_lines("speaker")[0]


async def test_a_failure_without_a_code_is_that_of_a_component(runtime: Runtimes, run: Run) -> None:
    with pytest.raises(BusFailed):
        await run.play(runtime, Break((), TypeError("unsupported operand")))
    assert run.statistics.errors == {"ENGINE-002": 1}
    assert "TypeError: unsupported operand" in run.lines("system_errors")[0]["message"]


async def test_an_event_that_json_cannot_say_is_replaced_by_an_error_that_names_it(
    runtime: Runtimes, run: Run, snapshot: MakeSnapshot
) -> None:
    odd = msgspec.structs.replace(snapshot(2.0), metadata={"x": object()})
    async with run.on_a_bus(runtime) as bus:
        bus.post("speaker", Say((snapshot(1.0), odd, snapshot(3.0))))
        await bus.settled()
    assert [line["sequence"] for line in run.lines("positions")] == [0, 2]
    (line,) = run.lines("system_errors")
    assert (line["sequence"], line["error_code"], line["component"]) == (1, "LOG-004", "event_logger")
    assert "PositionSnapshot of 2025-01-15" in line["message"]
    assert run.statistics.errors == {"LOG-004": 1}
    assert run.statistics.events["PositionSnapshot"] == 2


async def test_a_disk_that_fails_ends_the_run(
    runtime: Runtimes, run: Run, snapshot: MakeSnapshot, put_behind: Callable[[Path, Path], None]
) -> None:
    put_behind(run.run_dir / "events" / "positions.jsonl", Path("/dev/full"))
    with pytest.raises(BusFailed, match=r"event_logger.*LOG-001: .*positions\.jsonl cannot be written.*No space left"):
        await run.play(runtime, Say(tuple(snapshot(amount) for amount in range(100))))


async def test_a_disk_that_fails_at_the_very_end_fails_the_run(
    runtime: Runtimes, run: Run, snapshot: MakeSnapshot, put_behind: Callable[[Path, Path], None]
) -> None:
    put_behind(run.run_dir / "events" / "positions.jsonl", Path("/dev/full"))
    with pytest.raises(BusFailed, match="LOG-001"):
        await run.play(runtime, Say((snapshot(1.0),)))


async def test_secrets_do_not_reach_the_event_log(
    runtime: Runtimes, run: Run, error: Callable[..., SystemErrorEvent]
) -> None:
    async with run.on_a_bus(runtime) as bus:
        bus.post("speaker", Say((error("login hunter2 failed", stack_trace="api_key=abcdef"),)))
        await bus.settled()
    (line,) = run.lines("system_errors")
    assert (line["message"], line["stack_trace"]) == ("login [redacted] failed", "api_key=[redacted]")


async def test_two_runs_in_one_process_do_not_mix(
    runtime: Runtimes, tmp_path: Path, snapshot: MakeSnapshot, error: Callable[..., SystemErrorEvent]
) -> None:
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    async with one.on_a_bus(runtime) as first, two.on_a_bus(runtime) as second:
        for amount in range(150):
            first.post("speaker", Say((snapshot(amount),)))
            second.post("speaker", Say((snapshot(-amount), error())))
        await first.settled()
        await second.settled()
    for run, sign in ((one, 1), (two, -1)):
        assert [line["total_value_usd"] for line in run.lines("positions")] == [sign * n for n in range(150)]
        assert {line["correlation_id"] for line in run.lines("positions")} == {run.run_dir.name}
    assert (one.statistics.errors, two.statistics.errors) == ({}, {"EXEC-001": 150})
    assert (one.run_dir / "execution_manager.log").read_bytes() == b""
    assert len(two.component_lines("execution_manager")) == 150


async def test_both_runtimes_write_the_same_bytes(tmp_path: Path, snapshot: MakeSnapshot) -> None:
    from basis_actors.bus import LiveBus, SimBus

    for name, make in (("sim", SimBus), ("live", LiveBus)):
        run = Run(tmp_path / name, None)
        bus = make(log_sink="event_logger")
        bus.add(Speaker("speaker"))
        bus.add(run.logger)
        async with bus:
            for amount in range(130):
                bus.post("speaker", Say((snapshot(amount),)))
            await bus.settled()
    sim, live = ((tmp_path / name / "events" / "positions.jsonl").read_text() for name in ("sim", "live"))
    assert sim.replace('"sim"', '"live"') == live


class TestLive:
    def live(self, run_dir: Path, **options: Any) -> tuple[AsyncDomainEventLogger, LiveEventLogger]:
        sink = AsyncDomainEventLogger(run_dir, "r", 1, **options)
        return sink, LiveEventLogger(sink, RunStatistics(), ComponentLogs(run_dir, "r", 1))

    def bus(self, logger: LiveEventLogger) -> Any:
        from basis_actors.bus import LiveBus, ManualClock

        bus = LiveBus(ManualClock(), log_sink="event_logger")
        bus.add(Speaker("speaker"))
        bus.add(logger, credit=20)
        bus.add_source("event_logger", logger.write_events)
        return bus

    async def test_what_waits_is_written_every_five_seconds(self, tmp_path: Path, snapshot: MakeSnapshot) -> None:
        sink, logger = self.live(tmp_path)
        positions = tmp_path / "events" / "positions.jsonl"
        async with self.bus(logger) as bus:
            for amount in (1.0, 2.0):
                bus.post("speaker", Say((snapshot(amount),)))
                await bus.settled()
                assert sink.unwritten == 1
                await bus.advance(5.0)
                await bus.until(lambda: sink.unwritten == 0)
        assert len(positions.read_bytes().splitlines()) == 2

    async def test_whoever_started_it_is_shown_each_stop_and_that_nobody_hears(self, tmp_path: Path) -> None:
        _, logger = self.live(tmp_path)
        shown: list[SystemErrorEvent] = []
        logger.show = shown.append
        told = [("kill_switch", "RISK-008"), ("metrics", "MON-001"), ("alerts_phone", "MON-002"), ("engine", "POS-005")]
        async with self.bus(logger) as bus:
            for component, code in told:
                bus.post("speaker", Say((error_event(utc_from_ns(0), component, code, "so it is"),)))
            await bus.settled()
        assert [(error.component, error.error_code) for error in shown] == told[:3]

    async def test_a_full_batch_is_written_and_makes_room_for_sources(
        self, tmp_path: Path, snapshot: MakeSnapshot
    ) -> None:
        sink, logger = self.live(tmp_path, batch_events=20)
        fed: list[int] = []

        async def feed(outlet: Any) -> None:
            for number in range(200):
                await outlet.room("speaker")
                outlet.post("speaker", Say((snapshot(number),)))
                fed.append(number)

        async with self.bus(logger) as bus:
            bus.add_source("speaker", feed)
            await bus.until(lambda: len(fed) == 200)
            await bus.settled()
        written = (tmp_path / "events" / "positions.jsonl").read_bytes().splitlines()
        assert [json.loads(line)["sequence"] for line in written] == list(range(200))
        assert sink.unwritten == 0

    async def test_a_disk_that_is_full_ends_nothing_and_is_said_once_and_what_was_lost_when_there_is_room(
        self, tmp_path: Path, snapshot: MakeSnapshot, full_disk: Callable[[Path], Callable[[], None]]
    ) -> None:
        sink, logger = self.live(tmp_path, batch_events=10, unwritten_limit=50)
        free = full_disk(tmp_path / "events" / "positions.jsonl")
        warned: list[str] = []
        logger.warn = warned.append
        fed: list[int] = []

        async def feed(outlet: Any) -> None:
            for number in range(200):
                await outlet.room("event_logger")
                await outlet.settled(outlet.post("speaker", Say((snapshot(number),))))
                fed.append(number)

        bus = self.bus(logger)
        seen = Probe("seen", StateUnwritable, EventLogged)
        bus.add(seen)
        bus.add_source("speaker", feed)
        async with bus:
            await bus.until(lambda: len(fed) == 200)
            await bus.settled()
            for _ in range(3):
                await bus.advance(5.0)
            assert 41 <= logger.unwritten <= 60
            assert logger.backlog == 0, "sources wait for nobody"
            free()
            await bus.advance(5.0)
            await bus.until(lambda: sink.unwritten == 0 and len(seen.of(StateUnwritable)) == 2)
            await bus.settled()
        problem, over = seen.of(StateUnwritable)
        assert (problem.what, over) == ("event log", StateUnwritable("event log", None))
        assert "No space left" in (problem.problem or "")
        told = [one.event for one in seen.of(EventLogged) if isinstance(one.event, SystemErrorEvent)]
        assert [(event.error_code, event.severity) for event in told] == [("LOG-001", "HIGH"), ("LOG-002", "HIGH")]
        ((first, last),) = sink.lost
        assert told[1].message.endswith(f"; events lost: {first} to {last}")
        assert [line.partition(": ")[2] for line in warned] == [event.message for event in told]
        files = [path for path in (tmp_path / "events").glob("*.jsonl") if path.stem != "seals"]
        written = [json.loads(line)["sequence"] for path in files for line in path.read_bytes().splitlines()]
        assert sorted(written) == [number for number in range(202) if not first <= number <= last]

    async def test_more_unwritten_events_than_the_limit_end_the_run(
        self, tmp_path: Path, snapshot: MakeSnapshot
    ) -> None:
        sink, logger = self.live(tmp_path, batch_events=1, unwritten_limit=3)
        with pytest.raises(BusFailed, match=r"event_logger.*LOG-002: 4 events .*the limit is 3"):
            await play(self.bus(logger), Say(tuple(snapshot(amount) for amount in range(4))))
        assert sink.unwritten == 0
