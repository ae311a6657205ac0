"""Defines the client of an HTTP endpoint that gives signals. Importing this needs the extra `live`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import anyio  # noqa: TID251 - nothing of this is in a simulation
import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from basis_actors.config import HttpSignals
from basis_actors.errors import DataError

__all__ = ["HttpSignalEndpoint"]

_LONGEST_WAIT_SECONDS: Final = 60.0
"""Between two tries of one question."""
_LARGEST_ANSWER: Final = 65_536
"""Bytes; a signal has about a hundred."""


class HttpSignalEndpoint:
    """Asks one address with GET. A failure that may pass is tried again, a refusal is not."""

    def __init__(self, config: HttpSignals) -> None:
        self._config = config

    async def fetch(self, sleep: Callable[[float], Awaitable[None]]) -> bytes:
        """The body of the answer; `sleep` waits between tries, seconds. Raises DataError DATA-003 when none came."""
        config = self._config
        tries = AsyncRetrying(
            stop=stop_after_attempt(config.retries + 1),
            wait=wait_exponential(multiplier=config.retry_seconds, max=_LONGEST_WAIT_SECONDS),
            retry=retry_if_exception(_may_pass),
            sleep=sleep,
            reraise=True,
        )
        try:
            async with httpx.AsyncClient(timeout=None) as client:  # noqa: S113 - the whole try has a limit
                return await tries(self._ask, client)
        except TimeoutError as error:
            text = f"no whole answer within {config.timeout_seconds:g} s"
            raise DataError("DATA-003", f"no signal from {config.url}: {text}") from error
        except httpx.HTTPError as error:
            raise DataError("DATA-003", f"no signal from {config.url}: {_reason(error)}") from error

    async def _ask(self, client: httpx.AsyncClient) -> bytes:
        """The body of one answer, which comes within the time and size that an answer may have."""
        config, body = self._config, b""
        with anyio.fail_after(config.timeout_seconds):
            async with client.stream("GET", config.url) as answer:
                answer.raise_for_status()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > _LARGEST_ANSWER:
                        text = f"an answer of more than {_LARGEST_ANSWER:,} bytes; one JSON object was expected"
                        raise DataError("DATA-003", f"no signal from {config.url}: {text}")
        return body


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, httpx.TransportError | TimeoutError)


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return f"{type(error).__name__} {error}".rstrip()
