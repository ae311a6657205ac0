"""Defines sources: long-lived input (a stream, a tick schedule) that the runtime runs on an actor's behalf.

A source is a coroutine function that takes an ``Outlet``. It may await whatever it likes on ``LiveBus`` and the methods
of the outlet on ``SimBus``, but it touches no actor: all it can do is put messages and questions into inboxes.
Backpressure acts here and nowhere else, through ``room``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from basis_actors.bus.asking import Ask
from basis_actors.bus.envelope import Cause, Lane
from basis_actors.bus.errors import BusError
from basis_actors.bus.messages import Request

if TYPE_CHECKING:
    from basis_actors.bus.cell import Cell
    from basis_actors.bus.failure import Supervised

R = TypeVar("R")


class SourceTask:
    """A source's place on a bus. The runtimes subclass it to say how it runs."""

    def __init__(self, bus: Supervised, owner: Cell, source: Source) -> None:
        self.bus = bus
        self.owner = owner
        self.source = source
        self.started = False
        self.ended = False

    @property
    def name(self) -> str:
        """For messages about the source."""
        return f"{getattr(self.source, '__name__', 'source')} of {self.owner.name}"

    def start(self) -> None:
        """Begin, or begin afresh after a failure."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End as soon as possible."""
        raise NotImplementedError


class Outlet:
    """What a source can do. Messages carry the name of the actor that owns the source as their sender."""

    def __init__(self, task: SourceTask) -> None:
        self._task = task
        self._bus = task.bus
        self.owner = task.owner.name

    @property
    def now(self) -> int:
        """Nanoseconds since 1970-01-01 UTC, from the clock of the bus."""
        return self._bus.clock.now()

    def post(self, to: str, message: object, cause: Cause | None = None, lane: Lane = Lane.MESSAGES) -> Cause:
        """Send to one actor; starts a new cause unless given one, and returns it."""
        return self._bus.post(to, message, cause, lane, sender=self.owner)

    def publish(self, message: object, cause: Cause | None = None) -> Cause:
        """Send to every actor with a handler for exactly this type; the cause as in ``post``."""
        return self._bus.publish(message, cause, sender=self.owner)

    def latest(self, to: str, message: object, key: object = None, cause: Cause | None = None) -> Cause:
        """Send to one actor, replacing an unhandled earlier message of this type and key: latest wins.

        The newer message takes the older one's place in the inbox, and belongs to its cause, which is returned.
        """
        cell = self._bus.cells.get(to)
        if cell is None:
            raise self._bus.unknown(to, message, self.owner)
        return cell.push_latest((self.owner, type(message), key), message, self.owner, cause)

    def publish_latest(self, message: object, key: object = None) -> None:
        """``latest`` to every actor with a handler for exactly this type: each conflates at its own pace."""
        cause = Cause(type(message).__name__)
        for cell in self._bus.routes.get(type(message), ()):
            cell.push_latest((self.owner, type(message), key), message, self.owner, cause)

    async def ask(self, to: str, request: Request[R], timeout: float | None = None, *, lane: Lane = Lane.MESSAGES) -> R:
        """Send a question to one actor and wait for its answer. Errors as in ``Actor.ask``."""
        bus = self._bus
        target = bus.cells.get(to)
        if target is None:
            raise bus.unknown(to, request, self.owner)
        deadline = bus.deadline_of(self.owner, to, request, timeout, None)
        ask = Ask(self.owner, bus.pause(self._task))
        bus.send_request(target, bus.wrap(request, self.owner), ask, deadline, lane)
        try:
            answer: R = await ask.pause
            return answer
        finally:
            ask.close()

    async def room(self, *to: str) -> None:
        """Wait until each of these inboxes, and that of the log sink, holds fewer messages than its credit."""
        cells = [self._bus.cells[name] for name in to]
        if self._bus.sink_cell is not None:
            cells.append(self._bus.sink_cell)
        while (full := next((c for c in cells if c.depth >= c.credit and c.takes_messages), None)) is not None:
            pause = self._bus.pause(self._task)
            full.wait_for_room(pause)
            await pause

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock of the bus."""
        await self._bus.clock.sleep(seconds)

    async def until_cancelled(self) -> None:
        """Wait for the end of the bus, while callbacks and tasks of the source do its work, like those of a server.

        Unlike any other endless wait it does not keep a clock from moving that moves when all is at rest.
        """
        await self._bus.pause(self._task)

    async def settled(self, cause: Cause) -> None:
        """Wait until nothing that belongs to ``cause`` is left. See ``Bus.settled``."""
        if cause.live:
            pause = self._bus.pause(self._task)
            waiters = cause.waiters = cause.waiters if cause.waiters is not None else []
            waiters.append(lambda: pause.resolve(None))
            await pause


Source = Callable[[Outlet], Awaitable[None]]
"""What ``add_source`` takes. It ends by returning; if it raises, its owner's supervision row decides."""


def require_owner(cells: dict[str, Cell], owner: str) -> Cell:
    """The cell of a source's owner."""
    if owner not in cells:
        raise BusError(f"the owner of a source must be on the bus first; there is no actor {owner!r}")
    return cells[owner]
