"""What becomes of a bus when a handler raises: rows of the table, escalation, the last words of the log."""

from typing import Any

import msgspec
import pytest

from basis_actors.bus import (
    Actor,
    ActorFailed,
    BusFailed,
    Escalate,
    Escalated,
    Outlet,
    Phase,
    Reason,
    Restart,
    on,
)
from basis_actors.bus.testkit import Probe, Runtimes


class Work(msgspec.Struct, frozen=True):
    number: int


class Crash(msgspec.Struct, frozen=True):
    error: type[BaseException] = ValueError


class Fragile(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.life: list[object] = []
        self.done: list[int] = []
        self.fails_to_start = 0

    async def pre_start(self) -> None:
        self.life.append("pre_start")
        self.done = []
        if self.fails_to_start:
            self.fails_to_start -= 1
            raise ConnectionError("not yet")

    def pre_restart(self, failure: ActorFailed) -> None:
        self.life.append(f"pre_restart after {failure.message_type}")

    async def post_stop(self) -> None:
        self.life.append("post_stop")

    @on(Work)
    def work(self, message: Work) -> None:
        self.done.append(message.number)

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise message.error("broken")


class Sink(Actor):
    """A log sink that keeps what it got and flushes at the end, which takes a while."""

    def __init__(self, name: str = "sink") -> None:
        super().__init__(name)
        self.buffer: list[object] = []
        self.written: list[object] = []

    @on(object)
    def keep(self, event: object) -> None:
        self.buffer.append(event)

    async def post_stop(self) -> None:
        await self.sleep(1.0)
        self.written = self.buffer


class Guard(Actor):
    """Hears of failures, stops trading first, and logs it."""

    @on(ActorFailed)
    def failed(self, message: ActorFailed) -> None:
        self.log(f"failed: {message.actor} {message.message_type} {message.exception}")

    @on(Escalated)
    def escalated(self, message: Escalated) -> None:
        self.publish("stop trading")
        self.log(f"escalated: {message.actor}")


class Trader(Actor):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sent: list[int] = []

    @on(str)
    def stop_trading(self, message: str) -> None:
        self.log(f"{self.name}: {message}")

    @on(Work)
    def trade(self, message: Work) -> None:
        self.log(message)


async def test_restart_keeps_the_inbox_but_not_the_poison(runtime: Runtimes) -> None:
    fragile, reports = Fragile("fragile"), Probe("reports", ActorFailed)
    async with runtime.bus() as bus:
        bus.add(fragile, Restart(3, 60.0))
        bus.add(reports)
        await bus.settled()
        for message in (Work(1), Crash(), Work(2), Work(3)):
            bus.post("fragile", message)
        await bus.settled()
        assert fragile.done == [2, 3]
        assert fragile.life == ["pre_start", "pre_restart after Crash", "pre_start"]
        (report,) = reports.of(ActorFailed)
        assert (report.actor, report.message_type, report.exception) == ("fragile", "Crash", "ValueError: broken")
        assert "in crash" in report.traceback
        assert [(letter.message, letter.reason) for letter in bus.dead_letters] == [(Crash(), Reason.POISON)]
        assert bus.stats("fragile").restarts == 1


async def test_pre_start_may_be_what_is_restarted(runtime: Runtimes) -> None:
    fragile = Fragile("fragile")
    fragile.fails_to_start = 2
    bus = runtime.bus()
    bus.add(fragile, Restart(2, 60.0))
    async with bus:
        assert fragile.life == [
            "pre_start",
            "pre_restart after pre_start",
            "pre_start",
            "pre_restart after restart",
            "pre_start",
        ]
        assert bus.stats("fragile").phase is Phase.RUNNING


async def test_a_restart_limit_counts_within_its_window(runtime: Runtimes) -> None:
    fragile = Fragile("fragile")
    bus = runtime.bus()
    bus.add(fragile, Restart(2, 10.0))
    async with bus:
        for _ in range(3):
            bus.post("fragile", Crash())
            bus.post("fragile", Crash())
            await bus.settled()
            assert bus.stats("fragile").restarts == 2
            await bus.advance(10.0)
        for _ in range(3):
            bus.post("fragile", Crash())
        with pytest.raises(BusFailed, match="actor 'fragile' failed while handling Crash: ValueError: broken"):
            await bus.settled()


async def test_escalation_names_the_actor_the_message_and_the_original_error(runtime: Runtimes) -> None:
    bus = runtime.bus()
    bus.add(Fragile("fragile"), Escalate())
    await bus.start()
    cause = bus.post("fragile", Crash())
    with pytest.raises(BusFailed) as failed:
        await bus.settled(cause)
    assert (failed.value.actor, failed.value.message_type, failed.value.message) == ("fragile", "Crash", Crash())
    assert isinstance(failed.value.__cause__, ValueError)
    assert bus.failure is failed.value
    for call in (bus.settled, bus.stop, bus.exhausted):
        with pytest.raises(BusFailed) as again:
            await call()
        assert again.value is failed.value


async def test_the_log_has_everything_from_before_and_during_the_escalation(runtime: Runtimes) -> None:
    sink, guard, trader = Sink(), Guard("guard"), Trader("trader")
    bus = runtime.bus(log_sink="sink")
    for actor in (sink, guard, trader, Fragile("fragile")):
        bus.add(actor)
    await bus.start()
    bus.post("trader", Work(1))
    bus.post("fragile", Crash())
    bus.post("trader", Work(2))
    bus.post("trader", Work(3))
    with pytest.raises(BusFailed):
        await bus.settled()
    assert [event for event in sink.written if isinstance(event, Work)] == [Work(1), Work(2), Work(3)]
    said = [event for event in sink.written if isinstance(event, str)]
    assert said == ["failed: fragile Crash ValueError: broken", "escalated: fragile", "trader: stop trading"]


async def test_the_failed_actor_takes_no_more_messages_but_its_post_stop_runs(runtime: Runtimes) -> None:
    fragile = Fragile("fragile")
    bus = runtime.bus()
    bus.add(fragile)
    await bus.start()
    bus.post("fragile", Crash())
    bus.post("fragile", Work(1))
    with pytest.raises(BusFailed):
        await bus.settled()
    assert fragile.done == []
    assert fragile.life == ["pre_start", "post_stop"]
    assert [letter.reason for letter in bus.dead_letters] == [Reason.POISON, Reason.FAILED]


async def test_escalation_stops_sources_and_cancels_timers(runtime: Runtimes) -> None:
    class Renewing(Actor):
        rings = 0

        def pre_start(self) -> None:
            self.after(1.0, Work(0))

        @on(Work)
        def ring(self, message: Work) -> None:
            self.rings += 1
            if self.rings == 3:
                raise ValueError("enough")
            self.after(1.0, message)

    ended: list[str] = []

    async def ticks(outlet: Outlet) -> None:
        try:
            while True:
                await outlet.sleep(0.5)
                outlet.post("probe", outlet.now)
        finally:
            ended.append("source")

    probe, renewing = Probe("probe"), Renewing("renewing")
    bus = runtime.bus()
    bus.add(probe)
    bus.add(renewing)
    bus.add_source("probe", ticks)
    await bus.start()
    with pytest.raises(BusFailed, match="enough"):
        await bus.exhausted()
    assert renewing.rings == 3
    assert ended == ["source"]
    assert probe.received[:5] == [500_000_000 * n for n in range(1, 6)]
    assert bus.clock.now() == 3_000_000_000


async def test_a_failure_at_the_start_is_raised_by_the_start(runtime: Runtimes) -> None:
    fragile = Fragile("fragile")
    fragile.fails_to_start = 1
    bus = runtime.bus()
    bus.add(fragile)
    with pytest.raises(BusFailed, match="'fragile' failed while handling pre_start: ConnectionError: not yet"):
        async with bus:
            raise AssertionError("unreachable")
    assert fragile.life == ["pre_start", "post_stop"]


async def test_a_failure_while_stopping_is_raised_by_stop_and_others_still_stop(runtime: Runtimes) -> None:
    class Leaky(Actor):
        def post_stop(self) -> None:
            raise OSError("disk full")

    sink = Sink()
    bus = runtime.bus(log_sink="sink")
    bus.add(sink)
    bus.add(Trader("trader"))
    bus.add(Leaky("leaky"), Restart(5, 60.0))
    await bus.start()
    bus.post("trader", Work(1))
    with pytest.raises(BusFailed, match="'leaky' failed while handling post_stop: OSError: disk full"):
        await bus.stop()
    assert sink.written == [Work(1)]


async def test_only_the_first_failure_counts_and_later_ones_are_noted_on_it(runtime: Runtimes) -> None:
    bus = runtime.bus()
    bus.add(Fragile("first"))
    bus.add(Fragile("second"))
    await bus.start()
    bus.post("first", Crash())
    bus.post("second", Crash(KeyError))
    with pytest.raises(BusFailed, match="'first'") as failed:
        await bus.settled()
    assert failed.value.__notes__ == ["then 'second' failed while handling Crash: KeyError: 'broken'"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_is_no_exception_passes_through_with_the_sinks_drained(
    runtime: Runtimes, error: type[BaseException]
) -> None:
    sink, fragile = Sink(), Fragile("fragile")
    bus = runtime.bus(log_sink="sink")
    for actor in (sink, Trader("trader")):
        bus.add(actor)
    bus.add(fragile, Restart(5, 60.0))
    await bus.start()
    bus.post("trader", Work(1))
    bus.post("fragile", Crash(error))
    with pytest.raises(error):
        await bus.settled()
    assert sink.written == [Work(1)]
    assert fragile.life == ["pre_start", "post_stop"]


async def test_on_control_that_raises_escalates_whatever_the_row_says(runtime: Runtimes) -> None:
    class Touchy(Actor):
        @on(Work)
        async def work(self, message: Work) -> None:
            await self.sleep(message.number)

        def on_control(self, message: object) -> object:
            raise ValueError("not now")

    bus = runtime.bus()
    bus.add(Touchy("touchy"), Restart(5, 60.0))
    await bus.start()
    await bus.settled()
    cause = bus.post("touchy", Work(5))
    await bus.until(lambda: bus.stats("touchy").handled == 1)
    bus.control("touchy", "stop")
    with pytest.raises(BusFailed, match="'touchy' failed while handling str: ValueError: not now"):
        await bus.settled(cause)


async def test_a_failure_nobody_waited_for_is_raised_on_the_way_out(runtime: Runtimes) -> None:
    with pytest.raises(BusFailed):  # noqa: PT012 - leaving the block is what is tested
        async with runtime.bus() as bus:
            bus.add(Fragile("fragile"))
            bus.post("fragile", Crash())


async def test_a_failure_that_was_seen_is_not_raised_again_on_the_way_out(runtime: Runtimes) -> None:
    async with runtime.bus() as bus:
        bus.add(Fragile("fragile"))
        bus.post("fragile", Crash())
        with pytest.raises(BusFailed):
            await bus.settled()


async def test_a_failing_source_restarts_within_the_row_of_its_owner(runtime: Runtimes) -> None:
    attempts: list[int] = []

    async def stream(outlet: Outlet) -> None:
        attempts.append(outlet.now)
        outlet.post("probe", Work(len(attempts)))
        await outlet.sleep(1.0)
        if len(attempts) < 3:
            raise ConnectionError("lost")

    reports: Any = Probe("reports", ActorFailed)
    probe = Probe("probe")
    async with runtime.bus() as bus:
        bus.add(probe, Restart(2, 60.0))
        bus.add(reports)
        bus.add_source("probe", stream)
        await bus.exhausted()
    assert attempts == [0, 1_000_000_000, 2_000_000_000]
    assert probe.received == [Work(1), Work(2), Work(3)]
    assert [report.message_type for report in reports.received] == ["source", "source"]


async def test_a_failing_source_of_an_escalating_owner_ends_the_run(runtime: Runtimes) -> None:
    async def stream(_outlet: Outlet) -> None:
        raise ConnectionError("lost")

    bus = runtime.bus()
    bus.add(Probe("probe"))
    bus.add_source("probe", stream)
    with pytest.raises(BusFailed, match="'probe' failed while handling source: ConnectionError: lost"):
        async with bus:
            await bus.exhausted()
