"""Defines what runs on SimBus: actors and sources, as coroutines driven by hand with ``.send(None)``.

No event loop takes part. A coroutine may suspend on a ``SimPause`` of its own and on nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Coroutine, Generator
from itertools import repeat
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from basis_actors.bus.actor import DEFER, Actor
from basis_actors.bus.asking import Pause
from basis_actors.bus.cell import Cell
from basis_actors.bus.envelope import Envelope
from basis_actors.bus.errors import ForeignAwait
from basis_actors.bus.lifecycle import message_name
from basis_actors.bus.sources import Outlet, Source, SourceTask
from basis_actors.bus.supervision import Supervision

if TYPE_CHECKING:
    from basis_actors.bus.sim import SimBus


class SimPause:
    """What a coroutine on SimBus waits on. It is also the token that lets its owner go on."""

    __slots__ = ("done", "error", "owner", "value")
    special = True

    def __init__(self, owner: SimCell | SimSource | None) -> None:
        self.owner = owner
        self.done = False
        self.value: object = None
        self.error: BaseException | None = None

    def resolve(self, value: object) -> None:
        self.value = value
        self._finish()

    def reject(self, error: BaseException) -> None:
        self.error = error
        self._finish()

    def _finish(self) -> None:
        if not self.done:
            self.done = True
            if self.owner is not None and self.owner.waits_for is self:
                self.owner.sim.ready.append(self)

    def act(self) -> None:
        owner = self.owner
        if owner is not None and owner.waits_for is self:
            owner.resume()

    def __await__(self) -> Generator[SimPause, None, object]:
        if not self.done:
            yield self
        if self.error is not None:
            raise self.error
        return self.value


class SimCell(Cell):
    """An actor on SimBus."""

    def __init__(self, bus: SimBus, actor: Actor, policy: Supervision, credit: int, *, sink: bool) -> None:
        super().__init__(bus, actor, policy, credit, sink=sink)
        self.sim = bus
        self.special = False
        self.coroutine: Coroutine[Any, Any, object] | None = None
        self.waits_for: SimPause | None = None
        self._owed = 0
        self._deferred: list[Envelope] = []

    def push(self, envelope: Envelope) -> None:
        self.inbox.append(envelope)
        self.sim.ready.append(self)

    def tell(self, to: str, message: object) -> None:
        """As in the base, with what that calls inline, as in ``publish``: nearly all messages go one of these ways."""
        bus, parent = self.sim, self.envelope
        if parent is None:
            super().tell(to, message)
            return
        try:
            target = bus.cells[to]
        except KeyError:
            raise bus.unknown(to, message, self.name) from None
        cause = parent.cause
        bus.sequence = sequence = bus.sequence + 1
        cause.live += 1
        target.inbox.append(Envelope(message, self.name, cause, sequence, parent.sequence, self.correlation_id))
        bus.ready.append(target)

    def publish(self, message: object) -> None:
        bus, parent = self.sim, self.envelope
        if parent is None:
            super().publish(message)
            return
        targets = bus.routes.get(type(message))
        if not targets:
            return
        cause = parent.cause
        bus.sequence = sequence = bus.sequence + 1
        cause.live += len(targets)
        envelope = Envelope(message, self.name, cause, sequence, parent.sequence, self.correlation_id)
        ready = bus.ready
        for target in targets:
            target.inbox.append(envelope)
            ready.append(target)

    def log(self, event: object) -> None:
        """As in the base, but a log sink that has nothing to do takes the event here and now.

        The order of the log is that in which events are sent, either way; this saves a turn for each.
        """
        bus, parent = self.sim, self.envelope
        sink = bus.log_cell
        if parent is None or sink is None or sink.inbox or sink.envelope is not None or sink.special:
            super().log(event)
            return
        handler = sink.table.get(type(event), sink.catch_all)
        if handler is None:
            super().log(event)
            return
        cause = parent.cause
        bus.sequence = sequence = bus.sequence + 1
        sink.envelope = Envelope(event, self.name, cause, sequence, parent.sequence, self.correlation_id)
        sink.handled += 1
        sink.last_at = bus.virtual.now_ns
        try:
            result = handler(event)
        except BaseException as error:  # noqa: BLE001 - goes to supervision, or ends the run as it is
            cause.live += 1
            sink.raised(error)
            bus.ready_control(sink)  # no message waits there, but the bus looks whether this was the end
            return
        if result is not None and type(result) is CoroutineType:
            cause.live += 1
            sink.begin_later(result)
        else:
            sink.envelope = None

    def begin_later(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Drive a handler that another actor's handler has called: it has to wait until that one is done."""
        self.coroutine = coroutine
        turn = SimPause(self)
        self.park(turn)
        turn.resolve(None)

    def push_control(self, envelope: Envelope) -> None:
        self.control.append(envelope)
        self.sim.ready_control(self)

    def restart_with(self, envelope: Envelope) -> None:
        self.control.appendleft(envelope)
        self.sim.ready_control(self, first=True)

    def act(self) -> None:
        """One of this actor's messages is due, but something is special."""
        if self.coroutine is not None:
            self._owed += 1
        elif self.inbox:
            self.handle(self.inbox.popleft())

    def act_control(self) -> None:
        """A control message is due."""
        if not self.control:
            return
        envelope = self.control.popleft()
        if self.coroutine is None:
            self.handle(envelope)
        elif self.interrupt(envelope) is DEFER:
            self._deferred.append(envelope)

    def handle(self, envelope: Envelope) -> None:
        """Run the handler of one message, until it returns or waits. ``SimBus.turn`` has the same inline."""
        handler = self.table.get(type(envelope.message)) or self.catch_all
        if handler is None:
            self.bus.undeliverable(self.name, envelope, self.dead_reason)
            return
        self.envelope = envelope
        self.handled += 1
        self.last_at = self.bus.clock.now()
        try:
            result = handler(envelope.message)
        except BaseException as error:  # noqa: BLE001 - goes to supervision, or ends the run as it is
            self.raised(error)
            return
        if type(result) is CoroutineType:
            self.coroutine = result
            self.resume()
        else:
            self.returned(result)

    def resume(self) -> None:
        """Drive the current handler until it returns or waits."""
        self.waits_for = None
        drive(self, self.sim)

    def returned(self, result: object) -> None:
        envelope = self._unpark()
        self.bus.handled(self, envelope, result)
        if self.room_waiters:
            self.offer_room()
            self.special = bool(self.room_waiters)

    def raised(self, error: BaseException) -> None:
        envelope = self._unpark()
        self.sim.handler_failed(self, envelope, error)

    def _unpark(self) -> Envelope:
        envelope = self.envelope
        assert envelope is not None
        self.envelope = self.coroutine = self.waits_for = None
        self.special = bool(self.room_waiters)
        if self._owed:
            self.sim.ready.extendleft(repeat(self, self._owed))
            self._owed = 0
        for deferred in reversed(self._deferred):
            self.control.appendleft(deferred)
            self.sim.ready_control(self, first=True)
        self._deferred.clear()
        return envelope

    def wait_for_room(self, pause: Pause) -> None:
        super().wait_for_room(pause)
        self.special = True

    def park(self, pause: SimPause) -> None:
        self.waits_for = pause
        self.special = True

    def cut_off(self) -> None:
        """Give up on the current handler."""
        coroutine, self.coroutine, self.waits_for = self.coroutine, None, None
        self.special = False
        if coroutine is not None:
            with contextlib.suppress(Exception):
                coroutine.close()


