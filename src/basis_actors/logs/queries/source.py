"""Opens the log of a run for questions: typed events, found by the bytes they contain before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.directory import EVENTS_FOLDER
from basis_actors.logs.queries.blocks import Line, blocks, lines_with, unreadable
from basis_actors.logs.queries.completeness import notices
from basis_actors.logs.reader import EventLog, require_event_files
from basis_actors.logs.run_lock import is_running
from basis_actors.messages.events import DomainEvent

__all__ = ["Found", "RunLog", "sequence_of"]

E_co = TypeVar("E_co", bound=DomainEvent, covariant=True)
E = TypeVar("E", bound=DomainEvent)


@dataclass(frozen=True, slots=True)
class Found(Generic[E_co]):
    """An event, and the line that it was read from."""

    event: E_co
    line: bytes
    """As it is in the file, with its line end."""


class RunLog:
    """The events of one run, to be asked.

    Raises BasisError LOG-003 when `run_dir` is not a run directory or has no event files, and LOG-004 when a
    newer version wrote it.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.metadata = EventLog(run_dir).metadata
        self.folder = run_dir / EVENTS_FOLDER
        require_event_files(run_dir, self.metadata)

    def find(self, kind: type[E], *needles: bytes) -> Iterator[Found[E]]:
        """Events of one type whose lines contain any of `needles`, or all of them, in the order of the log.

        Raises BasisError LOG-004, naming file and line, for what cannot be read and for an event of another run.
        """
        decoder = msgspec.json.Decoder(kind)
        needles = tuple(needle for needle in needles if needle)
        for block in blocks(self.folder, kind.FILE):
            for line in lines_with(block, needles):
                yield Found(self._decoded(decoder, kind, line), line.text)

    def decoded(self, kind: type[E], line: Line) -> Found[E]:
        """The event of a line that was found by other means. Raises as `find`."""
        return Found(self._decoded(msgspec.json.Decoder(kind), kind, line), line.text)

    def _decoded(self, decoder: msgspec.json.Decoder[E], kind: type[E], line: Line) -> E:
        try:
            event = decoder.decode(line.text)
        except UNREADABLE as error:
            raise unreadable(line, error, kind.__name__) from error
        if event.correlation_id != self.metadata.correlation_id:
            reason = f"it belongs to the run {event.correlation_id}, and mixed runs cannot be told apart"
            raise unreadable(line, reason, f"{kind.__name__} of {self.metadata.correlation_id}")
        return event

    def notices(self) -> list[str]:
        """What a person has to know about the log beside the answer: torn ends, events that are missing."""
        return notices(self.folder, running=is_running(self.run_dir))


def sequence_of(found: Found[DomainEvent]) -> int:
    """Number of the event in the run. Raises BasisError LOG-004 for one that has none."""
    if found.event.sequence is None:
        raise BasisError("LOG-004", f"{type(found.event).__name__} of {found.event.timestamp} has no sequence number")
    return found.event.sequence
