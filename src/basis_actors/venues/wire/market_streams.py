"""Listens to the market streams of an exchange. It does not connect again: whoever listens knows when.

Those of ccxt serve whoever waits for one message: of several that come together they tell the first, and a connection
that is being made outlives its cancellation. Here each message is passed on, and whatever breaks is the end of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import anyio

from basis_actors.errors import UNREADABLE, Transient
from basis_actors.messages.quotes import Price
from basis_actors.venues.wire.certificates import trusted
from basis_actors.venues.wire.quotes import Subscription

__all__ = ["watch"]

_BANNED: Final = 418
_LIMITED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, _BANNED})
"""Statuses of a connection that is refused because too many are opened."""


async def watch(
    venue: str, subscriptions: tuple[Subscription, ...], seen: Callable[[Price], object], *, timeout_seconds: float
) -> None:
    """Call `seen` with every price of every stream, until cancelled.

    `timeout_seconds` is the longest wait for a connection, and for its end. Raises Transient when a stream breaks,
    after the end of all others: VEN-006 where too many connections were opened, else VEN-003.
    """
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted())) as session:
        try:
            async with anyio.create_task_group() as streams:
                for subscription in subscriptions:
                    streams.start_soon(_Stream(venue, session, subscription, timeout_seconds).listen, seen)
        except BaseExceptionGroup as several:
            first = _first(several)
        else:
            return
    raise first


class _Stream:
    """One connection."""

    def __init__(
        self, venue: str, session: aiohttp.ClientSession, subscription: Subscription, timeout_seconds: float
    ) -> None:
        parts = urlsplit(subscription.url)
        self._what = f"{venue} stream {parts.hostname}{parts.path}"
        self._session = session
        self._subscription = subscription
        self._timeout_seconds = timeout_seconds

    async def listen(self, seen: Callable[[Price], object]) -> None:
        socket = await self._connect()
        try:
            async with anyio.create_task_group() as tasks:
                if self._subscription.ping:
                    tasks.start_soon(self._keep_open, socket)
                while True:
                    for price in await self._next(socket):
                        seen(price)
        finally:
            await socket.close()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        patience = aiohttp.ClientWSTimeout(ws_close=self._timeout_seconds)
        with self._breaking():
            with anyio.fail_after(self._timeout_seconds):
                socket = await self._session.ws_connect(self._subscription.url, timeout=patience)
            for request in self._subscription.requests:
                await socket.send_str(request)
        return socket

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> tuple[Price, ...]:
        with self._breaking():
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                return tuple(self._subscription.read(message.data))
        raise Transient("VEN-003", f"{self._what}: it has ended ({message.type.name} {message.data or ''})")

    async def _keep_open(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await anyio.sleep(self._subscription.ping_seconds)
            with self._breaking():
                await socket.send_str(self._subscription.ping)

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.WSServerHandshakeError as error:
            code = "VEN-006" if error.status in _LIMITED else "VEN-003"
            raise Transient(code, f"{self._what}: refused with status {error.status}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Transient("VEN-003", f"{self._what}: {type(error).__name__} {error}".rstrip()) from None
        except UNREADABLE as error:
            raise Transient("VEN-003", f"{self._what}: a message cannot be read: {error}") from None


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group of errors is about: one that is no break is a mistake, and goes before all that are."""
    errors = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in several.exceptions]
    return next((error for error in errors if not isinstance(error, Transient)), errors[0])
