"""Groups of orders: a compensated one ends hedged whatever happens to a leg, at a cost it books. On both runtimes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace
from tests.actors.desk import (
    CONFIG,
    PRICE,
    START,
    Desk,
    FakeVenue,
    buy,
    desk,
    fill,
    fill_and_lose_the_answer,
    flash,
    group,
    refuse,
    short,
    supply,
)

from basis_actors.bus import BusFailed
from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import Rejected, Transient
from basis_actors.messages.commands import GetPositions, OrdersDone, StopTrading
from basis_actors.messages.events import AtomicOperationGroupEvent, ExecutionDeltaEvent, OperationExecutionEvent
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import ExecutionMode, Order, Side

pytestmark = pytest.mark.anyio
REFUSED = Rejected("EXEC-004", "no")


async def positions(d: Desk) -> dict[str, float]:
    view = await d.bus.ask("position_monitor", GetPositions())
    return {key: amount for key, amount in view.positions.items() if amount}


async def test_both_legs_are_filled_in_order(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(*group(short("short"), buy("spot")))
        assert all(result.succeeded for result in done.results)
        held = await positions(d)
        assert (held["bybit:PerpPosition:BTC-PERP"], held["binance:BaseToken:BTC"]) == (-1.0, 1.0)
        (event,) = d.logged(AtomicOperationGroupEvent)
        assert (event.group_status, event.all_succeeded, event.rollback_occurred) == ("confirmed", True, False)
        assert event.operation_ids == ("short", "spot")


async def test_a_failing_leg_makes_the_earlier_one_be_undone_and_its_cost_stays_on_the_books(
    runtime: Runtimes,
) -> None:
    async def worse(venue: FakeVenue, order: Order) -> ExecutionHandshake:
        """Fill the unwinding 1 % worse than it was opened."""
        assert order.price is not None
        deltas = tuple(
            replace(delta, delta_amount=-0.01 * PRICE) if delta.token == "USDT" else delta
            for delta in order.expected_deltas
        )
        return venue.fill(replace(order, expected_deltas=deltas, price=order.price * 1.01))

    async with desk(runtime) as d:
        before = await positions(d)
        d.binance.script = [refuse(REFUSED)]
        d.bybit.script = [fill, worse]
        done = await d.execute(*group(short("short"), buy("spot")))
        assert [(r.operation_id, r.error_code) for r in done.results][1] == ("spot", "EXEC-004")
        assert d.bybit.sent == ["short", "short-unwind"]
        assert d.binance.sent == ["spot"]
        held = await positions(d)
        cost = before["bybit:BaseToken:USDT"] - held["bybit:BaseToken:USDT"]
        assert "bybit:PerpPosition:BTC-PERP" not in held
        assert cost >= 0.0
        (event,) = d.logged(AtomicOperationGroupEvent)
        assert (event.group_status, event.all_succeeded, event.rollback_occurred) == ("compensated", False, True)
        assert "spot" in (event.rollback_reason or "")
        operations = [(o.operation_id, o.status) for o in d.logged(OperationExecutionEvent)]
        assert ("short-unwind", "confirmed") in operations
        unwinding = [e for e in d.logged(ExecutionDeltaEvent) if e.operation_id == "short-unwind"]
        assert unwinding, "what was undone is booked under an operation of its own"


async def test_a_failing_first_leg_leaves_everything_as_it_was(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        before = await positions(d)
        d.bybit.script = [refuse(REFUSED)]
        done = await d.execute(*group(short("short"), buy("spot")))
        assert [r.succeeded for r in done.results] == [False, False]
        assert d.binance.sent == []
        assert await positions(d) == before
        (event,) = d.logged(AtomicOperationGroupEvent)
        assert (event.group_status, event.rollback_occurred) == ("failed", False)


async def test_legs_are_undone_newest_first_each_whatever_becomes_of_the_others(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [fill, refuse(REFUSED)]
        legs = group(short("one", 0.4, "binance"), short("two", 0.6), buy("spot"))
        await d.execute(*legs)
        sent = [o.operation_id for o in d.logged(OperationExecutionEvent)]
        assert sent == ["one", "two", "spot", "two-unwind", "one-unwind"]
        held = await positions(d)
        assert not [key for key in held if ":PerpPosition:" in key]


async def test_an_unwinding_that_passes_trouble_by_is_tried_again(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(REFUSED)]
        d.bybit.script = [fill, refuse(Transient("VEN-006", "slow down")), refuse(Transient("VEN-006", "x"))]
        await d.execute(*group(short("short"), buy("spot")))
        assert d.bybit.sent == ["short"] + ["short-unwind"] * 3
        assert "bybit:PerpPosition:BTC-PERP" not in await positions(d)


async def test_a_leg_whose_venue_wants_to_be_left_alone_for_a_moment_is_sent_then_and_nothing_is_undone(
    runtime: Runtimes,
) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down", 7.0)), refuse(Transient("VEN-006", "more", 2.5))]
        done = await d.execute(*group(short("short"), buy("spot")))
        assert [result.succeeded for result in done.results] == [True, True]
        assert (d.bybit.sent, d.binance.sent) == (["short"], ["spot"] * 3)
        assert d.bus.clock.now() - START == 9_500_000_000, "as long as it was told, and no longer"


async def test_a_leg_whose_venue_wants_to_be_left_alone_for_long_is_given_up_at_once(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down", CONFIG.execution_timeout + 0.1))]
        done = await d.execute(*group(short("short"), buy("spot")))
        assert [result.error_code for result in done.results] == [None, "VEN-006"]
        assert (d.bybit.sent, d.binance.sent) == (["short", "short-unwind"], ["spot"])
        assert d.bus.clock.now() == START


async def test_an_unwinding_waits_for_its_venue_as_long_as_there_is_time(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(REFUSED)]
        d.bybit.script = [fill, refuse(Transient("VEN-006", "slow down", 70.0))]
        await d.execute(*group(short("short"), buy("spot")))
        assert d.bybit.sent == ["short", "short-unwind", "short-unwind"]
        assert "bybit:PerpPosition:BTC-PERP" not in await positions(d)


async def test_an_unwinding_is_tried_again_as_often_as_there_is_time_for(runtime: Runtimes) -> None:
    """More often than any other order: nothing else levels the book."""
    async with desk(runtime) as d:
        d.binance.script = [refuse(REFUSED)]
        d.bybit.script = [fill, *[refuse(Transient("VEN-003", "busy"))] * (2 * CONFIG.max_retry_attempts + 3)]
        await d.execute(*group(short("short"), buy("spot")))
        assert len(d.bybit.sent) == 1 + 2 * CONFIG.max_retry_attempts + 4
        assert "bybit:PerpPosition:BTC-PERP" not in await positions(d)


async def test_a_stop_while_a_single_order_waits_for_its_venue_is_heard(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down", 20.0))]
        d.send(buy("a"))
        await d.bus.until(lambda: d.binance.sent == ["a"], "the order to be refused")
        d.bus.control("execution_manager", StopTrading("enough"))
        done = await d.engine.next_of(OrdersDone)
        assert [result.error_code for result in done.results] == ["VEN-006"]
        assert d.binance.sent == ["a"]


async def test_an_unwinding_that_fails_ends_the_run_and_names_the_open_leg(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(REFUSED)]
        d.bybit.script = [fill, refuse(REFUSED)]
        d.send(*group(short("short"), buy("spot")), buy("later"))
        with pytest.raises(BusFailed, match=r"EXEC-006.*short"):
            await d.bus.settled()
        assert "later" not in d.binance.sent


async def test_a_leg_whose_outcome_is_found_late_counts_as_filled(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.bybit.script = [fill_and_lose_the_answer]
        d.bybit.silent = 2
        done = await d.execute(*group(short("short"), buy("spot")))
        assert all(result.succeeded for result in done.results)
        assert d.bybit.sent == ["short"]


async def test_a_sequential_group_stops_at_the_first_failure_and_keeps_what_was_done(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [fill, refuse(REFUSED)]
        orders = group(buy("a", 0.1), buy("b", 0.1), buy("c", 0.1), mode=ExecutionMode.SEQUENTIAL)
        done = await d.execute(*orders)
        assert [r.succeeded for r in done.results] == [True, False, False]
        assert d.binance.sent == ["a", "b"]
        assert (await positions(d))["binance:BaseToken:BTC"] == 0.1
        (event,) = d.logged(AtomicOperationGroupEvent)
        assert event.group_status == "failed"


async def test_an_atomic_group_over_two_domains_is_refused_before_anything_is_sent(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(*group(short("short"), buy("spot"), mode=ExecutionMode.ATOMIC))
        assert {result.error_code for result in done.results} == {"VEN-001"}
        assert d.bybit.sent == d.binance.sent == []
        assert "spans 2 domains" in (d.logged(OperationExecutionEvent)[0].error_message or "")


def at(place: int, order: Order, **changes: Any) -> Order:
    """An order as the member number `place` of the group."""
    member: Order = replace(group(order)[0], sequence_in_group=place, **changes)
    return member


MALFORMED = [
    pytest.param((at(1, buy("a")),), r"counts its orders \[1\]; \[0\] was expected", id="begins with 1"),
    pytest.param((at(0, buy("a")), at(2, buy("b"))), r"\[0, 2\]; \[0, 1\] was expected", id="has a gap"),
    pytest.param(
        (at(0, buy("a")), at(1, buy("b"), execution_mode=ExecutionMode.SEQUENTIAL)), "mixes the modes", id="two modes"
    ),
    pytest.param((at(0, buy("a")), buy("b"), at(1, buy("c"))), "next to each other", id="torn apart"),
    pytest.param(
        (at(0, buy("a")), at(0, buy("b"), atomic_group_id="inner"), at(1, buy("c"))), "not nested", id="nested"
    ),
    pytest.param((at(0, supply("a")),), "a trade that a trade can undo", id="a leg that no trade undoes"),
    pytest.param((flash("a"),), "only inside an atomic group", id="a flash loan on its own"),
    pytest.param((at(0, flash("a")),), "only inside an atomic group", id="a flash loan in a compensated group"),
]


@pytest.mark.parametrize(("orders", "what"), MALFORMED)
async def test_a_malformed_group_is_refused_before_anything_is_sent(
    runtime: Runtimes, orders: tuple[Order, ...], what: str
) -> None:
    async with desk(runtime) as d:
        done = await d.execute(*orders)
        assert {result.error_code for result in done.results} == {"EXEC-003"}
        assert d.binance.sent == d.bybit.sent == d.chain.sent == []
        first, *_ = d.logged(OperationExecutionEvent)
        assert re.search(what, first.error_message or "")
        assert {event.group_status for event in d.logged(AtomicOperationGroupEvent)} <= {"failed"}


async def test_of_a_decision_with_a_malformed_group_nothing_is_sent(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(buy("a", 0.1), at(1, buy("b")), buy("c", 0.1))
        assert [result.error_code for result in done.results] == ["EXEC-001", "EXEC-003", "EXEC-001"]
        assert d.binance.sent == []


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param((buy("first"), buy("same"), buy("same")), id="single orders"),
        pytest.param((buy("first"), *group(short("same"), buy("same"))), id="within a group"),
        pytest.param((buy("same"), *group(short("a"), buy("same"))), id="an order and a leg"),
    ],
)
async def test_orders_that_share_an_id_are_refused_before_anything_is_sent(
    runtime: Runtimes, orders: tuple[Order, ...]
) -> None:
    async with desk(runtime) as d:
        before = await positions(d)
        done = await d.execute(*orders)
        assert not any(result.succeeded for result in done.results)
        assert "EXEC-003" in {result.error_code for result in done.results if result.operation_id == "same"}
        assert await positions(d) == before
        assert any("'same' more than once" in (e.error_message or "") for e in d.logged(OperationExecutionEvent))


async def test_a_flash_loan_that_is_not_repaid_is_refused_with_both_sums(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        orders = (flash("a", 10.0), flash("b", 5.0), flash("c", 14.0, repay=True))
        done = await d.execute(*group(*orders, mode=ExecutionMode.ATOMIC))
        assert {result.error_code for result in done.results} == {"EXEC-004"}
        assert d.chain.sent == []
        (message,) = {event.error_message for event in d.logged(OperationExecutionEvent)}
        assert "borrows 15 WETH" in (message or "")
        assert "repays 14" in (message or "")


async def test_a_group_is_checked_as_a_whole_before_its_first_leg_is_sent(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(*group(short("short"), buy("spot", 3.0)))
        assert {result.error_code for result in done.results} == {"EXEC-004"}
        assert d.bybit.sent == d.binance.sent == [], "the spot leg could not be paid, so no short was opened"


async def test_closing_both_legs_of_a_hedge_books_the_profit_of_the_short(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        await d.execute(*group(short("short"), buy("spot")))
        back = replace(
            short("cover", side=Side.LONG, reduce_only=True),
            expected_deltas=(
                *short("x", side=Side.LONG).expected_deltas,
                replace(short("x").expected_deltas[0], position_key="bybit:BaseToken:USDT", delta_amount=500.0),
            ),
            price=PRICE - 500.0,
        )
        await d.execute(*(replace(o, atomic_group_id="second") for o in group(back, buy("sell", side=Side.SELL))))
        held = await positions(d)
        assert held["bybit:BaseToken:USDT"] == 50_500.0
        assert held["binance:BaseToken:USDT"] == 100_000.0
        assert not [key for key in held if "BTC" in key]
