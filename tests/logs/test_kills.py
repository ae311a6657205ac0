"""kill -9 at any moment: the log is readable, lacks at most the batch that was not written, and claims no end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.domain_event_logger import BATCH_EVENTS
from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.logs.run_lock import is_running
from basis_actors.logs.segments import lines, segments
from basis_actors.messages.events import EVENT_TYPES

KILLER = Path(__file__).with_name("killed_runs.py")


def killed(folder: Path, mode: str, first: int, count: int) -> list[Path]:
    """Directories of killed runs; the whole one is beside them under the name `whole`."""
    done = subprocess.run(
        [sys.executable, KILLER, folder, mode, str(first), str(count)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ends = dict(line.split() for line in done.stdout.splitlines())
    struck = [name for name, end in ends.items() if int(end) == signal.SIGVTALRM]
    assert len(ends) == count
    assert len(struck) > count / 2, "most moments lie within a run"
    return [folder / name / "same" / "0" for name in struck]


def check(run_dir: Path, whole: dict[str, list[bytes]]) -> None:
    """What must hold of one killed run."""
    assert not is_running(run_dir)
    events = run_dir / "events"
    written = {kind.FILE: list(lines(events, kind.FILE)) for kind in EVENT_TYPES}
    for stem, kept in written.items():
        assert kept == whole[stem][: len(kept)], f"{stem} is a beginning of what the whole run wrote"
    log = EventLog(run_dir)
    numbers = [event.sequence for event in log.all()]
    if log.missing:
        first, last = log.missing[0].first, numbers[-1]
        assert last is not None
        assert last - first < BATCH_EVENTS, "only of the last batch something may be missing"
    if not any(segments(events, kind.FILE) for kind in EVENT_TYPES):
        with pytest.raises(BasisError, match="the run ended before it wrote one"):
            replay(run_dir)
        assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.RUNNING
        return
    found = replay(run_dir)
    assert found.findings == []
    if not found.has_summary:
        assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.RUNNING


def check_all(folder: Path, mode: str, first: int, count: int) -> None:
    """Kill so many runs and look at each."""
    runs = killed(folder, mode, first, count)
    reference = folder / "whole" / "same" / "0"
    whole = {kind.FILE: list(lines(reference / "events", kind.FILE)) for kind in EVENT_TYPES}
    for run_dir in runs:
        if (run_dir / "metadata.json").exists():
            check(run_dir, whole)


def test_a_killed_run_leaves_the_beginning_of_its_log(tmp_path: Path) -> None:
    check_all(tmp_path, "usdt_market_neutral", 1000, 6)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["usdt_market_neutral", "btc_basis"])
def test_two_hundred_killed_runs_leave_the_beginning_of_their_log(tmp_path: Path, mode: str, form: str) -> None:
    """A hundred of each mode; fifteen in the short form."""
    check_all(tmp_path, mode, 0, 100 if form == "full" else 15)
