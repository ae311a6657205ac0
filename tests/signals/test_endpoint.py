"""Signals of an HTTP endpoint: a loopback server that misbehaves as asked, the real client, the live runtime."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple

import pytest
from tests.signals.markets import HOUR, START, market

from basis_actors.actors.strategy_manager import StrategyManager
from basis_actors.bus import Actor, LiveBus, ManualClock, on
from basis_actors.bus.testkit import Probe
from basis_actors.config import HttpSignals, RunConfig, load_mode
from basis_actors.errors import ConfigError, DataError
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.signals import Signal, SignalReceived
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.signals import add_signal_poller
from basis_actors.signals.endpoint import HttpSignalEndpoint
from basis_actors.signals.received import ReceivedSignals, read_answer
from basis_actors.strategies.ml_directional import MlDirectional

GOOD = {"timestamp": "2024-01-01T00:00:00Z", "signal": 0.7, "confidence": 0.9, "sd": 0.02}
SIGNAL = Signal(START, 0.7, 0.9, 0.02)


class Reply(NamedTuple):
    """What the server says once."""

    status: int = 200
    body: bytes = json.dumps(GOOD).encode()
    hang_up: bool = False
    """Close the connection without a word."""
    endless: bool = False
    """Say it again and again and never that it was all, until nobody listens."""


class Server:
    """Gives its replies in turn, the last one again and again."""

    def __init__(self) -> None:
        self.replies = [Reply()]
        self.asked = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                reply = owner.replies[min(owner.asked, len(owner.replies) - 1)]
                owner.asked += 1
                if reply.hang_up:
                    self.connection.close()
                    return
                self.send_response(reply.status)
                if reply.endless:
                    with suppress(ConnectionError):
                        self.end_headers()
                        while self.wfile.write(reply.body):
                            """Say it again."""
                        self.connection.recv(1)
                    return
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
                """Nothing is printed."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/signal"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def settings(url: str, **changes: Any) -> HttpSignals:
    given: dict[str, Any] = {
        "url": url,
        "poll_seconds": 0.001,
        "timeout_seconds": 10.0,
        "retries": 3,
        "retry_seconds": 0.5,
        "staleness_seconds": 3600.0,
        **changes,
    }
    return HttpSignals(**given)


