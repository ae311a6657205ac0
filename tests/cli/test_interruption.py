"""Ctrl-C and SIGTERM, sent for real to a process whose progress is read from a terminal of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_actors.actors.latch_file import write_latch
from basis_actors.cli.interruption import Interruption, remember_interruptions
from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import StrategyDecision, SystemErrorEvent
from basis_actors.messages.safety import Latch, TradingState
from basis_actors.services.state import Holder, StateDirectory

MAIN = "from basis_actors.cli import main; main()"
LONG = ("backtest", "pure_lending_eth", "--end", "2030-01-01", "--json")
UNDER_WAY = re.compile(rb"[1-9][\d,]*/52,609 ticks")

STUCK = """
import os, signal
from basis_actors.cli import main
from basis_actors.strategies.pure_lending import PureLending
from basis_actors.strategies.registry import STRATEGIES

class Stuck(PureLending):
    def decide(self, situation):
        os.write(2, b"stuck\\n")
        while True:
            signal.pause()

STRATEGIES["pure_lending"] = Stuck
main()
"""


def swallowed() -> None:
    """What a library does that tries an import and goes on without it, whatever kept it from being imported."""
    with suppress(BaseException):
        signal.raise_signal(signal.SIGINT)


def test_an_interruption_that_a_library_swallowed_is_raised_before_anything_begins() -> None:
    with Interruption() as interruption:
        swallowed()
        with pytest.raises(KeyboardInterrupt):
            interruption.hold()


def test_one_that_was_swallowed_while_the_commands_were_loaded_counts_as_well() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        remember_interruptions()
        swallowed()
        with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
            interruption.hold()
        with Interruption() as interruption:
            interruption.hold()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("own", [True, False])
def test_once_the_verdict_is_said_no_signal_changes_it_up_to_the_end_of_a_process_of_its_own(own: bool) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    cancelled: list[str] = []
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if own:
            remember_interruptions()
        with Interruption() as interruption:
            interruption.hold()
            interruption.cancels(cancelled.append)
            interruption.settle()
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
        assert cancelled == []
        assert (signal.getsignal(signal.SIGINT) is signal.SIG_IGN) is own
        assert (signal.getsignal(signal.SIGTERM) is signal.SIG_IGN) is own
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Terminal:
    """Standard error of a process, as a person would see it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.text = b""

    def wait_for(self, pattern: re.Pattern[bytes]) -> None:
        while not pattern.search(self.text):
            if not self._read():
                raise AssertionError(f"{pattern.pattern!r} was not shown, but {self.text.decode()}")

    def read_on(self) -> str:
        """Everything up to the end of the process, without colours and cursor movements."""
        while self._read():
            pass
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text.decode())

    def _read(self) -> bool:
        try:
            more = os.read(self._descriptor, 4096)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.text += more
        return bool(more)


