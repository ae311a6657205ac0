"""How late the event loop comes round, by a loop whose time a test sets, and by a real one that is held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from basis_actors.telemetry.loop_clock import LoopLagClock

pytestmark = pytest.mark.anyio


class SlowLoop:
    """Has a time of its own, and calls back as late as it is told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pending: tuple[float, Callable[..., object], tuple[Any, ...]] | None = None
        self.cancelled = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> SlowLoop:
        self.pending = (when, callback, args)
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def come_round(self, late: float) -> None:
        assert self.pending is not None
        when, callback, args = self.pending
        self.now = when + late
        callback(*args)


async def test_the_delay_is_what_comes_on_top_of_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, measured = SlowLoop(), list[float]()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: slow)

    async def lag_three_times() -> None:
        for late in (0.0, 0.25, 0.001):
            slow.come_round(late)
        assert slow.pending is not None
        assert slow.pending[0] == pytest.approx(slow.now + 0.1), "the next one is counted from when it came round"

    await LoopLagClock(0.1).run(measured.append, lag_three_times)
    assert measured == pytest.approx([0.0, 0.25, 0.001])
    assert slow.cancelled == 1, "nothing is left behind"


async def test_a_loop_that_is_held_up_is_late() -> None:
    measured: list[float] = []
    looked = anyio.Event()

    def look(seconds: float) -> None:
        measured.append(seconds)
        looked.set()

    async def hold_up() -> None:
        time.sleep(0.1)
        await looked.wait()

    await LoopLagClock(0.01).run(look, hold_up)
    assert measured[0] >= 0.08, "it was due 0.01 s after the start, and the loop was held for ten times as long"
