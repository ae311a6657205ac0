"""A process writes, rotates and packs while its log is asked: every answer is whole, and each holds the one before."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.queries.orders import failed_orders
from basis_actors.logs.queries.positions import Checked, history
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.queries.sql import ask


def _answers(log: RunLog) -> tuple[int, int, int]:
    """Ticks by what they changed, a moment later by their orders, and again by SQL."""
    log.notices()
    checked = Checked()
    changes = sum(1 for _ in history(log, "wallet", checked))
    assert checked.differing == 0, checked.first
    orders = sum(1 for _ in failed_orders(log))
    with ask(log, "SELECT count(*) FROM operation_executions WHERE status <> 'confirmed'") as answer:
        ((counted,),) = answer.rows()
    return changes, orders, counted


def test_a_log_is_asked_while_it_is_written(tmp_path: Path) -> None:
    target = LogDirectoryManager.create_run_logs("growing", 1, "m", "s", 1.0, tmp_path)
    command = [sys.executable, "-m", "tests.logs.queries.growing", str(target)]
    here = Path(__file__).parents[3]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=here) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline(), "something is written"
        given = [_answers(RunLog(target)) for _ in range(6)]
        writer.stdin.close()
        ticks = int(writer.stdout.read())
    assert writer.returncode == 0
    given.append(_answers(RunLog(target)))
    for before, after in pairwise(given):
        assert before[0] <= after[0]
        assert before[1] <= before[2] <= after[1]
    assert given[0] != given[-1]
    assert given[-1] == (ticks, ticks, ticks)
    assert RunLog(target).notices() == []