class Waits:
    """Takes the place of sleeping, and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_a_failure_that_may_pass_is_tried_again_after_ever_longer_waits(server: Server) -> None:
    server.replies = [Reply(503), Reply(hang_up=True), Reply(429), Reply()]
    waits = Waits()
    body = await HttpSignalEndpoint(settings(server.url)).fetch(waits)
    assert read_answer(body, START) == SIGNAL
    assert server.asked == 4
    assert waits.seconds == [0.5, 1.0, 2.0]


async def test_after_the_last_try_the_error_names_address_and_reason(server: Server) -> None:
    server.replies = [Reply(500)]
    with pytest.raises(DataError, match=rf"DATA-003: no signal from {server.url}: status 500"):
        await HttpSignalEndpoint(settings(server.url, retries=2)).fetch(Waits())
    assert server.asked == 3


async def test_a_refusal_is_not_tried_again(server: Server) -> None:
    server.replies = [Reply(404)]
    with pytest.raises(DataError, match="status 404"):
        await HttpSignalEndpoint(settings(server.url)).fetch(Waits())
    assert server.asked == 1


async def test_nobody_there_is_no_signal() -> None:
    with Server() as gone:
        url = gone.url
    with pytest.raises(DataError, match=r"DATA-003: no signal from .*: ConnectError"):
        await HttpSignalEndpoint(settings(url, retries=1)).fetch(Waits())


async def test_an_answer_that_never_ends_is_no_signal(server: Server) -> None:
    server.replies = [Reply(body=b" " * 10_000, endless=True)]
    with pytest.raises(DataError, match=r"DATA-003: no signal from .*: an answer of more than 65,536 bytes"):
        await HttpSignalEndpoint(settings(server.url)).fetch(Waits())
    assert server.asked == 1


async def test_a_try_has_one_limit_for_the_whole_answer(server: Server) -> None:
    server.replies = [Reply(body=b"", endless=True)]
    with pytest.raises(DataError, match=r"DATA-003: no signal from .*: no whole answer within 0.01 s"):
        await HttpSignalEndpoint(settings(server.url, timeout_seconds=0.01, retries=0)).fetch(Waits())


@pytest.mark.parametrize(
    "url",
    ["ftp://host/", "http://", "http://[::1", "http://a..b/", "http://a b/", "http://xn--a/", "http://host:-1/",
     "http://host:99999/", "http://host/\n", f"http://{'h' * 64}/"],
)  # fmt: skip
def test_what_nobody_can_ask_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="an address such as https://host/path was expected"):
        settings(url)


BAD = {
    "no JSON": (b"long!", "JSON is malformed"),
    "no object": (b"[0.7]", "Expected `object`, got `array`"),
    "a field less": (json.dumps({k: v for k, v in GOOD.items() if k != "sd"}).encode(), "missing required field `sd`"),
    "a field more": (json.dumps({**GOOD, "side": 1}).encode(), "unknown field `side`"),
    "text for a number": (json.dumps({**GOOD, "signal": "0.7"}).encode(), "Expected `float`, got `str`"),
    "no probability": (json.dumps({**GOOD, "signal": -0.7}).encode(), "signal is -0.7; a number from 0 to 1"),
    "too sure": (json.dumps({**GOOD, "confidence": 90}).encode(), "confidence is 90.0; a number from 0 to 1"),
    "no sd": (json.dumps({**GOOD, "sd": 0}).encode(), "sd is 0.0; a finite number greater than 0"),
    "no zone": (json.dumps({**GOOD, "timestamp": "2024-01-01T00:00:00"}).encode(), "has no time zone"),
    "of the future": (json.dumps({**GOOD, "timestamp": "2024-01-01T00:00:01Z"}).encode(), "is known already"),
    "no date in UTC": (json.dumps({**GOOD, "timestamp": "9999-12-31T23:59:59-14:00"}).encode(), "out of range"),
    "before all dates": (json.dumps({**GOOD, "timestamp": "0001-01-01T00:00:00+14:00"}).encode(), "out of range"),
    "not a number": (b'{"timestamp":"2024-01-01T00:00:00Z","signal":NaN,"confidence":0.9,"sd":0.1}', "malformed"),
}


@pytest.mark.parametrize(("body", "found"), BAD.values(), ids=BAD)
def test_an_answer_that_cannot_be_used_is_refused_with_what_is_wrong(body: bytes, found: str) -> None:
    with pytest.raises(DataError) as caught:
        read_answer(body, START)
    assert caught.value.code == "DATA-002"
    assert found in caught.value.message


def test_what_was_received_counts_from_its_stamp_until_it_is_too_old() -> None:
    received = ReceivedSignals(2 * 3600.0)
    assert received.at(market(START)) is None
    received.take(SignalReceived(SIGNAL))
    later = Signal(START + HOUR + 1, 0.2, 0.9, 0.02)
    received.take(SignalReceived(later))
    assert received.at(market(START)) == SIGNAL, "the later one is not known yet at this tick"
    assert received.at(market(START + HOUR)) == SIGNAL
    assert received.at(market(START + 2 * HOUR)) == later
    assert received.at(market(START + 4 * HOUR)) is None
    assert "is older than 7200 s" in received.silence
    received.take(SignalReceived(None, "DATA-003: gone"))
    assert received.at(market(START + 4 * HOUR)) is None
    assert received.silence == "DATA-003: gone"


class Log(Actor):
    """The log sink of a test."""

    def __init__(self) -> None:
        super().__init__("log")
        self.events: list[object] = []

    @on(object)
    def write(self, event: object) -> None:
        self.events.append(event)


def run_of(url: str) -> RunConfig:
    keys = settings(url, retries=0).model_dump()
    return load_mode(
        "ml_btc_directional_usdt_margin",
        {"strategy_config.signal.http": keys, "strategy_config.signal.source": "http"},
    )


async def polled(server: Server, enough: Callable[[list[SignalReceived]], bool]) -> tuple[list[SignalReceived], Log]:
    """What the strategy manager is told until it is enough, and what was logged."""
    manager, log = Probe("strategy_manager"), Log()
    async with LiveBus(ManualClock(START, auto=True), log_sink="log") as bus:
        bus.add(log)
        bus.add(manager)
        add_signal_poller(bus, run_of(server.url))
        await bus.until(lambda: enough(manager.of(SignalReceived)), "enough answers")
    return manager.of(SignalReceived), log


async def test_an_endpoint_is_asked_again_and_again_and_a_bad_answer_is_no_signal(server: Server) -> None:
    server.replies = [Reply(), Reply(body=b"long!"), Reply(body=b"long!"), Reply(503), Reply()]
    told, log = await polled(server, lambda found: len(found) >= 5)
    assert [answer.signal for answer in told[:5]] == [SIGNAL, None, None, None, SIGNAL]
    refused = [answer.refusal for answer in told[1:4]]
    assert [text[:10] for text in refused if text is not None] == ["DATA-002: ", "DATA-002: ", "DATA-003: "]
    errors = [event for event in log.events if isinstance(event, SystemErrorEvent)]
    assert [error.error_code for error in errors] == ["DATA-002", "DATA-003"], "one that lasts is logged once"
    assert {error.component for error in errors} == {"signal_poller"}


async def test_what_the_endpoint_says_reaches_the_strategy(server: Server) -> None:
    run = run_of(server.url)
    strategy = MlDirectional(run)
    manager = StrategyManager(strategy, run.mode.component_config.strategy_manager, run.mode.risk_limits)
    log = Log()
    source = strategy._source
    async with LiveBus(ManualClock(START, auto=True), log_sink="log") as bus:
        bus.add(log)
        bus.add(manager)
        add_signal_poller(bus, run)
        await bus.until(lambda: source.at(market(START)) is not None, "the signal")
    assert source.at(market(START)) == SIGNAL


def test_a_backtest_refuses_to_ask_an_endpoint() -> None:
    overrides = {
        "strategy_config.signal.http": settings("http://localhost:1/").model_dump(),
        "strategy_config.signal.source": "http",
    }
    for runtime in ("sim", "live"):
        request = BacktestRequest(mode="ml_btc_directional_usdt_margin", overrides=overrides, runtime=runtime)
        with pytest.raises(ConfigError, match=r"CONFIG-003: .* is http .http://localhost:1/., which answers in live"):
            prepare(request)
