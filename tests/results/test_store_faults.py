"""A result is there as a whole or not at all: killed processes, full and read-only disks, runs that vanish."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.reader import EventLog
from basis_actors.results.store import ResultStore

KILLED = """
import os, signal, sys
from pathlib import Path
from basis_actors.results import export
from basis_actors.results.store import ResultStore

run_dir, root, event, word, left = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])


def strike(name, arguments):
    global left
    if name.startswith(event) and word in str(arguments[:2]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(strike)
ResultStore(root).make(run_dir)
print(left)
"""
"""Makes a result and kills itself at a moment that is named by an audit event of Python, a word in it, and a number."""

VANISHING = KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "shutil.rmtree(run_dir)").replace(
    "import os,", "import shutil, os,"
)
WAITING = """
import sys
from pathlib import Path
from basis_actors.results.store import ResultStore

told = []


def wait(progress):
    told.append(progress)
    if len(told) == 2:
        print("under way", flush=True)
        sys.stdin.readline()


print(ResultStore(Path(sys.argv[2])).make(Path(sys.argv[1]), wait).id)
"""


def start(code: str, run_dir: Path, root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, str(run_dir), str(root), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def whole(store: ResultStore, run_dir: Path) -> bool:
    """Whether there is a result; if so, it is complete. Nothing else is left there."""
    found = store.list()
    assert store.damaged == ()
    assert {path.name for path in store.root.iterdir()} == {result.id for result in found}
    for result in found:
        assert sum(1 for _ in EventLog(result.run_dir).all()) == result.summary.events
        loaded = store.load(result.id)
        assert len(loaded.equity) == result.summary.ticks
        assert loaded.data_report.ticks == result.summary.ticks
        assert loaded.config["mode"]["mode"] == result.summary.mode
    return bool(found)


def require_unharmed(run_dir: Path) -> None:
    log, events = EventLog(run_dir), json.loads((run_dir / "summary.json").read_bytes())["events"]
    assert [event.sequence for event in log.all()] == list(range(events))
    assert log.torn == log.missing == ()


@pytest.mark.parametrize(
    ("event", "word", "number", "done"),
    [
        ("os.mkdir", "partial", 1, False),
        ("os.link", "", 1, False),
        ("os.link", "", 12, False),
        ("open", "positions.csv", 1, False),
        ("open", "system_errors.csv", 1, False),
        ("open", "equity.csv", 1, False),
        ("open", "summary.json'", 3, False),
        ("open", "parquet", 14, False),
        ("os.rename", "", 1, False),
        ("shutil.rmtree", "partial", 1, True),
    ],
)
def test_a_process_killed_at_any_moment_leaves_a_whole_result_or_none(
    run_dir: Path, tmp_path: Path, event: str, word: str, number: int, done: bool
) -> None:
    store = ResultStore(tmp_path)
    killed = start(KILLED, run_dir, tmp_path, event, word, number)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    assert whole(store, run_dir) is done
    require_unharmed(run_dir)
    if not done:
        store.make(run_dir)
        assert whole(store, run_dir)


@pytest.mark.long
def test_a_process_killed_at_every_step_leaves_a_whole_result_or_none(run_dir: Path, tmp_path: Path, form: str) -> None:
    """Every system call that Python tells of once the making has begun, or in the short form some of them."""
    number, step, outcomes = 1, 1 if form == "full" else 40, []
    while True:
        root = tmp_path / str(number)
        root.mkdir()
        ended = start(KILLED, run_dir, root, "", str(root), number)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        outcomes.append(whole(ResultStore(root), run_dir))
        number += step
    assert outcomes == sorted(outcomes), "once it is there it stays there"
    assert not outcomes[0]
    require_unharmed(run_dir)


def test_what_another_process_is_making_is_neither_shown_nor_cleared_away(run_dir: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    command = [sys.executable, "-c", WAITING, str(run_dir), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        assert store.list() == ()
        (under_way,) = tmp_path.iterdir()
        with pytest.raises(BasisError, match="there is no result"):
            store.delete("first")
        # Somebody else has the same run in hand and is faster.
        assert store.make(run_dir).id == "first"
        assert under_way.exists()
        process.stdin.write("go on\n")
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 1
    assert whole(store, run_dir)


def test_a_process_that_is_interrupted_clears_up_after_itself(run_dir: Path, tmp_path: Path) -> None:
    def interrupt(_progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ResultStore(tmp_path).make(run_dir, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_delete_that_was_killed_leaves_no_half_result(run_dir: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.make(run_dir)
    code = KILLED.replace("ResultStore(root).make(run_dir)", "ResultStore(root).delete('first')")
    killed = start(code, run_dir, tmp_path, "os.remove", "", 5)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(tmp_path.iterdir())) == 1
    assert not whole(store, run_dir)
    require_unharmed(run_dir)


@pytest.mark.parametrize("number", [1, 8])
def test_a_run_that_vanishes_while_it_is_being_linked_is_named(run_dir: Path, tmp_path: Path, number: int) -> None:
    vanishing = Path(shutil.copytree(run_dir, tmp_path / "logs" / "first" / "1"))
    done = start(VANISHING, vanishing, tmp_path / "results", "os.link", "", number)
    assert done.returncode == 1
    assert f"LOG-003: {vanishing} vanished while its result was made" in done.stderr.splitlines()[-1]
    assert list((tmp_path / "results").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`small_disk(bytes)`: an empty file system of that size in memory."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a file system can be mounted by root only")
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount a tmpfs")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.45, 0.6, 0.8, 0.95])
def test_a_full_disk_is_an_error_and_leaves_nothing(
    run_dir: Path, store: ResultStore, small_disk: Callable[[int], Path], share: float
) -> None:
    needed = store.show("first")[0].bytes
    root = small_disk(int(needed * share))
    expected = r"LOG-001: result .*first cannot be written: .*No space left.*log of the run is in .*first.*free space"
    with pytest.raises(BasisError, match=expected):
        ResultStore(root).make(run_dir)
    assert list(root.iterdir()) == []
    require_unharmed(run_dir)


def test_another_file_system_gets_copies(run_dir: Path, small_disk: Callable[[int], Path]) -> None:
    store = ResultStore(small_disk(64_000_000) / "results")
    made = store.make(run_dir)
    assert whole(store, run_dir)
    copy = made.run_dir / "events" / "positions.jsonl"
    assert copy.stat().st_dev != run_dir.stat().st_dev
    assert copy.read_bytes() == (run_dir / "events" / "positions.jsonl").read_bytes()


def test_a_read_only_folder_can_be_looked_at_and_not_written(run_dir: Path, small_disk: Callable[[int], Path]) -> None:
    root = small_disk(64_000_000)
    store = ResultStore(root)
    store.make(run_dir)
    code = KILLED.replace("ResultStore(root)", "ResultStore(root / 'x')")
    killed = start(code, run_dir, root, "os.link", "", 3)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    assert [result.id for result in store.list()] == ["first"]
    assert store.show("first")[1]
    with pytest.raises(BasisError, match=r"LOG-003: .*first cannot be deleted: .*Read-only"):
        store.delete("first")
    with pytest.raises(BasisError, match=r"LOG-003: folder of results .*new cannot be made: .*Read-only"):
        ResultStore(root / "new").make(run_dir)
    with pytest.raises(BasisError, match=r"LOG-001: result .*first cannot be written: .*Read-only"):
        ResultStore(root / "x").make(run_dir)
    assert [result.id for result in ResultStore(root / "x").list()] == []


def test_a_folder_of_results_that_is_a_file_is_named(run_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "results"
    place.touch()
    with pytest.raises(BasisError, match=r"LOG-003: folder of results .*results cannot be made"):
        ResultStore(place).make(run_dir)
