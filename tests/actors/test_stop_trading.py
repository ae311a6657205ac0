"""StopTrading through the control lane: what was sent is resolved, what was not is answered `failed` with a code."""

from __future__ import annotations

import pytest
from tests.actors.desk import START, Desk, buy, desk, fill_and_lose_the_answer, group, late, refuse, short

from basis_actors.bus import Actor, on
from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import Transient
from basis_actors.messages.commands import GetLatch, GetPositions, OrdersDone, StopTrading
from basis_actors.messages.events import OperationExecutionEvent, SystemErrorEvent
from basis_actors.messages.orders import ExecutionMode, Side
from basis_actors.messages.safety import CloseBook, Latch, ReduceOnly, TradingState
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
STOP = StopTrading("the owner pulled the plug")


async def stop_while_in_flight(d: Desk) -> None:
    """Pull the plug when the first order is on its way."""
    await d.bus.until(lambda: bool(d.binance.sent + d.bybit.sent), "an order to be sent")
    d.bus.control("execution_manager", STOP)


async def test_the_order_in_flight_is_resolved_and_the_unsent_ones_fail_with_a_code(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [late(5.0)]
        d.send(buy("a", 0.1), buy("b", 0.1), buy("c", 0.1))
        await stop_while_in_flight(d)
        done = await d.engine.next_of(OrdersDone)
        assert d.binance.sent == ["a"]
        assert [(r.operation_id, r.succeeded) for r in done.results] == [("a", True), ("b", False), ("c", False)]
        assert done.results[1].error_code in ("EXEC-001", "RISK-008")
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["binance:BaseToken:BTC"] == 0.1, "the fill is on the books"
        statuses = {o.operation_id: (o.status, o.error_code) for o in d.logged(OperationExecutionEvent)}
        assert statuses["a"] == ("confirmed", None)
        assert statuses["b"][0] == statuses["c"][0] == "failed"
        assert statuses["b"][1] == "RISK-008"


async def test_an_unknown_outcome_is_still_resolved_after_the_stop(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [fill_and_lose_the_answer]
        d.binance.silent = 3
        d.send(buy("a", 0.1))
        await stop_while_in_flight(d)
        done = await d.engine.next_of(OrdersDone)
        assert done.results[0].succeeded
        assert d.binance.sent == ["a"]


async def test_a_passing_failure_is_not_sent_again_after_the_stop(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down"))] * 3
        d.send(buy("a", 0.1))
        await stop_while_in_flight(d)
        done = await d.engine.next_of(OrdersDone)
        assert not done.results[0].succeeded
        assert len(d.binance.sent) <= 2, "the one that was on its way, and at most the one already decided on"


async def test_a_group_that_has_begun_ends_hedged(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.bybit.script = [late(5.0)]
        d.send(*group(short("short"), buy("spot")), buy("later", 0.1))
        await stop_while_in_flight(d)
        done = await d.engine.next_of(OrdersDone)
        view = await d.bus.ask("position_monitor", GetPositions())
        hedge = view.positions.get("bybit:PerpPosition:BTC-PERP", 0.0) + view.positions.get(
            "binance:BaseToken:BTC", 0.0
        )
        assert hedge == 0.0
        assert "later" not in d.binance.sent
        assert not done.results[2].succeeded


async def test_after_a_stop_every_order_of_a_new_decision_is_answered(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.bus.control("execution_manager", STOP)
        await d.bus.settled()
        done = await d.execute(buy("a", 0.1), *group(short("short"), buy("spot")))
        assert {result.error_code for result in done.results} <= {"EXEC-001", "RISK-008"}
        assert done.results[0].error_code == "RISK-008"
        assert len(done.results) == 3
        assert d.binance.sent == d.bybit.sent == []


class SlowSwitch(Actor):
    """A kill switch that takes a second to say that nothing is stopped."""

    def __init__(self) -> None:
        super().__init__("kill_switch")

    @on(GetLatch)
    async def answer(self, _request: GetLatch) -> Latch:
        await self.sleep(1.0)
        return Latch(state=TradingState.RUNNING, reason="", who="", since=utc_from_ns(START))


async def test_a_stop_while_the_gate_looks_at_an_order_keeps_it_from_being_sent(runtime: Runtimes) -> None:
    async with desk(runtime, kill_switch=SlowSwitch()) as d:
        d.send(buy("a", 0.1), *group(buy("b", 0.1), short("c", 0.1)))
        await d.bus.advance(0.5)
        d.bus.control("execution_manager", STOP)
        done = await d.engine.next_of(OrdersDone)
        assert {result.error_code for result in done.results} <= {"EXEC-001", "RISK-008"}
        assert d.binance.sent == d.bybit.sent == []


async def test_a_group_of_which_nothing_is_in_force_is_not_begun_anew_after_the_stop(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down"))] * 3
        d.send(*group(buy("spot"), short("short")))
        await stop_while_in_flight(d)
        done = await d.engine.next_of(OrdersDone)
        assert [result.succeeded for result in done.results] == [False, False]
        assert d.binance.sent == ["spot"]
        assert d.bybit.sent == []


# What the kill switch says while a unit is at work: from then on the gate lets through what reduces


def latch(state: TradingState) -> Latch:
    return Latch(state=state, reason="enough", who="alice", since=utc_from_ns(START), flatten=True)


class Switch(Actor):
    """A kill switch that is where a test puts it."""

    def __init__(self) -> None:
        super().__init__("kill_switch")
        self.state = TradingState.RUNNING

    @on(GetLatch)
    def answer(self, _request: GetLatch) -> Latch:
        return latch(self.state)


COMMANDS = [
    (TradingState.STOPPED, ReduceOnly("enough", "RISK-008")),
    (TradingState.KILLED, CloseBook("enough", "RISK-008")),
]


@pytest.mark.parametrize(("state", "command"), COMMANDS)
async def test_a_passing_failure_is_not_sent_again_where_it_no_longer_may_be(
    state: TradingState, command: object, runtime: Runtimes
) -> None:
    switch = Switch()
    async with desk(runtime, kill_switch=switch) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down"))] * 3
        d.send(buy("a", 0.1))
        await d.bus.until(lambda: bool(d.binance.sent), "an order to be sent")
        switch.state = state
        d.bus.control("execution_manager", command)
        await d.engine.next_of(OrdersDone)
        assert d.binance.sent == ["a"]


@pytest.mark.parametrize(("state", "command"), COMMANDS)
async def test_what_reduces_is_sent_again_all_the_same(state: TradingState, command: object, runtime: Runtimes) -> None:
    switch = Switch()
    async with desk(runtime, kill_switch=switch) as d:
        await d.execute(buy("a"))
        d.binance.script = [refuse(Transient("VEN-006", "slow down"))]
        d.send(buy("b", 0.1, Side.SELL))
        await d.bus.until(lambda: "b" in d.binance.sent, "an order to be sent")
        switch.state = state
        d.bus.control("execution_manager", command)
        done = await d.engine.next_of(OrdersDone)
        assert done.results[0].succeeded
        assert d.binance.sent == ["a", "b", "b"]


@pytest.mark.parametrize(("state", "command"), COMMANDS)
async def test_the_rest_of_a_sequence_is_checked_again(state: TradingState, command: object, runtime: Runtimes) -> None:
    switch = Switch()
    async with desk(runtime, kill_switch=switch) as d:
        d.binance.script = [late(5.0)]
        d.send(*group(buy("a", 0.1), short("b", 0.1), mode=ExecutionMode.SEQUENTIAL))
        await stop_between(d, switch, state, command)
        done = await d.engine.next_of(OrdersDone)
        assert [(each.succeeded, each.error_code) for each in done.results] == [(True, None), (False, "RISK-008")]
        assert d.bybit.sent == []


@pytest.mark.parametrize(("state", "command"), COMMANDS)
async def test_legs_that_hedge_each_other_are_all_sent(state: TradingState, command: object, runtime: Runtimes) -> None:
    switch = Switch()
    async with desk(runtime, kill_switch=switch) as d:
        d.binance.script = [late(5.0)]
        d.bybit.script = [refuse(Transient("VEN-006", "slow down"))]
        d.send(*group(buy("a", 0.1), short("b", 0.1)))
        await stop_between(d, switch, state, command)
        done = await d.engine.next_of(OrdersDone)
        assert all(result.succeeded for result in done.results)
        assert d.bybit.sent == ["b", "b"]


async def stop_between(d: Desk, switch: Switch, state: TradingState, command: object) -> None:
    """Stop when the first order is on its way."""
    await d.bus.until(lambda: bool(d.binance.sent), "an order to be sent")
    switch.state = state
    d.bus.control("execution_manager", command)


@pytest.mark.parametrize(
    ("stop", "code", "severity"),
    [(STOP, "RISK-008", "MEDIUM"), (StopTrading("the ledger disagrees", "POS-005"), "EXEC-002", "CRITICAL")],
)
async def test_what_is_refused_because_somebody_asked_for_it_is_no_fault(
    runtime: Runtimes, stop: StopTrading, code: str, severity: str
) -> None:
    async with desk(runtime) as d:
        d.bus.control("execution_manager", stop)
        done = await d.execute(buy("a", 0.1))
        assert done.results[0].error_code == code
        (event,) = d.logged(SystemErrorEvent)
        assert (event.error_code, event.severity) == (code, severity)
