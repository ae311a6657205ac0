"""The twelve domain events: what they refuse, and that JSON brings back exactly what was said."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.messages.events import (
    EVENT_TYPES,
    AssetExposure,
    AtomicOperationGroupEvent,
    DomainEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    HealthStatusEvent,
    Mismatch,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    ReconciliationEvent,
    RiskAssessment,
    StrategyDecision,
    SystemErrorEvent,
    TightLoopExecutionEvent,
)
from basis_actors.messages.execution import DeltaSource, ExecutionStatus, PositionDelta
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType

MOMENT = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)

FIELDS: dict[type[DomainEvent], dict[str, Any]] = {
    PositionSnapshot: {
        "positions": {"aave:aToken:aUSDT": 10_000.0, "wallet:BaseToken:USDT": 5_000.0},
        "total_value_usd": 15_000.0,
        "position_type": "simulated",
        "trigger_source": "execution_manager",
    },
    ExposureSnapshot: {
        "net_delta_usd": -12.5,
        "asset_exposures": {"BTC": AssetExposure(-0.0002, -12.5, -0.000125)},
        "total_value_usd": 100_000.0,
        "share_class_value": 100_000.0,
        "trigger_source": "tick",
    },
    RiskAssessment: {
        "risk_level": "medium",
        "margin_ratio": {"binance": 0.41},
        "warnings": ("margin ratio of binance 0.41 is below its band",),
        "breaches": (),
        "trigger_source": "tick",
        "health_factor": 1.08,
        "drawdown": 0.01,
    },
    PnLCalculation: {
        "equity": 100_010.0,
        "total_pnl": 10.0,
        "realized_pnl": 4.0,
        "unrealized_pnl": 6.0,
        "attribution": {"funding": 3.0, "fees": -1.0},
        "attribution_total": {"funding": 12.0, "fees": -2.0},
        "residual": 1e-12,
        "residual_total": 2e-12,
        "external_flows": 0.0,
        "fees_paid": 2.0,
        "funding_received": 12.0,
        "pnl_by_venue": {"binance": 10.0},
        "pnl_by_asset": {"BTC": 10.0},
        "marks": {"S:BTC": 65_000.0},
        "trigger_source": "tick",
    },
    StrategyDecision: {
        "decision_type": "rebalance",
        "action_taken": "exit_partial",
        "trigger_source": "tick",
        "orders_generated": 2,
        "reasoning": "margin ratio of binance is below its band",
        "market_conditions": {"funding_mean": 0.00012},
        "portfolio_state": {"equity": 100_010.0},
        "risk_level": "medium",
        "constraints_violated": ("margin_band",),
    },
    OperationExecutionEvent: {
        "operation_id": "supply_001",
        "operation_type": OperationType.SUPPLY,
        "venue": "aave_v3",
        "source_venue": "wallet",
        "target_venue": "aave_v3",
        "source_token": "USDT",
        "target_token": "aUSDT",
        "status": ExecutionStatus.CONFIRMED,
        "expected_deltas": (ExpectedDelta("aave:aToken:aUSDT", 10_000.0, "aUSDT", "aave_v3", OperationType.SUPPLY),),
        "actual_deltas": {"aave:aToken:aUSDT": 10_000.0, "wallet:BaseToken:USDT": -10_000.0},
        "fee_amount": 0.0,
        "fee_currency": "USDT",
        "execution_duration_ms": 125.5,
        "simulated": True,
    },
    AtomicOperationGroupEvent: {
        "atomic_group_id": "group_001",
        "mode": ExecutionMode.ATOMIC,
        "operation_ids": ("supply_001", "borrow_001"),
        "operation_types": (OperationType.SUPPLY, OperationType.BORROW),
        "all_succeeded": True,
        "rollback_occurred": False,
        "group_status": "confirmed",
        "total_gas_fees": 0.004,
        "total_duration_ms": 250.5,
    },
    TightLoopExecutionEvent: {
        "operation_id": "supply_001",
        "execution_success": True,
        "reconciliation_success": True,
        "retry_count": 0,
        "total_duration_ms": 150.5,
        "execution_duration_ms": 125.5,
        "reconciliation_duration_ms": 25.0,
    },
    ReconciliationEvent: {
        "reconciliation_type": "tight_loop",
        "success": False,
        "expected": {"wallet:BaseToken:USDT": 0.0},
        "actual": {"wallet:BaseToken:USDT": 0.0},
        "venue_reported": {"wallet:BaseToken:USDT": 1.0},
        "mismatches": (Mismatch("wallet:BaseToken:USDT", 0.0, 1.0, 1.0, 1e-9),),
        "trigger_source": "execution_manager",
        "operation_id": "supply_001",
    },
    ExecutionDeltaEvent: {
        "source": DeltaSource.FUNDING,
        "deltas": (PositionDelta("binance:Margin:USDT", 1.5, 0.0001),),
        "domain": "binance",
        "domain_sequence": 17,
    },
    HealthStatusEvent: {
        "component": "risk_monitor",
        "status": "degraded",
        "checks": {"alive": True, "keeps_up": False},
        "error_count": 1,
        "inbox_depth": 12,
        "last_message_age_ms": None,
    },
    SystemErrorEvent: {
        "component": "execution_manager",
        "error_code": "EXEC-005",
        "severity": "CRITICAL",
        "message": "reconciliation of supply_001 took longer than 10 s",
        "stack_trace": "Traceback (most recent call last): ...",
        "operation_id": "supply_001",
    },
}


def event(kind: type[DomainEvent], **changes: Any) -> Any:
    return kind(timestamp=MOMENT, **{**FIELDS[kind], **changes})


def again(said: DomainEvent) -> DomainEvent:
    return msgspec.json.decode(msgspec.json.encode(said), type=type(said))


class TestEveryEvent:
    @pytest.mark.parametrize("kind", EVENT_TYPES)
    def test_survives_json(self, kind: type[DomainEvent]) -> None:
        assert again(event(kind)) == event(kind)

    @pytest.mark.parametrize("kind", EVENT_TYPES)
    def test_survives_json_with_what_the_logger_adds(self, kind: type[DomainEvent]) -> None:
        said = event(
            kind, sequence=4, real_utc_time=MOMENT, correlation_id="abc123", pid=12345, metadata={"a": [1, None]}
        )
        assert again(said) == said

    @pytest.mark.parametrize("kind", EVENT_TYPES)
    def test_has_the_common_fields_and_a_file_of_its_own(self, kind: type[DomainEvent]) -> None:
        line = json.loads(msgspec.json.encode(event(kind)))
        common = {"timestamp", "sequence", "real_utc_time", "correlation_id", "pid", "metadata"}
        assert common <= line.keys()
        assert {name: line[name] for name in common - {"timestamp"}} == {
            "sequence": None, "real_utc_time": None, "correlation_id": None, "pid": None, "metadata": {},
        }  # fmt: skip
        assert line["timestamp"] == "2025-01-15T10:30:00Z"
        assert [other.FILE for other in EVENT_TYPES].count(kind.FILE) == 1
        assert kind.FILE

    @pytest.mark.parametrize("kind", EVENT_TYPES)
    def test_refuses_to_be_read_without_its_own_fields(self, kind: type[DomainEvent]) -> None:
        with pytest.raises(msgspec.ValidationError, match="missing required field"):
            msgspec.json.decode(b'{"timestamp":"2025-01-15T10:30:00Z"}', type=kind)

    @pytest.mark.parametrize("kind", EVENT_TYPES)
    def test_is_frozen(self, kind: type[DomainEvent]) -> None:
        with pytest.raises(AttributeError):
            event(kind).sequence = 1

    @pytest.mark.parametrize("kind", EVENT_TYPES)
    def test_reads_lines_of_a_later_writer_that_added_a_field(self, kind: type[DomainEvent]) -> None:
        line = json.loads(msgspec.json.encode(event(kind))) | {"added_later": {"x": 1}}
        assert msgspec.json.decode(json.dumps(line), type=kind) == event(kind)

    @pytest.mark.parametrize("kind", EVENT_TYPES)
    def test_has_a_json_schema(self, kind: type[DomainEvent]) -> None:
        schema = msgspec.json.schema(kind)
        assert set(FIELDS[kind]) <= schema["$defs"][kind.__name__]["properties"].keys()

    def test_there_are_twelve(self) -> None:
        assert set(FIELDS) == set(EVENT_TYPES)
        assert len(EVENT_TYPES) == 12

    def test_metadata_of_two_events_is_not_shared(self) -> None:
        one, other = event(PositionSnapshot), event(PositionSnapshot)
        assert one.metadata is not other.metadata


class TestPositionSnapshot:
    @pytest.mark.parametrize("amount", [math.nan, math.inf])
    def test_refuses_amounts_that_are_not_finite(self, amount: float) -> None:
        with pytest.raises(ValueError, match="position wallet:BaseToken:USDT is"):
            event(PositionSnapshot, positions={"wallet:BaseToken:USDT": amount})

    def test_refuses_an_unknown_kind_of_position(self) -> None:
        with pytest.raises(ValueError, match="'paper'; simulated or real"):
            event(PositionSnapshot, position_type="paper")

    def test_an_empty_ledger_and_an_unknown_value_are_fine(self) -> None:
        assert again(event(PositionSnapshot, positions={}, total_value_usd=None)).positions == {}  # type: ignore[attr-defined]

    @given(
        st.dictionaries(
            st.text(st.characters(codec="utf-8"), max_size=20),
            st.floats(allow_nan=False, allow_infinity=False),
            max_size=8,
        )
    )
    def test_amounts_survive_json_to_the_last_bit(self, positions: dict[str, float]) -> None:
        assert again(event(PositionSnapshot, positions=positions)).positions == positions  # type: ignore[attr-defined]


class TestExposureSnapshot:
    @pytest.mark.parametrize("field", ["share_class_value", "net_delta_usd"])
    def test_refuses_numbers_that_are_not_finite(self, field: str) -> None:
        with pytest.raises(ValueError, match=rf"ExposureSnapshot\.{field} is nan"):
            event(ExposureSnapshot, **{field: math.nan})

    def test_says_nothing_in_usd_while_a_price_is_not_known(self) -> None:
        unknown = event(ExposureSnapshot, net_delta_usd=None, total_value_usd=None)
        assert again(unknown) == unknown


class TestRiskAssessment:
    def test_refuses_an_unknown_level(self) -> None:
        with pytest.raises(ValueError, match="'severe'; low, medium, high or critical"):
            event(RiskAssessment, risk_level="severe")

    def test_what_a_mode_does_not_have_is_null(self) -> None:
        line = json.loads(msgspec.json.encode(event(RiskAssessment, health_factor=None)))
        assert line["health_factor"] is line["ltv_ratio"] is line["peg_deviation"] is None


class TestPnLCalculation:
    @pytest.mark.parametrize("field", ["equity", "residual", "total_pnl"])
    def test_refuses_numbers_that_are_not_finite(self, field: str) -> None:
        with pytest.raises(ValueError, match=rf"PnLCalculation\.{field} is inf"):
            event(PnLCalculation, **{field: math.inf})

    def test_a_loss_and_negative_equity_are_fine(self) -> None:
        loss = event(PnLCalculation, equity=-1.0, total_pnl=-100_001.0)
        assert again(loss) == loss


class TestStrategyDecision:
    def test_refuses_an_unknown_decision(self) -> None:
        with pytest.raises(ValueError, match="decision_type is 'panic'"):
            event(StrategyDecision, decision_type="panic")

    def test_refuses_fewer_orders_than_none(self) -> None:
        with pytest.raises(ValueError, match="orders_generated is -1; 0 or more"):
            event(StrategyDecision, orders_generated=-1)

    @pytest.mark.parametrize("decision", ["entry", "exit", "rebalance", "hold", "emergency_exit"])
    def test_knows_the_five_decisions(self, decision: str) -> None:
        assert event(StrategyDecision, decision_type=decision).decision_type == decision

    def test_conditions_may_be_nested(self) -> None:
        nested = event(StrategyDecision, market_conditions={"funding": {"binance": [0.0001, None]}, "note": "ü"})
        assert again(nested) == nested


class TestOperationExecutionEvent:
    def test_successful_execution(self) -> None:
        line = json.loads(msgspec.json.encode(event(OperationExecutionEvent)))
        assert line["status"] == "confirmed"
        assert line["operation_type"] == "supply"
        assert line["error_code"] is None
        assert line["expected_deltas"] == [
            {
                "position_key": "aave:aToken:aUSDT",
                "delta_amount": 10_000.0,
                "token": "aUSDT",
                "venue": "aave_v3",
                "operation_type": "supply",
            }
        ]

    def test_the_operation_type_can_be_found_with_grep(self) -> None:
        assert b'"operation_type":"supply"' in msgspec.json.encode(event(OperationExecutionEvent))

    def test_failed_execution(self) -> None:
        failed = event(
            OperationExecutionEvent,
            status=ExecutionStatus.FAILED,
            actual_deltas={},
            error_code="EXEC-001",
            error_message="insufficient balance",
        )
        assert again(failed) == failed
        assert again(failed).error_message == "insufficient balance"  # type: ignore[attr-defined]

    @pytest.mark.parametrize("field", ["fee_amount", "execution_duration_ms"])
    def test_refuses_numbers_that_are_not_finite(self, field: str) -> None:
        with pytest.raises(ValueError, match=rf"OperationExecutionEvent\.{field} is nan"):
            event(OperationExecutionEvent, **{field: math.nan})

    @pytest.mark.parametrize("operation", list(OperationType))
    def test_knows_the_twelve_operations(self, operation: OperationType) -> None:
        said = event(OperationExecutionEvent, operation_type=operation)
        assert again(said).operation_type is operation  # type: ignore[attr-defined]

    def test_refuses_an_operation_that_does_not_exist(self) -> None:
        text = msgspec.json.encode(event(OperationExecutionEvent)).replace(
            b'"operation_type":"supply"', b'"operation_type":"x"'
        )
        with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'x'"):
            msgspec.json.decode(text, type=OperationExecutionEvent)


class TestAtomicOperationGroupEvent:
    def test_refuses_an_unknown_status(self) -> None:
        with pytest.raises(ValueError, match="group_status is 'done'"):
            event(AtomicOperationGroupEvent, group_status="done")

    def test_refuses_to_have_succeeded_and_been_rolled_back(self) -> None:
        with pytest.raises(ValueError, match="'group_001' cannot have succeeded and been rolled back"):
            event(AtomicOperationGroupEvent, rollback_occurred=True)

    def test_a_rollback_says_why(self) -> None:
        undone = event(
            AtomicOperationGroupEvent,
            all_succeeded=False,
            rollback_occurred=True,
            group_status="rolled_back",
            rollback_reason="borrow_001: health factor",
        )
        assert again(undone) == undone


class TestTightLoopExecutionEvent:
    def test_refuses_a_negative_number_of_retries(self) -> None:
        with pytest.raises(ValueError, match="retry_count is -1"):
            event(TightLoopExecutionEvent, retry_count=-1)

    def test_a_failure_says_why(self) -> None:
        failed = event(TightLoopExecutionEvent, execution_success=False, failure_reason="VEN-002: timeout")
        assert again(failed) == failed


class TestReconciliationEvent:
    def test_refuses_an_unknown_type(self) -> None:
        with pytest.raises(ValueError, match="reconciliation_type is 'daily'"):
            event(ReconciliationEvent, reconciliation_type="daily")

    @pytest.mark.parametrize("kind", ["startup", "periodic"])
    def test_may_belong_to_no_operation(self, kind: str) -> None:
        said = event(ReconciliationEvent, reconciliation_type=kind, operation_id=None, success=True, mismatches=())
        assert again(said) == said


class TestExecutionDeltaEvent:
    def test_refuses_to_change_nothing(self) -> None:
        with pytest.raises(ValueError, match="binance#17 changes nothing"):
            event(ExecutionDeltaEvent, deltas=())

    @pytest.mark.parametrize("source", list(DeltaSource))
    def test_knows_every_source(self, source: DeltaSource) -> None:
        assert again(event(ExecutionDeltaEvent, source=source)).source is source  # type: ignore[attr-defined]

    def test_an_accrual_may_be_negative_and_carries_its_index(self) -> None:
        accrual = event(
            ExecutionDeltaEvent,
            source=DeltaSource.ACCRUAL,
            deltas=(PositionDelta("aave:aToken:aUSDT", -1e-9, index=1.0734),),
        )
        assert again(accrual) == accrual


class TestHealthStatusEvent:
    def test_refuses_an_unknown_status(self) -> None:
        with pytest.raises(ValueError, match="'fine'; healthy, degraded or unhealthy"):
            event(HealthStatusEvent, status="fine")

    def test_a_component_without_a_message_has_no_age(self) -> None:
        assert json.loads(msgspec.json.encode(event(HealthStatusEvent)))["last_message_age_ms"] is None


class TestSystemErrorEvent:
    def test_refuses_an_unknown_severity(self) -> None:
        with pytest.raises(ValueError, match="severity is 'fatal'"):
            event(SystemErrorEvent, severity="fatal")

    def test_the_severity_can_be_found_with_grep(self) -> None:
        assert b'"severity":"CRITICAL"' in msgspec.json.encode(event(SystemErrorEvent))

    def test_a_stack_trace_with_line_ends_stays_on_one_line(self) -> None:
        error = event(SystemErrorEvent, stack_trace="line 1\nline 2\r\n\u2028line 3")
        assert b"\n" not in msgspec.json.encode(error)
        assert again(error) == error
