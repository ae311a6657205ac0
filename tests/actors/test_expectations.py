"""What an operation did against what was expected of it: price-dependent legs have a tolerance, all others none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import PRICE, START, buy, market, short, supply, transfer

from basis_actors.actors.position_update_handler import PositionUpdateHandler
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.messages.book import PositionsView, TickStarted, Trigger, Valuation
from basis_actors.messages.commands import ApplySettlements, Reconcile, RouteReport
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import OperationType, Order, Side
from basis_actors.strategies.expected import inverse_trade_deltas, stake_deltas, swap_deltas, unstake_deltas
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
NOW = utc_from_ns(START)
LST, ETH = "etherfi:LST:weETH", "wallet:BaseToken:ETH"
COIN, COIN_CASH = "binance:InversePerp:BTCUSD-PERP", "binance:Margin:BTC"

SWAP = replace(
    supply("swap"),
    venue="uniswap",
    operation=OperationType.SWAP,
    amount=100.0,
    expected_deltas=swap_deltas("uniswap", LST, ETH, 100.0, 1.05),
)
STAKE = replace(
    SWAP,
    venue="etherfi",
    operation=OperationType.STAKE,
    expected_deltas=stake_deltas("etherfi", "weETH", 100.0, 1.0 / 1.05),
)
UNSTAKE = replace(
    STAKE, operation=OperationType.UNSTAKE, expected_deltas=unstake_deltas("etherfi", "weETH", 100.0, 1.0 / 1.05)
)
CLOSE = replace(
    short("close", venue="binance", side=Side.LONG),
    pair="BTCUSD-PERP",
    amount=40_000.0,
    reduce_only=True,
    expected_deltas=inverse_trade_deltas(
        "binance", "BTCUSD-PERP", Side.LONG, 40_000.0, PRICE, size=-40_000.0, entry=PRICE, cash_key=COIN_CASH
    ),
)


async def surprises(runtime: Runtimes, order: Order, off: dict[str, float]) -> list[str]:
    """Keys that are named when an order did what was expected but for `off`."""
    actual = {delta.position_key: delta.delta_amount for delta in order.expected_deltas}
    for key, amount in off.items():
        actual[key] = actual.get(key, 0.0) + amount
    handshake = ExecutionHandshake(
        operation_id=order.operation_id,
        status=ExecutionStatus.CONFIRMED,
        actual_deltas=actual,
        submitted_at=NOW,
        executed_at=NOW,
        simulated=True,
    )
    view = PositionsView(TickStarted(0, market()), Trigger.EXECUTION, {}, {}, (), {}, Valuation({}, {}, 0.0, 0.0, ()))
    bus = runtime.bus(START, log_sink="event_logger")
    for actor in (
        Probe("event_logger"),
        Probe("position_monitor").answers(ApplySettlements, view),
        Probe("venue_interface_manager").answers(RouteReport, None),
        PositionUpdateHandler(1e-9, {}, {}),
    ):
        bus.add(actor)
    async with bus:
        found = await bus.ask("position_update_handler", Reconcile(order, handshake))
    return [mismatch.position_key for mismatch in found.surprises]


@pytest.mark.parametrize(
    ("order", "off", "named"),
    [
        pytest.param(SWAP, {ETH: -0.5}, [], id="a swap that gives 0.48 % less"),
        pytest.param(SWAP, {ETH: -0.6}, [ETH], id="a swap that gives 0.57 % less"),
        pytest.param(SWAP, {LST: -1e-5}, [LST], id="a swap that takes more"),
        pytest.param(STAKE, {LST: 1e-5}, [LST], id="a stake at another rate"),
        pytest.param(UNSTAKE, {"etherfi:UnstakeClaim:ETH": 1e-5}, ["etherfi:UnstakeClaim:ETH"], id="a claim"),
        pytest.param(CLOSE, {COIN_CASH: 0.0049}, [], id="coins realised within 0.5 % of the 1 BTC traded"),
        pytest.param(CLOSE, {COIN_CASH: 0.0051}, [COIN_CASH], id="coins realised beyond it"),
        pytest.param(CLOSE, {COIN: 100.0}, [COIN], id="another size of an inverse perp"),
        pytest.param(buy("a"), {"binance:BaseToken:USDT": -199.0}, [], id="spot within 0.5 % of 40,000"),
        pytest.param(buy("a"), {"binance:BaseToken:BTC": -1e-6}, ["binance:BaseToken:BTC"], id="another spot amount"),
        pytest.param(transfer("t"), {"transit:BaseToken:USDT": 0.01}, ["transit:BaseToken:USDT"], id="a transfer"),
    ],
)
async def test_what_differs_beyond_its_tolerance_is_named(
    runtime: Runtimes, order: Order, off: dict[str, float], named: list[str]
) -> None:
    assert await surprises(runtime, order, off) == named
