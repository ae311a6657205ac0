"""What a venue answers: handshakes, settlements and deltas hold together or cannot be made."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.messages.execution import (
    DeltaSource,
    ExecutionHandshake,
    ExecutionStatus,
    PositionDelta,
    Settlement,
)

SENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
DONE = SENT + timedelta(seconds=2)

finite = st.floats(allow_nan=False, allow_infinity=False)


def confirmed(**changes: Any) -> ExecutionHandshake:
    fields: dict[str, Any] = {
        "operation_id": "spot_001",
        "status": ExecutionStatus.CONFIRMED,
        "actual_deltas": {"binance:BaseToken:BTC": 0.5, "binance:BaseToken:USDT": -22_500.0},
        "execution_details": {"executed_price": 45_000.0, "executed_amount": 0.5},
        "fee_amount": 22.5,
        "fee_currency": "USDT",
        "submitted_at": SENT,
        "executed_at": DONE,
        "simulated": True,
    }
    return ExecutionHandshake(**{**fields, **changes})


def refused(status: ExecutionStatus = ExecutionStatus.FAILED, **changes: Any) -> ExecutionHandshake:
    fields: dict[str, Any] = {
        "operation_id": "supply_001",
        "status": status,
        "error_code": "EXEC-001",
        "error_message": "insufficient balance",
        "submitted_at": SENT,
        "simulated": True,
    }
    return ExecutionHandshake(**{**fields, **changes})


class TestExecutionHandshake:
    def test_successful_cex_trade(self) -> None:
        handshake = confirmed(simulated=False)
        assert handshake.was_successful()
        assert not handshake.was_failed()
        assert not handshake.is_pending()
        assert handshake.get_total_cost() == 0.5 * 45_000.0 + 22.5

    def test_failed_defi_operation(self) -> None:
        handshake = refused()
        assert handshake.was_failed()
        assert not handshake.was_successful()
        assert (handshake.error_code, handshake.error_message) == ("EXEC-001", "insufficient balance")
        assert handshake.actual_deltas == {}

    def test_pending_operation(self) -> None:
        handshake = refused(ExecutionStatus.PENDING, error_code=None, error_message=None)
        assert handshake.is_pending()
        assert not handshake.was_successful()
        assert not handshake.was_failed()
        assert handshake.executed_at is None

    def test_rolled_back_operation(self) -> None:
        handshake = refused(ExecutionStatus.ROLLED_BACK, error_code="EXEC-006")
        assert handshake.was_rolled_back()
        assert not handshake.was_failed()
        assert not handshake.was_successful()

    def test_an_unknown_outcome_is_none_of_the_others(self) -> None:
        handshake = refused(ExecutionStatus.UNKNOWN, error_code="VEN-002")
        asked = (handshake.was_successful, handshake.was_failed, handshake.is_pending, handshake.was_rolled_back)
        assert not any(question() for question in asked)

    @pytest.mark.parametrize("missing", [{"executed_at": None}, {"actual_deltas": {}}])
    def test_confirmed_means_executed_with_deltas(self, missing: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"'spot_001' .*needs executed_at and actual_deltas"):
            confirmed(**missing)

    @pytest.mark.parametrize("status", [ExecutionStatus.FAILED, ExecutionStatus.ROLLED_BACK])
    def test_what_did_not_happen_changed_nothing(self, status: ExecutionStatus) -> None:
        with pytest.raises(ValueError, match="nothing may have changed"):
            refused(status, actual_deltas={"wallet:BaseToken:USDT": -1.0})

    @pytest.mark.parametrize("status", [ExecutionStatus.FAILED, ExecutionStatus.ROLLED_BACK])
    def test_what_did_not_happen_says_why(self, status: ExecutionStatus) -> None:
        with pytest.raises(ValueError, match="needs an error_code"):
            refused(status, error_code=None)

    @pytest.mark.parametrize("fee", [-0.01, math.nan, math.inf])
    def test_a_fee_is_finite_and_not_negative(self, fee: float) -> None:
        with pytest.raises(ValueError, match="fee_amount must be finite and 0 or more"):
            confirmed(fee_amount=fee)

    def test_a_fee_has_a_currency(self) -> None:
        with pytest.raises(ValueError, match="needs a fee_currency"):
            confirmed(fee_currency=None)

    def test_no_fee_needs_no_currency(self) -> None:
        assert confirmed(fee_amount=0.0, fee_currency=None).get_total_cost() == 22_500.0

    @pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
    def test_deltas_are_finite(self, amount: float) -> None:
        with pytest.raises(ValueError, match=r"binance:BaseToken:BTC is .*finite"):
            confirmed(actual_deltas={"binance:BaseToken:BTC": amount})

    def test_nothing_is_executed_before_it_was_sent(self) -> None:
        with pytest.raises(ValueError, match="is before submitted_at"):
            confirmed(executed_at=SENT - timedelta(microseconds=1))

    def test_it_may_be_executed_in_the_moment_it_is_sent(self) -> None:
        assert confirmed(executed_at=SENT).was_successful()

    def test_a_zero_delta_is_a_delta(self) -> None:
        assert confirmed(actual_deltas={"wallet:BaseToken:ETH": 0.0}).was_successful()

    def test_cost_of_a_sale_is_what_it_moved_plus_the_fee(self) -> None:
        sale = confirmed(execution_details={"executed_price": 100.0, "executed_amount": -3.0}, fee_amount=0.3)
        assert sale.get_total_cost() == pytest.approx(300.3, rel=1e-15)

    @pytest.mark.parametrize("details", [{}, {"executed_price": 1.0}, {"executed_amount": 1.0}])
    def test_what_is_no_trade_has_no_total_cost(self, details: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="no executed_amount and executed_price"):
            confirmed(execution_details=details).get_total_cost()

    @pytest.mark.parametrize("simulated", [True, False])
    def test_whether_it_was_simulated_survives_json(self, *, simulated: bool) -> None:
        handshake = confirmed(simulated=simulated)
        decoded = msgspec.json.decode(msgspec.json.encode(handshake), type=ExecutionHandshake)
        assert decoded == handshake
        assert decoded.simulated is simulated

    def test_whether_it_was_simulated_has_to_be_said(self) -> None:
        with pytest.raises(TypeError, match="simulated"):
            ExecutionHandshake(operation_id="x", status=ExecutionStatus.PENDING, submitted_at=SENT)  # type: ignore[call-arg]

    def test_invariants_hold_for_what_is_read_from_json(self) -> None:
        text = msgspec.json.encode(confirmed()).replace(b'"confirmed"', b'"failed"')
        with pytest.raises(msgspec.ValidationError, match="nothing may have changed"):
            msgspec.json.decode(text, type=ExecutionHandshake)

    def test_it_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            confirmed().fee_amount = 0.0  # type: ignore[misc]

    @given(price=st.floats(0.01, 1e6), amount=st.floats(-1e6, 1e6), fee=st.floats(0.0, 1e6))
    def test_total_cost_is_never_less_than_the_fee(self, price: float, amount: float, fee: float) -> None:
        details = {"executed_price": price, "executed_amount": amount}
        assert confirmed(execution_details=details, fee_amount=fee).get_total_cost() >= fee


class TestSettlement:
    DELTA = PositionDelta("binance:Margin:USDT", -1.25, 65_000.0)

    def settlement(self, *deltas: PositionDelta) -> Settlement:
        return Settlement(DeltaSource.FUNDING, SENT, "binance", 7, deltas)

    def test_a_settlement_changes_something(self) -> None:
        with pytest.raises(ValueError, match=r"binance#7 .*changes nothing"):
            self.settlement()

    def test_the_settlements_behind_a_handshake_add_up_to_its_deltas(self) -> None:
        deltas = (PositionDelta("binance:BaseToken:BTC", 0.5), PositionDelta("binance:BaseToken:USDT", -22_500.0))
        fill = Settlement(DeltaSource.EXECUTION, DONE, "binance", 0, deltas, "spot_001")
        fee = Settlement(
            DeltaSource.FEE, DONE, "binance", 1, (PositionDelta("binance:BaseToken:USDT", -22.5),), "spot_001"
        )
        handshake = confirmed(settlements=(fill, fee))
        executed = [s for s in handshake.settlements if s.source is DeltaSource.EXECUTION]
        assert {d.position_key: d.delta_amount for s in executed for d in s.deltas} == handshake.actual_deltas

    @pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
    def test_a_delta_is_finite(self, amount: float) -> None:
        with pytest.raises(ValueError, match="delta of wallet:BaseToken:ETH"):
            PositionDelta("wallet:BaseToken:ETH", amount)

    def test_price_and_index_are_left_out_of_json_where_there_are_none(self) -> None:
        text = msgspec.json.encode(PositionDelta("aave:aToken:aUSDT", 1.0))
        assert text == b'{"position_key":"aave:aToken:aUSDT","delta_amount":1.0}'

    @given(amount=finite, price=st.none() | finite, index=st.none() | finite)
    def test_every_settlement_survives_json_to_the_last_bit(
        self, amount: float, price: float | None, index: float | None
    ) -> None:
        settlement = self.settlement(PositionDelta("aave:aToken:aWETH", amount, price, index), self.DELTA)
        assert msgspec.json.decode(msgspec.json.encode(settlement), type=Settlement) == settlement
