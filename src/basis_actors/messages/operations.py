"""Defines what is said about a running process rather than about its book: is it trading, is it well, who must know.

Nobody decides anything by these messages; without a subscriber they cost next to nothing.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from basis_actors.errors import Severity
from basis_actors.messages.events import DomainEvent
from basis_actors.messages.safety import SilentVenue, StartReport, TickAtWork, UndecidedOrder

__all__ = [
    "Alert",
    "AlertDelayed",
    "AlertDelivered",
    "AlertFate",
    "AlertNotDelivered",
    "AlertOutcome",
    "AlertRouteSeen",
    "CheckHealth",
    "ComponentHealth",
    "EventLogged",
    "HealthReport",
    "LoopLag",
    "PortOpened",
    "PortRefused",
    "ProcessBegins",
    "ProcessFails",
    "SummaryDue",
    "TickEnded",
    "TradingPhase",
    "TradingStatus",
]


class TradingPhase(StrEnum):
    """Whether orders are sent."""

    STARTING = "starting"
    """Not yet: what the venues show has not been reconciled."""
    TRADING = "trading"
    REDUCING = "reducing"
    """At most what reduces, until everything that has to be on disk can be written again."""
    STOPPED = "stopped"
    """Not any more in this process."""
    KILLED = "killed"
    """The kill switch is on; only who switched it on can end this."""


class TradingStatus(msgspec.Struct, frozen=True, gc=False):
    """Published whenever trading begins or ends; before the first of them the phase is `starting`."""

    phase: TradingPhase
    reason: str | None = None
    """What ended it; None while trading."""
    error_code: str | None = None
    """What made that necessary; None when somebody asked for it."""


class TickEnded(msgspec.Struct, frozen=True, gc=False):
    """Published by the engine when a tick is over, its orders included."""

    number: int
    next_ns: int | None = None
    """Time of the next one of the market; None where that is not known."""


class EventLogged(msgspec.Struct, frozen=True):
    """Published by the event logger of a live process for every event that it has taken, secrets already hidden."""

    event: DomainEvent


class LoopLag(msgspec.Struct, frozen=True, gc=False):
    """How much later than asked for the event loop came round, by one measurement."""

    seconds: float


class CheckHealth(msgspec.Struct, frozen=True, gc=False):
    """The health monitor tells itself that it is time to look."""


class ComponentHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one component is doing."""

    component: str
    status: str
    """`healthy`, `degraded` or `unhealthy`."""
    checks: dict[str, bool]
    """Whether each check is passed, by name."""
    problems: tuple[str, ...]
    """What is wrong, with the numbers: one for each check that is not passed."""
    inbox_depth: int
    error_count: int
    last_message_seconds: float | None
    """Since it last began a message, in seconds of the world; None before the first."""


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the process is doing, published by the health monitor at each look and whenever trading begins or ends.

    Ages are as of `checked_ns`, in seconds by the clock of the bus unless said otherwise.
    """

    checked_ns: int
    """By the clock of the bus."""
    status: str
    """The worst of all components' and of the process as a whole: `healthy`, `degraded` or `unhealthy`."""
    checks: dict[str, bool]
    """Whether each check of the process as a whole is passed, by name."""
    problems: tuple[str, ...]
    """What is wrong, with the numbers, the process first, then component by component."""
    error_count: int
    """Of all components."""
    trading: TradingStatus
    trading_since_ns: int
    """When the present phase began, by the clock of the bus."""
    loop_lag_seconds: float | None
    """Worst since the look before; None where nobody measures it."""
    reconciliation_age_seconds: float | None
    """Since the ledger was last found equal to the venues; None when it never was."""
    tick_age_seconds: float | None
    """Since the last tick began; None before the first."""
    components: tuple[ComponentHealth, ...]
    tick: TickAtWork | None = None
    """The tick that is at work; None between two."""
    silent: tuple[SilentVenue, ...] = ()
    """Accounts that do not answer."""
    halted_venues: dict[str, str] = {}
    """Why nothing is sent to an exchange, by account."""
    undecided: tuple[UndecidedOrder, ...] = ()
    """Requests of which nobody knows what became of them."""
    start: StartReport | None = None
    """What is known of the book before this process has read it; None once it trades, and where nothing is known."""


class PortOpened(msgspec.Struct, frozen=True, gc=False):
    """Published when the state of the process can be asked for over HTTP."""

    host: str
    port: int


class PortRefused(msgspec.Struct, frozen=True, gc=False):
    """The source of the HTTP server tells its owner that the port cannot be opened now."""

    reason: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person is to know."""

    time: datetime
    severity: Severity
    component: str
    code: str | None
    """Of the error registry; None for what is no error, like the end of a trouble."""
    message: str


class AlertDelivered(msgspec.Struct, frozen=True):
    """The source of a route tells its owner that the receiver has taken an alert."""

    alert: Alert


class AlertNotDelivered(msgspec.Struct, frozen=True):
    """The source of a route tells its owner that an alert was given up."""

    alert: Alert
    reason: str


class AlertDelayed(msgspec.Struct, frozen=True):
    """The source of a route tells its owner that the first try to deliver an alert has failed, and is not the last."""

    alert: Alert
    reason: str


class SummaryDue(msgspec.Struct, frozen=True, gc=False):
    """A route tells itself that there is room for a summary of what it held back."""


class AlertOutcome(StrEnum):
    """What became of an alert."""

    DELIVERED = "delivered"
    HELD_BACK = "held_back"
    """Counted and summed up later, as there were too many at once."""
    NOT_DELIVERED = "not_delivered"
    """Given up after several tries; summed up later as well."""


class AlertFate(msgspec.Struct, frozen=True, gc=False):
    """Published by a route when it is known what became of an alert or a summary."""

    route: str
    outcome: AlertOutcome


class AlertRouteSeen(msgspec.Struct, frozen=True, gc=False):
    """Published by a route when its receiver begins or ceases to take alerts."""

    route: str
    problem: str | None
    """Why it takes none; None when it does."""


class ProcessBegins(msgspec.Struct, frozen=True, gc=False):
    """Published once, before a process asks any exchange: people are told, and every route is tried by that."""

    text: str
    """What runs, and what it finds open."""


class ProcessFails(msgspec.Struct, frozen=True, gc=False):
    """Published when a process ends by a failure that is none of an actor's."""

    text: str
    error_code: str
