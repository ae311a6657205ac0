"""A name is one process's on this machine, whatever becomes of any file, until that process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from basis_actors.errors import BasisError
from basis_actors.services.machine_lock import MachineLock

HOLD = """
import sys
from basis_actors.services.machine_lock import MachineLock
lock = MachineLock(sys.argv[1], "x")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name() -> str:
    return uuid4().hex


@pytest.fixture
def hold() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that takes a name."""
    started = []

    def start(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_is_told_who_has_it_until_that_is_killed(
    name: str, hold: Callable[[str], subprocess.Popen[str]]
) -> None:
    other = hold(name)
    with pytest.raises(BasisError) as caught:
        MachineLock(name, "the account at binance")
    assert caught.value.code == "ENGINE-001"
    assert caught.value.message.startswith(f"the account at binance is taken by process {other.pid} of this machine")
    MachineLock(name + "-other", "another").release()
    other.send_signal(signal.SIGKILL)
    other.communicate()
    MachineLock(name, "the account at binance").release()


def test_it_is_taken_within_a_process_as_well_and_free_once_it_is_released(name: str) -> None:
    lock = MachineLock(name, "x")
    with pytest.raises(BasisError, match=f"taken by process {os.getpid()} of this machine"):
        MachineLock(name, "x")
    lock.release()
    lock.release()
    MachineLock(name, "x").release()


def test_however_many_ask_each_is_refused(name: str) -> None:
    lock = MachineLock(name, "x")
    for _ in range(200):
        with pytest.raises(BasisError, match=r"taken by (process \d+ of|another process of) this machine"):
            MachineLock(name, "x")
    lock.release()


def test_nobody_inherits_it(name: str) -> None:
    lock = MachineLock(name, "x")
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    lock.release()
    MachineLock(name, "x").release()
    child.communicate()
