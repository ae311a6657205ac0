"""Defines what tests of actors need: a probe, and a way to run the same test body on both runtimes.

In a ``conftest.py``::

    runtime = runtimes()


    async def test_the_answer(runtime: Runtimes) -> None:
        probe = Probe("probe")
        async with runtime.bus() as bus:
            bus.add(probe)
            bus.post("probe", "hello")
            assert await probe.next() == "hello"

No test needs to sleep: ``settled``, ``idle``, ``advance`` and ``Probe.next`` wait for what is to happen, and SimBus
says so when it cannot happen any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from basis_actors.bus.actor import Actor
from basis_actors.bus.clock import ManualClock, VirtualClock
from basis_actors.bus.envelope import Envelope
from basis_actors.bus.handlers import Handler
from basis_actors.bus.live import LiveBus
from basis_actors.bus.messages import Request
from basis_actors.bus.sim import SimBus

M = TypeVar("M")
R = TypeVar("R")


class Probe(Actor):
    """An actor that records every message it gets and answers requests from a script.

    Args:
        name: name on the bus.
        subscriptions: types to record when published; what is sent to the probe by name is recorded in any case.
    """

    def __init__(self, name: str, *subscriptions: type) -> None:
        super().__init__(name)
        self.received: list[object] = []
        """All messages, oldest first."""
        self.envelopes: list[Envelope] = []
        """Their envelopes."""
        self.interruptions: list[object] = []
        """Control messages that came while the probe was in the middle of a message."""
        self._subscriptions = subscriptions
        self._unread: deque[object] = deque()
        self._script: dict[type, deque[object]] = {}

    def answers(self, request_type: type[Request[R]], *replies: R | Exception | Callable[[Any], R]) -> Probe:
        """Answer requests of this type with these replies in turn; the last one is repeated.

        An exception is raised, a function is called with the request and gives the reply. Returns the probe.
        """
        self._script[request_type] = deque(replies)
        return self

    async def next(self) -> object:
        """The oldest message not yet taken by ``next`` or ``next_of``; waits for one.

        Raises:
            BusStalled: (SimBus) no message can come any more.
        """
        await self._cell.bus.until(lambda: bool(self._unread), f"a message to {self.name!r}")
        return self._unread.popleft()

    async def next_of(self, message_type: type[M]) -> M:
        """The oldest message of this type not yet taken, leaving others where they are; waits for one."""

        def found() -> bool:
            return any(type(message) is message_type for message in self._unread)

        await self._cell.bus.until(found, f"a {message_type.__name__} to {self.name!r}")
        message = next(message for message in self._unread if type(message) is message_type)
        self._unread.remove(message)
        return message

    def of(self, message_type: type[M]) -> list[M]:
        """All messages of this type, oldest first, whether taken or not."""
        return [message for message in self.received if type(message) is message_type]

    def on_control(self, message: object) -> object:
        self.interruptions.append(message)
        return super().on_control(message)

    def handlers(self) -> Mapping[type, Handler]:
        return {**super().handlers(), **dict.fromkeys((*self._subscriptions, object), self._record)}

    def _record(self, message: object) -> object:
        self.received.append(message)
        self.envelopes.append(self.envelope)
        self._unread.append(message)
        script = self._script.get(type(message))
        if script is None:
            if isinstance(message, Request) and self.envelope.reply is not None:
                raise LookupError(
                    f"probe {self.name!r} was asked {message!r} but has no answer; use probe.answers(...)"
                )
            return None
        reply = script.popleft() if len(script) > 1 else script[0]
        if isinstance(reply, Exception):
            raise reply
        return reply(message) if callable(reply) else reply


class Runtimes:
    """Makes buses of one runtime: ``"sim"``, or ``"live"`` on a clock that only moves when nothing else can happen."""

    def __init__(self, name: Literal["sim", "live"]) -> None:
        self.name = name

    def bus(
        self,
        start_ns: int = 0,
        *,
        log_sink: str | None = None,
        correlation_id: str = "test",
        stop_order: Sequence[str] = (),
        drain_seconds: float = 10.0,
    ) -> SimBus | LiveBus:
        """A new bus; the arguments are those of ``SimBus`` and ``LiveBus``, but for the clock, which is made here."""
        if self.name == "sim":
            return SimBus(
                VirtualClock(start_ns),
                log_sink=log_sink,
                correlation_id=correlation_id,
                stop_order=stop_order,
                drain_seconds=drain_seconds,
            )
        return LiveBus(
            ManualClock(start_ns, auto=True),
            log_sink=log_sink,
            correlation_id=correlation_id,
            stop_order=stop_order,
            drain_seconds=drain_seconds,
        )

    def __repr__(self) -> str:
        return self.name


def runtimes() -> Any:
    """A pytest fixture, parametrised over both runtimes, that gives a ``Runtimes``. See the head of this file."""
    import pytest  # only tests have it

    @pytest.fixture(params=["sim", "live"])
    def runtime(request: pytest.FixtureRequest) -> Runtimes:
        return Runtimes(request.param)

    return runtime
