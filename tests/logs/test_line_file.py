"""Component logs that grow for months: full files become numbered segments, are packed, and at last deleted."""

from __future__ import annotations

import errno
import gzip
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basis_actors.errors import BasisError
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.directory import LogDirectoryManager, RunKind
from basis_actors.logs.line_file import LineFile, complete_segments, old_segments
from basis_actors.logs.retention import Retention, drop_old_segments, pack, unpacked

DAY_SECONDS = 86_400


def content(folder: Path, stem: str) -> bytes:
    """Everything that was written, oldest first."""
    packed = {path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes()) for path in folder.glob(f"{stem}.*.gz")}
    plain = {path.name: path.read_bytes() for path in folder.glob(f"{stem}.*.log")}
    whole = packed | plain
    return b"".join(whole[name] for name in sorted(whole)) + (folder / f"{stem}.log").read_bytes()


def test_a_line_that_does_not_fit_begins_a_new_file(tmp_path: Path) -> None:
    file = LineFile(tmp_path, "api", 10)
    for line in (b"12345\n", b"123\n", b"a\n"):
        file.msg(line)
    assert (tmp_path / "api.000001.log").read_bytes() == b"12345\n123\n"
    assert (tmp_path / "api.log").read_bytes() == b"a\n"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    file.close()


def test_a_line_longer_than_a_segment_is_written_whole(tmp_path: Path) -> None:
    file = LineFile(tmp_path, "api", 4)
    for line in (b"a" * 20 + b"\n", b"b\n"):
        file.msg(line)
    file.close()
    assert (tmp_path / "api.000001.log").read_bytes() == b"a" * 20 + b"\n"
    assert not (tmp_path / "api.000002.log").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(lines=st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=20))
def test_no_line_is_lost_or_split(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("lines")
    file = LineFile(folder, "api", 16)
    for number, line in enumerate(lines):
        file.msg(line)
        if number == 9:
            for segment in complete_segments(folder):
                list(pack(segment))
    file.close()
    assert content(folder, "api") == b"".join(lines)
    assert all(path.read_bytes().endswith(b"\n") for path in complete_segments(folder))


def test_the_count_goes_on_where_it_was(tmp_path: Path) -> None:
    for name in ("api.000007.log.gz", "api.000006.log", "api_other.000009.log"):
        (tmp_path / name).touch()
    file = LineFile(tmp_path, "api", 2)
    file.msg(b"a\n")
    file.msg(b"b\n")
    file.close()
    assert (tmp_path / "api.000008.log").read_bytes() == b"a\n"


def test_a_segment_that_cannot_be_named_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    file = LineFile(tmp_path, "api", 2)
    file.msg(b"a\n")
    obstacle = tmp_path / "api.000001.log"
    (obstacle / "inside").mkdir(parents=True)
    with pytest.raises(BasisError, match=r"LOG-001: component log .*api\.log cannot be written: "):
        file.msg(b"b\n")
    (obstacle / "inside").rmdir()
    obstacle.rmdir()
    file.msg(b"b\n")
    file.close()
    assert content(tmp_path, "api") == b"a\nb\n"


def test_component_logs_rotate_each_by_itself(tmp_path: Path) -> None:
    components = ComponentLogs(tmp_path, "r", 1, segment_bytes=1000)
    for number in range(20):
        components.logger("api").info(f"request {number}")
    components.logger("engine").info("quiet")
    components.close()
    assert {path.name.split(".")[0] for path in complete_segments(tmp_path)} == {"api"}
    assert content(tmp_path, "api").count(b"\n") == 20
    assert unpacked(tmp_path) == complete_segments(tmp_path)


def run_with_segments(folder: Path, kind: RunKind) -> Path:
    run_dir = LogDirectoryManager.create_run_logs("live", 1, "btc_basis", "basis", 1.0, folder, kind=kind)
    for name, days in (("api.000001.log.gz", 40), ("api.000002.log", 31), ("api.000003.log", 29), ("api.log", 90)):
        path = run_dir / name
        path.write_bytes(b"line\n")
        then = time.time() - days * DAY_SECONDS
        os.utime(path, (then, then))
    event = run_dir / "events" / "positions.000001.jsonl.gz"
    event.touch()
    os.utime(event, (0, 0))
    return run_dir


@pytest.mark.parametrize(("kind", "kept"), [(RunKind.LIVE, {"api.000003.log"}), (RunKind.BACKTEST, set())])
def test_old_segments_of_a_run_that_goes_on_are_deleted_and_nothing_else(
    tmp_path: Path, kind: RunKind, kept: set[str]
) -> None:
    run_dir = run_with_segments(tmp_path, kind)
    retention = Retention(timedelta(days=7), timedelta(days=30))
    drop_old_segments(run_dir, datetime.now(UTC), retention)
    assert {path.name for path in run_dir.glob("api*")} == {"api.log", *kept}
    assert (run_dir / "events" / "positions.000001.jsonl.gz").exists()
    assert old_segments(run_dir, datetime.now(UTC), timedelta(days=30)) == []


def test_one_that_cannot_be_deleted_is_named(tmp_path: Path) -> None:
    run_dir = run_with_segments(tmp_path, RunKind.LIVE)
    (run_dir / "api.000002.log").unlink()
    obstacle = run_dir / "api.000002.log"
    obstacle.mkdir()
    os.utime(obstacle, (0, 0))
    with pytest.raises(BasisError, match=r"LOG-005: old segment .*api\.000002\.log cannot be deleted"):
        drop_old_segments(run_dir, datetime.now(UTC), Retention(timedelta(days=7), timedelta(days=30)))


def test_a_line_that_is_torn_by_a_full_disk_tears_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LineFile(tmp_path, "engine", 1_000)
    write = os.write
    answers = iter([lambda fd, data: write(fd, data[:4]), _no_space])
    monkeypatch.setattr(os, "write", lambda fd, data: next(answers, write)(fd, data))
    with pytest.raises(BasisError, match=r"LOG-001: .* No space left"):
        file.msg(b"the first line\n")
    file.msg(b"the second\n")
    file.msg(b"the third\n")
    file.close()
    assert (tmp_path / "engine.log").read_bytes() == b"the \nthe second\nthe third\n"


def _no_space(_descriptor: int, _data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
