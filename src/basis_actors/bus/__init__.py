"""Actors and the two buses that carry their messages: ``SimBus`` for simulation, ``LiveBus`` for real time.

Start reading in ``actor.py``. This package knows nothing of trading.
"""

from basis_actors.bus.actor import DEFER, Actor
from basis_actors.bus.clock import Clock, ManualClock, ReplayClock, VirtualClock, WallClock
from basis_actors.bus.envelope import Cause, Envelope, Lane
from basis_actors.bus.errors import (
    AskCycle,
    AskError,
    AskFailed,
    AskTimeout,
    BusError,
    BusFailed,
    BusStalled,
    ForeignAwait,
    Lost,
    NotOnABus,
    StopTimeout,
    UnknownActor,
)
from basis_actors.bus.handlers import Handler, on
from basis_actors.bus.lifecycle import ActorStats, Phase
from basis_actors.bus.live import LiveBus
from basis_actors.bus.messages import ActorFailed, DeadLetter, Escalated, Reason, Request
from basis_actors.bus.protocol import Bus
from basis_actors.bus.sim import SimBus, complete
from basis_actors.bus.sources import Outlet, Source
from basis_actors.bus.supervision import Escalate, Restart, Supervision
from basis_actors.bus.timers import Timer

__all__ = [
    "DEFER",
    "Actor",
    "ActorFailed",
    "ActorStats",
    "AskCycle",
    "AskError",
    "AskFailed",
    "AskTimeout",
    "Bus",
    "BusError",
    "BusFailed",
    "BusStalled",
    "Cause",
    "Clock",
    "DeadLetter",
    "Envelope",
    "Escalate",
    "Escalated",
    "ForeignAwait",
    "Handler",
    "Lane",
    "LiveBus",
    "Lost",
    "ManualClock",
    "NotOnABus",
    "Outlet",
    "Phase",
    "Reason",
    "ReplayClock",
    "Request",
    "Restart",
    "SimBus",
    "Source",
    "StopTimeout",
    "Supervision",
    "Timer",
    "UnknownActor",
    "VirtualClock",
    "WallClock",
    "complete",
    "on",
]
