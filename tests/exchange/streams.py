"""Serves the streams of a local exchange, and what goes wrong with streams. Each exchange says what is in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import Condition
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from tests.exchange.account import Account
from tests.exchange.market import Kind


@dataclass
class Listener:
    """One open connection."""

    socket: web.WebSocketResponse
    topics: set[str] = field(default_factory=set)
    account: Kind | None = None
    """The account stream that it carries."""
    listen_key: str = ""
    spot: bool = False
    """Whether its topics are those of spot markets."""
    headers: dict[str, str] = field(default_factory=dict)
    """What it asked for the connection with."""
    heard: list[str] = field(default_factory=list)
    """Everything that it has said since."""


class Streams(ABC):
    """All open connections. Events go out when `flush` is awaited: a test says when."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.listeners: list[Listener] = []
        self.silent = False
        """Whether connections stay open and say nothing of their own accord."""
        self.lose = 0
        """How many of the next events are lost."""
        self.twice = False
        """Whether events are sent two times."""
        self.changed = Condition()
        """Told of every connection, message and end."""
        self.waiting: list[tuple[str, Any]] = []
        """What has happened and is not told yet, by topic."""
        account.on_event = self.note

    async def disconnect(self) -> None:
        """Close every connection, as after twenty-four hours."""
        for listener in list(self.listeners):
            await listener.socket.close()

    async def break_off(self) -> None:
        """Break every connection off without a word."""
        for listener in list(self.listeners):
            assert listener.socket._req is not None
            assert listener.socket._req.transport is not None
            listener.socket._req.transport.abort()

    async def say(self, text: str) -> None:
        """Tell every connection something that no topic is about."""
        for listener in list(self.listeners):
            await listener.socket.send_str(text)

    async def until(self, holds: Callable[[Listener], bool]) -> None:
        """Wait for a connection of which something holds."""
        async with self.changed:
            await self.changed.wait_for(lambda: any(holds(listener) for listener in self.listeners))

    async def until_deserted(self) -> None:
        """Wait for the end of every connection."""
        async with self.changed:
            await self.changed.wait_for(lambda: not self.listeners)

    async def flush(self, *, reverse: bool = False) -> None:
        """Send what has happened, in order or the other way round."""
        waiting, self.waiting = self.waiting, []
        for topic, event in reversed(waiting) if reverse else waiting:
            if self.silent:
                continue
            if self.lose:
                self.lose -= 1
                continue
            for listener in list(self.listeners):
                # A customer that goes away at this moment is no matter of the exchange.
                with suppress(ConnectionResetError):
                    for _ in range(2 if self.twice else 1):
                        await self.send(listener, topic, event)

    @abstractmethod
    def note(self, kind: str, what: Any) -> None:
        """Called with everything that happens to the account and its markets."""

    @abstractmethod
    def answers(self, listener: Listener, text: str) -> Iterable[str | dict[str, Any]]:
        """What is said to what a connection says."""

    async def send(self, listener: Listener, topic: str, event: Any) -> None:
        """Tell a connection, if it has asked for such things."""
        if topic in listener.topics:
            await listener.socket.send_json(event)

    async def serve(self, request: web.Request, listener: Listener) -> web.StreamResponse:
        """A connection, up to its end."""
        socket, listener.headers = listener.socket, dict(request.headers)
        await socket.prepare(request)
        self.listeners.append(listener)
        await self._tell()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    listener.heard.append(message.data)
                    for answer in self.answers(listener, message.data):
                        await (socket.send_str(answer) if isinstance(answer, str) else socket.send_json(answer))
                    await self._tell()
        finally:
            self.listeners.remove(listener)
            await self._tell()
        return socket

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()
