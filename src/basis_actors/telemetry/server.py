"""Answers `/health`, `/ready` and `/metrics` on this machine's loopback address. Importing this needs the extra `live`.

It computes nothing: it shows the last report of the health monitor and what the instruments stand at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import anyio
import msgspec
from aiohttp import web

from basis_actors.errors import BasisError
from basis_actors.messages.operations import ComponentHealth, HealthReport, TradingPhase
from basis_actors.times import utc_from_ns, utc_text

__all__ = ["HttpStatusServer"]

HOST: Final = "127.0.0.1"
_CLOSE_SECONDS: Final = 1.0
"""For answers that are being given when the server closes."""
_TIMED: Final = ("loop_lag_seconds", "reconciliation_age_seconds", "tick_age_seconds")


class HttpStatusServer:
    """One server.

    `seconds_since` tells how long ago a report was stamped. One older than `silence_seconds` counts for nothing: nobody
    looks any more. `metrics` gives content type and body of `/metrics`.
    """

    def __init__(
        self,
        port: int,
        silence_seconds: float,
        seconds_since: Callable[[int], float],
        metrics: Callable[[], tuple[str, bytes]],
    ) -> None:
        self._port = port
        self._silence = silence_seconds
        self._seconds_since = seconds_since
        self._metrics = metrics
        self._report: HealthReport | None = None

    def show(self, report: HealthReport) -> None:
        """Answer with this report from now on."""
        self._report = report

    async def run(self, opened: Callable[[str, int], object], wait: Callable[[], Awaitable[None]]) -> None:
        """Open the port, say so, answer until `wait` ends, close. Raises BasisError MON-001 for a port that cannot be
        opened."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._show_metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, HOST, self._port).start()
            except OSError as error:
                raise BasisError(
                    "MON-001",
                    f"port {self._port} of {HOST} cannot be opened: {error.strerror or error}; /health, /ready and"
                    " /metrics do not answer. Free it, or set component_config.monitoring.port to another",
                ) from error
            opened(HOST, runner.addresses[0][1])
            await wait()
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        """Whether the process is well: 200 for healthy and degraded, 503 for unhealthy and for no fresh report."""
        report, silence = self._fresh()
        if report is None:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "unhealthy", "problems": [silence]})
        code = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "unhealthy" else HTTPStatus.OK
        return _json(code, {"status": report.status, "problems": report.problems, **self._details(report)})

    async def _ready(self, _request: web.Request) -> web.Response:
        """Whether orders are sent: 200 while trading, else 503."""
        report, silence = self._fresh()
        if report is None:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"ready": False, "reason": silence})
        ready = report.trading.phase is TradingPhase.TRADING
        code = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(code, {"ready": ready, **_trading(report)})

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        content_type, body = self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _fresh(self) -> tuple[HealthReport | None, str]:
        """The last report unless it is too old, and what to say without one."""
        report = self._report
        if report is None:
            return None, "the health monitor has not looked yet"
        age = self._seconds_since(report.checked_ns)
        if age > self._silence:
            return None, f"the health monitor has not looked for {age:.0f} s; the process may hang"
        return report, ""

    def _details(self, report: HealthReport) -> dict[str, Any]:
        return {
            "checked_at": _time(report.checked_ns),
            "checked_seconds_ago": _rounded(self._seconds_since(report.checked_ns)),
            "trading": _trading(report),
            **{name: _rounded(getattr(report, name)) for name in _TIMED},
            "error_count": report.error_count,
            "tick": msgspec.to_builtins(report.tick),
            "silent": msgspec.to_builtins(report.silent),
            "halted_venues": report.halted_venues,
            "undecided": msgspec.to_builtins(report.undecided),
            "start": msgspec.to_builtins(report.start),
            "components": {seen.component: _component(seen) for seen in report.components},
        }


def _trading(report: HealthReport) -> dict[str, Any]:
    trading = report.trading
    return {"phase": trading.phase.value, "reason": trading.reason, "since": _time(report.trading_since_ns)}


def _component(seen: ComponentHealth) -> dict[str, Any]:
    return {
        "status": seen.status,
        "inbox_depth": seen.inbox_depth,
        "error_count": seen.error_count,
        "last_message_seconds_ago": _rounded(seen.last_message_seconds),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _time(ns: int) -> str:
    return utc_text(utc_from_ns(ns))


def _json(status: HTTPStatus, content: dict[str, Any]) -> web.Response:
    """For programs and for people with curl alike."""
    body = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
    return web.Response(
        status=status, body=body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
