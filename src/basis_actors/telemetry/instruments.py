"""Defines every metric of a live process, in a registry of its own. Importing this needs the extra `live`.

What is counted as messages come is set by the metrics actor; what stands still between two looks, like inboxes, is read
when somebody asks for the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from basis_actors.errors import Severity
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.answers import ApiCall

__all__ = ["ActorReading", "Instruments", "Reading", "set_all", "set_one", "set_optional"]

_UNKNOWN: Final = float("nan")
"""Of a gauge whose value is not known: no comparison with it holds."""
_TICK_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class ActorReading(NamedTuple):
    """How one actor stands."""

    name: str
    depth: int
    high_water: int
    handled: int
    restarts: int
    conflated: int


class Reading(NamedTuple):
    """What is read when somebody asks."""

    actors: Sequence[ActorReading]
    dead_letters: int
    unwritten: int
    """Events that are not on disk yet."""
    now_ns: int
    """By the clock of the bus."""


class Instruments:
    """The metrics of one process; their names begin with `basis_`. `build` are the labels of `basis_build_info`."""

    def __init__(self, build: dict[str, str], read: Callable[[], Reading]) -> None:
        # When each counter began: twice the lines, for what nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry(auto_describe=True)
        self.reconciled_ns: int | None = None
        """When the ledger was last found equal to the venues, by the clock of the bus."""
        self.ticked_ns: int | None = None
        """When the last tick began, by the clock of the bus."""

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"basis_{name}", help_text, labels, registry=registry)

        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            made = Gauge(f"basis_{name}", help_text, labels, registry=registry)
            if not labels:
                made.set(_UNKNOWN)
            return made

        def histogram(name: str, help_text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"basis_{name}", help_text, labels, buckets=buckets, registry=registry)

        Info("basis_build", "What runs.", registry=registry).info(build)
        self.trading = gauge("trading_phase", "1 for the present one.", "phase")
        self.kill_switch = gauge("kill_switch", "1 while the kill switch is on.")
        self.health = gauge("health", "Of the process: 0 healthy, 1 degraded, 2 unhealthy.")
        self.component_health = gauge("component_health", "0 healthy, 1 degraded, 2 unhealthy.", "component")

        self.ticks = counter("ticks", "Ticks begun.")
        self.tick_seconds = histogram(
            "tick_duration_seconds", "From the market of a tick to its end, orders included.", _TICK_SECONDS
        )
        self.decisions = counter("decisions", "Decisions of the strategy.", "type")
        self.orders = counter("orders", "Orders that have ended, by how.", "venue", "status")
        self.order_seconds = histogram(
            "order_latency_seconds", "From sending an order to its answer, retries included.", _REQUEST_SECONDS, "venue"
        )
        self.rejections = counter("order_rejections", "Orders that failed, by error code.", "venue", "code")
        self.unknown_outcomes = counter("unknown_outcomes", "Orders whose outcome was not found out in time.", "venue")
        self.fills = counter("fills", "Settlements of orders that were booked.", "venue")

        self.equity = gauge("equity", "In the share class.", "currency")
        self.pnl = gauge("pnl", "Profit and loss since the start, in the share class.")
        self.pnl_component = gauge("pnl_component", "What each component contributed to it.", "component")
        self.pnl_residual = gauge("pnl_residual", "What no component explains, since the start.")
        self.fees = gauge("fees_paid", "Since the start, in the share class.")
        self.net_delta = gauge("net_delta_usd", "Net exposure to what is neither the share class nor cash.")
        self.exposure = gauge("asset_exposure_usd", "Net exposure to one asset.", "asset")

        self.risk_level = gauge("risk_level", "How close a limit is: 1 for the present level.", "level")
        self.margin_ratio = gauge("margin_ratio", "(cash + unrealised PnL) / notional.", "venue")
        self.liquidation_distance = gauge(
            "liquidation_distance", "Move of prices against the position that would liquidate it.", "venue"
        )
        self.health_factor = gauge("health_factor", "Of the loan closest to liquidation; NaN without one.")
        self.drawdown = gauge("drawdown", "Fall of flow-adjusted equity from its peak, as a fraction.")

        self.reconciliations = counter("reconciliations", "Comparisons of ledger and venues.", "type", "result")
        self.mismatches = counter("reconciliation_mismatches", "Positions on which they disagreed.", "type")
        self.events = counter("events_logged", "Domain events.", "type")
        self.errors = counter("errors", "Errors that were logged.", "severity")
        for severity in Severity:  # a counter that appears with its first error has not increased
            self.errors.labels(severity.value)
        self.errors_by_code = counter("errors_by_code", "Errors that were logged.", "component", "code")
        self.loop_lag = histogram("loop_lag_seconds", "How late the event loop came round.", _LAG_SECONDS)
        self.alerts = counter("alerts", "Alerts, by what became of them.", "route", "outcome")

        self.requests = counter("venue_requests", "Requests; status none: no answer.", "venue", "endpoint", "status")
        self.request_seconds = histogram("venue_request_seconds", "Duration of requests.", _REQUEST_SECONDS, "venue")
        self.weight = counter("venue_request_weight", "What requests cost of a rate limit.", "venue", "host")
        self.used_weight = gauge(
            "rate_limit_used_weight", "What the venue last said is used of a rate limit.", "venue", "host"
        )

        registry.register(_OnDemand(self, read))

    def note(self, call: ApiCall) -> None:
        """Count one request to a venue."""
        venue, status = call.venue, "none" if call.status is None else str(call.status)
        self.requests.labels(venue, f"{call.method} {call.path}".strip() or call.call, status).inc()
        self.request_seconds.labels(venue).observe(call.duration_ms / 1e3)
        self.weight.labels(venue, call.host).inc(call.weight)
        if call.used_weight is not None:
            self.used_weight.labels(venue, call.host).set(call.used_weight)

    def text(self) -> tuple[str, bytes]:
        """Content type and body for Prometheus."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.registry)


