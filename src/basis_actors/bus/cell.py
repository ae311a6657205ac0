"""Defines what a bus keeps for each actor: its inbox, its handlers, its state of life, and how its verbs send.

``Actor`` is what people write; a cell is its place on a bus. The two runtimes subclass it to say how a message gets
into the inbox and how a handler waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from basis_actors.bus.actor import DEFER, Actor
from basis_actors.bus.asking import Ask, Pause, refuse_cycle
from basis_actors.bus.clock import nanoseconds
from basis_actors.bus.envelope import Cause, Envelope
from basis_actors.bus.errors import BusError
from basis_actors.bus.handlers import Handler
from basis_actors.bus.lifecycle import ActorStats, Latest, Phase, Restarting, Start, Stop
from basis_actors.bus.messages import Reason, Request
from basis_actors.bus.supervision import RestartHistory, Supervision
from basis_actors.bus.timers import Timer

if TYPE_CHECKING:
    from basis_actors.bus.failure import Supervised


class Cell:
    """An actor's place on a bus."""

    special = False
    """Sim only: whether the next message needs more than to be handled."""

    def __init__(self, bus: Supervised, actor: Actor, policy: Supervision, credit: int, *, sink: bool) -> None:
        self.bus = bus
        self.actor = actor
        self.name = actor.name
        self.policy = policy
        self.credit = credit
        self.sink = sink
        self.history = RestartHistory(policy)
        self.correlation_id = bus.correlation_id
        self.inbox: deque[Envelope] = deque()
        self.control: deque[Envelope] = deque()
        self.latest: dict[object, Envelope] = {}
        self.room_waiters: list[Pause] = []
        self.envelope: Envelope | None = None
        self.waiting_on: Cell | None = None
        self.phase = Phase.NEW
        self.handled = 0
        self.conflated = 0
        self.high_water = 0
        self.last_at: int | None = None
        handlers = dict(actor.handlers())
        self.catch_all: Handler | None = handlers.pop(object, None)
        self.subscriptions = tuple(handlers)
        self.table: dict[type, Handler] = {
            **handlers,
            Start: self._start,
            Restarting: self._restart,
            Stop: self._stop,
            Latest: self._open_latest,
        }

    # How messages get in, and how a handler waits: the runtimes define these.

    def push(self, envelope: Envelope) -> None:
        """Append to the message lane."""
        raise NotImplementedError

    def push_control(self, envelope: Envelope) -> None:
        """Append to the control lane."""
        raise NotImplementedError

    def restart_with(self, envelope: Envelope) -> None:
        """Prepend to the control lane: nothing is handled before the restart."""
        raise NotImplementedError

    # The verbs of the actor

    def wrap(self, message: object, cause: Cause | None = None, causation_id: int | None = None) -> Envelope:
        """Put a message into an envelope that follows from the one being handled, and count it."""
        bus, parent = self.bus, self.envelope
        bus.sequence = sequence = bus.sequence + 1
        if parent is not None:
            cause = cause or parent.cause
            causation_id = parent.sequence if causation_id is None else causation_id
        elif cause is None:
            cause = Cause(f"{type(message).__name__}#{sequence}")
        cause.live += 1
        return Envelope(message, self.name, cause, sequence, causation_id or 0, self.correlation_id)

    def tell(self, to: str, message: object) -> None:
        target = self.bus.cells.get(to)
        if target is None:
            raise self.bus.unknown(to, message, self.name)
        target.push(self.wrap(message))

    def tell_control(self, to: str, message: object) -> None:
        target = self.bus.cells.get(to)
        if target is None:
            raise self.bus.unknown(to, message, self.name)
        target.push_control(self.wrap(message))

    def publish(self, message: object) -> None:
        targets = self.bus.routes.get(type(message))
        if not targets:
            return
        envelope = self.wrap(message)
        envelope.cause.live += len(targets) - 1
        for target in targets:
            target.push(envelope)

    def log(self, event: object) -> None:
        bus, envelope = self.bus, self.wrap(event)
        sink = bus.sink_cell
        if sink is None:
            bus.undeliverable(bus.log_sink or "log sink", envelope, Reason.NO_LOG_SINK)
        else:
            sink.push(envelope)

    def after(self, delay: float, message: object, new_cause: Cause | None) -> Timer:
        parent = self.envelope
        causation_id = 0 if parent is None else parent.sequence
        cause = new_cause or (None if parent is None else parent.cause)

        def fire() -> None:
            self.push(self.bus.wrap(message, self.name, cause, causation_id))

        return self.bus.schedule(self.bus.clock.now() + nanoseconds(delay), fire, owner=self)

    async def ask(self, to: str, request: Request[Any], seconds: float | None) -> Any:
        bus = self.bus
        target = bus.cells.get(to)
        if target is None:
            raise bus.unknown(to, request, self.name)
        if self.waiting_on is not None:
            raise BusError(f"actor {self.name!r} asked {to!r} while it waits for {self.waiting_on.name!r}")
        refuse_cycle(self, target)
        parent = self.envelope
        deadline = bus.deadline_of(self.name, to, request, seconds, None if parent is None else parent.deadline)
        ask = Ask(self.name, bus.pause(self), self)
        self.waiting_on = target
        try:
            bus.send_request(target, self.wrap(request), ask, deadline)
            return await ask.pause
        finally:
            ask.close()

    def interrupt(self, envelope: Envelope) -> object:
        """Offer a control message to the actor in the middle of a handler; ``DEFER`` when it declines."""
        current, self.envelope = self.envelope, envelope
        try:
            result = self.actor.on_control(envelope.message)
            if result is not DEFER:
                self.bus.handled(self, envelope, result)
        except BaseException as error:  # noqa: BLE001 - goes to supervision, or ends the run as it is
            self.bus.control_failed(self, envelope, error)
            return None
        finally:
            self.envelope = current
        return result

    # Life

    # (The runtimes count every message they handle; these three take themselves off that count.)

    async def _start(self, _message: Start) -> None:
        self.handled -= 1
        await self._begin()

    async def _begin(self) -> None:
        self.phase = Phase.STARTING
        done = self.actor.pre_start()
        if done is not None:
            await done
        self.phase = Phase.RUNNING

    async def _restart(self, message: Restarting) -> None:
        self.handled -= 1
        self.phase = Phase.STARTING
        done = self.actor.pre_restart(message.failure)
        if done is not None:
            await done
        await self._begin()

    async def _stop(self, _message: Stop) -> None:
        self.handled -= 1
        try:
            if self.phase is not Phase.NEW:
                done = self.actor.post_stop()
                if done is not None:
                    await done
        finally:
            self.stopped()

    def fail(self) -> None:
        """Take no more messages: what remains in the inbox becomes dead letters, up to the drain marker."""
        if self.phase is not Phase.STOPPED:
            self.phase = Phase.FAILED
            self._deafen({Stop: self._stop})

    def stopped(self) -> None:
        """The end: whatever comes now is a dead letter."""
        self.phase = Phase.STOPPED
        self._deafen({})

    def _deafen(self, table: dict[type, Handler]) -> None:
        self.catch_all = None
        self.table = table
        self.bus.forget(self)

    # Bookkeeping

    def push_latest(self, key: object, message: object, sender: str, cause: Cause | None) -> Cause:
        """Append a message, or let it take the place of an unhandled one with the same key."""
        waiting = self.latest.get(key)
        if waiting is not None and isinstance(waiting.message, Latest):
            waiting.message.message = message
            self.conflated += 1
            return waiting.cause
        envelope = self.bus.wrap(Latest(key, message), sender, cause)
        self.latest[key] = envelope
        self.push(envelope)
        return envelope.cause

    def _open_latest(self, marker: Latest) -> object:
        del self.latest[marker.key]
        envelope, message = self.envelope, marker.message
        if envelope is not None:
            envelope.message = message
        handler = self.table.get(type(message)) or self.catch_all
        if handler is None:
            self.bus.record_dead(message, self.name, envelope, Reason.UNHANDLED)
            return None
        return handler(message)

    @property
    def dead_reason(self) -> Reason:
        """Why a message that finds no handler here finds none."""
        return {Phase.FAILED: Reason.FAILED, Phase.STOPPED: Reason.STOPPED}.get(self.phase, Reason.UNHANDLED)

    @property
    def depth(self) -> int:
        """Messages that wait for this actor, its own backlog included."""
        return len(self.inbox) + len(self.control) + self.actor.backlog

    @property
    def takes_messages(self) -> bool:
        """Whether the actor has neither failed nor stopped."""
        return self.phase not in (Phase.FAILED, Phase.STOPPED)

    def wait_for_room(self, pause: Pause) -> None:
        """Resolve ``pause`` when there is room in the inbox."""
        self.room_waiters.append(pause)

    def offer_room(self) -> None:
        """Wake the sources that wait for this inbox once it is down to half of its credit, or empty.

        (A backlog above half may rest there: then only another message moves it.)
        """
        if self.depth <= self.credit // 2 or not self.inbox:
            waiters, self.room_waiters = self.room_waiters, []
            for waiter in waiters:
                waiter.resolve(None)

    def stats(self) -> ActorStats:
        return ActorStats(
            self.depth, self.handled, self.last_at, len(self.history), self.conflated, self.phase, self.high_water
        )
