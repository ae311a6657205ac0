"""Defines the actor that watches the others: it says how each is doing when that changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from basis_actors.bus import Actor, ActorFailed, ActorStats, DeadLetter, on
from basis_actors.config import HealthMonitorConfig
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import HealthStatusEvent
from basis_actors.times import utc_from_ns

__all__ = ["HealthMonitor"]


class HealthMonitor(Actor):
    """Looks at every component at the first tick and at one of them, in turn, at each tick after that; at once at one
    that fails or cannot be reached. Logs a HealthStatusEvent at the first look and after each change.

    `stats` gives the bus's view of an actor by name.
    """

    def __init__(
        self, config: HealthMonitorConfig, components: Sequence[str], stats: Callable[[str], ActorStats]
    ) -> None:
        super().__init__("health_monitor")
        self._config = config
        self._components = tuple(components)
        self._stats = stats
        self._status: dict[str, str] = {}
        self._failures: Counter[str] = Counter()
        self._undelivered: Counter[str] = Counter()
        self._turn = 0

    @on(TickStarted)
    def look(self, _tick: TickStarted) -> None:
        """Look at all components the first time, then at one of them in turn."""
        if not self._status:
            for component in self._components:
                self._check(component)
            return
        self._turn = (self._turn + 1) % len(self._components)
        self._check(self._components[self._turn])

    @on(ActorFailed)
    def note_failure(self, failure: ActorFailed) -> None:
        """Count a failure against its component."""
        self._failures[failure.actor] += 1
        if failure.actor in self._components:
            self._check(failure.actor)

    @on(DeadLetter)
    def note_dead_letter(self, letter: DeadLetter) -> None:
        """Count a message that nobody handled against whom it was for."""
        self._undelivered[letter.to] += 1
        if letter.to in self._components:
            self._check(letter.to)

    def _check(self, component: str) -> None:
        stats = self._stats(component)
        config = self._config
        failures = self._failures.get(component, 0)
        lost = self._undelivered.get(component, 0)
        quiet = not failures and not lost and stats.depth < config.degraded_inbox_depth
        if quiet and self._status.get(component) == "healthy":
            return
        checks = {
            "inbox_not_full": stats.depth < config.unhealthy_inbox_depth,
            "inbox_short": stats.depth < config.degraded_inbox_depth,
            "few_errors": failures < config.degraded_error_count,
            "no_dead_letters": not lost,
        }
        status = "healthy" if all(checks.values()) else "degraded"
        if not checks["inbox_not_full"]:
            status = "unhealthy"
        if status == self._status.get(component):
            return
        self._status[component] = status
        age = None if stats.last_message_at is None else (self.now - stats.last_message_at) / 1e6
        self.log(
            HealthStatusEvent(
                timestamp=utc_from_ns(self.now),
                component=component,
                status=status,
                checks=checks,
                error_count=failures,
                inbox_depth=stats.depth,
                last_message_age_ms=age,
            )
        )
