"""Defines how a live process ends that was told to: closing its book where that is wanted, and what it does not wait
for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from basis_actors.actors.engine import Engine
from basis_actors.actors.kill_switch import TRADERS
from basis_actors.bus import Lane, LiveBus, StopTimeout
from basis_actors.errors import BasisError
from basis_actors.messages.commands import GetStatus
from basis_actors.messages.safety import CloseBook
from basis_actors.services.wiring import EVENT_LOGGER

__all__ = ["close_the_book", "loses_nothing", "not_closed"]

_SWITCH: Final = "kill_switch"
_SETTLING_SECONDS: Final = 1.0
"""How long the news of the last tick may take to get around."""


async def close_the_book(
    bus: LiveBus, engine: Engine, told: str, limit_seconds: float, held: Callable[[], object]
) -> str | None:
    """Close everything step by step, as the kill switch does, for at most so long. Returns why it is not closed; that
    tokens are not gathered yet, and nothing else is `held`, is no reason.

    Where trading has been stopped before, everything stays as it is.
    """
    if engine.stopped is not None:
        return None if await _is_closed(bus, held) else f"trading is stopped: {engine.stopped.reason}"
    command = CloseBook(f"{told}: the book is closed before the process ends", "RISK-008")
    for actor in TRADERS:
        bus.post(actor, command, lane=Lane.CONTROL)
    with anyio.move_on_after(limit_seconds):
        await bus.until(lambda: engine.is_closing or engine.stopped is not None, "the closing of the book")
        await bus.until(lambda: not (engine.is_closing or engine.at_work), "a closed book")
    return None if await _is_closed(bus, held) else f"{limit_seconds:g} s, or the ticks that it may take, were too few"


async def _is_closed(bus: LiveBus, held: Callable[[], object]) -> bool:
    """What is too small to be traded may be left of a closed book."""
    with anyio.move_on_after(_SETTLING_SECONDS):
        await bus.settled()
    return (await bus.ask(_SWITCH, GetStatus())).book_closed or not held()


def not_closed(why: str) -> BasisError:
    """The failure of a stop that should have closed the book."""
    text = f"the book was to be closed before the process ended, and is not: {why}"
    return BasisError("RISK-008", f"{text}; `basis-actors kill --flatten` has the next process close it")


def loses_nothing(stop: StopTimeout) -> bool:
    """Whether what a stop did not wait for is known again to the next process, which asks the exchanges: everything but
    an order that was being carried out, and events that are not on disk."""
    return not any(
        lost.actor == EVENT_LOGGER or (lost.actor == "execution_manager" and (lost.handling or lost.unhandled))
        for lost in stop.lost
    )
