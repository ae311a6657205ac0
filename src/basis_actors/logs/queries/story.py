"""Tells the whole story of one operation or one group: every event that has to do with it, and the decision before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.logs.queries.blocks import blocks
from basis_actors.logs.queries.moments import around
from basis_actors.logs.queries.nearest import nearest_ids, shared_beginning
from basis_actors.logs.queries.source import Found, RunLog, sequence_of
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    DomainEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    ReconciliationEvent,
    StrategyDecision,
    SystemErrorEvent,
    TightLoopExecutionEvent,
)

__all__ = ["Story", "story"]

_OfOperation = OperationExecutionEvent | ExecutionDeltaEvent | ReconciliationEvent | TightLoopExecutionEvent
_BY_OPERATION: Final[tuple[type[_OfOperation], ...]] = (
    OperationExecutionEvent,
    ExecutionDeltaEvent,
    ReconciliationEvent,
    TightLoopExecutionEvent,
)
_UNWIND: Final = "-unwind"
_ID: Final = re.compile(rb'"(?:operation_id|atomic_group_id)":"([^"]+)"')


class Story(msgspec.Struct, frozen=True):
    """Everything that has to do with an operation or a group, in the order of the log."""

    given: str
    operations: list[str]
    """Ids of the operations it is about, those that undo others included."""
    events: list[Found[Any]]
    """The decision first, when it is known."""


def story(log: RunLog, given: str) -> Story:
    """The story of the operation or group with the id `given`.

    Only files of operations are read, and of the decisions the one at its time is looked up.
    Raises BasisError LOG-006, naming the nearest ids, when no event has it.
    """
    members = _members(log, given)
    events: list[Found[Any]] = list(_groups(log, given))
    ids = {name for member in members or {given} for name in (member, member + _UNWIND)}
    for kind in _BY_OPERATION:
        needle = b'"' + _written(shared_beginning(ids))
        events += [found for found in log.find(kind, needle) if found.event.operation_id in ids]
    events += _errors(log, ids | {given})
    if not events:
        raise _unknown(log, given)
    events.sort(key=sequence_of)
    decision = _decision(log, events[0])
    named = {getattr(found.event, "operation_id", None) for found in events} & ids
    return Story(given, sorted(name for name in named if name), [*decision, *events])


def _members(log: RunLog, given: str) -> set[str]:
    """Operations of a group, also of one that has not ended yet; none when `given` is no group."""
    found: set[str] = set()
    for group in _groups(log, given):
        if group.event.atomic_group_id == given:
            found.update(group.event.operation_ids)
    for operation in log.find(OperationExecutionEvent, b'"atomic_group_id":"' + _written(given) + b'"'):
        found.add(operation.event.operation_id)
    return found


def _groups(log: RunLog, given: str) -> Iterator[Found[AtomicOperationGroupEvent]]:
    """The end of the group with this id, or of the group that the operation with this id is in."""
    for found in log.find(AtomicOperationGroupEvent, b'"' + _written(given) + b'"'):
        if given == found.event.atomic_group_id or given in found.event.operation_ids:
            yield found


def _errors(log: RunLog, ids: set[str]) -> Iterator[Found[SystemErrorEvent]]:
    """Errors of these operations, and those whose text names one of the ids."""
    whole = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, sorted(ids, key=len, reverse=True))) + r")(?![\w-])")
    for found in log.find(SystemErrorEvent, _written(shared_beginning(ids))):
        if found.event.operation_id in ids or whole.search(found.event.message):
            yield found


def _decision(log: RunLog, first: Found[DomainEvent]) -> list[Found[StrategyDecision]]:
    """The last decision at or before the first event: the one that it came from."""
    line = around(log.folder, StrategyDecision.FILE, first.event.timestamp).before
    return [] if line is None else [log.decoded(StrategyDecision, line)]


def _written(text: str) -> bytes:
    """As it stands between quotation marks in a line."""
    return msgspec.json.encode(text)[1:-1]


def _unknown(log: RunLog, given: str) -> BasisError:
    near = nearest_ids(given, _known_ids(log.folder))
    if near:
        return BasisError("LOG-006", f"no event of {log.run_dir} has the id {given!r}; nearest: {', '.join(near)}")
    first = next(_known_ids(log.folder), None)
    hint = "the run has no operations" if first is None else f"ids look like {first}"
    return BasisError("LOG-006", f"no event of {log.run_dir} has the id {given!r}; {hint}")


def _known_ids(folder: Path) -> Iterator[str]:
    for kind in (OperationExecutionEvent, AtomicOperationGroupEvent):
        for block in blocks(folder, kind.FILE):
            yield from (name.decode() for name in _ID.findall(block.text))
