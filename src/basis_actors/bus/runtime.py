"""Defines what both runtimes have in common: who is on the bus, how messages are addressed, and what may be waited for.

What differs is small: how an inbox is woken, how a handler waits, and how the bus is driven until something holds
(``_until``). ``failure.py`` adds supervision, escalation and the drain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from basis_actors.bus.actor import Actor, Detached
from basis_actors.bus.asking import Ask, Pause
from basis_actors.bus.cell import Cell
from basis_actors.bus.clock import BusClock, VirtualClock, nanoseconds
from basis_actors.bus.envelope import Cause, Envelope, Lane
from basis_actors.bus.errors import BusError, BusStalled
from basis_actors.bus.lifecycle import STARTING, ActorStats, Phase, Start
from basis_actors.bus.messages import Request
from basis_actors.bus.post_office import BUS, OUTSIDE, PostOffice
from basis_actors.bus.supervision import Escalate, Supervision

R = TypeVar("R")

CREDIT = 1024


class Runtime(PostOffice):
    """The part of a bus that does not depend on how it is driven."""

    def __init__(
        self,
        clock: BusClock,
        *,
        log_sink: str | None = None,
        correlation_id: str = "run",
        stop_order: Sequence[str] = (),
    ) -> None:
        super().__init__(clock, log_sink, correlation_id)
        self.started = False
        self.closed = False
        self._stop_order = tuple(stop_order)
        clock.attach(self._sleep, self._clock_moved)

    # Who is on the bus

    def add(self, actor: Actor, policy: Supervision | None = None, *, credit: int = CREDIT, sink: bool = False) -> None:
        """Put an actor on the bus, before or after ``start``.

        Args:
            actor: its name must be new.
            policy: its row of the supervision table; ``Escalate()`` unless given.
            credit: how many messages may wait for it before sources have to.
            sink: stops after all other actors, like the log sink, which is one anyway.
        """
        if self.closed:
            raise BusError(f"the bus has stopped; actor {actor.name!r} cannot be added")
        if actor.name in self.cells or actor.name in (OUTSIDE, BUS):
            raise BusError(f"there is already an actor named {actor.name!r} on this bus; names are unique")
        if not isinstance(actor._cell, Detached):
            raise BusError(f"actor {actor.name!r} is on a bus already; make a new actor for a new bus")
        is_log_sink = actor.name == self.log_sink
        cell = self._make_cell(actor, policy or Escalate(), credit, sink=sink or is_log_sink)
        actor._cell = cell
        self.cells[actor.name] = cell
        for message_type in cell.subscriptions:
            self.routes[message_type] = (*self.routes.get(message_type, ()), cell)
        if is_log_sink:
            self.sink_cell = cell
        if self.started:
            self._launch(cell)

    @property
    def actors(self) -> tuple[str, ...]:
        """Names of all actors, in the order they were added."""
        return tuple(self.cells)

    def stats(self, name: str) -> ActorStats:
        """Inbox depth, messages handled and so on of one actor."""
        return self._cell(name, None).stats()

    # Sending from outside

    def post(
        self, to: str, message: object, cause: Cause | None = None, lane: Lane = Lane.MESSAGES, sender: str = OUTSIDE
    ) -> Cause:
        """Send a message from outside and return its cause, a new one unless given: ``settled(cause)`` waits for it."""
        target = self._cell(to, message)
        envelope = self.wrap(message, sender, cause)
        (target.push if lane is Lane.MESSAGES else target.push_control)(envelope)
        return envelope.cause

    def publish(
        self, message: object, cause: Cause | None = None, lane: Lane = Lane.MESSAGES, sender: str = OUTSIDE
    ) -> Cause:
        """Send from outside to every actor with a handler for exactly this type; otherwise like ``post``."""
        cause = cause or Cause(f"{type(message).__name__}#{self.sequence + 1}")
        targets = self.routes.get(type(message))
        if targets:
            envelope = self.wrap(message, sender, cause)
            cause.live += len(targets) - 1
            for target in targets:
                (target.push if lane is Lane.MESSAGES else target.push_control)(envelope)
        return cause

    def control(self, to: str, message: object) -> Cause:
        """Send through the control lane: overtakes whatever waits there."""
        return self.post(to, message, lane=Lane.CONTROL)

    async def ask(
        self,
        to: str,
        request: Request[R],
        timeout: float | None = None,
        *,
        cause: Cause | None = None,
        lane: Lane = Lane.MESSAGES,
    ) -> R:
        """Ask from outside. Errors as in ``Actor.ask``."""
        target = self._cell(to, request)
        deadline = self.deadline_of(OUTSIDE, to, request, timeout, None)
        ask = Ask(OUTSIDE, self.pause(None))
        self.send_request(target, self.wrap(request, OUTSIDE, cause), ask, deadline, lane)
        try:
            await self._wait_for(lambda: not ask.open, f"the answer of {to!r} to {type(request).__name__}")
            answer: R = await ask.pause
            return answer
        finally:
            ask.close()

    # Waiting

    async def settled(self, cause: Cause | None = None) -> None:
        """Wait until nothing that belongs to ``cause`` is left: no message, no handler at work, in an ask or asleep.

        Without a cause: until that holds for the whole bus. In either case what has not begun does not count: pending
        ``after`` timers, however near, and what sources will send later.

        Raises:
            BusFailed: the bus failed; it has drained.
            BusStalled: (SimBus) it can never happen, because nothing is ready and no timer is left.
        """
        if cause is None:
            await self._wait_for(self._is_quiet, "the bus to settle")
        else:
            await self._wait_for(lambda: not cause.live, f"{cause!r} to settle")

    async def idle(self) -> None:
        """Wait until nothing can go on unless time passes: every actor waits for a message, an answer or the clock."""
        await self._rest_until(self.clock.now())

    async def until(self, condition: Callable[[], bool], what: str = "the condition") -> None:
        """Wait until ``condition()`` holds, which is looked at after each message."""
        await self._wait_for(condition, what, exact=True)

    async def advance(self, seconds: float) -> None:
        """Move a virtual or manual clock, timer by timer, letting the actors run to idleness in between."""
        if not isinstance(self.clock, VirtualClock):
            raise BusError(f"{type(self.clock).__name__} cannot be moved; use a VirtualClock or a ManualClock")
        target = self.clock.now() + nanoseconds(seconds)
        await self._rest_until(target)
        self.clock.move_to(target)

    async def _rest_until(self, time: int) -> None:
        """Let the actors come to rest, fire the next timer due up to ``time``, and so on."""
        await self._wait_for(self._is_resting, "actors to rest")
        while (due := self.timers.next_time()) is not None and due <= time:
            if isinstance(self.clock, VirtualClock):
                self.clock.move_to(due)
            self.timers.fire_next()
            await self._wait_for(self._is_resting, "actors to rest")

    # Help for the methods above

    def _cell(self, name: str, message: object) -> Cell:
        cell = self.cells.get(name)
        if cell is None:
            raise self.unknown(name, message, OUTSIDE)
        return cell

    async def _wait_for(self, condition: Callable[[], bool], what: str, *, exact: bool = False) -> None:
        holds = await self._until(condition, exact=exact)
        await self._raise_failure()
        if holds:
            return
        waiting = ", ".join(cell.name for cell in self.cells.values() if cell.envelope is not None) or "none"
        raise BusStalled(
            f"waiting for {what}, but nothing is ready and no timer is left; in the middle of a message: {waiting}"
        )

    def _launch_all(self) -> None:
        if self.started:
            raise BusError("the bus was started before")
        self.started = True
        for cell in list(self.cells.values()):
            if cell.phase is Phase.NEW:
                self._launch(cell)

    async def _start_all(self) -> None:
        self._launch_all()
        await self._wait_for(lambda: all(c.phase not in STARTING for c in self.cells.values()), "actors to start")

    def start_envelope(self) -> Envelope:
        """The first message of an inbox."""
        return self.wrap(Start(), BUS, Cause("start"))

    # What a runtime has to provide

    def _make_cell(self, actor: Actor, policy: Supervision, credit: int, *, sink: bool) -> Cell:
        raise NotImplementedError

    def _launch(self, cell: Cell) -> None:
        """Put the start message first into the inbox, and let the actor run."""
        raise NotImplementedError

    def pause(self, owner: Any) -> Pause:
        """Make something that ``owner`` (a cell, a source, or None for outside) can wait on."""
        raise NotImplementedError

    async def _sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def _clock_moved(self) -> None:
        """The clock was advanced by hand."""
        raise NotImplementedError

    async def _until(self, condition: Callable[[], bool], limit: int | None = None, *, exact: bool = False) -> bool:
        """Let the bus go on until ``condition()``; False if it failed, stalled, or reached the time ``limit`` first.

        ``exact`` asks for a look after every message; otherwise the bus may go on a little.
        """
        raise NotImplementedError

    async def _raise_failure(self) -> None:
        """If the bus has failed: complete its drain and raise."""
        raise NotImplementedError

    def _is_quiet(self) -> bool:
        raise NotImplementedError

    def _is_resting(self) -> bool:
        raise NotImplementedError
