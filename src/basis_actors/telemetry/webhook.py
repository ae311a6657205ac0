"""Brings the alerts of one route to its webhook. Importing this needs the extra `live`.

The address is a secret: whatever is said about a failure is put together here and never quotes what a library said.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

import anyio
import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from pydantic import SecretStr
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from basis_actors.config import AlertsConfig
from basis_actors.messages.operations import Alert, AlertNotDelivered
from basis_actors.times import utc_text

__all__ = ["BODIES", "WebhookCourier"]

_LONGEST_TEXT: Final = 3000
"""Characters of a message; Slack folds away what is longer."""


class WebhookCourier:
    """Keeps at most `queue_limit` alerts and delivers them in order, one at a time.

    An alert leaves the queue when it has been taken or given up, so that one which is on its way when the process stops
    is tried once more: rather twice than not at all. `origin` says which process speaks; `chance` gives the jitter;
    `sleep` waits between tries, in seconds of the world outside, whatever the pace of the engine.
    """

    def __init__(
        self,
        config: AlertsConfig,
        body: Callable[[Alert, Mapping[str, str]], Mapping[str, Any]],
        address: SecretStr,
        origin: Mapping[str, str],
        chance: random.Random,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._config = config
        self._body = body
        self._address = address
        self._origin = dict(origin)
        self._chance = chance
        self._sleep = sleep
        self._queue: deque[Alert] = deque()
        self._offered = anyio.Event()

    def offer(self, alert: Alert) -> bool:
        """Have an alert delivered, after those before it; False when too many wait. Never blocks."""
        if len(self._queue) >= self._config.queue_limit:
            return False
        self._queue.append(alert)
        self._offered.set()
        return True

    async def run(
        self,
        delivered: Callable[[Alert], object],
        delayed: Callable[[Alert, str], object],
        given_up: Callable[[Alert, str], object],
    ) -> None:
        """Deliver what is offered until cancelled, and say of each alert what came of it, and of one whose first try
        has failed that it is tried again."""

        def note(state: RetryCallState) -> None:
            if state.attempt_number == 1 and state.outcome is not None:
                delayed(self._queue[0], str(state.outcome.exception()))

        tries = AsyncRetrying(
            stop=stop_after_attempt(self._config.retries + 1),
            wait=self._pause,
            retry=retry_if_exception_type(_MayPassError),
            sleep=self._sleep,
            before_sleep=note,
            reraise=True,
        )
        async with self._session() as session:
            while True:
                alert = await self._next()
                try:
                    await tries(self._post, session, alert)
                except _RefusedError as error:
                    self._queue.popleft()
                    given_up(alert, str(error))
                else:
                    self._queue.popleft()
                    delivered(alert)

    async def flush(self, seconds: float, last: Sequence[Alert] = ()) -> Sequence[AlertNotDelivered]:
        """Deliver what still waits and then `last`, however many wait, each with one try, for at most so long. What is
        left."""
        self._queue.extend(last)
        left: list[AlertNotDelivered] = []
        with anyio.move_on_after(seconds):
            async with self._session() as session:
                while self._queue:
                    try:
                        await self._post(session, self._queue[0])
                    except _RefusedError as error:
                        left.append(AlertNotDelivered(self._queue[0], str(error)))
                    self._queue.popleft()
        late = f"the {seconds:g} s of a stop were over"
        return [*left, *(AlertNotDelivered(alert, late) for alert in self._queue)]

    async def _next(self) -> Alert:
        """The oldest alert, left in its place; waits for one."""
        while not self._queue:
            self._offered = anyio.Event()
            await self._offered.wait()
        return self._queue[0]

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[ClientSession]:
        """A session that is closed in order even when its user is cancelled."""
        timeout = ClientTimeout(total=self._config.timeout_seconds)
        session = ClientSession(timeout=timeout, cookie_jar=DummyCookieJar())
        try:
            yield session
        finally:
            with anyio.CancelScope(shield=True):
                await session.close()

    async def _post(self, session: ClientSession, alert: Alert) -> None:
        content = msgspec.json.encode(self._body(alert, self._origin))
        try:
            async with session.post(
                self._address.get_secret_value(),
                data=content,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as answer:
                status, wait = answer.status, answer.headers.get("Retry-After")
        except TimeoutError:
            raise _MayPassError(f"no answer within {self._config.timeout_seconds:g} s") from None
        except (ClientError, OSError, UnicodeError) as error:  # the last of a name that cannot be looked up
            raise _MayPassError(f"no connection: {type(error).__name__}") from None
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _MayPassError(f"status {status}", _seconds(wait))
        raise _RefusedError(f"status {status}")

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next try: twice as long each time and a little more, and as long as the receiver asks."""
        config = self._config
        pause = min(config.retry_seconds * 2.0 ** (state.attempt_number - 1), config.longest_retry_seconds)
        pause *= 1.0 + config.retry_jitter * self._chance.random()
        error = None if state.outcome is None else state.outcome.exception()
        asked = error.wait_seconds if isinstance(error, _MayPassError) else 0.0
        return max(pause, min(asked, config.longest_retry_seconds))


def json_body(alert: Alert, origin: Mapping[str, str]) -> dict[str, Any]:
    """Every field by name, for programs."""
    return {
        "time": utc_text(alert.time),
        "severity": alert.severity.value,
        "component": alert.component,
        "code": alert.code,
        "message": alert.message[:_LONGEST_TEXT],
        **origin,
    }


def slack_body(alert: Alert, origin: Mapping[str, str]) -> dict[str, Any]:
    """One text for people: how bad it is, where, and what."""
    head = " ".join(part for part in (alert.severity.value, alert.code, alert.component) if part)
    where = ", ".join(f"{name} {value}" for name, value in origin.items())
    text = f"{head}: {alert.message[:_LONGEST_TEXT]}\n{utc_text(alert.time)}, {where}"
    for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, escaped)
    return {"text": text}


BODIES: Final = {"json": json_body, "slack": slack_body}
"""By the format of a route."""
_PASSING: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class _RefusedError(Exception):
    """The receiver does not take it. The text may be logged."""


class _MayPassError(_RefusedError):
    """It may take it another time."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def _seconds(text: str | None) -> float:
    """A Retry-After in seconds; 0 without one, and for a date."""
    with suppress(ValueError):
        return max(0.0, float(text or 0.0))
    return 0.0
