"""Puts on the bus of a live process what watches it: health, metrics, the HTTP server, alerts.

Importing this needs the extra `live`: call `require_monitoring` before.
"""

from __future__ import annotations

import platform
import random
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from pydantic import SecretStr

from basis_actors.actors.alerts import AlertRoute, delivering
from basis_actors.actors.live_health import LiveHealthMonitor
from basis_actors.actors.metrics import Metrics, measuring_the_loop, serving
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Bus
from basis_actors.config import HealthMonitorConfig, RunConfig
from basis_actors.config.webhooks import load_webhooks
from basis_actors.errors import Severity
from basis_actors.logs.api_log import ApiLog
from basis_actors.logs.component import ComponentLogs
from basis_actors.services.wiring import FREELY
from basis_actors.telemetry.instruments import ActorReading, Instruments, Reading
from basis_actors.telemetry.loop_clock import LoopLagClock
from basis_actors.telemetry.server import HttpStatusServer
from basis_actors.telemetry.webhook import BODIES, WebhookCourier
from basis_actors.times import NS_PER_SECOND

__all__ = ["Monitoring"]

_WATCHED_IN_THE_WORLD: Final = ("check_interval_seconds", "error_window_seconds", "stuck_seconds")
"""What is waited for as long as people wait; ticks and comparisons of the ledger come by the time of the engine."""


class Monitoring:
    """What watches one live process.

        monitoring = Monitoring(run, bus, components, correlation_id=..., config_hash=..., unwritten=..., stopwatch=...)
        add_engine(bus, ..., event_logger=LiveEventLogger(...), health=monitoring.health)
        monitoring.join()

    `unwritten` gives the number of events that are not on disk yet; `pace` is how many seconds of the engine go by in
    one of the world, where a market is played back. Raises ConfigError CONFIG-002 or CONFIG-003 for addresses of
    webhooks that are missing or wrong.
    """

    def __init__(
        self,
        run: RunConfig,
        bus: Bus,
        components: ComponentLogs,
        *,
        correlation_id: str,
        config_hash: str,
        unwritten: Callable[[], int],
        stopwatch: Stopwatch,
        pace: float = 1.0,
    ) -> None:
        self._run = run
        self._pace = pace
        self._bus = bus
        self._redact = components.redactor.text
        self._logger = components.logger("metrics")
        self._correlation_id = correlation_id
        self._unwritten = unwritten
        self._stopwatch = stopwatch
        self._addresses = load_webhooks(run.mode.component_config.alerts.routes)
        build = {
            "version": version("basis-actors"),
            "python": platform.python_version(),
            "mode": run.mode.mode,
            "share_class": run.share_class.name,
            "run": correlation_id,
            "config_hash": config_hash,
        }
        self.instruments = Instruments(build, self._read)
        """The metrics."""
        self.api_log = ApiLog(components, self.instruments.note)
        """Where the adapters of venues note their requests."""
        watching = _at_pace(run.mode.component_config.health_monitor, pace, *_WATCHED_IN_THE_WORLD)
        self.health = LiveHealthMonitor(watching, lambda: bus.actors, bus.stats)
        """The health monitor; `add_engine` puts it on the bus."""
        self.url: str | None = None
        """Where `/health`, `/ready` and `/metrics` are; None until they answer."""

    def join(self) -> None:
        """Add the other actors and all sources to the bus, after the engine and before the start."""
        bus, config = self._bus, self._run.mode.component_config.monitoring
        server = HttpStatusServer(config.port, config.silence_seconds, self._seconds_since, self.instruments.text)
        currency = self._run.share_class.currency
        metrics = Metrics(self.instruments, currency, self._stopwatch, server.show, self._opened)
        bus.add(metrics, FREELY)
        bus.add_source(metrics.name, serving(server, config.port_retry_seconds * self._pace))
        bus.add_source(metrics.name, measuring_the_loop(LoopLagClock(config.loop_lag_interval_seconds)))
        for route, address in self._addresses.items():
            self._add_route(route, address)

    def _add_route(self, route: str, address: SecretStr) -> None:
        alerts = self._run.mode.component_config.alerts
        config = alerts.model_copy(update={"per_minute": alerts.per_minute / self._pace})
        settings = config.routes[route]
        origin = {"mode": self._run.mode.mode, "run": self._correlation_id}
        chance = random.Random(f"{self._correlation_id}/{route}")  # noqa: S311 - spreads retries, keeps no secret
        courier = WebhookCourier(config, BODIES[settings.format], address, origin, chance)
        actor = AlertRoute(route, config, Severity(settings.min_severity), courier, self._redact)
        # A sink outlives the others, so what goes wrong while they stop is told as well.
        self._bus.add(actor, FREELY, sink=True)
        self._bus.add_source(actor.name, delivering(courier))

    def _opened(self, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self._logger.info(
            "the process can be asked how it is", health=f"{self.url}/health", metrics=f"{self.url}/metrics"
        )

    def _seconds_since(self, ns: int) -> float:
        """Seconds of the world since a time of the engine."""
        return (self._bus.clock.now() - ns) / NS_PER_SECOND / self._pace

    def _read(self) -> Reading:
        """How the bus stands at this moment."""
        bus, rows = self._bus, []
        for name in bus.actors:
            stats = bus.stats(name)
            rows.append(
                ActorReading(name, stats.depth, stats.high_water, stats.handled, stats.restarts, stats.conflated)
            )
        return Reading(rows, bus.dead_letters.count, self._unwritten(), bus.clock.now())


def _at_pace(config: HealthMonitorConfig, pace: float, *names: str) -> HealthMonitorConfig:
    """With these durations in seconds of the engine."""
    return config.model_copy(update={name: getattr(config, name) * pace for name in names})