def set_optional(gauge: Gauge, value: float | None) -> None:
    """None is NaN."""
    gauge.set(_UNKNOWN if value is None else value)


def set_one(gauge: Gauge, states: Iterable[str], present: str) -> None:
    """1 for the present one of several states, 0 for the others."""
    set_all(gauge, {state: float(state == present) for state in states})


def set_all(gauge: Gauge, values: dict[str, float]) -> None:
    """Set one value a label; a label that is not among them is gone."""
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)


class _OnDemand:
    """Reads what nobody tells when somebody asks."""

    def __init__(self, instruments: Instruments, read: Callable[[], Reading]) -> None:
        self._instruments = instruments
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Nothing is read before the bus is there."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        reading = self._read()
        depth = GaugeMetricFamily("basis_inbox_depth", "Messages that wait.", labels=["actor"])
        high = GaugeMetricFamily("basis_inbox_high_water", "Most messages that ever waited.", labels=["actor"])
        handled = CounterMetricFamily("basis_messages_handled", "Messages handled.", labels=["actor"])
        restarts = GaugeMetricFamily(
            "basis_actor_restarts", "Restarts in the window of its supervision row.", labels=["actor"]
        )
        conflated = CounterMetricFamily(
            "basis_messages_conflated", "Messages replaced by newer ones before they were handled.", labels=["actor"]
        )
        for actor in reading.actors:
            depth.add_metric([actor.name], actor.depth)
            high.add_metric([actor.name], actor.high_water)
            handled.add_metric([actor.name], actor.handled)
            restarts.add_metric([actor.name], actor.restarts)
            conflated.add_metric([actor.name], actor.conflated)
        yield from (depth, high, handled, restarts, conflated)
        yield CounterMetricFamily("basis_dead_letters", "Messages that nobody handled.", value=reading.dead_letters)
        yield GaugeMetricFamily("basis_events_unwritten", "Events not on disk yet.", value=reading.unwritten)
        for name, what, since_ns in (
            ("reconciliation", "Since ledger and venues were last found equal.", self._instruments.reconciled_ns),
            ("tick", "Since the last tick began.", self._instruments.ticked_ns),
        ):
            age = _UNKNOWN if since_ns is None else (reading.now_ns - since_ns) / NS_PER_SECOND
            yield GaugeMetricFamily(f"basis_{name}_age_seconds", what, value=age)
