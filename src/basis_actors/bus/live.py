"""Defines the live runtime: a task per actor on the asyncio event loop, time from an injected clock.

Structure and cancellation are anyio's: actors and sources are tasks of one group, each in a cancel scope of its own.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from basis_actors.bus.actor import Actor
from basis_actors.bus.cell import Cell
from basis_actors.bus.clock import SECOND, BusClock, ManualClock, ReplayClock, VirtualClock, WallClock
from basis_actors.bus.errors import BusError
from basis_actors.bus.failure import Supervised
from basis_actors.bus.lifecycle import STARTING
from basis_actors.bus.live_strands import OWNER, LiveCell, LivePause, LiveSource
from basis_actors.bus.sources import Source
from basis_actors.bus.supervision import Supervision
from basis_actors.bus.timers import Timer

_PASSES_TO_DIE = 100
"""How often the loop turns before a cancelled task that still runs is given up."""


class LiveBus(Supervised):
    """The bus of live trading; on a ``ManualClock`` also of tests and of backtests on the live runtime.

    All methods belong to the thread of the event loop that ``start`` was called in.

    Args:
        clock: ``WallClock()`` unless given.
        log_sink: name of the actor that ``Actor.log`` sends to; it stops last.
        correlation_id: identifies the run, in every envelope.
        stop_order: names of the actors that stop first, in this order; see ``stop``.
        drain_seconds: default deadline of ``stop``, and that of the drain after a failure.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        clock: WallClock | ReplayClock | ManualClock | None = None,
        *,
        log_sink: str | None = None,
        correlation_id: str = "run",
        stop_order: Sequence[str] = (),
        drain_seconds: float = 10.0,
    ) -> None:
        given: BusClock = clock or WallClock()
        super().__init__(
            given,
            log_sink=log_sink,
            correlation_id=correlation_id,
            stop_order=stop_order,
            drain_seconds=drain_seconds,
        )
        self.busy = 0
        """Actors that are not waiting for a message."""
        self.parked = 0
        """Of these, actors that wait for an answer or for the clock."""
        self.watched: list[tuple[Callable[[], bool | None], asyncio.Future[bool]]] = []
        """What is being waited for from outside: whether it has come (None: not yet), and whom to tell."""
        self._auto = isinstance(given, ManualClock) and given.auto
        self._soon = 0
        self._group: TaskGroup | None = None
        self._host: asyncio.Task[None] | None = None
        self._drain_request: asyncio.Future[float] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._advancing = False

    # Life

    async def start(self) -> None:
        """Run ``pre_start`` of every actor, in the order they were added, then start the sources."""
        await self._open()
        await self._raise_failure()
        await super().start()

    async def begin(self, names: Sequence[str]) -> None:
        """Start these actors and their sources ahead of the others: what is sent to those waits until ``start``."""
        await self._open()
        first = [self.cells[name] for name in names]
        for cell in first:
            self._launch(cell)
        await self._wait_for(lambda: not any(cell.phase in STARTING for cell in first), "the first actors to start")
        for task in self._sources:
            if task.owner in first:
                task.start()

    async def _open(self) -> None:
        """Make the task group that everything runs in, unless it is there."""
        if self._host is not None:
            return
        self.loop = asyncio.get_running_loop()
        self._drain_request = self.loop.create_future()
        ready: asyncio.Future[None] = self.loop.create_future()
        self._host = self.loop.create_task(self._run_group(ready, self._drain_request), name="bus")
        await ready
        self._arm()

    async def _run_group(self, ready: asyncio.Future[None], drain_request: asyncio.Future[float]) -> None:
        """Hold the task group open until the bus has drained."""
        cancelled: CancelledError | None = None
        async with anyio.create_task_group() as group:
            self._group = group
            if not ready.done():  # whoever wanted the start may have given it up
                ready.set_result(None)
            try:
                seconds = await drain_request
            except CancelledError as error:
                # The loop is being torn down with the bus running. There is still time for an orderly end.
                cancelled = error
                self.interrupted(error)
                seconds = self._drain_seconds
            try:
                await self._drain(seconds)
            finally:
                if not self.closed:
                    self._close()
                self._end_tasks()
        if cancelled is not None:
            raise cancelled

    def _end_tasks(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        for cell in self.cells.values():
            if isinstance(cell, LiveCell):
                cell.scope.cancel()
        self.changed()

    async def _shut_down(self, seconds: float) -> None:
        if self._host is None or self._drain_request is None:
            self._close()
            return
        if not self._drain_request.done():
            self._drain_request.set_result(seconds)
            self.task_moves()
        # A drain has a deadline of its own, so a cancelled scope around the bus waits for it.
        with anyio.CancelScope(shield=True):
            await self._until(lambda: self.closed)
            if not self._lost:
                await asyncio.wait([self._host])

    def _drain_soon(self) -> None:
        if self._drain_request is not None and not self._drain_request.done():
            self._drain_request.set_result(self._drain_seconds)
            self.task_moves()

    async def _cut_off(self, cell: Cell) -> None:
        assert isinstance(cell, LiveCell)
        cell.scope.cancel()
        for _ in range(_PASSES_TO_DIE):
            if cell.ended:
                return
            await asyncio.sleep(0)

    def interrupted(self, error: CancelledError) -> None:
        """A task of the bus was cancelled by somebody else. That ends the run, in order, and is raised as it is."""
        if self.failure is None and not self.draining:
            self.failure = error
            self._halt_input()
            self._drain_soon()

    # Waiting

    async def _until(self, condition: Callable[[], bool], limit: int | None = None, *, exact: bool = False) -> bool:  # noqa: ARG002 - always exact
        owner = OWNER.get()
        if owner is not None and owner.bus is self:
            raise BusError("handlers and sources cannot wait for their own bus; they use their own verbs to wait")
        if condition():
            return True
        if self.closed:
            return False
        timer = None if limit is None else self.schedule(limit, self.changed)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def verdict() -> bool | None:
            if condition():
                return True
            return False if self.closed or (timer is not None and not timer.pending) else None

        watch = (verdict, future)
        self.watched.append(watch)
        self.changed()
        try:
            return await future
        finally:
            self.watched.remove(watch)
            if timer is not None:
                timer.cancel()

    def changed(self) -> None:
        """Something happened that somebody may wait for."""
        for verdict, future in self.watched:
            if not future.done() and (holds := verdict()) is not None:
                future.set_result(holds)
                self.task_moves()
        if self._auto and self.watched and not self._advancing and self._may_advance():
            self._advancing = True
            self.loop.call_soon(self._advance)

    def _is_quiet(self) -> bool:
        return not self.busy and not self._soon

    def _is_resting(self) -> bool:
        return self.busy == self.parked and not self._soon

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Run something between two steps of tasks; until then the bus is not idle."""

        def run() -> None:
            self._soon -= 1
            callback()
            self.changed()

        self._soon += 1
        self.loop.call_soon(run)

    def task_moves(self) -> None:
        """A task that is not an actor's has just become runnable. Until it has made its step, the bus is not idle.

        The loop runs callbacks in order, so one scheduled now runs right after that step.
        """
        self.call_soon(lambda: None)

    # Time

    def schedule(self, when: int, fire: Callable[[], object], owner: Cell | None = None) -> Timer:
        timer = self.timers.add(when, fire, owner)
        if self._group is not None:
            self._arm()
        return timer

    def _arm(self) -> None:
        """See to it that the next timer fires: by the loop's timer in real time, else when the clock moves."""
        due = self.timers.next_time()
        if due is None:
            return
        delay = max(0, due - self.clock.now()) / SECOND / self.clock.pace
        if isinstance(self.clock, VirtualClock) and delay > 0:
            self.changed()
            return
        at = self.loop.time() + delay
        if self._alarm is not None and not self._alarm.cancelled():
            if self._alarm.when() <= at:
                return
            self._alarm.cancel()
        self._alarm = self.loop.call_at(at, self._fire_due)

    def _fire_due(self) -> None:
        self._alarm = None
        while (due := self.timers.next_time()) is not None and due <= self.clock.now():
            self.timers.fire_next()
        self._arm()
        self.changed()

    def _clock_moved(self) -> None:
        self._fire_due()

    def _may_advance(self) -> bool:
        return self._is_resting() and all(
            task.ended or not task.started or (isinstance(task, LiveSource) and task.waits) for task in self._sources
        )

    def _advance(self) -> None:
        """Jump to the next timer if still nothing else can happen and somebody still waits for something."""
        self._advancing = False
        waited_for = any(not future.done() for _, future in self.watched)
        due = self.timers.next_time()
        if due is not None and waited_for and self._may_advance() and isinstance(self.clock, VirtualClock):
            self.clock.move_to(due)
            self.timers.fire_next()
            self.changed()

    async def _sleep(self, seconds: float) -> None:
        owner = OWNER.get()
        if owner is not None and owner.bus is not self:
            owner = None
        pause = LivePause(owner)
        timer = self.schedule(self.clock.now() + self.clock.span(seconds), lambda: pause.resolve(None))
        try:
            if owner is None:
                await self._until(lambda: pause.done)
            await pause
        finally:
            timer.cancel()

    # What the base asks of a runtime

    def _make_cell(self, actor: Actor, policy: Supervision, credit: int, *, sink: bool) -> Cell:
        return LiveCell(self, actor, policy, credit, sink=sink)

    def _make_source(self, owner: Cell, source: Source) -> LiveSource:
        return LiveSource(self, owner, source)

    def _launch(self, cell: Cell) -> None:
        assert isinstance(cell, LiveCell)
        # Through the control lane, as what was sent there before waits as well.
        cell.control.appendleft(self.start_envelope())
        self.busy += 1
        self.spawn(cell.run)

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task in the group of the bus."""
        if self._group is None:
            raise BusError("the bus has not been started")
        self._group.start_soon(function)

    def pause(self, owner: Any) -> LivePause:
        return LivePause(owner)