@contextmanager
def started(code: str, arguments: tuple[str, ...], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield process, Terminal(ours)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        os.close(ours)


@pytest.mark.parametrize(
    ("number", "runtime"), [(signal.SIGINT, "sim"), (signal.SIGTERM, "sim"), (signal.SIGINT, "live")]
)
def test_the_run_ends_after_its_tick_with_a_complete_log_and_a_partial_summary(
    tmp_path: Path, number: signal.Signals, runtime: str
) -> None:
    with started(MAIN, (*LONG, "--runtime", runtime), tmp_path) as (process, terminal):
        terminal.wait_for(UNDER_WAY)
        process.send_signal(number)
        shown = terminal.read_on()
        output, _ = process.communicate()
    assert process.returncode == 130
    assert b"\x1b" not in output
    summary = json.loads(output)
    assert summary["partial"] is True
    assert summary["failure"] is None
    assert 0 < summary["ticks"] < 52_609
    assert "Ending as soon as no tick is at work; once more ends at once." in shown
    assert f"Interrupted: ended after {summary['ticks']:,} ticks" in shown
    assert "Traceback" not in shown

    run_dir = tmp_path / summary["run_dir"]
    metadata = LogDirectoryManager.read_metadata(run_dir)
    assert metadata.status is RunStatus.PARTIAL
    assert metadata.failure == f"interrupted by {number.name}"
    log = EventLog(run_dir)
    assert [event.sequence for event in log.all()] == list(range(summary["events"]))
    assert log.torn == log.missing == ()
    # The tick that was under way has come to its decision, and nothing went wrong.
    decisions = sum(1 for _ in log.events(StrategyDecision))
    assert decisions == summary["ticks"]
    assert list(log.events(SystemErrorEvent)) == []
    assert json.loads((run_dir / "summary.json").read_bytes()) == summary | {"run_dir": ".", "result_dir": None}
    kept = json.loads((tmp_path / summary["result_dir"] / "summary.json").read_bytes())
    assert (kept["partial"], kept["ticks"]) == (True, summary["ticks"])


def test_progress_shows_ticks_rate_and_time_left(tmp_path: Path) -> None:
    with started(MAIN, LONG, tmp_path) as (process, terminal):
        terminal.wait_for(re.compile(rb"pure_lending_eth.*[1-9][\d,]*/52,609 ticks.*[\d,]+/s.*\d\d:\d\d left"))
        process.send_signal(signal.SIGINT)
        shown = terminal.read_on()
        process.communicate()
    assert "loading the market" in shown
    assert terminal.text.rindex(b"\x1b[?25h") > terminal.text.rindex(b"\x1b[?25l"), "the cursor is visible again"


def test_what_is_said_while_progress_is_shown_has_lines_of_its_own(tmp_path: Path) -> None:
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 2 * DAY), tmp_path / "market")
    now = datetime(2024, 1, 1, tzinfo=UTC)
    with StateDirectory(tmp_path / "state", Holder.this_process("btc_basis", now)) as state:
        write_latch(state, Latch(state=TradingState.KILLED, reason="look first", who="alice", since=now))
    paper = ("live", "btc_basis", "--paper", "--replay-feed", "market", "--speed", "36000", "--state", "state")
    with started(MAIN, paper, tmp_path) as (process, terminal):
        terminal.wait_for(re.compile(rb"look first"))
        process.send_signal(signal.SIGTERM)
        shown = terminal.read_on()
        process.communicate()
    assert process.returncode == 0
    assert "HIGH RISK-008: the process begins killed: look first (alice)" in re.split(r"[\r\n]+", shown)


def test_a_second_ctrl_c_ends_a_run_that_is_stuck(tmp_path: Path) -> None:
    arguments = ("backtest", "pure_lending_eth", "--end", "2024-01-02")
    with started(STUCK, arguments, tmp_path) as (process, terminal):
        terminal.wait_for(re.compile(rb"stuck"))
        process.send_signal(signal.SIGINT)
        terminal.wait_for(re.compile(rb"once more ends at once"))
        process.send_signal(signal.SIGINT)
        shown = terminal.read_on()
        output, _ = process.communicate()
    assert process.returncode == 130
    assert output == b""
    assert "Ended at once" in shown
    (run_dir,) = (tmp_path / "logs").glob("*/*")
    assert LogDirectoryManager.read_metadata(run_dir).status is RunStatus.RUNNING


def test_ctrl_c_before_the_run_has_begun_leaves_nothing(tmp_path: Path) -> None:
    code = STUCK.replace("def decide(self, situation)", "def __init__(self, run)")
    with started(code, ("backtest", "pure_lending_eth"), tmp_path) as (process, terminal):
        terminal.wait_for(re.compile(rb"stuck"))
        process.send_signal(signal.SIGINT)
        shown = terminal.read_on()
        output, _ = process.communicate()
    assert process.returncode == 130
    assert output == b""
    assert "Interrupted: nothing was run" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "logs").exists()
