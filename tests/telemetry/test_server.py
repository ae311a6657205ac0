"""What a process says of itself over HTTP, on real sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import ClientSession

from basis_actors.errors import BasisError
from basis_actors.messages.operations import ComponentHealth, HealthReport, TradingPhase, TradingStatus
from basis_actors.messages.safety import SilentVenue
from basis_actors.telemetry.server import HttpStatusServer
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
START = 1_704_067_200 * 10**9


class Process:
    """A server, and the clock that it reads."""

    def __init__(self, port: int = 0) -> None:
        self.now = START
        self.server = HttpStatusServer(
            port, 180.0, lambda ns: (self.now - ns) / 1e9, lambda: ("text/plain; version=0.0.4", b"up 1\n")
        )
        self.url = ""

    async def get(self, path: str, method: str = "GET") -> tuple[int, Any]:
        async with ClientSession() as session, session.request(method, self.url + path) as answer:
            body = await answer.read()
            return answer.status, msgspec.json.decode(body) if "json" in answer.content_type else body.decode()


@asynccontextmanager
async def serving(process: Process) -> AsyncIterator[Process]:
    opened, ended = anyio.Event(), anyio.Event()

    def note(host: str, port: int) -> None:
        process.url = f"http://{host}:{port}"
        opened.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.server.run, note, ended.wait)
        await opened.wait()
        yield process
        ended.set()


def report(status: str = "healthy", phase: TradingPhase = TradingPhase.TRADING, **changes: Any) -> HealthReport:
    given: dict[str, Any] = {
        "checked_ns": START,
        "status": status,
        "checks": {"ticks_on_time": True},
        "problems": (),
        "error_count": 0,
        "trading": TradingStatus(phase, None if phase is TradingPhase.TRADING else "a reason"),
        "trading_since_ns": START - 10**9,
        "loop_lag_seconds": 0.0123456,
        "reconciliation_age_seconds": None,
        "tick_age_seconds": 60.0,
        "silent": (SilentVenue("okx", utc_from_ns(START)),),
        "components": (
            ComponentHealth(
                component="engine",
                status="healthy",
                checks={"running": True},
                problems=(),
                inbox_depth=1,
                error_count=0,
                last_message_seconds=2.0,
            ),
        ),
    }
    return HealthReport(**given | changes)


async def test_before_the_first_look_nothing_is_well_or_ready() -> None:
    async with serving(Process()) as process:
        said = "the health monitor has not looked yet"
        assert await process.get("/health") == (503, {"status": "unhealthy", "problems": [said]})
        assert await process.get("/ready") == (503, {"ready": False, "reason": said})


async def test_health_is_the_last_report() -> None:
    async with serving(Process()) as process:
        process.server.show(report())
        process.now += 5 * 10**9
        assert await process.get("/health") == (
            200,
            {
                "status": "healthy",
                "problems": [],
                "checked_at": "2024-01-01T00:00:00Z",
                "checked_seconds_ago": 5.0,
                "trading": {"phase": "trading", "reason": None, "since": "2023-12-31T23:59:59Z"},
                "loop_lag_seconds": 0.012,
                "reconciliation_age_seconds": None,
                "tick_age_seconds": 60.0,
                "error_count": 0,
                "tick": None,
                "silent": [{"domain": "okx", "since": "2024-01-01T00:00:00Z", "left_alone_until": None}],
                "halted_venues": {},
                "undecided": [],
                "start": None,
                "components": {
                    "engine": {
                        "status": "healthy",
                        "inbox_depth": 1,
                        "error_count": 0,
                        "last_message_seconds_ago": 2.0,
                    }
                },
            },
        )


@pytest.mark.parametrize(("status", "code"), [("healthy", 200), ("degraded", 200), ("unhealthy", 503)])
async def test_only_unhealthy_is_an_error_to_a_supervisor(status: str, code: int) -> None:
    async with serving(Process()) as process:
        process.server.show(report(status, problems=("no tick began for 9,000 s",)))
        answered, body = await process.get("/health")
        assert (answered, body["status"], body["problems"]) == (code, status, ["no tick began for 9,000 s"])


@pytest.mark.parametrize("phase", list(TradingPhase))
async def test_ready_is_who_trades_whatever_its_health(phase: TradingPhase) -> None:
    async with serving(Process()) as process:
        process.server.show(report("unhealthy", phase))
        status, body = await process.get("/ready")
        trades = phase is TradingPhase.TRADING
        assert (status, body["ready"], body["phase"]) == (200 if trades else 503, trades, phase.value)
        assert body["reason"] == (None if trades else "a reason")


async def test_a_monitor_that_looks_no_more_is_a_process_that_may_hang() -> None:
    async with serving(Process()) as process:
        process.server.show(report())
        process.now += 180 * 10**9
        assert (await process.get("/health"))[0] == 200
        process.now += 10**6
        for path, key in (("/health", "problems"), ("/ready", "reason")):
            status, body = await process.get(path)
            assert status == 503
            assert "has not looked for 180 s; the process may hang" in str(body[key])


async def test_metrics_are_passed_on_as_they_are() -> None:
    async with serving(Process()) as process:
        assert await process.get("/metrics") == (200, "up 1\n")


async def test_other_paths_and_methods_are_refused() -> None:
    async with serving(Process()) as process:
        assert (await process.get("/"))[0] == 404
        assert (await process.get("/health", "POST"))[0] == 405
        assert (await process.get("/health", "DELETE"))[0] == 405


async def test_it_listens_on_loopback_only() -> None:
    async with serving(Process()) as process:
        assert process.url.startswith("http://127.0.0.1:")


async def test_a_port_that_is_taken_is_named_and_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BasisError) as caught:
            await Process(port).server.run(lambda host, port: None, anyio.sleep_forever)
    assert caught.value.code == "MON-001"
    assert f"port {port} of 127.0.0.1 cannot be opened: " in caught.value.message
    assert "already in use" in caught.value.message
    assert "component_config.monitoring.port" in caught.value.message


async def test_after_the_end_nobody_listens() -> None:
    async with serving(Process()) as process:
        port = int(process.url.rpartition(":")[2])
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
