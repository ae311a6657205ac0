"""The naive way: a task per actor, an anyio memory stream (buffer 100) per inbox, a reply stream per ask.

No envelopes, no causes, no supervision: what one would write in an afternoon. Other benchmarks measure against it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

BUFFER = 100

Handle = Callable[["StreamActor", Any], Awaitable[Any]]


class StreamActor:
    """An actor with one handler for everything.

    Args:
        name: name on the bus.
        handle: ``async def handle(actor, message)``; its result answers an ask.
        types: message types that ``publish`` sends to this actor.
    """

    def __init__(self, name: str, handle: Handle, *types: type) -> None:
        self.name = name
        self.types = types
        self.bus: StreamBus
        self.inbox: MemoryObjectSendStream[tuple[Any, MemoryObjectSendStream[Any] | None]]
        self._handle = handle
        self._arrivals: MemoryObjectReceiveStream[tuple[Any, MemoryObjectSendStream[Any] | None]]

    def attach(self, bus: StreamBus) -> None:
        """Join a bus."""
        self.bus = bus
        self.inbox, self._arrivals = anyio.create_memory_object_stream[Any](BUFFER)

    async def tell(self, to: str, message: object) -> None:
        """Send to one actor; waits while its buffer is full."""
        await self.bus.actors[to].inbox.send((message, None))

    async def publish(self, message: object) -> None:
        """Send to every actor that takes this type."""
        for actor in self.bus.routes[type(message)]:
            await actor.inbox.send((message, None))

    async def ask(self, to: str, request: object, timeout: float) -> Any:
        """Send a question and wait for the answer."""
        return await self.bus.ask(to, request, timeout)

    async def run(self) -> None:
        """Handle messages until the stream is closed."""
        async with self._arrivals:
            async for message, reply in self._arrivals:
                result = await self._handle(self, message)
                if reply is not None:
                    await reply.send(result)
                    reply.close()

    def close(self) -> None:
        """End ``run`` once the buffer is empty."""
        self.inbox.close()


class StreamBus:
    """Names and types to actors, and the task group that they run in."""

    def __init__(self, *actors: StreamActor) -> None:
        self.actors = {actor.name: actor for actor in actors}
        self.routes: dict[type, list[StreamActor]] = {}
        self.done = anyio.Event()
        """For the benchmark: set by an actor that has nothing more to send."""
        self._group: TaskGroup | None = None
        for actor in actors:
            actor.attach(self)
            for message_type in actor.types:
                self.routes.setdefault(message_type, []).append(actor)

    async def ask(self, to: str, request: object, timeout: float) -> Any:
        """Send a question and wait for the answer."""
        answers, answer = anyio.create_memory_object_stream[Any](1)
        with anyio.fail_after(timeout):
            await self.actors[to].inbox.send((request, answers))
            async with answer:
                return await answer.receive()

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        for actor in self.actors.values():
            self._group.start_soon(actor.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self.actors.values():
            actor.close()
        if self._group is not None:
            await self._group.__aexit__(kind, error, trace)
