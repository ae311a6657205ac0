"""Defines the stages of an actor's life, and the messages by which a bus leads it from one to the next."""

from __future__ import annotations

from enum import Enum

import msgspec

from basis_actors.bus.messages import ActorFailed


class Phase(Enum):
    """Where an actor is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


STARTING = (Phase.NEW, Phase.STARTING)
"""Of an actor that has yet to handle its first message."""


class Start(msgspec.Struct, frozen=True):
    """Lifecycle: run ``pre_start``. The first message of every inbox."""


class Restarting(msgspec.Struct, frozen=True):
    """Lifecycle: run ``pre_restart`` and ``pre_start``."""

    failure: ActorFailed


class Stop(msgspec.Struct, frozen=True):
    """Lifecycle: the drain marker. Everything sent before it is handled, then ``post_stop`` runs."""


class Latest(msgspec.Struct):
    """Stands in an inbox for the newest message of a conflated series."""

    key: object
    message: object


LIFECYCLE: dict[type, str] = {Start: "pre_start", Restarting: "restart", Stop: "post_stop"}


class ActorStats(msgspec.Struct, frozen=True):
    """What a health monitor may want to know of an actor."""

    depth: int
    """Messages that wait, the actor's own backlog included."""
    handled: int
    last_message_at: int | None
    """Nanoseconds; when the last message was handled."""
    restarts: int
    """Within the window of the supervision row."""
    conflated: int
    """Messages replaced by newer ones before they were handled."""
    phase: Phase
    high_water: int = 0
    """Most messages that ever waited in the message lane; counted on LiveBus only."""


def message_name(message: object) -> str:
    """How reports name a message: its type, or the hook that a lifecycle message stands for."""
    if isinstance(message, Latest):
        message = message.message
    return LIFECYCLE.get(type(message), type(message).__name__)
