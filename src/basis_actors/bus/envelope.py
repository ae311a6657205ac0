"""Defines what travels with every message: who sent it, and what it is part of."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from basis_actors.bus.asking import Ask


class Lane(Enum):
    """The two lanes of an inbox. Control overtakes messages; within a lane order is kept."""

    MESSAGES = "messages"
    CONTROL = "control"


class Cause:
    """What set off a chain of messages: a tick, a timer, an event of a source.

    Every message sent while handling another one inherits its cause, so a cause is settled when nothing that it set
    off is left. ``live`` counts the messages that are queued or being handled; a handler parked in an ask or a sleep
    is still handling its message, hence asks and sleeps need no count of their own.
    """

    __slots__ = ("label", "live", "waiters")

    def __init__(self, label: str) -> None:
        self.label = label
        self.live = 0
        self.waiters: list[Callable[[], None]] | None = None

    def __repr__(self) -> str:
        return f"Cause({self.label!r}, live={self.live})"


class Envelope(msgspec.Struct, gc=False):
    """A message on its way, and the context in which it was sent. Read only for actors."""

    message: object
    sender: str
    """Name of the sending actor; ``"outside"`` for a post from outside, ``"bus"`` for lifecycle."""
    cause: Cause
    sequence: int
    """Number of this message on its bus, increasing in order of sending."""
    causation_id: int
    """Sequence of the message during whose handling this one was sent; 0 when there was none."""
    correlation_id: str
    """Identifies the run."""
    deadline: int | None = None
    """Nanoseconds; when the asker stops waiting. None for messages that are not asks, and asks without a limit."""
    reply: Ask | None = None
    """Where the answer goes when the message was asked."""
