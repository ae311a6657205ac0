"""From order to handshake to reconciliation, with real actors and simulated venues, on both runtimes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from msgspec.structs import replace
from tests.integration.floor import CAPITAL, Floor

from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    ReconciliationEvent,
    SystemErrorEvent,
    TightLoopExecutionEvent,
)
from basis_actors.messages.orders import ExecutionMode, Order, OrderType, Side
from basis_actors.strategies.order_writer import OrderWriter

pytestmark = pytest.mark.anyio
Execute = Callable[..., Awaitable[Floor]]
WALLET, CASH, MARGIN = "wallet:BaseToken:USDT", "binance:BaseToken:USDT", "binance:Margin:USDT"
SPOT_FEE, PERP_FEE = 0.001, 0.0005


def nothing(_write: OrderWriter) -> Sequence[Order]:
    return ()


def fund(write: OrderWriter) -> Sequence[Order]:
    """Money to where it is traded with; it arrives within the hour."""
    return (write.transfer(WALLET, CASH, 60_000.0, "fund"), write.transfer(WALLET, MARGIN, 30_000.0, "fund"))


def hedge(write: OrderWriter) -> Sequence[Order]:
    legs = [
        write.perp("binance", "BTC", Side.SHORT, 1.0, "entry", reduce_only=False),
        write.spot("binance", "BTC", Side.BUY, 1.0, "entry"),
    ]
    return write.group(legs, ExecutionMode.COMPENSATED)


def every_operation_is_reconciled(floor: Floor) -> None:
    done = [operation for operation in floor.of(OperationExecutionEvent) if operation.status == "confirmed"]
    checks = {event.operation_id: event for event in floor.of(ReconciliationEvent) if event.operation_id}
    for operation in done:
        check = checks[operation.operation_id]
        assert check.success
        assert check.mismatches == ()
        assert check.actual == operation.actual_deltas
        for key, amount in check.expected.items():
            assert check.actual[key] == pytest.approx(amount, rel=1e-9), key


class TestExecutionFlow:
    async def test_order_to_handshake_cex(self, real_execution_manager: Execute) -> None:
        floor = await real_execution_manager("btc_basis", fund, hedge)
        operations = floor.of(OperationExecutionEvent)
        assert [o.status for o in operations] == ["confirmed"] * 4
        assert [o.operation_type for o in operations] == ["transfer", "transfer", "perp_trade", "spot_trade"]
        spot = operations[-1]
        price = 40_000.0 * (1.0 + 6e-4)
        assert spot.actual_deltas == {"binance:BaseToken:BTC": 1.0, CASH: pytest.approx(-price)}
        assert (spot.fee_amount, spot.fee_currency) == (pytest.approx(price * SPOT_FEE), "USDT")
        assert floor.positions["binance:BaseToken:BTC"] == 1.0
        assert floor.positions["binance:PerpPosition:BTC-PERP"] == -1.0
        assert floor.positions[CASH] == pytest.approx(60_000.0 - price * (1.0 + SPOT_FEE))
        sold_at = 40_000.0 * (1.0 - 4e-4)
        assert floor.positions[MARGIN] == pytest.approx(30_000.0 - sold_at * PERP_FEE)
        every_operation_is_reconciled(floor)

    async def test_order_to_handshake_defi(self, real_execution_manager: Execute) -> None:
        floor = await real_execution_manager(
            "pure_lending_usdt",
            lambda write: [write.supply("USDT", 70_000.0)],
            lambda w: [w.withdraw("USDT", 20_000.0)],
        )
        supplied, withdrawn = floor.of(OperationExecutionEvent)
        assert (supplied.status, withdrawn.status) == ("confirmed", "confirmed")
        assert supplied.actual_deltas == {"aave:aToken:aUSDT": 70_000.0, WALLET: -70_000.0}
        assert supplied.operation_details["supply_index"] == 1.03
        gas_price = 20.5e-9
        assert supplied.fee_amount == pytest.approx(250_000 * gas_price * 2_000.0)
        assert floor.positions["aave:aToken:aUSDT"] == 50_000.0
        assert floor.positions[WALLET] == CAPITAL - 50_000.0
        assert floor.positions["gas:Payable:USDT"] == pytest.approx(-(250_000 + 220_000) * gas_price * 2_000.0)
        every_operation_is_reconciled(floor)

    async def test_failed_order_handling(self, real_execution_manager: Execute) -> None:
        def too_much(write: OrderWriter) -> Sequence[Order]:
            return (write.supply("USDT", CAPITAL + 1.0), write.supply("USDT", 10.0))

        floor = await real_execution_manager("pure_lending_usdt", too_much)
        first, second = floor.of(OperationExecutionEvent)
        assert (first.status, first.error_code) == ("failed", "EXEC-004")
        assert (second.status, second.error_code) == ("failed", "EXEC-001")
        assert "not sent" in (second.error_message or "")
        assert first.actual_deltas == {}
        errors = floor.of(SystemErrorEvent)
        assert [error.error_code for error in errors] == ["EXEC-004", "EXEC-001"]
        assert floor.positions == {WALLET: CAPITAL}

    async def test_a_refusal_of_the_venue_is_a_failed_operation_that_changed_nothing(
        self, real_execution_manager: Execute
    ) -> None:
        """A transfer without the key it leaves from passes the gate, which checks money; the venue refuses it."""

        def nameless(write: OrderWriter) -> Sequence[Order]:
            return (replace(write.transfer(WALLET, CASH, 10.0, "x"), operation_details={}),)

        floor = await real_execution_manager("btc_basis", nameless)
        (operation,) = floor.of(OperationExecutionEvent)
        assert (operation.status, operation.error_code) == ("failed", "EXEC-003")
        assert "source_key" in (operation.error_message or "")
        (loop,) = floor.of(TightLoopExecutionEvent)
        assert (loop.execution_success, loop.retry_count) == (False, 0)
        assert floor.positions == {WALLET: CAPITAL}

    async def test_a_transfer_is_in_transit_until_it_arrives(self, real_execution_manager: Execute) -> None:
        floor = await real_execution_manager("btc_basis", fund)
        sent, *_ = [e for e in floor.of(ExecutionDeltaEvent) if e.source == "transfer"]
        assert {d.position_key: d.delta_amount for d in sent.deltas} == {
            WALLET: -60_000.0,
            "transit:BaseToken:USDT": 60_000.0,
        }
        arrived = [e for e in floor.of(ExecutionDeltaEvent) if e.source == "transfer" and e.domain == "binance"]
        assert [e.timestamp.minute for e in arrived] == [20, 20]
        assert floor.positions[CASH] == 60_000.0
        assert "transit:BaseToken:USDT" not in floor.positions

    async def test_a_compensated_group_whose_second_leg_is_refused_is_undone(
        self, real_execution_manager: Execute
    ) -> None:
        def torn(write: OrderWriter) -> Sequence[Order]:
            short, spot = hedge(write)
            # A limit that is not met is the venue's refusal; the gate cannot see it.
            return (short, replace(spot, order_type=OrderType.LIMIT, price=39_000.0))

        floor = await real_execution_manager("btc_basis", fund, torn)
        (event,) = floor.of(AtomicOperationGroupEvent)
        assert (event.group_status, event.rollback_occurred) == ("compensated", True)
        assert "binance:PerpPosition:BTC-PERP" not in floor.positions
        assert "binance:BaseToken:BTC" not in floor.positions
        bought, sold = 40_000.0 * (1.0 + 4e-4), 40_000.0 * (1.0 - 4e-4)
        cost = (bought - sold) + (bought + sold) * PERP_FEE
        assert floor.positions[MARGIN] == pytest.approx(30_000.0 - cost), "the way there and back is paid for"
        assert floor.positions[CASH] == 60_000.0

    async def test_an_atomic_group_on_a_chain_succeeds_or_leaves_every_balance_as_it_was(
        self, real_execution_manager: Execute
    ) -> None:
        def both(write: OrderWriter) -> Sequence[Order]:
            return write.group([write.supply("USDT", 500.0), write.withdraw("USDT", 200.0)], ExecutionMode.ATOMIC)

        floor = await real_execution_manager("pure_lending_usdt", both)
        (event,) = floor.of(AtomicOperationGroupEvent)
        assert (event.group_status, event.all_succeeded) == ("confirmed", True)
        assert floor.positions["aave:aToken:aUSDT"] == 300.0

        def too_much(write: OrderWriter) -> Sequence[Order]:
            taken, received = write.withdraw("USDT", 900.0).expected_deltas
            wrong = replace(
                write.withdraw("USDT", 900.0), expected_deltas=(replace(taken, delta_amount=-100.0), received)
            )
            return write.group([write.supply("USDT", 500.0), wrong], ExecutionMode.ATOMIC)

        floor = await real_execution_manager("pure_lending_usdt", too_much)
        (event,) = floor.of(AtomicOperationGroupEvent)
        assert (event.group_status, event.rollback_occurred) == ("rolled_back", True)
        assert {o.status for o in floor.of(OperationExecutionEvent)} == {"rolled_back", "failed"}
        assert floor.positions[WALLET] == CAPITAL
        assert event.total_gas_fees > 0.0
        assert -floor.positions["gas:Payable:USDT"] == pytest.approx(event.total_gas_fees)
        assert set(floor.positions) == {WALLET, "gas:Payable:USDT"}

    async def test_each_operation_goes_through_the_loop_once_and_in_order(
        self, real_execution_manager: Execute
    ) -> None:
        floor = await real_execution_manager("btc_basis", fund, hedge, nothing)
        loops = [event.operation_id for event in floor.of(TightLoopExecutionEvent)]
        assert loops == [event.operation_id for event in floor.of(OperationExecutionEvent)]
        assert len(set(loops)) == len(loops) == 4
        assert all(event.reconciliation_success for event in floor.of(TightLoopExecutionEvent))