class SimSource(SourceTask):
    """A source on SimBus."""

    special = True

    def __init__(self, bus: SimBus, owner: Cell, source: Source) -> None:
        super().__init__(bus, owner, source)
        self.sim = bus
        self.coroutine: Coroutine[Any, Any, object] | None = None
        self.waits_for: SimPause | None = None

    def start(self) -> None:
        self.started = True
        self.sim.ready.append(self)

    def act(self) -> None:
        if not self.ended and self.coroutine is None:
            self.coroutine = as_coroutine(self.source(Outlet(self)))
            self.resume()

    def resume(self) -> None:
        self.waits_for = None
        drive(self, self.sim)

    def park(self, pause: SimPause) -> None:
        self.waits_for = pause

    def returned(self, _result: object) -> None:
        self.ended = True
        self.coroutine = None

    def raised(self, error: BaseException) -> None:
        self.coroutine = None
        self.sim.source_failed(self, error)
        self.ended = self.sim.failure is not None

    def cancel(self) -> None:
        self.ended = True
        self.waits_for = None
        coroutine, self.coroutine = self.coroutine, None
        if coroutine is not None and self.sim.strand is not self:
            coroutine.close()


async def as_coroutine(awaitable: Awaitable[None]) -> None:
    """Make any awaitable drivable."""
    await awaitable


def drive(strand: SimCell | SimSource, bus: SimBus) -> None:
    """Let a coroutine go on until it returns, raises or waits on the bus."""
    coroutine = strand.coroutine
    assert coroutine is not None
    bus.strand = strand
    try:
        pause = coroutine.send(None)
    except StopIteration as stop:
        bus.strand = None
        strand.returned(stop.value)
    except BaseException as error:  # noqa: BLE001 - goes to supervision, or ends the run as it is
        bus.strand = None
        strand.raised(explained(strand, error))
    else:
        suspended(strand, bus, pause)


def suspended(strand: SimCell | SimSource, bus: SimBus, pause: object) -> None:
    """A coroutine waits: on the bus, or on something that this bus cannot wait for, which is its failure."""
    try:
        if type(pause) is not SimPause or pause.owner is not strand:
            pause = _refuse(strand, pause)
    except StopIteration as stop:
        bus.strand = None
        strand.returned(stop.value)
    except BaseException as error:  # noqa: BLE001 - as in ``drive``
        bus.strand = None
        strand.raised(explained(strand, error))
    else:
        bus.strand = None
        strand.park(pause)


def _where(strand: SimCell | SimSource) -> str:
    if isinstance(strand, SimSource):
        return f"source {strand.name!r}"
    message = None if strand.envelope is None else strand.envelope.message
    handler = strand.table.get(type(message), strand.catch_all)
    return f"actor {strand.name!r}, handler {getattr(handler, '__name__', handler)!r} of {message_name(message)}"


def _refuse(strand: SimCell | SimSource, foreign: object) -> SimPause:
    """Throw ``ForeignAwait`` into a coroutine that suspended on something else, so that it can clean up."""
    coroutine = strand.coroutine
    assert coroutine is not None
    error = ForeignAwait(
        f"{_where(strand)} awaited {foreign!r}; on SimBus only ask, sleep and ports built on clock.sleep may be awaited"
    )
    pause: object = coroutine.throw(error)
    if type(pause) is SimPause and pause.owner is strand:
        return pause
    coroutine.close()
    raise error


def explained(strand: SimCell | SimSource, error: BaseException) -> BaseException:
    """An await that needs an event loop fails before it suspends when there is none: say so."""
    if not isinstance(error, RuntimeError) or "event loop" not in str(error):
        return error
    foreign = ForeignAwait(f"{_where(strand)} awaited something that needs an event loop; SimBus has none: {error}")
    foreign.__cause__ = error
    return foreign
