"""What the gate refuses, it refuses before anything is sent, with a code and both numbers. On both runtimes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import BRACKETS, NO_LIMITS, PRICE, START, buy, desk, group, market, short, supply, transfer
from tests.actors.store import MemoryStore

from basis_actors.actors.risk_gate import GateRules, MarketRules, RiskGate
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.book import PositionsView, TickStarted, Trigger, Valuation
from basis_actors.messages.commands import CheckOrders, GetPositions, Objection, StopTrading
from basis_actors.messages.events import OperationExecutionEvent, SystemErrorEvent
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order, Side
from basis_actors.messages.safety import StateUnwritable
from basis_actors.strategies.expected import inverse_trade_deltas, stake_deltas

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


async def test_losses_that_cannot_be_written_down_let_only_what_reduces_through(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with desk(runtime, store=store) as d:
        await d.execute(buy("a", 1.0))
        seen = Probe("seen", StateUnwritable)
        d.bus.add(seen)
        store.broken = True
        for _ in range(3):
            await d.look()
        done = await d.execute(buy("b", 0.1))
        assert done.results[0].error_code == "ENGINE-006"
        assert (await d.execute(buy("c", 0.4, Side.SELL))).results[0].succeeded
        store.broken = False
        await d.look()
        assert (await d.execute(buy("d", 0.1))).results[0].succeeded
        told = [event for event in d.logged(SystemErrorEvent) if event.component == "risk_gate"]
        assert [(event.error_code, event.severity) for event in told] == [
            ("ENGINE-006", "CRITICAL"),
            ("ENGINE-006", "MEDIUM"),
        ]
        assert [state.problem is None for state in seen.of(StateUnwritable)] == [False, True]
        assert d.engine.of(StopTrading) == [], "and nothing ends"


async def test_an_order_below_the_minimum_is_refused(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.tick = TickStarted(0, market(price=5_000.0))
        done = await d.execute(short("a", 0.001))
        assert done.results[0].error_code == "EXEC-004"
        assert d.bybit.sent == []


async def test_a_leg_below_the_minimum_keeps_its_whole_group_from_being_sent(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.tick = TickStarted(0, market(price=5_000.0))
        done = await d.execute(*group(buy("spot", 0.1), short("a", 0.001)))
        assert [result.error_code for result in done.results] == ["EXEC-004", "EXEC-004"]
        assert d.binance.sent == d.bybit.sent == []
        told = [event.error_message or "" for event in d.logged(OperationExecutionEvent)]
        assert all("notional 5 USD is below the minimum of 10" in message for message in told)


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


GATE = GateRules(
    {("binance", "BTCUSD-PERP"): MarketRules(100.0, 100.0, 10.0, 0.0005, "binance:Margin:BTC", BRACKETS)},
    {"binance": "binance", "etherfi": "ethereum"},
    NO_LIMITS,
    "USDT",
    {"etherfi": 0.01},
)


async def objection(
    runtime: Runtimes, order: Order, positions: dict[str, float], entries: dict[str, float] | None = None
) -> Objection | None:
    """What a gate on its own says about one order on a ledger."""
    quote = market().perps["binance:BTC-PERP"]
    state = replace(market(), perps={"binance:BTCUSD-PERP": quote})
    tick = TickStarted(0, state)
    view = PositionsView(tick, Trigger.TICK, positions, entries or {}, (), {}, Valuation({}, {}, 0.0, 0.0, ()))
    bus = runtime.bus(START, log_sink="event_logger")
    ledger = Probe("position_monitor").answers(GetPositions, view)
    for actor in (Probe("event_logger"), ledger, RiskGate(GATE)):
        bus.add(actor)
    async with bus:
        return await bus.ask("risk_gate", CheckOrders((order,), tick))


def inverse(usd: float, *, reduce_only: bool = False) -> Order:
    """A short of the coin-margined perp."""
    deltas = inverse_trade_deltas(
        "binance", "BTCUSD-PERP", Side.SHORT, usd, PRICE, size=0.0, entry=None, cash_key="binance:Margin:BTC"
    )
    return replace(
        short("inverse", venue="binance"),
        pair="BTCUSD-PERP",
        amount=usd,
        expected_deltas=deltas,
        reduce_only=reduce_only,
    )


@pytest.mark.parametrize(
    ("usd", "cash", "code", "named"),
    [
        # 20 times leverage, at 40,000: 80,000 USD are 2 BTC and need 0.1 BTC; the fee is 0.0005 x 2 BTC.
        (80_000.0, 0.1011, None, ""),
        (80_000.0, 0.1009, "RISK-004", "needs 0.1 BTC of initial margin on binance, 0.0999 would be there"),
        (8e15, 1e12, "RISK-004", "a position on binance that is larger than its margin table"),
        (150.0, 1.0, "EXEC-004", "not a multiple of the lot 100"),
    ],
)
async def test_the_margin_of_an_inverse_perp_is_checked_in_coins(
    runtime: Runtimes, usd: float, cash: float, code: str | None, named: str
) -> None:
    found = await objection(runtime, inverse(usd), {"binance:Margin:BTC": cash})
    if code is None:
        assert found is None
        return
    assert found is not None
    assert found.error_code == code
    assert named in found.reason


async def test_profit_of_an_inverse_position_margins_the_next(runtime: Runtimes) -> None:
    key = "binance:InversePerp:BTCUSD-PERP"
    held = {key: -40_000.0, "binance:Margin:BTC": 0.01}
    # Short 40,000 USD from 50,000: 40,000 x (1/40,000 - 1/50,000) = 0.2 BTC of profit; 120,000 USD need 0.15 BTC.
    assert await objection(runtime, inverse(80_000.0), held, {key: 50_000.0}) is None
    lost = await objection(runtime, inverse(80_000.0), held, {key: 40_000.0})
    assert lost is not None
    assert lost.error_code == "RISK-004"


@pytest.mark.parametrize(("eth", "refused"), [(0.0099, True), (0.01, False)])
async def test_a_stake_below_the_minimum_is_refused(runtime: Runtimes, eth: float, refused: bool) -> None:
    order = replace(
        supply("stake"),
        venue="etherfi",
        operation=OperationType.STAKE,
        amount=eth,
        expected_deltas=stake_deltas("etherfi", "weETH", eth, 0.95),
    )
    found = await objection(runtime, order, {"wallet:BaseToken:ETH": 1.0})
    assert (found is not None) is refused
    if found is not None:
        assert (found.error_code, "0.0099 ETH is below the minimum stake of 0.01" in found.reason) == ("EXEC-004", True)


async def test_an_operation_at_a_venue_that_is_not_configured_is_refused(runtime: Runtimes) -> None:
    found = await objection(runtime, replace(supply("s"), venue="compound"), {"wallet:BaseToken:USDT": 1e6})
    assert found is not None
    assert found.error_code == "VEN-004"
    assert "'compound', configured are ['binance', 'etherfi']" in found.reason
