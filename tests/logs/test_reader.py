"""Reading a run's events back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.reader import EventLog, MissingEvents
from basis_actors.messages.events import (
    DomainEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    PositionSnapshot,
    StrategyDecision,
    SystemErrorEvent,
)
from basis_actors.messages.execution import DeltaSource, PositionDelta

START = datetime(2024, 1, 1, tzinfo=UTC)


def position(hour: int, trigger: str = "tick", **positions: float) -> PositionSnapshot:
    ledger = {f"wallet:BaseToken:{token}": amount for token, amount in positions.items()}
    return PositionSnapshot(START + timedelta(hours=hour), ledger, sum(positions.values()), "simulated", trigger)


def decision(hour: int) -> StrategyDecision:
    return StrategyDecision(START + timedelta(hours=hour), "hold", "none", "tick", 0, f"hour {hour}", {}, {}, "low")


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run with these events and gives its directory."""

    def write(*events: DomainEvent, name: str = "run") -> Path:
        run_dir = LogDirectoryManager.create_run_logs(name, 1, "m", "s", 1.0, tmp_path)
        logger = DomainEventLogger(run_dir, name, 1)
        for event in events:
            logger.log(event)
        anyio.run(logger.close)
        return run_dir

    return write


def change_metadata(run_dir: Path, **changes: Any) -> None:
    path = run_dir / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestEvents:
    def test_events_of_one_type_come_back_as_they_were(self, written: Callable[..., Path]) -> None:
        said = [position(0, USDT=1.0), decision(0), position(1, USDT=0.1 + 0.2), decision(1)]
        assert list(EventLog(written(*said)).events(PositionSnapshot)) == [said[0], said[2]]

    def test_the_last_event_is_the_last_that_can_be_read(self, written: Callable[..., Path]) -> None:
        said = [position(0, USDT=1.0), decision(0), position(1, USDT=2.0)]
        run_dir = written(*said)
        path = run_dir / "events" / "positions.jsonl"
        path.write_bytes(b"{}\n" + path.read_bytes() + b'{"timestamp": 3}\n{"torn')
        log = EventLog(run_dir)
        assert log.last(PositionSnapshot) == said[2], "a damaged beginning is not read"
        assert log.last(StrategyDecision) == said[1]
        assert log.last(SystemErrorEvent) is None

    def test_all_events_come_in_the_order_in_which_they_were_logged(self, written: Callable[..., Path]) -> None:
        said = [decision(1), position(0, USDT=1.0), decision(0), position(5, USDT=2.0), position(2, USDT=3.0)]
        log = EventLog(written(*said))
        assert list(log.all()) == said
        assert (log.missing, log.torn) == ((), ())

    def test_a_run_without_events_has_none(self, written: Callable[..., Path]) -> None:
        log = EventLog(written())
        assert list(log.all()) == []
        assert log.frame(PositionSnapshot).empty

    def test_a_run_that_logged_no_events_has_none(self, tmp_path: Path) -> None:
        log = EventLog(LogDirectoryManager.create_run_logs("quiet", 1, "m", "s", 1.0, tmp_path))
        assert list(log.all()) == []
        assert log.series(PositionSnapshot, "total_value_usd").empty


class TestDamage:
    def test_events_that_were_never_written_are_reported(self, written: Callable[..., Path]) -> None:
        run_dir = written(*(event for hour in range(4) for event in (position(hour, USDT=1.0), decision(hour))))
        path = run_dir / "events" / "strategy_decisions.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
        log = EventLog(run_dir)
        assert [event.sequence for event in log.all()] == [0, 1, 2, 3, 4, 6]
        assert log.missing == (MissingEvents(5, 5),)

    def test_a_torn_end_is_skipped_in_every_way_of_reading(self, written: Callable[..., Path]) -> None:
        run_dir = written(*(position(hour, USDT=float(hour)) for hour in range(3)))
        path = run_dir / "events" / "positions.jsonl"
        whole = path.read_bytes()
        path.write_bytes(whole[:-7])
        for read in (
            lambda log: [event.total_value_usd for event in log.events(PositionSnapshot)],
            lambda log: [event.total_value_usd for event in log.all()],
            lambda log: log.frame(PositionSnapshot)["total_value_usd"].to_list(),
            lambda log: log.series(PositionSnapshot, "total_value_usd").to_list(),
            lambda log: log.table(PositionSnapshot, "positions")["wallet:BaseToken:USDT"].to_list(),
        ):
            log = EventLog(run_dir)
            assert read(log) == [0.0, 1.0]
            (torn,) = log.torn
            assert (torn.path, torn.offset + torn.length) == (path, len(whole) - 7)

    def test_a_bad_line_inside_a_file_is_named(self, written: Callable[..., Path]) -> None:
        run_dir = written(*(position(hour, USDT=1.0) for hour in range(3)))
        path = run_dir / "events" / "positions.jsonl"
        first, second, third = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(first + second[:40] + b"\n" + third)
        expected = r"LOG-004: .*positions\.jsonl, line 2: .*expected one PositionSnapshot"
        with pytest.raises(BasisError, match=expected):
            list(EventLog(run_dir).events(PositionSnapshot))
        with pytest.raises(BasisError, match=expected):
            EventLog(run_dir).frame(PositionSnapshot)

    def test_a_directory_that_is_no_run_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BasisError, match=r"LOG-003: .* is not a run directory"):
            EventLog(tmp_path)

    def test_a_newer_schema_is_named(self, written: Callable[..., Path]) -> None:
        run_dir = written()
        change_metadata(run_dir, event_schema_version=99, package_version="7.0.0")
        with pytest.raises(
            BasisError, match=r"LOG-004: .*event_schema_version is 99 \(written by basis-actors 7\.0\.0\).*reads 1 to"
        ):
            EventLog(run_dir)


