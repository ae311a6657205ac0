"""Sends requests through ccxt, which knows addresses and signatures. Importing this needs the extra `live`.

Only ccxt's raw endpoints are used, with amounts as text, and its answers as text. What it makes of them otherwise
is left alone: it turns numbers into floats, asks for thousands of markets, guesses what was meant by a symbol, and its
table of errors mixes what was refused with what may have happened, differently for addresses that are not the
exchange's own. Nothing of ccxt leaves this file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from ccxt import async_support
from ccxt.base.errors import BaseError

from basis_actors.config.secrets import ExchangeKeys
from basis_actors.venues.wire.addresses import replaced
from basis_actors.venues.wire.answers import Answer, Lost, Params
from basis_actors.venues.wire.certificates import trusted

__all__ = ["CcxtClient", "Deadline"]

_MS_PER_SECOND: Final = 1000
_NEVER_LEFT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""There was no connection, so nothing was sent over it."""


class _Arrived(Exception):
    """Brings an answer out of ccxt.

    An exception, because what ccxt keeps of an answer on itself is that of whichever request ended last.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


_CALL: Final[ContextVar[str]] = ContextVar("call")
"""Which endpoint is being asked."""


class Deadline(NamedTuple):
    """How an exchange is told, if not by a parameter, until when it may take a request."""

    header: str
    window_ms: int


class _Plain:
    """What each exchange class of ccxt is overridden with."""

    routes: dict[str, tuple[str, str]]

    # ccxt logs headers and signed addresses; they go to a logger that nobody listens to.
    logger = logging.Logger("ccxt")
    logger.addHandler(logging.NullHandler())

    now_ms: Callable[[], int]
    deadline: Deadline | None

    session: aiohttp.ClientSession | None

    def open(self, lazy: bool = False) -> None:  # noqa: FBT001, FBT002 - ccxt calls it so
        """Called by ccxt before each request, to make its session if there is none."""
        is_new = self.session is None
        super().open(lazy)  # type: ignore[misc]
        if is_new and self.session is not None:
            self.session.trace_configs.append(_watching())

    def nonce(self) -> int:
        """Time that requests are signed with."""
        return self.now_ms()

    def sign(self, path: str, api: object, method: str, *rest: object) -> dict[str, Any]:
        """Called by ccxt with each request. Until when one is taken that may change something is not signed."""
        signed: dict[str, Any] = super().sign(path, api, method, *rest)  # type: ignore[misc]
        if self.deadline is not None and method == "POST":
            signed["headers"][self.deadline.header] = str(self.now_ms() + self.deadline.window_ms)
        return signed

    async def fetch(self, url: str, method: str = "GET", headers: object = None, body: object = None) -> object:
        """Called by ccxt with each request, signed; what is remembered of it is not."""
        self.routes[_CALL.get()] = (method, urlsplit(url).path)
        return await super().fetch(url, method, headers, body)  # type: ignore[misc]

    def parse_json(self, _text: str) -> None:
        """Leave the text as it is."""

    def handle_errors(
        self, status: int, _reason: str, _url: str, _method: str, headers: Mapping[str, str], text: str, *_rest: object
    ) -> None:
        """Called by ccxt with each answer, good or bad."""
        raise _Arrived(Answer(status, {name.lower(): value for name, value in headers.items()}, text))


class RedirectError(aiohttp.ClientError):
    """A request was to be sent on to another address: once more, and with our key."""


def _watching() -> aiohttp.TraceConfig:
    """What a session does beside what ccxt asks of it."""
    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(_stay)
    config.on_request_end.append(_read_as_utf8)
    config.freeze()
    return config


async def _stay(_session: object, _context: object, seen: aiohttp.TraceRequestRedirectParams) -> None:
    seen.response.close()
    raise RedirectError(f"status {seen.response.status}, which is not followed")


async def _read_as_utf8(_session: object, _context: object, seen: aiohttp.TraceRequestEndParams) -> None:
    """Whatever an answer says of its letters: JSON is UTF-8, and not every name of an alphabet is one."""
    seen.response.get_encoding = lambda: "utf-8"  # type: ignore[method-assign]


class CcxtClient:
    """One exchange account's connection. Sends a request once.

    The HTTP library itself sends a GET, or the DELETE of an order by its id, once more when a connection that it kept
    turns out to be dead; both change nothing the second time. A POST is never repeated.
    """

    def __init__(
        self,
        venue: str,
        keys: ExchangeKeys | None,
        urls: Mapping[str, str],
        *,
        timeout_seconds: float,
        options: Mapping[str, Any],
        now_ms: Callable[[], int],
        deadline: Deadline | None = None,
    ) -> None:
        """`urls` replace addresses by the names of `config.exchange_api`, `options` are ccxt's own of the exchange."""
        base = getattr(async_support, venue)
        secrets = _named(keys)
        self._secrets = tuple(value for value in secrets.values() if value)
        self._exchange = type(venue, (_Plain, base), {"now_ms": staticmethod(now_ms), "deadline": deadline})(
            {
                **secrets,
                "timeout": int(timeout_seconds * _MS_PER_SECOND),
                "enableRateLimit": False,
                "timeout_on_exit": 0,
                "ssl_context": trusted(),
                "options": dict(options),
            }
        )
        self._exchange.routes = {}
        self._exchange.urls["api"] = replaced(venue, self._exchange.urls["api"], urls)

    @property
    def has_keys(self) -> bool:
        """Whether requests can be signed."""
        return bool(self._secrets)

    def route(self, call: str) -> tuple[str, str]:
        """Method and path of an endpoint, as it was asked last; empty before the first time."""
        route: tuple[str, str] = self._exchange.routes.get(call, ("", ""))
        return route

    async def send(self, call: str, params: Params) -> Answer | Lost:
        """Send one request; `call` is the name of ccxt's method. A cancellation leaves its outcome unknown."""
        _CALL.set(call)
        try:
            await getattr(self._exchange, call)(dict(params))
        except _Arrived as arrived:
            answer = arrived.answer
            return Answer(answer.status, answer.headers, self._hide(answer.text))
        except BaseError as error:
            cause = error.__cause__
            return Lost(self._hide(_why_lost(error, cause)), left=not isinstance(cause, _NEVER_LEFT))
        raise RuntimeError(f"ccxt returned from {call} without handing its answer to handle_errors")

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


def _why_lost(error: BaseError, cause: BaseException | None) -> str:
    """Why no answer came."""
    if isinstance(cause, aiohttp.ClientConnectorError) and not isinstance(cause, aiohttp.ClientSSLError):
        return f"no connection to {cause.host}:{cause.port}: {cause.strerror or cause.os_error}"
    # An address may be part of it; what follows its path is signed.
    return f"{type(cause or error).__name__} {cause or ''}".partition("?")[0].rstrip()


def _named(keys: ExchangeKeys | None) -> dict[str, str]:
    """The credentials by ccxt's names for them."""
    if keys is None:
        return {}
    names = {"api_key": "apiKey", "api_secret": "secret", "passphrase": "password"}
    return {names[field]: getattr(keys, field).get_secret_value() for field in type(keys).model_fields}
