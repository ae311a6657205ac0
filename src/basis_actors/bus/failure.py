"""Defines what happens when something goes wrong or comes to its end: supervision, escalation, the drain.

Both runtimes inherit this. The order of an escalation is: tell subscribers through the control lane (the owner stops
trading there), stop sources, cancel ordinary timers, then drain actor by actor, sinks last.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from basis_actors.bus.cell import Cell
from basis_actors.bus.clock import BusClock
from basis_actors.bus.envelope import Cause, Envelope
from basis_actors.bus.errors import AskFailed, BusError, BusFailed, Lost, StopTimeout
from basis_actors.bus.lifecycle import LIFECYCLE, Phase, Restarting, Stop, message_name
from basis_actors.bus.messages import ActorFailed, Escalated, Reason
from basis_actors.bus.post_office import BUS
from basis_actors.bus.runtime import Runtime
from basis_actors.bus.sources import Source, SourceTask, require_owner


class Supervised(Runtime):
    """A runtime that knows how to fail and how to stop."""

    def __init__(
        self,
        clock: BusClock,
        *,
        log_sink: str | None = None,
        correlation_id: str = "run",
        stop_order: Sequence[str] = (),
        drain_seconds: float = 10.0,
    ) -> None:
        super().__init__(clock, log_sink=log_sink, correlation_id=correlation_id, stop_order=stop_order)
        self.failure: BaseException | None = None
        """What the bus failed of: ``BusFailed``, or a KeyboardInterrupt and its like as they are."""
        self.draining = False
        self._drain_seconds = drain_seconds
        self._sources: list[SourceTask] = []
        self._sources_run = False
        self._lost: tuple[Lost, ...] = ()
        self._raised = False

    # Life

    async def start(self) -> None:
        """Run ``pre_start`` of every actor, in the order they were added, then start the sources."""
        await self._start_all()
        self._sources_run = True
        for task in self._sources:
            if not task.started:
                task.start()

    def add_source(self, owner: str, source: Source) -> None:
        """Run ``source`` on behalf of an actor, once the bus has started."""
        if self.draining or self.failure is not None:
            raise BusError(f"the bus is stopping; a source of {owner!r} cannot be added")
        task = self._make_source(require_owner(self.cells, owner), source)
        self._sources.append(task)
        if self._sources_run:
            task.start()

    async def exhausted(self) -> None:
        """Wait until every source has ended and everything they set off is settled."""
        await self._wait_for(lambda: self._sources_ended() and self._is_quiet(), "the sources to end")

    async def stop(self, deadline: float | None = None) -> None:
        """Stop sources, cancel timers, then let each actor finish its inbox and run its ``post_stop``, sinks last.

        The order is ``stop_order``, then the other actors from last to first added, then sinks, the log sink last.

        Args:
            deadline: seconds that the actors have together, and the sinks again; ``drain_seconds`` unless given.

        Raises:
            BusFailed: an actor failed before or during the stop.
            StopTimeout: not everything was handled; the error names what was lost.
        """
        if not self.closed:
            await self._shut_down(self._drain_seconds if deadline is None else deadline)
        await self._raise_failure()
        if self._lost:
            self._raised = True
            raise StopTimeout(self._lost)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._stop_quietly()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. A failure that somebody has seen already is not raised again."""
        if error is not None or self._raised:
            await self._stop_quietly()
        else:
            await self.stop()

    async def _stop_quietly(self) -> None:
        """Stop on the way out of another error, which must not be hidden; what was lost is noted on the failure."""
        try:
            await self.stop()
        except BaseException as error:
            if error is not self.failure and not isinstance(error, StopTimeout):
                raise

    # Supervision

    def handler_failed(self, cell: Cell, envelope: Envelope, error: BaseException) -> None:
        """A handler or lifecycle hook raised."""
        self._message_failed(cell, envelope, error, lambda report: self._restart(cell, report))

    def control_failed(self, cell: Cell, envelope: Envelope, error: BaseException) -> None:
        """``on_control`` raised in the middle of a handler: no state to restart from, so it escalates."""
        self._message_failed(cell, envelope, error, None)

    def _message_failed(
        self, cell: Cell, envelope: Envelope, error: BaseException, restart: Callable[[ActorFailed], None] | None
    ) -> None:
        message = envelope.message
        name = message_name(message)
        hook = type(message) in LIFECYCLE
        if envelope.reply is not None:
            failed = AskFailed(f"{cell.name!r} failed while handling {name}: {type(error).__name__}: {error}")
            failed.__cause__ = error
            envelope.reply.fail(failed)
        if not hook:
            self.record_dead(message, cell.name, envelope, Reason.POISON)
        self.failed(cell, name, None if hook else message, error, restart)
        self.done(envelope.cause)

    def source_failed(self, task: SourceTask, error: BaseException) -> None:
        """A source raised. What restarts is the source, within the limit of its owner's row."""
        self.failed(task.owner, "source", None, error, lambda _report: task.start())

    def failed(
        self,
        cell: Cell,
        name: str,
        message: object,
        error: BaseException,
        restart: Callable[[ActorFailed], None] | None,
    ) -> None:
        """Report a failure, then do what the actor's row says. Without ``restart`` the row is not asked."""
        if not isinstance(error, Exception):
            cell.fail()
            self.escalate(error, cell, name)
            return
        report = ActorFailed(
            cell.name, name, f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
        )
        self._announce(report, but=cell)
        ending = self.draining or self.failure is not None or cell.phase in (Phase.FAILED, Phase.STOPPED)
        if restart is not None and not ending and cell.history.allows_restart(self.clock.now()):
            restart(report)
            return
        cell.fail()
        self.escalate(BusFailed(cell.name, name, message, error), cell, name)

    def _restart(self, cell: Cell, report: ActorFailed) -> None:
        cell.phase = Phase.STARTING
        cell.restart_with(self.wrap(Restarting(report), BUS, Cause("restart")))

    def escalate(self, failure: BaseException, cell: Cell, name: str) -> None:
        """Begin the end of the run. Only the first failure counts; later ones are noted on it."""
        reason = failure.__cause__ if isinstance(failure, BusFailed) and failure.__cause__ else failure
        if self.failure is not None:
            self.failure.add_note(f"then {cell.name!r} failed while handling {name}: {type(reason).__name__}: {reason}")
            return
        self.failure = failure
        self._announce(Escalated(cell.name, name, f"{type(reason).__name__}: {reason}"), but=None)
        self._halt_input()
        self._drain_soon()

    def _announce(self, report: ActorFailed | Escalated, but: Cell | None) -> None:
        cause = Cause("failure")
        for subscriber in self.routes.get(type(report), ()):
            if subscriber is not but:
                subscriber.push_control(self.wrap(report, BUS, cause))

    # The drain

    def _halt_input(self) -> None:
        for task in self._sources:
            task.cancel()
        self.timers.cancel_ordinary()

    def _in_stop_order(self) -> tuple[list[Cell], list[Cell]]:
        """Actors and sinks, each in the order in which they stop."""
        listed = [self.cells[name] for name in self._stop_order if name in self.cells]
        others = [cell for cell in reversed(self.cells.values()) if cell not in listed]
        cells = sorted([*listed, *others], key=lambda cell: cell is self.sink_cell)
        return [cell for cell in cells if not cell.sink], [cell for cell in cells if cell.sink]

    async def _drain(self, seconds: float) -> None:
        self.draining = True
        self._halt_input()
        lost: list[Lost] = []
        if not await self._until(self._sources_ended, self.clock.now() + self.clock.span(seconds)):
            lost.extend(Lost(task.name, "source", {}) for task in self._sources if not task.ended)
        for group in self._in_stop_order():
            limit = self.clock.now() + self.clock.span(seconds)
            for cell in group:
                if not self.started and cell.phase is Phase.NEW:
                    cell.stopped()
                if cell.phase is not Phase.STOPPED:
                    cell.push(self.wrap(Stop(), BUS, Cause("stop")))
                    if not await self._until(lambda cell=cell: cell.phase is Phase.STOPPED, limit):  # type: ignore[misc]
                        lost.append(await self._abandon(cell))
        self._close()
        self._lost = tuple(lost)
        if isinstance(self.failure, BusFailed):
            self.failure.lost = self._lost
        if self.failure is not None and lost:
            self.failure.add_note("lost in the drain: " + "; ".join(map(str, lost)))

    async def _abandon(self, cell: Cell) -> Lost:
        """An actor's time to stop is over: cut it off, and say what that costs."""
        handling = None if cell.envelope is None else message_name(cell.envelope.message)
        interrupted = cell.envelope
        waiting = [e for e in (*cell.control, *cell.inbox) if type(e.message) not in LIFECYCLE]
        await self._cut_off(cell)
        cell.stopped()
        if interrupted is not None and cell.envelope is interrupted:
            cell.envelope = None
            self.undeliverable(cell.name, interrupted, Reason.LOST)
        self.bury(cell, Reason.LOST)
        return Lost(cell.name, handling, dict(Counter(message_name(e.message) for e in waiting)))

    def bury(self, cell: Cell, reason: Reason) -> None:
        """Make dead letters of what is left in an inbox."""
        for lane in (cell.control, cell.inbox):
            while lane:
                self.undeliverable(cell.name, lane.popleft(), reason)

    def _close(self) -> None:
        for cell in self.cells.values():
            if cell.phase is not Phase.STOPPED:
                cell.stopped()
            self.bury(cell, Reason.STOPPED)
        self.timers.clear()
        self.closed = True

    async def _raise_failure(self) -> None:
        if self.failure is None:
            return
        if not self.closed:
            await self._shut_down(self._drain_seconds)
        self._raised = True
        raise self.failure

    def _sources_ended(self) -> bool:
        return all(task.ended for task in self._sources)

    # What a runtime has to provide

    def _make_source(self, owner: Cell, source: Source) -> SourceTask:
        raise NotImplementedError

    async def _shut_down(self, seconds: float) -> None:
        """Drain, or wait for the drain that is under way."""
        raise NotImplementedError

    def _drain_soon(self) -> None:
        """An escalation has begun: see to it that the bus drains, without waiting here."""
        raise NotImplementedError

    async def _cut_off(self, cell: Cell) -> None:
        """Interrupt the handler of an actor that does not return."""
        raise NotImplementedError
