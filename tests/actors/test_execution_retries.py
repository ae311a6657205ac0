"""What becomes of one order depends on the kind of error: refused, passing, or unknown. On both runtimes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.actors.desk import CONFIG, START, buy, desk, fill_and_lose_the_answer, late, lose_the_order, refuse, supply

from basis_actors.bus import BusFailed
from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import AuthFailed, Rejected, Transient
from basis_actors.messages.commands import GetPositions
from basis_actors.messages.events import (
    OperationExecutionEvent,
    ReconciliationEvent,
    SystemErrorEvent,
    TightLoopExecutionEvent,
)
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import Order

pytestmark = pytest.mark.anyio


async def test_an_order_is_sent_once_booked_and_reconciled(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(buy("a"))
        assert [(r.succeeded, r.error_code) for r in done.results] == [(True, None)]
        assert d.binance.sent == ["a"]
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["binance:BaseToken:BTC"] == 1.0
        assert view.positions["binance:BaseToken:USDT"] == 60_000.0
        (loop,) = d.logged(TightLoopExecutionEvent)
        assert (loop.execution_success, loop.reconciliation_success, loop.retry_count) == (True, True, 0)
        (check,) = d.logged(ReconciliationEvent)
        assert check.success
        assert check.venue_reported["binance:BaseToken:BTC"] == 1.0


@pytest.mark.parametrize("error", [Rejected("EXEC-004", "too small"), AuthFailed("VEN-005", "wrong key")])
async def test_a_definite_refusal_is_never_sent_again(runtime: Runtimes, error: Rejected | AuthFailed) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(error)]
        done = await d.execute(buy("a"), buy("b"))
        assert d.binance.sent == ["a"]
        assert [(r.succeeded, r.error_code) for r in done.results] == [(False, error.code), (False, "EXEC-001")]
        errors = d.logged(SystemErrorEvent)
        assert [(e.error_code, e.operation_id) for e in errors] == [(error.code, "a"), ("EXEC-001", "b")]
        assert [o.status for o in d.logged(OperationExecutionEvent)] == ["failed", "failed"]


async def test_a_passing_failure_is_sent_again_until_it_works(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down"))] * 2
        done = await d.execute(buy("a"))
        assert d.binance.sent == ["a"] * 3
        assert done.results[0].succeeded
        assert d.logged(TightLoopExecutionEvent)[0].retry_count == 2
        assert d.bus.clock.now() - START == 200_000_000, "two pauses of a tenth of a second"


async def test_a_failure_that_does_not_pass_is_given_up_after_the_configured_attempts(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down"))] * 9
        done = await d.execute(buy("a"))
        assert d.binance.sent == ["a"] * 4, "once, and three times again"
        assert (done.results[0].succeeded, done.results[0].error_code) == (False, "VEN-006")


async def test_an_unknown_outcome_is_resolved_and_never_sent_again(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [fill_and_lose_the_answer]
        d.binance.silent = 5
        done = await d.execute(buy("a"))
        assert d.binance.sent == ["a"]
        assert d.binance.asked == ["a"] * 6
        assert done.results[0].succeeded
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["binance:BaseToken:BTC"] == 1.0, "booked once"


async def test_a_venue_that_is_back_is_asked_within_the_longest_pause(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        back = START + 50 * 10**9
        resolve, asked = d.binance.resolve, []

        async def away(order: Order) -> ExecutionHandshake:
            asked.append(d.bus.clock.now())
            d.binance.silent = int(asked[-1] < back)
            return await resolve(order)

        d.binance.resolve = away  # type: ignore[method-assign]
        d.binance.script = [fill_and_lose_the_answer]
        done = await d.execute(buy("a"))
        assert done.results[0].succeeded
        assert d.binance.sent == ["a"]
        pauses = [(after - before) / 1e9 for before, after in pairwise([START, *asked])]
        assert pauses[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6]), "at first as often as an answer may take"
        assert set(pauses[5:]) == {CONFIG.longest_question_pause_seconds}
        assert asked[-1] - back < CONFIG.longest_question_pause_seconds * 1e9


async def test_an_order_that_the_venue_never_got_may_be_sent_again(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [lose_the_order]
        done = await d.execute(buy("a"))
        assert d.binance.asked == ["a"]
        assert d.binance.sent == ["a", "a"], "the venue said that nothing happened"
        assert done.results[0].succeeded


async def test_an_outcome_that_stays_unknown_ends_the_run(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [fill_and_lose_the_answer]
        d.binance.silent = 10_000
        with pytest.raises(BusFailed, match=r"VEN-002.*a on binance"):
            await d.execute(buy("a"), buy("b"))
        assert d.binance.sent == ["a"]
        assert 60e9 <= d.bus.clock.now() - START <= 120e9, "asked as long as the tight loop may take"
        statuses = [o.status for o in d.logged(OperationExecutionEvent)]
        assert statuses == ["unknown", "failed"], "what comes after it is answered, and not sent"


async def test_a_late_answer_is_found_by_asking_and_booked_once(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [late(45.0)]
        done = await d.execute(buy("a"))
        assert done.results[0].succeeded
        assert d.binance.sent == ["a"]
        assert d.binance.asked, "after 30 s without an answer the venue is asked"
        await d.bus.idle()
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["binance:BaseToken:BTC"] == 1.0
        assert [o.status for o in d.logged(OperationExecutionEvent)] == ["confirmed"]


async def test_a_venue_that_never_answers_ends_the_run_and_says_so(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [late(1e6)]
        with pytest.raises(BusFailed, match="VEN-002"):
            await d.execute(buy("a"))
        assert d.binance.sent == ["a"]


async def test_other_orders_of_a_decision_follow_one_by_one(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(supply("a"), buy("b"), buy("c"))
        assert [r.operation_id for r in done.results] == ["a", "b", "c"]
        assert all(r.succeeded for r in done.results)
        assert (d.chain.sent, d.binance.sent) == (["a"], ["b", "c"])
        ends = [o.operation_id for o in d.logged(TightLoopExecutionEvent)]
        assert ends == ["a", "b", "c"], "each is reconciled before the next is sent"
