"""Defines a receiver of webhooks on loopback that does what its script says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web


class Reply(NamedTuple):
    """What the receiver does once."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    hang_up: bool = False
    """Close the connection without a word."""
    silent: bool = False
    """Never answer."""


class Receiver:
    """Gives its replies in turn, the last one again and again; `received` are the bodies it was sent."""

    def __init__(self) -> None:
        self.replies = [Reply()]
        self.received: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.asked = asyncio.Condition()
        self.url = ""

    async def until(self, count: int) -> None:
        """Wait for so many requests in all."""
        async with self.asked:
            await self.asked.wait_for(lambda: len(self.received) >= count)

    async def take(self, request: web.Request) -> web.Response:
        reply = self.replies[min(len(self.received), len(self.replies) - 1)]
        body = await request.json()
        async with self.asked:
            self.received.append(body)
            self.headers.append(dict(request.headers))
            self.asked.notify_all()
        if reply.silent:
            await asyncio.Event().wait()
        if reply.hang_up:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=reply.status, headers=dict(reply.headers))


@asynccontextmanager
async def receiver(path: str = "/services/T00/B00/correct-horse-battery") -> AsyncIterator[Receiver]:
    """A receiver that listens; its address holds a secret."""
    made, app = Receiver(), web.Application()
    app.router.add_post(path, made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    try:
        yield made
    finally:
        await runner.cleanup()
