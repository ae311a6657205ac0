"""Defines what happens to a message between its sender and its receiver: envelope, count, deadline, dead letter.

The part of a bus that cells use. It neither wakes nor drives anybody.
"""

from __future__ import annotations

from collections.abc import Callable

from basis_actors.bus.asking import Ask
from basis_actors.bus.cell import Cell
from basis_actors.bus.clock import BusClock
from basis_actors.bus.dead_letters import DeadLetters
from basis_actors.bus.envelope import Cause, Envelope, Lane
from basis_actors.bus.errors import AskFailed, AskTimeout, UnknownActor
from basis_actors.bus.lifecycle import LIFECYCLE, Latest
from basis_actors.bus.messages import DeadLetter, Reason
from basis_actors.bus.timers import Timer, TimerQueue

OUTSIDE = "outside"
BUS = "bus"


class PostOffice:
    """Addresses, envelopes, timers and dead letters."""

    def __init__(self, clock: BusClock, log_sink: str | None, correlation_id: str) -> None:
        self.clock = clock
        self.correlation_id = correlation_id
        self.log_sink = log_sink
        self.dead_letters = DeadLetters()
        self.cells: dict[str, Cell] = {}
        self.routes: dict[type, tuple[Cell, ...]] = {}
        """Who is subscribed to a type, in the order they were added."""
        self.sink_cell: Cell | None = None
        self.sequence = 0
        self.timers = TimerQueue()

    def wrap(self, message: object, sender: str, cause: Cause | None = None, causation_id: int = 0) -> Envelope:
        """Put a message into an envelope that follows from nothing, and count it."""
        self.sequence = sequence = self.sequence + 1
        if cause is None:
            cause = Cause(f"{type(message).__name__}#{sequence}")
        cause.live += 1
        return Envelope(message, sender, cause, sequence, causation_id, self.correlation_id)

    def unknown(self, to: str, message: object, sender: str) -> UnknownActor:
        """The error for a name that is not on the bus."""
        known = ", ".join(sorted(self.cells)) or "none"
        return UnknownActor(
            f"{sender!r} sent {type(message).__name__} to {to!r}, which is not on the bus; known: {known}"
        )

    def deadline_of(
        self, asker: str, to: str, request: object, seconds: float | None, inherited: int | None
    ) -> int | None:
        """The earlier of the asker's own and its inherited deadline (ns).

        Raises:
            AskTimeout: that time has come already, so there is no point in asking.
        """
        if seconds is None and inherited is None:
            return None
        now = self.clock.now()
        own = None if seconds is None else now + self.clock.span(seconds)
        deadline = min(time for time in (own, inherited) if time is not None)
        if deadline <= now:
            raise AskTimeout(f"{asker!r} has no time left to ask {to!r} for {type(request).__name__}; nothing was sent")
        return deadline

    def send_request(
        self, target: Cell, envelope: Envelope, ask: Ask, deadline: int | None, lane: Lane = Lane.MESSAGES
    ) -> None:
        """Send a question whose answer goes to ``ask``, and start its deadline."""
        envelope.reply = ask
        envelope.deadline = deadline
        if deadline is not None:
            error = f"{ask.asker!r} got no answer to {type(envelope.message).__name__} from {target.name!r} in time"
            ask.timer = self.schedule(deadline, lambda: ask.fail(AskTimeout(error)))
        (target.push if lane is Lane.MESSAGES else target.push_control)(envelope)

    def handled(self, cell: Cell, envelope: Envelope, result: object) -> None:
        """A handler has returned: answer if asked, and count."""
        ask = envelope.reply
        if ask is not None and not ask.answer(result):
            self.record_dead(result, ask.asker, envelope, Reason.LATE_REPLY, sender=cell.name)
        self.done(envelope.cause)

    def done(self, cause: Cause) -> None:
        """One message of ``cause`` is no more."""
        cause.live -= 1
        if not cause.live and cause.waiters is not None:
            self.wake_waiters(cause)

    def wake_waiters(self, cause: Cause) -> None:
        """Nothing of ``cause`` is left: tell the sources that wait for that."""
        waiters, cause.waiters = cause.waiters, None
        for waiter in waiters or ():
            waiter()

    def undeliverable(self, to: str, envelope: Envelope, reason: Reason) -> None:
        """A message will not be handled: record it, tell its asker, count."""
        if isinstance(envelope.message, Latest):
            self.cells[to].latest.pop(envelope.message.key, None)
            envelope.message = envelope.message.message
        if type(envelope.message) not in LIFECYCLE:
            self.record_dead(envelope.message, to, envelope, reason)
        if envelope.reply is not None:
            what = type(envelope.message).__name__
            envelope.reply.fail(AskFailed(f"{to!r} did not handle {what}: {reason.value}"))
        self.done(envelope.cause)

    def record_dead(
        self, message: object, to: str, envelope: Envelope | None, reason: Reason, sender: str | None = None
    ) -> None:
        """Record a dead letter and tell whoever has a handler for ``DeadLetter``."""
        if sender is None:
            sender = BUS if envelope is None else envelope.sender
        letter = DeadLetter(message, to, sender, reason, 0 if envelope is None else envelope.sequence)
        self.dead_letters.add(letter)
        if isinstance(message, DeadLetter):
            return
        for subscriber in self.routes.get(DeadLetter, ()):
            cause, causation = (None, 0) if envelope is None else (envelope.cause, envelope.sequence)
            subscriber.push(self.wrap(letter, BUS, cause, causation))

    def forget(self, cell: Cell) -> None:
        """An actor takes no more messages: no subscriptions, no timers, nobody waits for room in its inbox."""
        for message_type in cell.subscriptions:
            self.routes[message_type] = tuple(other for other in self.routes[message_type] if other is not cell)
        self.timers.cancel_ordinary(cell)
        waiters, cell.room_waiters = cell.room_waiters, []
        for waiter in waiters:
            waiter.resolve(None)

    def schedule(self, when: int, fire: Callable[[], object], owner: Cell | None = None) -> Timer:
        """Do something at a time (ns)."""
        return self.timers.add(when, fire, owner)
