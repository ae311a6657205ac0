"""Defines the simulated runtime: no event loop, one total order, virtual time; same inputs, same trace.

A ready queue holds one token per message, so handlers run to completion in the order in which messages were sent.
Only when nothing is ready does the clock jump to the earliest timer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from itertools import repeat
from types import CoroutineType
from typing import Any, Protocol, TypeVar

from basis_actors.bus.actor import Actor
from basis_actors.bus.cell import Cell
from basis_actors.bus.clock import VirtualClock, nanoseconds
from basis_actors.bus.errors import BusError
from basis_actors.bus.failure import Supervised
from basis_actors.bus.sim_strands import SimCell, SimPause, SimSource, explained, suspended
from basis_actors.bus.sources import Source
from basis_actors.bus.supervision import Supervision

T = TypeVar("T")

_BATCH = 256
"""Messages between two looks at whether what is waited for has come."""


class _Token(Protocol):
    """What stands in the ready queue: a cell for a message, a pause for its resumption, a source for its start."""

    @property
    def special(self) -> bool: ...
    def act(self) -> None: ...


class _ControlToken:
    """Stands at the head of the ready queue for the oldest control message."""

    special = True

    def __init__(self, cells: deque[SimCell]) -> None:
        self._cells = cells

    def act(self) -> None:
        self._cells.popleft().act_control()


class SimBus(Supervised):
    """The bus of backtests and simulations.

    Every method may be called with or without an event loop in the thread: the ``async`` ones never suspend, they
    drive the bus until what they wait for has come. ``run`` does a whole life without ``await``.

    Args:
        clock: where virtual time begins; ``VirtualClock(0)`` unless given.
        log_sink: name of the actor that ``Actor.log`` sends to; it stops last.
        correlation_id: identifies the run, in every envelope.
        stop_order: names of the actors that stop first, in this order; see ``stop``.
        drain_seconds: default deadline of ``stop``, and that of the drain after a failure.
    """

    def __init__(
        self,
        clock: VirtualClock | None = None,
        *,
        log_sink: str | None = None,
        correlation_id: str = "run",
        stop_order: Sequence[str] = (),
        drain_seconds: float = 10.0,
    ) -> None:
        self.virtual = clock or VirtualClock()
        """The clock of this bus, which each message and each event is timed with."""
        super().__init__(
            self.virtual,
            log_sink=log_sink,
            correlation_id=correlation_id,
            stop_order=stop_order,
            drain_seconds=drain_seconds,
        )
        self.log_cell: SimCell | None = None
        """The log sink."""
        self.ready: deque[Any] = deque()  # of _Token; Any because the hot loop takes SimCell for granted
        self.strand: SimCell | SimSource | None = None
        """Whose coroutine is being driven."""
        self._control: deque[SimCell] = deque()
        self._control_token: _Token = _ControlToken(self._control)
        self._turning = False

    # Driving it without await

    def run(self, until: int | None = None) -> None:
        """Start, go on until nothing is left to do (no message, source or timer), and stop.

        Args:
            until: nanoseconds; what is due later is not done. Needed when timers renew themselves for ever.

        Raises:
            BusFailed: an actor failed; the bus has drained.
            StopTimeout: see ``stop``.
        """
        complete(self._run(until))

    def run_slice(self, budget_seconds: float, stopwatch: Callable[[], float], until: int | None = None) -> bool:
        """Like ``run``, for about ``budget_seconds`` at a time, so that an async service can yield in between.

        Args:
            budget_seconds: how long to go on, as measured by ``stopwatch``.
            stopwatch: seconds, such as ``time.perf_counter``; the bus itself has no access to real time.
            until: as in ``run``; the same in every call.

        Returns:
            False when the run is finished and the bus has stopped, True when there is more to do.
        """
        end = stopwatch() + budget_seconds
        if not self.started:
            complete(self.start())
        if complete(self._until(lambda: stopwatch() >= end, until)):
            return True
        complete(self.stop())
        return False

    def go_on(self, until: int, messages: int | None = None) -> None:
        """Do what is due up to ``until`` (nanoseconds), and then stand still: the bus is not stopped.

        Whoever simulates a kill calls this and lets go of the bus, perhaps in the middle of its start. The bus has
        failed if ``failure`` is set after it; it has not drained.

        Args:
            until: what is due later is not done.
            messages: how many are handled at most, whatever is due.

        Raises:
            BusError: there are sources, which begin once a bus has started; start it first.
        """
        if not self.started:
            if self._sources:
                raise BusError("this bus has sources; start it before it goes on")
            self._launch_all()
        if messages is None:
            complete(self._until(lambda: False, until))
            return
        countdown = iter(range(messages))
        complete(self._until(lambda: next(countdown, None) is None, until, exact=True))

    async def _run(self, until: int | None) -> None:
        if not self.started:
            await self.start()
        await self._until(lambda: False, until)
        await self.stop()

    def turn(self, count: int) -> bool:
        """Handle up to ``count`` tokens; False when there are no more."""
        popleft = self.ready.popleft
        now = self.virtual.now_ns
        for _ in repeat(None, count):
            try:
                cell = popleft()
            except IndexError:
                return False
            if cell.special:
                cell.act()
                if self.failure is not None:
                    return True
                continue
            envelope = cell.inbox.popleft()
            message = envelope.message
            try:
                handler = cell.table[type(message)]
            except KeyError:
                handler = cell.catch_all
                if handler is None:
                    self.undeliverable(cell.name, envelope, cell.dead_reason)
                    continue
            cell.envelope = envelope
            cell.handled += 1
            cell.last_at = now
            try:
                result = handler(message)
            except BaseException as error:  # noqa: BLE001 - supervision decides; what is no Exception ends the run
                cell.raised(error)
                if self.failure is not None:
                    return True
                continue
            if result is not None and type(result) is CoroutineType:
                # Most coroutines never wait: the first step of ``drive`` is here inline.
                self.strand = cell
                try:
                    pause = result.send(None)
                except StopIteration as stop:
                    self.strand = None
                    result = stop.value
                except BaseException as error:  # noqa: BLE001 - as above
                    self.strand = None
                    cell.raised(explained(cell, error))
                    if self.failure is not None:
                        return True
                    continue
                else:
                    cell.coroutine = result
                    suspended(cell, self, pause)
                    if self.failure is not None:
                        return True
                    continue
            cell.envelope = None
            if envelope.reply is not None:
                self.handled(cell, envelope, result)
                continue
            cause = envelope.cause
            cause.live -= 1
            if cause.waiters is not None and not cause.live:
                self.wake_waiters(cause)
        return True

    # What the base asks of a runtime

    async def _until(self, condition: Callable[[], bool], limit: int | None = None, *, exact: bool = False) -> bool:
        if self._turning:
            raise BusError("handlers and sources cannot wait for their own bus; they use their own verbs to wait")
        self._turning = True
        count = 1 if exact else _BATCH
        try:
            holds = condition()
            while not holds and (self.failure is None or self.draining):
                more = self.turn(count)
                holds = condition()
                if not (more or holds or self._jump(limit)):
                    break
        except BaseException as error:
            if self.draining:
                raise
            self._interrupted(error)
            return False
        finally:
            self._turning = False
        return holds

    def _jump(self, limit: int | None) -> bool:
        """Move the clock to the earliest timer and fire it; if that is beyond ``limit``, move there and no further."""
        due = self.timers.next_time()
        if due is None:
            return False
        if limit is not None and due > limit:
            self.virtual.move_to(limit)
            return False
        self.virtual.move_to(due)
        self.timers.fire_next()
        return True

    def _interrupted(self, error: BaseException) -> None:
        """Something (Ctrl-C) struck between two handlers. It ends the run like a failure, and is raised as it is."""
        if self.failure is None:
            self.failure = error
            self._halt_input()

    def abandon(self) -> None:
        """Let go of a bus that nobody drives any more, as of a process that was killed, so that its memory is free.

        The garbage collector does not look into envelopes, and one that asks leads to whoever waits for the answer.
        """
        for cell in self.cells.values():
            for envelope in (*cell.inbox, *cell.control, *cell.latest.values(), cell.envelope):
                if envelope is not None:
                    envelope.reply = None
        error = self.failure
        while error is not None:
            # Its frames have envelopes in their variables.
            error.__traceback__ = None
            error = error.__cause__ or error.__context__

    def ready_control(self, cell: SimCell, *, first: bool = False) -> None:
        """A control message waits in ``cell``: it is due before any message of any actor."""
        (self._control.appendleft if first else self._control.append)(cell)
        self.ready.appendleft(self._control_token)

    def _make_cell(self, actor: Actor, policy: Supervision, credit: int, *, sink: bool) -> Cell:
        cell = SimCell(self, actor, policy, credit, sink=sink)
        if actor.name == self.log_sink:
            self.log_cell = cell
        return cell

    def _make_source(self, owner: Cell, source: Source) -> SimSource:
        return SimSource(self, owner, source)

    def _launch(self, cell: Cell) -> None:
        cell.inbox.appendleft(self.start_envelope())
        self.ready.append(cell)

    def pause(self, owner: Any) -> SimPause:
        return SimPause(owner)

    async def _sleep(self, seconds: float) -> None:
        when = self.clock.now() + nanoseconds(seconds)
        pause = SimPause(self.strand)
        self.schedule(when, lambda: pause.resolve(None))
        if self.strand is None:
            await self._until(lambda: pause.done)
        else:
            await pause

    def _clock_moved(self) -> None:
        """Only ``LiveBus`` runs on a clock that others move."""

    def _is_quiet(self) -> bool:
        return not self.ready and all(cell.envelope is None for cell in self.cells.values())

    def _is_resting(self) -> bool:
        return not self.ready

    async def _shut_down(self, seconds: float) -> None:
        await self._drain(seconds)
        self.ready.clear()

    def _drain_soon(self) -> None:
        """Nothing to do: whoever drives the bus drains it."""

    async def _cut_off(self, cell: Cell) -> None:
        assert isinstance(cell, SimCell)
        cell.cut_off()


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of SimBus, which never suspends, to its end."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise BusError("a method of SimBus suspended")
