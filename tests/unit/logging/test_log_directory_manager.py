"""Run directories: how they are made, who may read them, what they say about the run, how they end and go."""

from __future__ import annotations

import json
import os
import stat
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.run_lock import RunLock
from basis_actors.messages.events import EVENT_SCHEMA_VERSION

STARTED = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
ENDED = STARTED + timedelta(hours=1)


def create(base_dir: Path, **changes: Any) -> Path:
    arguments: dict[str, Any] = {
        "correlation_id": "test123",
        "pid": 12345,
        "mode": "pure_lending_usdt",
        "strategy": "pure_lending",
        "capital": 10_000.0,
        "clock": lambda: STARTED,
    }
    return LogDirectoryManager.create_run_logs(base_dir=base_dir, **{**arguments, **changes})


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


class TestLogDirectoryManager:
    def test_create_run_logs(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path)
        assert run_dir == tmp_path / "test123" / "12345"
        assert (run_dir / "events").is_dir()
        assert (run_dir / "metadata.json").is_file()

    def test_makes_the_log_folder_where_it_is_missing(self, tmp_path: Path) -> None:
        assert create(tmp_path / "deep" / "logs").is_dir()

    def test_metadata_contents(self, tmp_path: Path) -> None:
        hashes = {"a.csv.gz": "beef"}
        run_dir = create(tmp_path, currency="USDT", config_hash="c0ffee", data_origin="../data", data_hashes=hashes)
        assert json.loads((run_dir / "metadata.json").read_text()) == {
            "event_schema_version": EVENT_SCHEMA_VERSION,
            "package_version": version("basis-actors"),
            "python_version": ".".join(map(str, sys.version_info[:3])),
            "options": {},
            "kind": "backtest",
            "keeps_events": True,
            "currency": "USDT",
            "correlation_id": "test123",
            "pid": 12345,
            "mode": "pure_lending_usdt",
            "strategy": "pure_lending",
            "capital": 10_000.0,
            "started_at": "2025-01-15T10:30:00Z",
            "config_hash": "c0ffee",
            "data_origin": "../data",
            "data_hashes": {"a.csv.gz": "beef"},
            "status": "running",
            "finished_at": None,
            "failure": None,
        }

    def test_metadata_can_be_read_back(self, tmp_path: Path) -> None:
        metadata = LogDirectoryManager.read_metadata(create(tmp_path))
        assert (metadata.mode, metadata.started_at, metadata.status) == (
            "pure_lending_usdt",
            STARTED,
            RunStatus.RUNNING,
        )

    def test_directory_permissions(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            run_dir = create(tmp_path)
        finally:
            os.umask(before)
        assert [mode_of(path) for path in (run_dir.parent, run_dir, run_dir / "events")] == [0o700] * 3
        assert mode_of(run_dir / "metadata.json") == 0o600

    def test_an_empty_directory_is_taken_over_and_closed_to_others(self, tmp_path: Path) -> None:
        (tmp_path / "test123" / "12345").mkdir(parents=True, mode=0o755)
        assert mode_of(create(tmp_path)) == 0o700


class TestSeveralRuns:
    def test_processes_with_the_same_correlation_id_get_a_directory_each(self, tmp_path: Path) -> None:
        first, second = create(tmp_path, pid=1), create(tmp_path, pid=2)
        assert first != second
        assert first.parent == second.parent

    def test_a_directory_that_holds_a_run_is_not_written_again(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path)
        before = (run_dir / "metadata.json").read_bytes()
        with pytest.raises(BasisError, match=r"LOG-003: run directory .*12345 already holds something.*correlation id"):
            create(tmp_path, capital=1.0)
        assert (run_dir / "metadata.json").read_bytes() == before

    def test_a_link_in_place_of_the_directory_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "test123").mkdir()
        (tmp_path / "test123" / "12345").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(BasisError, match="LOG-003"):
            create(tmp_path)
        assert everything_in(tmp_path / "elsewhere") == set()


