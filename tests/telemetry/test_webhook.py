"""Alerts over real sockets to a receiver that misbehaves as asked."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from pydantic import SecretStr
from tests.actors.test_alerts import CONFIG
from tests.telemetry.receiver import Receiver, Reply, receiver

from basis_actors.errors import Severity
from basis_actors.messages.operations import Alert
from basis_actors.telemetry.webhook import BODIES, WebhookCourier, json_body, slack_body

pytestmark = pytest.mark.anyio
ORIGIN = {"mode": "btc_basis", "run": "live-1"}
SECRET = "correct-horse-battery"


def alert(message: str = "it broke") -> Alert:
    return Alert(
        time=datetime(2025, 1, 15, 3, 0, tzinfo=UTC),
        severity=Severity.HIGH,
        component="venue_binance",
        code="VEN-003",
        message=message,
    )


async def no_pause(_seconds: float) -> None:
    """Time flies."""


def courier(
    url: str,
    form: str = "json",
    seed: int = 7,
    sleep: Callable[[float], Awaitable[None]] = no_pause,
    **changes: Any,
) -> WebhookCourier:
    config = CONFIG.model_copy(update={"retries": 3, "longest_retry_seconds": 60.0, **changes})
    return WebhookCourier(config, BODIES[form], SecretStr(url), ORIGIN, random.Random(seed), sleep)


class Fates:
    """Notes what became of alerts, and for how long was waited between tries."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.delayed: list[tuple[str, str]] = []
        self.given_up: list[tuple[str, str]] = []
        self.waits: list[float] = []
        self._changed = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def deliver(self, alert: Alert) -> None:
        self.delivered.append(alert.message)
        self._changed.set()

    def delay(self, alert: Alert, reason: str) -> None:
        self.delayed.append((alert.message, reason))

    def give_up(self, alert: Alert, reason: str) -> None:
        self.given_up.append((alert.message, reason))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed = anyio.Event()
            await self._changed.wait()

    async def settled(self, count: int) -> None:
        await self.until(lambda: len(self.delivered) + len(self.given_up) >= count)


@asynccontextmanager
async def running(made: WebhookCourier, fates: Fates) -> AsyncIterator[Fates]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run, fates.deliver, fates.delay, fates.give_up)
        yield fates
        tasks.cancel_scope.cancel()


async def sent(there: Receiver, replies: list[Reply], count: int = 1, **changes: Any) -> Fates:
    """What comes of alerts that are sent to a receiver with these replies."""
    there.replies = replies
    fates = Fates()
    made = courier(there.url, sleep=fates.sleep, **changes)
    async with running(made, fates):
        for number in range(count):
            assert made.offer(alert(f"number {number}"))
        await fates.settled(count)
    return fates


async def test_alerts_arrive_in_order() -> None:
    async with receiver() as there:
        fates = await sent(there, [Reply(), Reply(204)], 3)
    assert [body["message"] for body in there.received] == fates.delivered == ["number 0", "number 1", "number 2"]
    assert there.received[0] == {
        "time": "2025-01-15T03:00:00Z",
        "severity": "HIGH",
        "component": "venue_binance",
        "code": "VEN-003",
        "message": "number 0",
        "mode": "btc_basis",
        "run": "live-1",
    }
    assert there.headers[0]["Content-Type"] == "application/json"


async def test_what_may_pass_is_tried_again_after_ever_longer_pauses() -> None:
    async with receiver() as there:
        fates = await sent(there, [Reply(503), Reply(hang_up=True), Reply(429), Reply()], retry_jitter=0.5)
    assert fates.delivered == ["number 0"]
    assert fates.delayed == [("number 0", "status 503")], "once, when the first try has failed"
    chance = random.Random(7)
    assert fates.waits == [pause * (1.0 + 0.5 * chance.random()) for pause in (1.0, 2.0, 4.0)]


async def test_the_jitter_follows_from_the_seed() -> None:
    waits = []
    for seed in (1, 1, 2):
        async with receiver() as there:
            fates = await sent(there, [Reply(500), Reply(500), Reply()], retry_jitter=0.5, seed=seed)
            waits.append(tuple(fates.waits))
    assert waits[0] == waits[1] != waits[2]


async def test_a_receiver_that_asks_for_more_time_gets_it_up_to_the_longest_pause() -> None:
    replies = [
        Reply(429, (("Retry-After", "30"),)),
        Reply(429, (("Retry-After", "9999"),)),
        Reply(429, (("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"),)),
        Reply(),
    ]
    async with receiver() as there:
        fates = await sent(there, replies)
    assert fates.waits == [30.0, 60.0, 4.0]


async def test_after_the_last_try_it_goes_on_with_the_next() -> None:
    async with receiver() as there:
        fates = await sent(there, [Reply(500)] * 4 + [Reply()], 2)
    assert fates.given_up == [("number 0", "status 500")]
    assert fates.delivered == ["number 1"]
    assert len(there.received) == 5


