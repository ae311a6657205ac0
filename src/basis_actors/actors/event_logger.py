"""Defines the actor at the end of every story: it takes each domain event, has it written, and counts it.

What writing means (blocking, in a thread, not at all) is up to the sink it is given.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, ActorFailed, Cause, Escalated, Outlet, on
from basis_actors.bus.handlers import Handler
from basis_actors.errors import REGISTRY, BasisError, severity_of
from basis_actors.logs.async_event_logger import AsyncDomainEventLogger
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.domain_event_logger import EventSink
from basis_actors.messages.events import (
    EVENT_TYPES,
    AtomicOperationGroupEvent,
    DomainEvent,
    OperationExecutionEvent,
    StrategyDecision,
    SystemErrorEvent,
    TightLoopExecutionEvent,
)
from basis_actors.messages.operations import EventLogged
from basis_actors.messages.safety import StateUnwritable
from basis_actors.results.accumulator import RunStatistics
from basis_actors.times import NS_PER_SECOND, utc_from_ns

__all__ = ["EventLogger", "EventsWritten", "FlushDue", "LiveEventLogger", "TellingEventLogger"]

E = TypeVar("E", bound=DomainEvent)

_CODE: Final = re.compile(r"\w+: ([A-Z]+-\d{3}): ")
_PLACE_SAYS_NOTHING: Final = re.compile(r"\w+: ENGINE-001: |AskFailed: .*: the receiver has failed$")
"""A start that is refused, which is no fault of the program, and one who asked an actor that has failed: the failure of
that one has its place."""
_CALCULATIONS: Final = {
    "position_monitor": "POS-003",
    "exposure_monitor": "EXP-001",
    "pnl_monitor": "PNL-001",
    "risk_monitor": "RISK-006",
}
"""What has failed where an actor that calculates fails without a code of its own."""
_UNHEARD: Final = "MON-"
"""How codes begin of a process that cannot be asked how it is, or whose alerts nobody takes."""
_GATEKEEPERS: Final = frozenset({"kill_switch", "journal_watch", "place_watch"})
"""Who says that orders are not sent any more, or are again."""
_FREE_TEXT: Final[dict[type[DomainEvent], tuple[str, ...]]] = {
    OperationExecutionEvent: ("error_message", "operation_details"),
    AtomicOperationGroupEvent: ("rollback_reason",),
    TightLoopExecutionEvent: ("failure_reason",),
    SystemErrorEvent: ("message", "stack_trace"),
    StrategyDecision: ("reasoning", "market_conditions", "portfolio_state", "constraints_violated"),
}
"""Fields that strategies and venues fill in as they like. A venue's answer may quote a request with its credentials."""


def _values_of(names: tuple[str, ...]) -> Callable[[DomainEvent], tuple[Any, ...]]:
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda event: (read(event),)


_FREE_VALUES: Final = {kind: _values_of(names) for kind, names in _FREE_TEXT.items()}


class FlushDue(msgspec.Struct, frozen=True, gc=False):
    """The live event logger tells itself that it may be time to write."""


class EventsWritten(msgspec.Struct, frozen=True, gc=False):
    """The writer tells the live event logger that a batch is on its way to the disk and there is room again."""


class DiskReport(msgspec.Struct, frozen=True, gc=False):
    """The writer tells the live event logger how the disk takes what is written."""

    problem: str | None
    """None once it takes everything again."""


class EventLogger(Actor):
    """The log sink of the bus.

    Every event is written by `sink` and counted by `statistics`, so the summary of a run needs no reading back. Errors
    also go to the log of their component. An event that has no JSON form is replaced, under the same sequence number,
    by a SystemErrorEvent that says so; an event that cannot be written ends the run (LOG-001, LOG-002).

    Flushing is the sink's business but for four moments: the end of a tick, when the sink looks at the wall clock; a
    critical error and an escalation, when all is written at once; and the stop, when all is brought to disk.
    """

    def __init__(
        self,
        sink: EventSink,
        statistics: RunStatistics,
        components: ComponentLogs,
        name: str = "event_logger",
    ) -> None:
        super().__init__(name)
        self.statistics = statistics
        self._kinds = statistics.kinds
        self._sink = sink
        self._components = components

    def handlers(self) -> Mapping[type, Handler]:
        """Every event type, and the few messages that are no events."""
        kinds: dict[type, Handler] = dict.fromkeys(EVENT_TYPES, self._take)
        kinds[StrategyDecision] = self._take_decision
        for kind in (OperationExecutionEvent, AtomicOperationGroupEvent, TightLoopExecutionEvent):
            kinds[kind] = self._take_told
        kinds[SystemErrorEvent] = self._take_error
        return {**super().handlers(), **kinds}

    @property
    def backlog(self) -> int:
        """Events taken and not yet written; sources wait for them too."""
        return self._sink.unwritten

    @property
    def unwritten(self) -> int:
        """Events that are not on disk yet, whoever waits for them."""
        return self._sink.unwritten

    def post_stop(self) -> Awaitable[None]:
        """Write what is left and wait until it is on the disk."""
        return self._sink.close()

    @on(ActorFailed)
    def actor_failed(self, failure: ActorFailed) -> None:
        """Log the failure of an actor, after whatever that actor has logged before."""
        code = _CODE.match(failure.exception)
        error_code = code[1] if code and code[1] in REGISTRY else _CALCULATIONS.get(failure.actor, "ENGINE-002")
        self.log(
            SystemErrorEvent(
                timestamp=utc_from_ns(self.now),
                component=failure.actor,
                error_code=error_code,
                severity=severity_of(error_code).value,
                message=f"{failure.actor} failed while handling {failure.message_type}: {failure.exception}",
                stack_trace=None if _PLACE_SAYS_NOTHING.match(failure.exception) else failure.traceback,
            )
        )

    @on(Escalated)
    def escalated(self, _end: Escalated) -> None:
        """Bring to disk what led to the end of the run."""
        self._sink.flush()

    def _take(self, event: DomainEvent) -> None:
        try:
            self._sink.log(event)
        except BasisError as error:
            if error.code != "LOG-004":
                raise
            self._take_error(
                SystemErrorEvent(
                    timestamp=event.timestamp,
                    component=self.name,
                    error_code=error.code,
                    severity=error.severity.value,
                    message=error.message,
                )
            )
            return
        # What `observe` does, inline: a tick has seven events.
        kind = self._kinds[type(event)]
        kind.count += 1
        look_into = kind.look_into
        look_into(event)

    def _take_decision(self, decision: StrategyDecision) -> None:
        """A decision ends a tick, unless orders follow."""
        self._take(self._without_secrets(decision))
        self._sink.flush_if_due()

    def _take_told(self, event: DomainEvent) -> None:
        """Take an event that has free text."""
        self._take(self._without_secrets(event))

    def _without_secrets(self, event: E) -> E:
        redactor, kind = self._components.redactor, type(event)
        told = _FREE_VALUES[kind](event)
        if redactor.is_clean(told):
            return event
        shown = redactor.inside(told)
        return event if shown is told else replace(event, **dict(zip(_FREE_TEXT[kind], shown, strict=True)))

    def _take_error(self, error: SystemErrorEvent) -> None:
        error = self._without_secrets(error)
        self._take(error)
        self._components.error(error)
        if error.severity == "CRITICAL":
            self._sink.flush()