class TestInvalidParameters:
    @pytest.mark.parametrize(
        "correlation_id",
        ["", ".", "..", "a/b", "../up", "/etc", "a\\b", "a..b", ".hidden", "-rf", "a b", "a\n", "a\0b", "ü", "x" * 129],
    )
    def test_a_correlation_id_that_cannot_name_a_folder_is_refused(self, tmp_path: Path, correlation_id: str) -> None:
        with pytest.raises(BasisError, match=r"LOG-003: correlation id .* cannot name a folder: use 1 to 128"):
            create(tmp_path / "logs", correlation_id=correlation_id)
        assert everything_in(tmp_path) == set()

    @pytest.mark.parametrize("correlation_id", ["a", "7", "btc_basis-2024.01-x", "x" * 128])
    def test_ordinary_correlation_ids_are_fine(self, tmp_path: Path, correlation_id: str) -> None:
        assert create(tmp_path, correlation_id=correlation_id).is_dir()

    @pytest.mark.parametrize("capital", [0.0, -1.0, float("nan"), float("inf")])
    def test_capital_is_a_positive_number(self, tmp_path: Path, capital: float) -> None:
        with pytest.raises(BasisError, match="LOG-003: run 'test123': capital must be a positive number"):
            create(tmp_path, capital=capital)

    def test_a_pid_is_not_negative(self, tmp_path: Path) -> None:
        with pytest.raises(BasisError, match="LOG-003: run 'test123': pid must be 0 or more, got -1"):
            create(tmp_path, pid=-1)

    def test_a_log_folder_that_is_a_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "logs").write_text("not a folder")
        with pytest.raises(BasisError, match=r"LOG-003: run directory .*logs/test123/12345 cannot be made"):
            create(tmp_path / "logs")


class TestEnd:
    @pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.PARTIAL, RunStatus.FAILED])
    def test_how_the_run_ended_is_written_down(self, tmp_path: Path, status: RunStatus) -> None:
        run_dir = create(tmp_path)
        LogDirectoryManager.finish(run_dir, status, failure="disk full", clock=lambda: ENDED)
        metadata = LogDirectoryManager.read_metadata(run_dir)
        assert (metadata.status, metadata.finished_at, metadata.failure) == (status, ENDED, "disk full")
        assert (metadata.started_at, metadata.capital) == (STARTED, 10_000.0)

    def test_the_file_is_replaced_and_nothing_is_left_beside_it(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path)
        with (run_dir / "metadata.json").open() as old:
            LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED, clock=lambda: ENDED)
            assert json.load(old)["status"] == "running"
        assert {path.name for path in run_dir.iterdir()} == {"events", "metadata.json"}
        assert mode_of(run_dir / "metadata.json") == 0o600

    def test_a_failed_end_leaves_the_old_metadata(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path)
        (run_dir / "metadata.json.tmp").mkdir()
        with pytest.raises(BasisError, match=r"LOG-001: .*metadata\.json cannot be written.*ended as completed"):
            LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED)
        assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.RUNNING

    def test_a_directory_that_is_no_run_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(
            BasisError, match=r"LOG-003: .* is not a run directory.*expected logs/<correlation id>/<pid>"
        ):
            LogDirectoryManager.finish(tmp_path, RunStatus.COMPLETED)

    def test_metadata_that_is_no_metadata_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "metadata.json").write_text('{"mode": 1}')
        with pytest.raises(BasisError, match=r"LOG-003: .*metadata\.json cannot be read"):
            LogDirectoryManager.read_metadata(tmp_path)


class TestCleanup:
    def test_a_run_that_has_ended_can_be_removed(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path)
        (run_dir / "events" / "positions.jsonl").write_text("{}\n")
        LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED)
        LogDirectoryManager.remove_run_logs(run_dir)
        assert everything_in(tmp_path) == set()

    def test_other_runs_stay(self, tmp_path: Path) -> None:
        gone, stays = create(tmp_path, pid=1), create(tmp_path, pid=2)
        LogDirectoryManager.finish(gone, RunStatus.FAILED)
        LogDirectoryManager.remove_run_logs(gone)
        assert not gone.exists()
        assert (stays / "metadata.json").is_file()

    def test_a_run_that_goes_on_is_not_removed(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path)
        lock = RunLock(run_dir)
        with pytest.raises(BasisError, match=r"LOG-003: .* goes on"):
            LogDirectoryManager.remove_run_logs(run_dir)
        assert (run_dir / "metadata.json").is_file()
        lock.release()

    def test_what_a_killed_run_left_behind_is_removed(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path)
        LogDirectoryManager.remove_run_logs(run_dir)
        assert not run_dir.exists()

    def test_what_is_no_run_is_not_removed(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("keep")
        with pytest.raises(BasisError, match=r"LOG-003: .* is not deleted: expected a real directory"):
            LogDirectoryManager.remove_run_logs(tmp_path)
        assert (tmp_path / "precious").read_text() == "keep"

    def test_what_a_link_points_to_stays(self, tmp_path: Path) -> None:
        run_dir = create(tmp_path / "logs")
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("keep")
        (run_dir / "link").symlink_to(tmp_path / "precious")
        LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED)
        LogDirectoryManager.remove_run_logs(run_dir)
        assert (tmp_path / "precious" / "file").read_text() == "keep"
        assert not run_dir.exists()

    def test_a_directory_that_could_not_be_completed_is_taken_away_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_space(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)
        with pytest.raises(BasisError, match=r"LOG-003: .* cannot be made: .*No space left on device"):
            create(tmp_path)
        assert everything_in(tmp_path) == set()
