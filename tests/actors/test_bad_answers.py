"""Venues that answer late, wrongly or not at all, and clients that break: what was done is on the books and in the log.

On both runtimes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace
from tests.actors.desk import (
    CONFIG,
    START,
    Desk,
    FakeVenue,
    Step,
    buy,
    desk,
    fill,
    fill_and_lose_the_answer,
    group,
    late,
    refuse,
    short,
)

from basis_actors.bus import BusFailed
from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import Transient
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import GetPositions, StopTrading
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    PositionSnapshot,
    ReconciliationEvent,
    SystemErrorEvent,
    TightLoopExecutionEvent,
)
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import Order
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
BUSY = Transient("VEN-006", "slow down")
Report = Callable[[], Coroutine[Any, Any, dict[str, float]]]


def ledger(d: Desk) -> dict[str, float]:
    """Every amount that was booked, summed up from the log."""
    total: defaultdict[str, float] = defaultdict(float)
    for event in d.logged(ExecutionDeltaEvent):
        for delta in event.deltas:
            total[delta.position_key] += delta.delta_amount
    return {key: amount for key, amount in total.items() if amount}


def last_snapshot(d: Desk) -> dict[str, float]:
    return {key: amount for key, amount in d.logged(PositionSnapshot)[-1].positions.items() if amount}


def operations(d: Desk) -> dict[str, str]:
    """How each order ended."""
    return {event.operation_id: event.status for event in d.logged(OperationExecutionEvent)}


def slow(venue: FakeVenue, seconds: float) -> Report:
    """A report that takes its time."""
    true_report = venue.report

    async def report() -> dict[str, float]:
        await venue.clock.sleep(seconds)
        return await true_report()

    return report


def unavailable(_venue: FakeVenue, _seconds: float) -> Report:
    """A report that is refused."""

    async def report() -> dict[str, float]:
        raise BUSY

    return report


async def run_to_failure(d: Desk, code: str, *orders: Order) -> None:
    d.send(*orders)
    with pytest.raises(BusFailed, match=code):
        await d.bus.settled()


@pytest.mark.parametrize("bad", [slow, unavailable])
async def test_a_leg_that_cannot_be_compared_ends_its_group_and_the_run_and_the_log_shows_the_book(
    runtime: Runtimes, bad: Callable[[FakeVenue, float], Report]
) -> None:
    async with desk(runtime) as d:
        before = ledger(d)
        d.bybit.report = bad(d.bybit, 1.5 * CONFIG.reconciliation_timeout)  # type: ignore[method-assign]
        await run_to_failure(d, r"EXEC-005.*short", *group(short("short"), buy("spot")), buy("later"))
    assert (d.bybit.sent, d.binance.sent) == (["short", "short-unwind"], []), "undone, and nothing else was sent"
    assert operations(d) == {"short": "confirmed", "spot": "failed", "short-unwind": "confirmed", "later": "failed"}
    (event,) = d.logged(AtomicOperationGroupEvent)
    assert (event.all_succeeded, event.rollback_occurred) == (False, True)
    stops = [message for message in d.engine.interruptions + d.engine.received if isinstance(message, StopTrading)]
    assert {stop.error_code for stop in stops} == {"EXEC-005"}
    assert "EXEC-006" not in {e.error_code for e in d.logged(SystemErrorEvent)}, "the leg was unwound"
    assert last_snapshot(d) == ledger(d) == before, "filled and undone at the same price"


async def test_a_second_leg_that_cannot_be_compared_makes_both_be_undone(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        before = ledger(d)
        d.binance.report = unavailable(d.binance, 0.0)  # type: ignore[method-assign]
        await run_to_failure(d, r"EXEC-005.*spot", *group(short("short"), buy("spot")))
    assert (d.bybit.sent, d.binance.sent) == (["short", "short-unwind"], ["spot", "spot-unwind"])
    assert last_snapshot(d) == ledger(d) == before


async def test_a_report_that_is_missing_at_the_first_tick_of_a_day_only_skips_that_check(runtime: Runtimes) -> None:
    async def tick(d: Desk, number: int) -> None:
        for domain in (client.domain for client in d.clients):
            d.bus.post(f"venue_{domain}", TickStarted(number, d.tick.market, reconcile=True))
        await d.bus.settled()

    async with desk(runtime) as d:
        true_report = d.bybit.report
        d.bybit.report = unavailable(d.bybit, 0.0)  # type: ignore[method-assign]
        await tick(d, 1)
        assert d.logged(ReconciliationEvent) == []
        (error,) = d.logged(SystemErrorEvent)
        assert (error.error_code, error.component) == ("VEN-006", "venue_bybit")
        assert "bybit does not show its account" in error.message
        d.bybit.report = true_report  # type: ignore[method-assign]
        done = await d.execute(buy("a", 0.1))
        assert done.results[0].succeeded, "trading goes on"
        await tick(d, 2)
        checks = [(e.reconciliation_type, e.success) for e in d.logged(ReconciliationEvent)]
        assert checks == [("tight_loop", True), ("periodic", True)]


def answer(make: Callable[[ExecutionHandshake], Any], *, do: bool) -> Step:
    """Answer something else than the truth, after doing what was asked, or not."""

    async def step(venue: FakeVenue, order: Order) -> ExecutionHandshake:
        now = utc_from_ns(venue.clock.now())
        true = (
            venue.fill(order)
            if do
            else ExecutionHandshake(
                operation_id=order.operation_id,
                status=ExecutionStatus.CONFIRMED,
                actual_deltas={delta.position_key: delta.delta_amount for delta in order.expected_deltas},
                submitted_at=now,
                executed_at=now,
                simulated=True,
            )
        )
        return make(true)  # type: ignore[no-any-return]

    return step


@pytest.mark.parametrize("do", [True, False])
@pytest.mark.parametrize("make", [lambda _: None, lambda true: replace(true, operation_id="another")])
async def test_an_answer_that_is_not_to_the_order_leaves_its_outcome_to_be_asked_for(
    runtime: Runtimes, make: Callable[[ExecutionHandshake], Any], do: bool
) -> None:
    async with desk(runtime) as d:
        d.binance.script = [answer(make, do=do)]
        done = await d.execute(buy("a", 0.1))
        assert d.binance.asked == ["a"]
        assert d.binance.sent == (["a"] if do else ["a", "a"]), "sent again only once the venue denied having it"
        assert done.results[0].succeeded
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["binance:BaseToken:BTC"] == 0.1, "booked once"
        assert operations(d) == {"a": "confirmed"}


async def fill_and_break(venue: FakeVenue, order: Order) -> ExecutionHandshake:
    """Do it, and fail in a way that nobody thought of."""
    venue.fill(order)
    raise RuntimeError("the client has a bug")


async def test_a_client_that_breaks_after_a_fill_fails_the_run_and_its_order_is_unknown(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [fill_and_break]
        await run_to_failure(d, "the client has a bug", *group(short("short"), buy("spot")), buy("later"))
    ended = operations(d)
    assert ended["short"] == "confirmed"
    assert ended["spot"] == "unknown", "nobody says that it failed, for it did not"
    assert ended["later"] == "failed"
    assert d.binance.sent == ["spot"]
    assert len(d.logged(AtomicOperationGroupEvent)) == 1
    assert last_snapshot(d) == ledger(d)
    shorts = -ledger(d).get("bybit:PerpPosition:BTC-PERP", 0.0)
    assert shorts == (0.0 if ended.get("short-unwind") == "confirmed" else 1.0), "what was booked is what is shown"


async def test_a_client_that_breaks_at_the_first_leg_leaves_the_second_unsent(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        before = ledger(d)
        d.bybit.script = [fill_and_break]
        await run_to_failure(d, "the client has a bug", *group(short("short"), buy("spot")))
    assert operations(d) == {"short": "unknown", "spot": "failed"}
    assert d.binance.sent == []
    assert last_snapshot(d) == before


@pytest.mark.parametrize("code", ["VEN-003", "VEN-006"])
async def test_a_passing_failure_that_outlasts_its_retries_does_not_stop_trading(runtime: Runtimes, code: str) -> None:
    """VEN-003, the venue is unavailable, is critical: it stops trading only where it does not pass."""
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient(code, "maintenance"))] * (1 + CONFIG.max_retry_attempts)
        done = await d.execute(*group(short("short"), buy("spot")), buy("b", 0.1))
        assert [(r.operation_id, r.error_code) for r in done.results][1:] == [("spot", code), ("b", None)]
        assert d.binance.sent == ["spot"] * 4 + ["b"]
        assert d.bybit.sent == ["short", "short-unwind"]
        assert d.engine.of(StopTrading) == []
        assert (await d.execute(buy("c", 0.1))).results[0].succeeded


def busy_for(seconds: float) -> Step:
    """Refuse, after a while."""

    async def step(venue: FakeVenue, _order: Order) -> ExecutionHandshake:
        await venue.clock.sleep(seconds)
        raise BUSY

    return step


ALMOST = CONFIG.execution_timeout - 0.15
SLOW_WAYS: dict[str, tuple[list[Step], int]] = {
    "slow refusals, then a slow fill": ([*[busy_for(ALMOST)] * 3, late(ALMOST)], 0),
    "one slow refusal": ([busy_for(ALMOST), fill], 0),
    "quick refusals, then a fill whose answer is lost": ([*[refuse(BUSY)] * 3, fill_and_lose_the_answer], 4),
    "an answer that comes too late": ([late(200.0)], 0),
    "a slow fill": ([late(ALMOST)], 0),
}


@pytest.mark.parametrize("way", SLOW_WAYS)
@pytest.mark.parametrize("bad", [slow, unavailable])
async def test_a_whole_order_stays_within_the_time_of_the_tight_loop(
    runtime: Runtimes, way: str, bad: Callable[[FakeVenue, float], Report]
) -> None:
    async with desk(runtime) as d:
        d.binance.script, d.binance.silent = list(SLOW_WAYS[way][0]), SLOW_WAYS[way][1]
        d.binance.report = bad(d.binance, 1_000.0)  # type: ignore[method-assign]
        d.send(buy("a", 0.1))
        with suppress(BusFailed):
            await d.bus.settled()
    (loop,) = d.logged(TightLoopExecutionEvent)
    took = (loop.timestamp - utc_from_ns(START)).total_seconds()
    assert 0.0 < took <= CONFIG.tight_loop_timeout
    assert last_snapshot(d) == ledger(d)