@pytest.mark.parametrize("status", [400, 403, 404, 302])
async def test_a_refusal_is_not_tried_again_and_no_redirect_is_followed(status: int) -> None:
    async with receiver() as there:
        fates = await sent(there, [Reply(status, (("Location", there.url),))])
    assert (fates.delayed, fates.given_up) == ([], [("number 0", f"status {status}")])
    assert len(there.received) == 1


async def test_an_answer_that_stays_out_is_given_up() -> None:
    async with receiver() as there:
        fates = await sent(there, [Reply(silent=True), Reply()], timeout_seconds=0.05)
    assert fates.delivered == ["number 0"]
    assert fates.waits == [1.0]


async def test_nobody_there_is_said_without_the_address() -> None:
    async with receiver() as gone:
        url = gone.url
    made = courier(url, retries=1)
    async with running(made, Fates()) as fates:
        made.offer(alert())
        await fates.settled(1)
    ((_, reason),) = fates.given_up
    assert reason == "no connection: ClientConnectorError"


async def test_a_name_that_cannot_be_looked_up_is_nobody_there() -> None:
    made = courier(f"https://hooks..example.com/{SECRET}", retries=0)
    async with running(made, Fates()) as fates:
        made.offer(alert())
        await fates.settled(1)
    ((_, reason),) = fates.given_up
    assert reason == "no connection: UnicodeError"


async def test_no_way_of_failing_shows_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    texts = []
    for replies in ([Reply(404)], [Reply(500)], [Reply(hang_up=True)], [Reply(silent=True)]):
        async with receiver() as there:
            fates = await sent(there, replies, retries=0, timeout_seconds=0.05)
            texts += [repr(fates.given_up), repr(vars(courier(there.url)))]
    assert not any(SECRET in text for text in (*texts, caplog.text))


async def test_a_queue_takes_no_more_than_its_limit_and_never_waits() -> None:
    made = courier("http://127.0.0.1:1/", queue_limit=2)
    assert [made.offer(alert()) for _ in range(4)] == [True, True, False, False]


async def test_one_that_is_on_its_way_when_the_process_stops_is_tried_once_more() -> None:
    async with receiver() as there:
        there.replies = [Reply(silent=True), Reply()]
        made = courier(there.url)
        async with running(made, Fates()):
            made.offer(alert("on its way"))
            made.offer(alert("waiting"))
            await there.until(1)
        assert await made.flush(60.0) == []
        assert [body["message"] for body in there.received] == ["on its way", "on its way", "waiting"]


async def test_the_stop_tries_each_once() -> None:
    async with receiver() as there:
        there.replies = [Reply(500), Reply(404), Reply()]
        made = courier(there.url)
        for number in range(4):
            made.offer(alert(f"number {number}"))
        left = await made.flush(60.0)
        assert [(one.alert.message, one.reason) for one in left] == [
            ("number 0", "status 500"),
            ("number 1", "status 404"),
        ]
        assert await made.flush(60.0) == [], "nothing is left in the queue"
    assert [body["message"] for body in there.received] == [f"number {number}" for number in range(4)]


async def test_the_stop_waits_no_longer_than_it_may() -> None:
    async with receiver() as there:
        there.replies = [Reply(silent=True)]
        made = courier(there.url)
        for number in range(3):
            made.offer(alert(f"number {number}"))
        left = await made.flush(0.01)
    assert [(one.alert.message, one.reason) for one in left] == [
        (f"number {number}", "the 0.01 s of a stop were over") for number in range(3)
    ]
    assert len(there.received) <= 1


async def test_what_is_said_last_comes_after_a_queue_that_is_full() -> None:
    async with receiver() as there:
        made = courier(there.url, queue_limit=1)
        assert [made.offer(alert("waiting")) for _ in range(2)] == [True, False]
        assert await made.flush(60.0, [alert("the end")]) == []
    assert [body["message"] for body in there.received] == ["waiting", "the end"]


async def test_a_stop_with_nothing_to_say_asks_nobody() -> None:
    assert await courier("http://127.0.0.1:1/").flush(60.0) == []


def test_slack_gets_one_text_that_cannot_be_taken_for_markup() -> None:
    text = slack_body(alert("1 < 2 & 3 > 2 <!channel>"), ORIGIN)
    assert text == {
        "text": "HIGH VEN-003 venue_binance: 1 &lt; 2 &amp; 3 &gt; 2 &lt;!channel&gt;\n"
        "2025-01-15T03:00:00Z, mode btc_basis, run live-1"
    }


def test_a_long_message_is_cut() -> None:
    long = alert("x" * 50_000)
    assert len(json_body(long, {})["message"]) == 3000
    assert len(slack_body(long, {})["text"]) < 3200
