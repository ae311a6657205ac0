"""What the gate refuses, it refuses before anything is sent, with a code and both numbers. On both runtimes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import buy, desk, group, market, short, supply, transfer

from basis_actors.bus.testkit import Runtimes
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import OperationExecutionEvent
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order, Side

pytestmark = pytest.mark.anyio

REFUSALS = [
    pytest.param(buy("a", 3.0), "EXEC-004", "binance:BaseToken:USDT", id="spot that costs more than there is"),
    pytest.param(buy("a", 2.5), "EXEC-004", "binance:BaseToken:USDT", id="spot that leaves nothing for its fee"),
    pytest.param(buy("a", 0.5, Side.SELL), "EXEC-004", "binance:BaseToken:BTC", id="coins that are not there"),
    pytest.param(supply("a", 10_001.0), "EXEC-004", "wallet:BaseToken:USDT", id="lending more than the wallet holds"),
    pytest.param(transfer("a", 10_000.1), "EXEC-004", "wallet:BaseToken:USDT", id="sending more than there is"),
    pytest.param(short("a", 0.0001), "EXEC-004", "lot", id="an amount off the lot"),
    pytest.param(short("a", 30.0), "RISK-004", "margin", id="a short without the margin for it"),
    pytest.param(replace(buy("a"), venue="okx"), "VEN-004", "okx", id="a venue that does not trade this"),
]


@pytest.mark.parametrize(("order", "code", "named"), REFUSALS)
async def test_it_is_refused_with_a_code_and_nothing_is_sent(
    runtime: Runtimes, order: Order, code: str, named: str
) -> None:
    async with desk(runtime) as d:
        done = await d.execute(order)
        assert [(r.succeeded, r.error_code) for r in done.results] == [(False, code)]
        assert d.binance.sent == d.bybit.sent == d.chain.sent == []
        (event,) = d.logged(OperationExecutionEvent)
        assert event.status == "failed"
        assert named in (event.error_message or "")


async def test_an_order_below_the_minimum_is_refused(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.tick = TickStarted(0, market(price=5_000.0))
        done = await d.execute(short("a", 0.001))
        assert done.results[0].error_code == "EXEC-004"
        assert d.bybit.sent == []


@pytest.mark.parametrize("order", [buy("a", 0.1), short("a", 0.1)])
async def test_a_stale_price_blocks_new_risk(runtime: Runtimes, order: Order) -> None:
    async with desk(runtime) as d:
        d.tick = TickStarted(0, market(fresh=False))
        done = await d.execute(order)
        assert done.results[0].error_code == "STRAT-006"
        (event,) = d.logged(OperationExecutionEvent)
        assert "staleness" in (event.error_message or "")
        assert d.binance.sent == d.bybit.sent == []


@pytest.mark.parametrize("order", [buy("a", 0.1), short("a", 0.1)])
async def test_a_price_that_is_not_known_blocks_the_order(runtime: Runtimes, order: Order) -> None:
    async with desk(runtime) as d:
        d.tick = TickStarted(0, market(price=None))
        done = await d.execute(order)
        assert done.results[0].error_code == "STRAT-006"


async def test_orders_of_a_group_are_added_up(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(*group(buy("a", 1.2), buy("b", 1.2), buy("c", 1.2)))
        assert {r.error_code for r in done.results} == {"EXEC-004"}
        assert d.binance.sent == []


async def test_what_one_order_frees_the_next_may_use(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        await d.execute(buy("a", 2.0))
        done = await d.execute(
            *(replace(o, atomic_group_id="g2") for o in group(buy("b", 1.0, Side.SELL), buy("c", 1.4)))
        )
        assert all(r.succeeded for r in done.results)


async def test_all_there_is_may_be_taken(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(supply("a", 10_000.0))
        assert done.results[0].succeeded


async def test_debt_may_be_made_and_only_what_is_owed_repaid(runtime: Runtimes) -> None:
    def debt(name: str, operation: OperationType, amount: float) -> Order:
        delta = ExpectedDelta("aave:debtToken:debtUSDT", amount, "USDT", "aave_v3", operation)
        return replace(supply(name, 5.0), expected_deltas=(delta,), operation=operation)

    async with desk(runtime) as d:
        done = await d.execute(debt("a", OperationType.BORROW, 5.0), debt("b", OperationType.REPAY, -5.0))
        assert all(r.succeeded for r in done.results)
        done = await d.execute(debt("c", OperationType.REPAY, -5.0))
        assert done.results[0].error_code == "EXEC-004"
