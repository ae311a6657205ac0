"""Serves a local exchange over real sockets: what arrives, what goes wrong with it, what is done late.

Each exchange is a class of its own that reads requests, checks signatures and answers in its own words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, Self

from aiohttp import web
from tests.exchange.account import Account
from tests.exchange.faults import Fault, Faults
from tests.exchange.hand_clock import HandClock
from tests.exchange.journal import Journal, Request
from tests.exchange.market import Market
from tests.exchange.streams import Streams

KEY = "local-key-f00dfeed5eed"
OTHER_KEY = "another-local-key-0ff1ce"
"""A second one of the same account."""
SECRET = "local-secret-c0ffee0ddba11"
PASSPHRASE = "local-phrase-0b5e55ed"


class LocalExchange(ABC):
    """The server. Its clock, prices and faults are moved by the test; what arrived is in `journal`."""

    venue: ClassVar[str]
    streams: Streams
    unified: ClassVar[bool] = False
    """Whether one purse is behind everything that is traded."""

    def __init__(self, markets: Iterable[Market], clock: HandClock | None = None) -> None:
        self.clock = clock or HandClock()
        self.account = Account(self.clock, tuple(markets), unified=self.unified)
        self.journal = Journal()
        self.faults = Faults()
        self.revoked = False
        """Whether the key is refused."""
        self.port = 0
        self._late: list[Callable[[], Any]] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        for path, serve in self.sockets.items():
            app.router.add_get(path, serve)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.faults.released.set()
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    @abstractmethod
    def urls(self) -> dict[str, str]:
        """What stands under `urls` of a venue that is served here."""

    @property
    def sockets(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Websockets by path, for an exchange that has some here."""
        return {}

    def deliver(self) -> None:
        """Carry out what was on its way all the time."""
        late, self._late = self._late, []
        for carry_out in late:
            carry_out()

    @abstractmethod
    async def read(self, http: web.Request) -> tuple[str, dict[str, Any]]:
        """What is signed of a request, and its parameters."""

    @abstractmethod
    def answer(self, seen: Request, http: web.Request, signed: str, params: dict[str, Any]) -> web.Response:
        """Do what is asked, or refuse it; `seen` is told which."""

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        signed, params = await self.read(http)
        seen = Request(http.method, http.path, _shown(params), self.clock.ns)
        seen.query, seen.headers = http.query_string, dict(http.headers)
        self.journal.requests.append(seen)
        self.account.run_countdowns()
        fault = self.faults.take(seen.route, params)
        if fault is not None and fault.before is not None:
            fault.before()
        if fault is None or fault.passes:
            return self.answer(seen, http, signed, params)
        return await self._fail(fault, seen, http, signed, params)

    async def _fail(
        self, fault: Fault, seen: Request, http: web.Request, signed: str, params: dict[str, Any]
    ) -> web.StreamResponse:
        if fault.later:
            self._late.append(lambda: self.answer(seen, http, signed, params))
        elif fault.carried_out:
            self.answer(seen, http, signed, params)
        if fault.hangs:
            self.faults.hanging.set()
            await self.faults.released.wait()
        if fault.answer is not None:
            status, text, headers = fault.answer
            seen.status = status
            kind = "application/json" if text[:1] in ("{", "[") else "text/html"
            return web.Response(status=status, text=text, headers=headers, content_type=kind)
        seen.status = None
        assert http.transport is not None
        http.transport.abort()
        return web.Response()


def _shown(params: dict[str, Any]) -> dict[str, str]:
    """As text, booleans as JSON has them, without what a signature proves."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
        if name != "signature"
    }
