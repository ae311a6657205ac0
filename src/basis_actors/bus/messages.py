"""Defines the base of typed questions and the few messages that the bus itself sends.

All of them are ordinary messages: an actor that has a handler for ``DeadLetter``, ``ActorFailed`` or ``Escalated``
is subscribed to it.
"""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

import msgspec

R = TypeVar("R")


class Request(msgspec.Struct, Generic[R], frozen=True):
    """A message that has an answer of type ``R``.

    The question fixes the type of its answer, so ``ask`` is typed and a handler with another result is refused::

        class GetBook(Request[Book], frozen=True):
            symbol: str
    """

    @classmethod
    def __reply__(cls) -> R:
        """Carries ``R`` for type checkers; never called."""
        raise NotImplementedError


class Reason(Enum):
    """Why a message was not handled."""

    UNHANDLED = "no handler for this type"
    STOPPED = "the receiver has stopped"
    FAILED = "the receiver has failed"
    POISON = "the handler raised"
    LATE_REPLY = "the asker no longer waits"
    NO_LOG_SINK = "the bus has no log sink"
    LOST = "the receiver did not stop in time"


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that nobody handled."""

    message: object
    to: str
    sender: str
    reason: Reason
    sequence: int


class ActorFailed(msgspec.Struct, frozen=True):
    """A handler, hook or source raised. Sent through the control lane, before the supervision row is applied."""

    actor: str
    message_type: str
    """Name of the message's type; ``pre_start``, ``restart``, ``post_stop`` or ``source`` when there was none."""
    exception: str
    """Type and text of the exception."""
    traceback: str


class Escalated(msgspec.Struct, frozen=True):
    """A failure that ends the run. Sent once, through the control lane, before sources stop and the bus drains."""

    actor: str
    message_type: str
    exception: str
