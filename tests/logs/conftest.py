"""Events that can be told apart, disks that fail, and both runtimes."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_actors.bus.testkit import runtimes
from basis_actors.messages.events import PositionSnapshot, StrategyDecision, SystemErrorEvent

MOMENT = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)

runtime = runtimes()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def snapshot() -> Callable[[float], PositionSnapshot]:
    """Makes a position snapshot that can be told from others by its amount."""
    return lambda amount: PositionSnapshot(MOMENT, {"wallet:BaseToken:USDT": amount}, amount, "simulated", "tick")


@pytest.fixture
def decision() -> StrategyDecision:
    return StrategyDecision(MOMENT, "hold", "none", "tick", 0, "nothing to do", {}, {}, "low")


@pytest.fixture
def error() -> Callable[..., SystemErrorEvent]:
    """Makes an error event of the execution manager."""

    def make(message: str = "it broke", severity: str = "HIGH", stack_trace: str | None = None) -> SystemErrorEvent:
        return SystemErrorEvent(
            timestamp=MOMENT,
            component="execution_manager",
            error_code="EXEC-001",
            severity=severity,
            message=message,
            stack_trace=stack_trace,
        )

    return make


@pytest.fixture
def put_behind() -> Callable[[Path, Path], None]:
    """Puts a device behind a file that this process has open for writing, as if the disk had changed its mind."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to find the open file")

    def put(path: Path, device: Path) -> None:
        (descriptor,) = [int(link.name) for link in Path("/proc/self/fd").iterdir() if _target(link) == str(path)]
        replacement = os.open(device, os.O_RDWR)
        os.dup2(replacement, descriptor, inheritable=False)
        os.close(replacement)

    return put


@pytest.fixture
def full_disk() -> Callable[[Path], Callable[[], None]]:
    """Lets the disk be full for a file that this process has open; what it returns makes room again."""

    def fill(path: Path) -> Callable[[], None]:
        (descriptor,) = [int(link.name) for link in Path("/proc/self/fd").iterdir() if _target(link) == str(path)]
        kept = os.dup(descriptor)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, descriptor, inheritable=False)
        os.close(full)

        def free() -> None:
            os.dup2(kept, descriptor, inheritable=False)
            os.close(kept)

        return free

    return fill


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)  # noqa: PTH115 - of links to what is no file as well
    except FileNotFoundError:
        return None
