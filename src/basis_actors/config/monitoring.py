"""Defines how a process is watched: when a component counts as unwell, where its state is shown, whom alerts reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from basis_actors.config.model import Count, Fraction, Model, Positive, Problem, Seconds, SecondsOrZero, refuse

__all__ = ["AlertRouteConfig", "AlertsConfig", "HealthMonitorConfig", "MonitoringConfig"]

_ROUTE: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
"""Part of the name of an environment variable and of an actor."""
_RISING: Final = (
    ("degraded_inbox_depth", "unhealthy_inbox_depth"),
    ("degraded_loop_lag_ms", "unhealthy_loop_lag_ms"),
    ("degraded_reconciliation_seconds", "unhealthy_reconciliation_seconds"),
    ("degraded_tick_seconds", "unhealthy_tick_seconds"),
)


class HealthMonitorConfig(Model):
    """When a component, or the process as a whole, counts as degraded or unhealthy."""

    check_interval_seconds: Seconds
    """In live; a backtest checks once a tick. All below that is no number of messages or errors is for live only."""
    degraded_inbox_depth: Count
    unhealthy_inbox_depth: Count
    """Messages waiting."""
    degraded_error_count: Count
    """Errors since the last restart, in live within `error_window_seconds`."""
    error_window_seconds: Seconds
    """How long an error counts."""
    stuck_seconds: Seconds
    """A component that has messages waiting and begins none for so long is unhealthy."""
    degraded_loop_lag_ms: Positive
    unhealthy_loop_lag_ms: Positive
    """Worst delay of the event loop between two checks."""
    degraded_reconciliation_seconds: Seconds
    unhealthy_reconciliation_seconds: Seconds
    """Since the ledger was last found equal to what the venues show."""
    degraded_tick_seconds: Seconds
    unhealthy_tick_seconds: Seconds
    """Since the last tick began."""

    @model_validator(mode="after")
    def _check(self) -> HealthMonitorConfig:
        refuse(self._order())
        return self

    def _order(self) -> Iterator[Problem]:
        for lower, upper in _RISING:
            degraded, unhealthy = getattr(self, lower), getattr(self, upper)
            if unhealthy <= degraded:
                yield Problem((upper,), f"is {unhealthy:g}; more than {lower} {degraded:g} was expected")


class MonitoringConfig(Model):
    """Where a live process shows how it is doing: `/health`, `/ready` and `/metrics` on 127.0.0.1."""

    port: Annotated[int, Field(ge=0, le=65_535)]
    """0 for one that is free."""
    port_retry_seconds: Seconds
    """How long to wait before the port is tried again when it cannot be opened."""
    silence_seconds: Seconds
    """Without a look of the health monitor for so long, `/health` and `/ready` answer 503."""
    loop_lag_interval_seconds: Seconds
    """How often the event loop's delay is measured."""


class AlertRouteConfig(Model):
    """One receiver of alerts. Its address is secret: `BASIS_ACTORS_ALERTS__<ROUTE>` in the environment."""

    format: Literal["json", "slack"]
    """`json` posts an object with every field, `slack` the one text that Slack and its likes take."""
    min_severity: Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
    """What is less severe is not sent."""


class AlertsConfig(Model):
    """Who is told of what goes wrong in a live process, and how often at most. The rates are per route."""

    routes: dict[str, AlertRouteConfig]
    """By name; none for nobody."""
    burst: Count
    """Alerts that may be sent at once."""
    per_minute: Positive
    """Alerts that may be sent in the long run; what exceeds it is summed up in one alert."""
    reserved_for_critical: Annotated[int, Field(ge=0)]
    """Part of the burst that only critical alerts use up."""
    queue_limit: Count
    """Alerts that wait for a receiver which does not take them; further ones are summed up."""
    timeout_seconds: Seconds
    """For one request."""
    retries: Annotated[int, Field(ge=0)]
    """Further tries after a failure that may pass."""
    retry_seconds: Seconds
    """Before the first of them; doubled by each further one."""
    longest_retry_seconds: Seconds
    retry_jitter: Fraction
    """Largest random addition to a pause, as a fraction of it."""
    stop_seconds: Annotated[SecondsOrZero, Field(le=2.0)]
    """For alerts that still wait when the process stops. At most 2, so that the event log has its 8 of the 10 seconds
    that a stop may take."""

    @model_validator(mode="after")
    def _check(self) -> AlertsConfig:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[Problem]:
        for name in self.routes:
            if _ROUTE.fullmatch(name) is None:
                text = "is no name of a route; a lower-case letter, then up to 30 of a-z, 0-9 and _ were expected"
                yield Problem(("routes", name), text)
        if self.reserved_for_critical >= self.burst:
            text = f"is {self.reserved_for_critical}; less than burst {self.burst} was expected"
            yield Problem(("reserved_for_critical",), text)
