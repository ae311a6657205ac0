"""Segments are packed and old runs deleted; what is in progress, or is no run, is left alone."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager, RunKind, RunStatus
from basis_actors.logs.event_files import EventFiles
from basis_actors.logs.queries.runs import runs_in
from basis_actors.logs.retention import Retention, old_runs, pack, remove_old, unpacked
from basis_actors.logs.run_lock import RunLock, is_running
from basis_actors.logs.segments import lines, rotated, segments
from basis_actors.messages.events import EVENT_TYPES

NOW = datetime(2025, 6, 1, tzinfo=UTC)
KEEP = Retention(timedelta(days=7), timedelta(days=30))


def _run(root: Path, name: str, days: float, kind: RunKind = RunKind.BACKTEST) -> Path:
    """A run directory whose files were last written that many days ago."""
    run_dir = LogDirectoryManager.create_run_logs(name, 1, "btc_basis", "basis", 1.0, root, kind=kind)
    LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED)
    (run_dir / "events" / "positions.jsonl").write_bytes(b"{}\n")
    _age(run_dir, days)
    return run_dir


def _age(run_dir: Path, days: float) -> None:
    then = (NOW - timedelta(days=days)).timestamp()
    for path in run_dir.rglob("*"):
        os.utime(path, (then, then))


def _old(root: Path) -> list[str]:
    return [old.run_dir.parent.name for old in old_runs(root, NOW, KEEP) if old is not None]


def test_backtests_are_kept_seven_days_and_live_runs_thirty(tmp_path: Path) -> None:
    _run(tmp_path, "young", 6.9)
    _run(tmp_path, "old", 7.1)
    _run(tmp_path, "live-young", 29.9, RunKind.LIVE)
    _run(tmp_path, "live-old", 30.1, RunKind.LIVE)
    assert _old(tmp_path) == ["live-old", "old"]


def test_one_new_file_keeps_a_run(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, "old", 9.0)
    (run_dir / "notes.txt").touch()
    assert _old(tmp_path) == []


def test_a_run_in_progress_is_kept_however_old(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, "old", 99.0)
    lock = RunLock(run_dir)
    _age(run_dir, 99.0)
    assert is_running(run_dir)
    assert _old(tmp_path) == []
    with pytest.raises(BasisError, match=r"LOG-003: .*goes on; not deleted"):
        LogDirectoryManager.remove_run_logs(run_dir)
    lock.release()
    lock.release()
    assert _old(tmp_path) == ["old"]


def test_the_lock_of_a_killed_process_is_none(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, "old", 99.0)
    code = (
        "import os, signal, sys; from pathlib import Path; from basis_actors.logs.run_lock import RunLock;"
        "lock = RunLock(Path(sys.argv[1])); print('held', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, run_dir], capture_output=True, text=True, check=False)
    assert done.stdout == "held\n"
    assert (run_dir / "run.lock").exists()
    assert not is_running(run_dir)
    RunLock(run_dir).release()


def test_a_run_is_written_by_one_process(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, "one", 0.0)
    lock = RunLock(run_dir)
    with pytest.raises(BasisError, match=r"LOG-003: .*cannot be locked"):
        RunLock(run_dir)
    lock.release()


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine" / "1").mkdir(parents=True)
    (tmp_path / "mine" / "1" / "thesis.txt").write_text("precious")
    _age(tmp_path / "mine", 999.0)
    broken = _run(tmp_path, "broken", 999.0)
    (broken / "metadata.json").write_text("{")
    _age(broken, 999.0)
    assert _old(tmp_path) == []


@pytest.mark.parametrize("text", [b'{"mode":"\xff"}', b"[" * 100_000, b"{", b'{"started_at":"2024-01-01T00:00:00"}'])
def test_a_run_whose_metadata_are_damaged_is_named_and_the_others_go(tmp_path: Path, text: bytes) -> None:
    _run(tmp_path, "a", 99.0)
    (_run(tmp_path, "b", 99.0) / "metadata.json").write_bytes(text)
    _run(tmp_path, "c", 99.0)
    damaged: list[BasisError] = []
    assert [old.run_dir.parent.name for old in old_runs(tmp_path, NOW, KEEP, damaged) if old] == ["a", "c"]
    (error,) = damaged
    assert error.code == "LOG-003"
    assert str(tmp_path / "b" / "1" / "metadata.json") in error.message


def _segmented(run_dir: Path) -> list[bytes]:
    written = [f'{{"n":{number}}}\n'.encode() for number in range(200)]
    (run_dir / "events" / "positions.jsonl").unlink()
    files = EventFiles(run_dir / "events", tuple(kind.FILE for kind in EVENT_TYPES), 500)
    files.put((0, b"".join(written), len(written)))
    files.write()
    files.close()
    return written


def test_packed_segments_hold_the_same_lines_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    packed = []
    for name in ("one", "two"):
        run_dir = _run(tmp_path, name, 0.0)
        written = _segmented(run_dir)
        waiting = unpacked(run_dir)
        assert len(waiting) > 2
        for segment in waiting:
            for _ in pack(segment):
                assert list(lines(run_dir / "events", "positions")) == written, "readable at every step"
        assert unpacked(run_dir) == []
        assert list(lines(run_dir / "events", "positions")) == written
        packed.append([path.read_bytes() for path in segments(run_dir / "events", "positions")])
        assert all(path.stat().st_mode & 0o077 == 0 for path in (run_dir / "events").iterdir())
    assert packed[0] == packed[1]
    assert gzip.decompress(packed[0][0]) == b"".join(written)[: len(gzip.decompress(packed[0][0]))]


def test_a_segment_that_cannot_be_packed_stays_as_it_is(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, "one", 0.0)
    written = _segmented(run_dir)
    rotated(run_dir / "events", "positions", 1, packed=True).mkdir()
    with pytest.raises(BasisError, match=r"LOG-005: segment .*000001\.jsonl cannot be packed"):
        for _ in pack(rotated(run_dir / "events", "positions", 1)):
            pass
    assert not list((run_dir / "events").glob("*.tmp"))
    rotated(run_dir / "events", "positions", 1, packed=True).rmdir()
    assert list(lines(run_dir / "events", "positions")) == written


def test_results_and_what_is_only_linked_to_are_no_runs(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    made = _run(root, "made", 99.0)
    (made.rename(root / "made" / "logs") / "events").chmod(0o700)
    beside = _run(root, "beside", 99.0)
    shutil.copytree(beside, beside.parent / "logs")
    far, near = _run(elsewhere, "far", 99.0), _run(elsewhere, "near", 99.0)
    (root / "linked").symlink_to(far.parent)
    (root / "inner").mkdir()
    (root / "inner" / "1").symlink_to(near)
    for folder in (root, elsewhere):
        _age(folder, 99.0)
    assert _old(root) == []
    for run_dir in (root / "made" / "logs", beside, root / "linked" / "1", root / "inner" / "1"):
        with pytest.raises(BasisError, match=r"LOG-003: .* is not deleted: expected a real directory"):
            LogDirectoryManager.remove_run_logs(run_dir)
    assert _old(elsewhere) == ["far", "near"]


def test_a_link_in_an_old_run_goes_without_what_it_points_to(tmp_path: Path) -> None:
    run_dir, kept = _run(tmp_path / "logs", "old", 99.0), tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.txt").write_text("precious")
    (run_dir / "events" / "link").symlink_to(kept)
    LogDirectoryManager.remove_run_logs(run_dir)
    assert not run_dir.parent.exists()
    assert (kept / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("place", range(4))
def test_an_interrupted_deletion_can_be_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    run_dir, real, done = _run(tmp_path, "old", 99.0), os.unlink, []
    for number in range(3):
        (run_dir / f"{number}.log").touch()
    _age(run_dir, 99.0)

    def interrupted(*arguments: Any, **how: Any) -> None:
        if len(done) == place:
            raise KeyboardInterrupt
        done.append(arguments)
        real(*arguments, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            LogDirectoryManager.remove_run_logs(run_dir)
    assert _old(tmp_path) == ["old"], "still a run"
    LogDirectoryManager.remove_run_logs(run_dir)
    assert list(tmp_path.iterdir()) == []


def _until_half_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: Callable[[], None]) -> None:
    """Call `others` before the third file of anything is deleted."""
    real, done = os.unlink, []

    def unlink(*arguments: Any, **how: Any) -> None:
        done.append(arguments)
        if len(done) == 3:
            others()
        real(*arguments, **how)

    monkeypatch.setattr(os, "unlink", unlink)


def test_two_may_clear_the_same_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        run_dir = _run(tmp_path, name, 99.0)
        for number in range(3):
            (run_dir / f"{number}.log").touch()
        _age(run_dir, 99.0)

    def other() -> None:
        for name in ("a", "b"):
            shutil.rmtree(tmp_path / name)

    walk = old_runs(tmp_path, NOW, KEEP)
    found = [next(walk)]
    _until_half_is_gone(tmp_path, monkeypatch, other)
    assert found[0] is not None
    remove_old(found[0])
    assert [old.run_dir.parent.name for old in walk if old is not None] == ["c"], "b is gone, and no error"
    remove_old(found[0])


def test_a_folder_that_vanishes_while_runs_are_looked_for_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        _run(tmp_path, name, 99.0)
    real = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder == tmp_path / "b":
            shutil.rmtree(folder)
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert _old(tmp_path) == ["a", "c"]
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert [Path(run.run_dir).parent.name for run in runs_in(tmp_path)] == ["c", "a"]


def test_a_run_that_vanishes_while_it_is_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        _run(tmp_path, name, 1.0)
    real = os.walk

    def walk(top: Any) -> Iterator[Any]:
        for step in real(top):
            if tmp_path / "a" in Path(step[0]).parents:
                shutil.rmtree(tmp_path / "a", ignore_errors=True)
            yield step

    monkeypatch.setattr(os, "walk", walk)
    assert [Path(run.run_dir).parent.name for run in runs_in(tmp_path)] == ["b"]


def test_a_run_that_is_there_and_cannot_be_deleted_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path, "a", 99.0)
    (old,) = old_runs(tmp_path, NOW, KEEP)
    assert old is not None

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(BasisError, match=r"LOG-003: .* cannot be deleted completely: not yours"):
        remove_old(old)