class TestTables:
    def test_a_frame_has_a_row_for_each_event(self, written: Callable[..., Path]) -> None:
        frame = EventLog(written(decision(0), position(0, USDT=1.0), decision(1))).frame(StrategyDecision)
        assert frame.index.to_list() == [START, START + timedelta(hours=1)]
        assert frame.index.name == "timestamp"
        assert frame["sequence"].to_list() == [0, 2]
        assert frame["reasoning"].to_list() == ["hour 0", "hour 1"]
        assert set(frame.columns) == set(StrategyDecision.__struct_fields__) - {"timestamp"}

    def test_an_empty_frame_has_the_columns(self, written: Callable[..., Path]) -> None:
        frame = EventLog(written()).frame(OperationExecutionEvent)
        assert set(frame.columns) == set(OperationExecutionEvent.__struct_fields__) - {"timestamp"}

    def test_words_are_plain_text(self, written: Callable[..., Path]) -> None:
        delta = ExecutionDeltaEvent(START, DeltaSource.FUNDING, (PositionDelta("a:Margin:USDT", 1.0),), "a", 0)
        (source,) = EventLog(written(delta)).frame(ExecutionDeltaEvent)["source"]
        assert type(source) is str
        assert source == "funding"

    def test_a_series_may_be_limited_to_one_trigger(self, written: Callable[..., Path]) -> None:
        log = EventLog(
            written(position(0, USDT=1.0), position(0, "execution_manager", USDT=2.0), position(1, USDT=3.0))
        )
        assert log.series(PositionSnapshot, "total_value_usd").to_list() == [1.0, 2.0, 3.0]
        assert log.series(PositionSnapshot, "total_value_usd", trigger="tick").to_list() == [1.0, 3.0]

    def test_a_table_has_a_column_for_each_key(self, written: Callable[..., Path]) -> None:
        table = EventLog(written(position(0, USDT=1.0), position(1, ETH=2.0))).table(PositionSnapshot, "positions")
        assert table.columns.to_list() == ["wallet:BaseToken:USDT", "wallet:BaseToken:ETH"]
        assert table.fillna(0.0).to_numpy().tolist() == [[1.0, 0.0], [0.0, 2.0]]

    def test_a_field_that_does_not_exist_is_named(self, written: Callable[..., Path]) -> None:
        log = EventLog(written())
        with pytest.raises(BasisError, match="LOG-004: PositionSnapshot has no field 'equity'; it has timestamp"):
            log.series(PositionSnapshot, "equity")
        with pytest.raises(BasisError, match="SystemErrorEvent has no field 'trigger_source'"):
            log.series(SystemErrorEvent, "message", trigger="tick")

    @settings(max_examples=25)
    @given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
    def test_numbers_come_back_to_the_last_bit(
        self, tmp_path_factory: pytest.TempPathFactory, values: list[float]
    ) -> None:
        run_dir = LogDirectoryManager.create_run_logs("bits", 1, "m", "s", 1.0, tmp_path_factory.mktemp("run"))
        logger = DomainEventLogger(run_dir, "bits", 1)
        for hour, value in enumerate(values):
            logger.log(position(hour, USDT=value))
        anyio.run(logger.close)
        if values:
            table = EventLog(run_dir).table(PositionSnapshot, "positions")
            assert table["wallet:BaseToken:USDT"].to_list() == values