class TellingEventLogger(EventLogger):
    """An event logger that also publishes every event that it has taken, for whoever watches a live process."""

    def _take(self, event: DomainEvent) -> None:
        super()._take(event)
        self.publish(EventLogged(event))


class LiveEventLogger(TellingEventLogger):
    """An event logger whose sink writes in a thread of its own.

    `write_events` has to be added to the bus as a source of this actor: it carries out the writing. Every
    `flush_seconds` on the clock of the bus, what waits is written even if the batch is not full.

    A disk that takes nothing ends nothing: that is said once, to the log that waits, to whoever watches, to `warn` and
    to the gate, which then lets through only what reduces; and said once more when it is over, with what was lost.
    """

    def __init__(
        self,
        sink: AsyncDomainEventLogger,
        statistics: RunStatistics,
        components: ComponentLogs,
        name: str = "event_logger",
    ) -> None:
        super().__init__(sink, statistics, components, name)
        self._writer = sink
        self._since: int | None = None
        """When the disk began to take nothing."""
        self._told_lost = 0
        self.warn: Callable[[str], object] = lambda _: None
        """Told what whoever started the process is to see at once."""
        self.show: Callable[[SystemErrorEvent], object] = lambda _: None
        """Given what of the log that person is to see at once as well."""

    @property
    def backlog(self) -> int:
        """Sources wait for a slow disk, and not for one that takes nothing: the book has to be looked after."""
        return super().backlog if self._since is None else 0

    def pre_start(self) -> None:
        """Set the first timer."""
        self._set_timer()

    async def write_events(self, outlet: Outlet) -> None:
        """The source: writes as it is asked to, and after each time lets those go on who waited for room."""
        await self._writer.run(
            lambda: outlet.post(self.name, EventsWritten()),
            lambda problem: outlet.post(self.name, DiskReport(problem)),
        )

    @on(DiskReport)
    def note_disk(self, report: DiskReport) -> None:
        """Say that the disk takes nothing, or that it does again."""
        if (report.problem is None) == (self._since is None):
            return
        now = utc_from_ns(self.now)
        if report.problem is not None:
            self._since = self.now
            text = f"the event log takes nothing, so nothing that adds risk is sent: {report.problem}"
            error = error_event(now, self.name, "LOG-001", text)
        else:
            lasted = (self.now - (self._since or self.now)) / self.span(1.0)
            self._since = None
            lost, self._told_lost = self._writer.lost[self._told_lost :], len(self._writer.lost)
            ranges = ", ".join(f"{first} to {last}" for first, last in lost)
            text = f"the event log takes everything again, after {lasted:.0f} s; events lost: {ranges or 'none'}"
            error = error_event(now, self.name, "LOG-002" if lost else "LOG-001", text, passes=not lost)
        self.publish(StateUnwritable("event log", report.problem))
        self.warn(f"{error.error_code}: {text}")
        self.log(error)

    @on(EventsWritten)
    def events_written(self, _message: EventsWritten) -> None:
        """Handling this message is what makes the bus look whether there is room again."""

    @on(FlushDue)
    def flush_due(self, _message: FlushDue) -> None:
        """Write what waits, and set the next timer."""
        if self._sink.unwritten:
            self._sink.flush()
        self._set_timer()

    def _take_error(self, error: SystemErrorEvent) -> None:
        super()._take_error(error)
        if error.component in _GATEKEEPERS or error.error_code.startswith(_UNHEARD):
            self.show(error)

    def _set_timer(self) -> None:
        self.after(self.span(self._writer.flush_seconds) / NS_PER_SECOND, FlushDue(), new_cause=Cause("flush"))
