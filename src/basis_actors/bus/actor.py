"""Defines the actor: an object with a name and an inbox that does one thing at a time and shares nothing.

This file is the whole model. Which runtime carries the messages (``sim.py``, ``live.py``) makes no difference here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Final, Never, TypeVar, cast

from basis_actors.bus.envelope import Cause, Envelope
from basis_actors.bus.errors import BusError, NotOnABus
from basis_actors.bus.handlers import Handler, handler_names
from basis_actors.bus.messages import ActorFailed, Request

if TYPE_CHECKING:
    from basis_actors.bus.cell import Cell
    from basis_actors.bus.timers import Timer

R = TypeVar("R")


class _Defer:
    """The type of ``DEFER``."""

    def __repr__(self) -> str:
        return "DEFER"


DEFER: Final = _Defer()
"""What ``on_control`` returns to leave a message in the control lane until the current handler has returned."""


class Detached:
    """Stands where an actor's place on a bus will be, and says so to whoever needs it too early."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, verb: str) -> Never:
        raise NotOnABus(f"actor {self._name!r} has not been added to a bus yet, so it can neither send nor wait")


class Actor:
    """Base of all actors.

    To make one, subclass, and mark a method for each message type it understands::

        class Deposit(msgspec.Struct, frozen=True):
            amount: float


        class GetBalance(Request[float], frozen=True):
            pass


        class Account(Actor):
            def __init__(self, name: str) -> None:
                super().__init__(name)
                self._balance = 0.0

            @on(Deposit)
            def deposit(self, message: Deposit) -> None:
                self._balance += message.amount

            @on(GetBalance)
            def get_balance(self, message: GetBalance) -> float:
                return self._balance

    To run it, add it to a bus and start that; to stop it, stop the bus::

        async with SimBus() as bus:
            bus.add(Account("alice"))
            bus.post("alice", Deposit(10.0))
            assert await bus.ask("alice", GetBalance()) == 10.0

    What an actor can rely on:

    - **One message at a time.** While a handler runs, and also while it waits in ``ask`` or ``sleep``, no other message
      of this actor is handled. State needs no lock. Compute first and assign last, so that a failure leaves it whole.
    - **Order.** What A sends to B arrives in the order in which A sent it, whatever verbs A used.
    - **Sends never block.** Only ``ask`` and ``sleep`` wait, and only sources (see ``add_source``) wait for room.
    - **Causes.** Whatever is sent while handling a message belongs to the same cause; see ``Cause``.

    A handler may be ``def`` or ``async def``. It may await ``ask``, ``sleep`` and the ports that the actor was given,
    nothing else. A handler that raises has failed: its asker, if any, gets ``AskFailed``, and the actor's row of the
    supervision table decides what happens to the actor.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._cell: Cell = cast("Cell", Detached(name))

    # Lifecycle: override what you need. Each may be ``def`` or ``async def`` and may use every verb.

    def pre_start(self) -> Awaitable[None] | None:
        """Called before the first message, and again after ``pre_restart``: build the state from nothing."""
        return None

    def pre_restart(self, failure: ActorFailed) -> Awaitable[None] | None:  # noqa: ARG002 - for overriders
        """Called after a failure that the supervision row forgives: let go of what the broken state holds."""
        return None

    def post_stop(self) -> Awaitable[None] | None:
        """Called after the last message, also if ``pre_start`` or a handler failed: flush and release."""
        return None

    def on_control(self, message: object) -> object:  # noqa: ARG002 - for overriders
        """Called with a control message that arrives while a handler of this actor waits.

        Set flags, nothing else: the handler is in the middle of its work. For a ``Request`` the result is the answer.
        Returning ``DEFER`` (as this base does) leaves the message to its ordinary handler, right after the current one.
        Raising here escalates whatever the supervision row says.
        """
        return DEFER

    # Verbs

    def publish(self, message: object) -> None:
        """Send to every actor with a handler for exactly this type, in the order they were added, itself included.

        Nobody being subscribed is no error, and no dead letter.
        """
        self._cell.publish(message)

    def tell(self, to: str, message: object) -> None:
        """Send to the actor of that name. If it has no handler for the type, the message becomes a dead letter.

        Raises:
            UnknownActor: no such actor was ever added to the bus.
        """
        self._cell.tell(to, message)

    async def ask(self, to: str, request: Request[R], timeout: float | None = None) -> R:
        """Send a question and wait for its answer; until then this actor handles nothing else.

        The deadline is the earlier of ``timeout`` seconds from now and the deadline of the ask being handled, if any.

        Raises:
            AskTimeout: the deadline passed. The receiver is not interrupted and may still act on the request.
            AskCycle: at once, when waiting would never end because ``to`` waits for this actor.
            AskFailed: the receiver raised, has stopped, or does not know the request.
            UnknownActor: no such actor was ever added to the bus.
        """
        answer: R = await self._cell.ask(to, request, timeout)
        return answer

    def control(self, to: str, message: object) -> None:
        """Like ``tell``, through the control lane: overtakes what waits there; see also ``on_control``."""
        self._cell.tell_control(to, message)

    def log(self, event: object) -> None:
        """Send to the actor that is the log sink of the bus. Same order guarantee as ``tell``."""
        self._cell.log(event)

    def after(self, delay: float, message: object, *, new_cause: Cause | None = None) -> Timer:
        """Send a message to itself ``delay`` seconds from now, and return the timer, to ``cancel()`` it.

        The message belongs to the cause of what is being handled now, or to ``new_cause`` if given. A pending timer
        does not keep its cause from being settled.
        """
        return self._cell.after(delay, message, new_cause)

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock of the bus; until then this actor handles nothing else."""
        await self._cell.bus.clock.sleep(seconds)

    @property
    def now(self) -> int:
        """Nanoseconds since 1970-01-01 UTC, from the clock of the bus."""
        return self._cell.bus.clock.now()

    def span(self, seconds: float) -> int:
        """So many seconds of real time, as nanoseconds of the clock of the bus, which may go at another pace."""
        return self._cell.bus.clock.span(seconds)

    def seconds_until(self, moment: int) -> float:
        """Real seconds until a moment of the clock of the bus; less than 0 when it has passed."""
        return (moment - self.now) / self.span(1.0)

    @property
    def envelope(self) -> Envelope:
        """The envelope of the message being handled: sender, cause, sequence, causation and correlation, deadline.

        Raises:
            BusError: no message is being handled.
        """
        envelope = self._cell.envelope
        if envelope is None:
            raise BusError(f"actor {self.name!r} is not handling a message, so there is no envelope")
        return envelope

    # What the bus asks of an actor. Most need not override these.

    @property
    def backlog(self) -> int:
        """Messages taken from the inbox whose work is not done, like an unwritten batch; counts against sources."""
        return 0

    def handlers(self) -> Mapping[type, Handler]:
        """The message types this actor handles, each with its bound handler. Read once, when the actor is added."""
        return {message_type: getattr(self, name) for message_type, name in handler_names(type(self)).items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
