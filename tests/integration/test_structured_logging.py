"""What a run leaves on disk: a directory of its own, one file an event type, one log a component, and what it was."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.engine.play import utc

from basis_actors.logs.component import COMPONENTS
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import EVENT_SCHEMA_VERSION, EVENT_TYPES
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

TICKS = 5 * 24 + 1


def lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def event_files(run: Backtest) -> list[Path]:
    """The files that hold events."""
    return [run.run_dir / "events" / f"{kind.FILE}.jsonl" for kind in EVENT_TYPES]


class TestStructuredLogging:
    def test_log_directory_creation(self, real_engine: Backtest) -> None:
        run_dir = real_engine.run_dir
        assert run_dir.is_dir()
        assert (run_dir / "events").is_dir()
        assert run_dir.parent.name == "five-days", "logs/{correlation_id}/{pid}"
        assert run_dir.name.isdigit()
        for folder in (run_dir, run_dir / "events"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_event_files_created(self, real_engine: Backtest) -> None:
        there = {path.name for path in (real_engine.run_dir / "events").iterdir()}
        assert there - {"seals.jsonl"} == {f"{kind.FILE}.jsonl" for kind in EVENT_TYPES}
        assert len(there) == 13

    def test_component_logs_created(self, real_engine: Backtest) -> None:
        for component in COMPONENTS:
            entries = list(lines(real_engine.run_dir / f"{component}.log"))
            assert [entry["event"] for entry in (entries[0], entries[-1])] == ["run started", "run ended"]
            assert all(entry["correlation_id"] == "five-days" for entry in entries)

    def test_every_tick_leaves_its_five_events(self, real_engine: Backtest) -> None:
        events = real_engine.run_dir / "events"
        stamps: list[list[str]] = []
        for name in ("positions", "exposures", "risk_assessments", "pnl_calculations", "strategy_decisions"):
            found = [e["timestamp"] for e in lines(events / f"{name}.jsonl") if e["trigger_source"] == "tick"]
            assert len(found) == len(set(found)) == TICKS, name
            stamps.append(found)
        assert all(one == stamps[0] for one in stamps)

    def test_events_of_an_operation_tell_its_whole_story(self, real_engine: Backtest) -> None:
        events = real_engine.run_dir / "events"
        orders = [e for e in lines(events / "operation_executions.jsonl") if e["status"] == "confirmed"]
        assert orders
        loops = {e["operation_id"] for e in lines(events / "tight_loop.jsonl")}
        checks = {e["operation_id"] for e in lines(events / "reconciliation.jsonl")}
        booked = {e["operation_id"] for e in lines(events / "execution_deltas.jsonl")}
        for order in orders:
            assert order["operation_id"] in loops & checks & booked
            assert order["operation_type"] in ("transfer", "perp_trade", "spot_trade")
            assert order["simulated"] is True
        groups = list(lines(events / "atomic_groups.jsonl"))
        members = {name for group in groups for name in group["operation_ids"]}
        assert members == {o["operation_id"] for o in orders if o["atomic_group_id"]}

    def test_sequence_numbers_count_every_line_of_the_run(self, real_engine: Backtest) -> None:
        numbers = [e["sequence"] for path in event_files(real_engine) for e in lines(path)]
        assert sorted(numbers) == list(range(len(numbers)))

    def test_every_line_carries_what_all_events_share(self, real_engine: Backtest) -> None:
        for path in event_files(real_engine):
            for event in lines(path):
                assert event["correlation_id"] == "five-days"
                assert str(event["pid"]) == real_engine.run_dir.name
                assert event["timestamp"].endswith("Z")
                assert datetime.fromisoformat(event["real_utc_time"]).tzinfo is not None

    def test_metadata_says_what_was_run_and_how_it_ended(self, real_engine: Backtest) -> None:
        metadata = json.loads((real_engine.run_dir / "metadata.json").read_text())
        assert metadata["correlation_id"] == "five-days"
        assert (metadata["mode"], metadata["strategy"]) == ("btc_basis", "basis")
        assert metadata["capital"] == 100_000.0
        assert metadata["status"] == "completed"
        assert metadata["event_schema_version"] == EVENT_SCHEMA_VERSION
        assert "synthetic" in metadata["data_origin"]
        assert len(metadata["config_hash"]) == 64

    def test_the_log_reads_back_whole_and_typed(self, real_engine: Backtest) -> None:
        log = EventLog(real_engine.run_dir)
        events = list(log.all())
        assert (log.torn, log.missing) == ((), ())
        assert {type(event) for event in events} <= set(EVENT_TYPES)
        assert [event.sequence for event in events] == list(range(len(events)))

    def test_the_summary_on_disk_is_that_of_the_events(self, real_engine: Backtest) -> None:
        summary = json.loads((real_engine.run_dir / "summary.json").read_text())
        last = list(lines(real_engine.run_dir / "events" / "pnl_calculations.jsonl"))[-1]
        assert summary["equity_end"] == last["equity"]
        assert summary["attribution"] == last["attribution_total"]
        assert summary["ticks"] == TICKS

    def test_an_error_is_in_the_events_and_in_the_log_of_its_component(self, tmp_path: Path) -> None:
        """A run that spends more than it has: the withdrawal cannot be paid, the venue limit is impossible."""
        request = BacktestRequest(
            mode="btc_basis",
            start=utc("2024-01-01"),
            end=utc("2024-01-02"),
            settings=["strategy_config.always_in=true", "component_config.pnl_monitor.residual_tolerance=1e-300"],
            out=tmp_path,
        )
        backtest = Backtest(prepare(request))
        backtest.run()
        errors = [e for e in lines(backtest.run_dir / "events" / "system_errors.jsonl") if e["error_code"] == "PNL-005"]
        assert errors, "with such a tolerance rounding is an error"
        logged = [e for e in lines(backtest.run_dir / "pnl_monitor.log") if e.get("error_code") == "PNL-005"]
        assert [e["engine_time"] for e in logged] == [e["timestamp"] for e in errors]
        assert {e["severity"] for e in logged} == {"MEDIUM"}

    def test_without_events_only_component_logs_and_summary_are_written(self, tmp_path: Path) -> None:
        request = BacktestRequest(
            mode="pure_lending_usdt",
            start=utc("2024-01-01"),
            end=utc("2024-01-02"),
            out=tmp_path,
            write_events=False,
        )
        backtest = Backtest(prepare(request))
        summary = backtest.run()
        assert summary.ticks == 25
        assert not list((backtest.run_dir / "events").glob("*.jsonl"))
        assert (backtest.run_dir / "execution_manager.log").exists()

    def test_two_runs_of_one_name_do_not_share_a_directory(self, real_engine: Backtest) -> None:
        from basis_actors.errors import BasisError

        request = BacktestRequest(
            mode="btc_basis",
            start=utc("2024-01-01"),
            end=utc("2024-01-02"),
            out=real_engine.run_dir.parents[1],
            correlation_id="five-days",
        )
        with pytest.raises(BasisError, match="LOG-003"):
            Backtest(prepare(request))
