"""A disk that fills up or takes nothing: the run says so, and what was written before can be trusted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.replay import replay
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def half_a_year(out: Path, segment_bytes: int) -> Backtest:
    """A run that writes about fifteen megabytes."""
    return Backtest(
        prepare(
            BacktestRequest(
                mode="btc_basis",
                start=datetime(2024, 1, 1, tzinfo=UTC),
                end=datetime(2024, 7, 1, tzinfo=UTC),
                out=out,
                correlation_id="full",
                overrides={"component_config": {"log_keeper": {"segment_bytes": segment_bytes}}},
            )
        )
    )


@pytest.mark.parametrize("segment_bytes", [10_000_000, 60_000])
def test_a_disk_that_fills_up_fails_the_run_and_corrupts_nothing(disk: Path, segment_bytes: int) -> None:
    run = half_a_year(disk, segment_bytes)
    summary = run.run()
    assert summary.failure is not None
    assert summary.failure.startswith(("LOG-001: ", "LOG-005: "))
    assert "No space left on device" in summary.failure
    assert summary.partial
    found = replay(run.run_dir)
    assert found.findings == []
    assert found.notes, "that the log does not come to its end is said"
    assert found.events > 500
    assert not list((run.run_dir / "events").glob("*.tmp"))


def test_a_disk_that_takes_nothing_is_named_before_anything_runs(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(BasisError, match=r"LOG-003: run directory .*disk.* cannot be made: .*Read-only file system"):
        half_a_year(disk, 10_000_000)
