"""Defines how a live process ends that was told to: closing its book where that is wanted, and what it does not wait
for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import anyio
import msgspec

from basis_actors.actors.engine import Engine
from basis_actors.actors.latch_file import read_latch, write_latch
from basis_actors.bus import Lane, LiveBus, StopTimeout
from basis_actors.errors import BasisError
from basis_actors.messages.commands import GetStatus, Kill
from basis_actors.messages.safety import BookClosed, Latch, TradingState
from basis_actors.ports import StateStore
from basis_actors.services.left_open import listed
from basis_actors.services.wiring import EVENT_LOGGER
from basis_actors.times import utc_text

__all__ = [
    "close_the_book",
    "end_the_tick",
    "keep_closing",
    "loses_nothing",
    "never_begun",
    "not_closed",
    "still_closing",
]

_SWITCH: Final = "kill_switch"
_WHO: Final = "the stop of the process"
_GOES_ON: Final = "the next process goes on closing it, and trades only after `basis-actors resume`"
"""What becomes of a book that a stop has not closed."""
_SETTLING_SECONDS: Final = 1.0
"""How long the news of the last tick may take to get around."""


class OwnOrders(Protocol):
    """An account that may send an order which nobody has asked it for."""

    @property
    def has_own_order(self) -> bool:
        """Whether one is on its way."""
        ...

    def begin_nothing(self) -> None:
        """Send none from now on."""
        ...


async def end_the_tick(
    bus: LiveBus, engine: Engine, accounts: Sequence[OwnOrders], orders_seconds: float, beyond_seconds: float
) -> None:
    """Let the tick at work come to its end, for as long as its orders may take and `beyond_seconds`. One that has not
    come to its decision sends nothing: for the venue that it waits for it gets `beyond_seconds` alone, and whatever an
    order takes that an account has sent by itself.

    After that no account begins an order of its own: nobody would book it.
    """

    def is_sending() -> bool:
        return any(account.has_own_order for account in accounts)

    with anyio.move_on_after(orders_seconds + beyond_seconds):
        while engine.at_work or is_sending():
            with anyio.move_on_after(beyond_seconds):
                await bus.until(lambda: not (engine.is_settling or is_sending()), "the decision of the tick at work")
            if is_sending():
                await bus.until(lambda: not is_sending(), "the order of an account")
                continue
            if engine.is_settling:
                break
            await bus.until(lambda: not engine.at_work or engine.is_settling or is_sending(), "the tick at work")
    for account in accounts:
        account.begin_nothing()


async def close_the_book(
    bus: LiveBus, engine: Engine, told: str, limit_seconds: float, held: Callable[[], object]
) -> str | None:
    """Close everything step by step, as the kill switch does, for at most so long. Returns why it is not closed; that
    tokens are not gathered yet, and nothing else is `held`, is no reason.

    Until it is closed the latch says that it is to be, so that no process that comes after this one trades before a
    person lets it. Where a person has killed the process without closing the book, everything stays as it is.
    """
    latch = (await bus.ask(_SWITCH, GetStatus(), lane=Lane.CONTROL)).latch
    if latch.state is TradingState.KILLED and not latch.flatten:
        return None if await _is_closed(bus, held) else _left_open(latch)
    await bus.ask(_SWITCH, _closing(told), lane=Lane.CONTROL)
    with anyio.move_on_after(limit_seconds):
        await bus.until(lambda: engine.is_closing or engine.stopped is not None, "the closing of the book")
        await bus.until(lambda: not (engine.is_closing or engine.at_work), "a closed book")
    if await _is_closed(bus, held):
        bus.post(_SWITCH, BookClosed())
        return None
    latch = (await bus.ask(_SWITCH, GetStatus(), lane=Lane.CONTROL)).latch
    if latch.state is TradingState.RUNNING:
        return f"{latch.who} has resumed trading meanwhile, so closing ended there, and the next process trades"
    return f"{limit_seconds:g} s, or the ticks that it may take, were too few{await _kept_by(bus)}; {_GOES_ON}"


async def still_closing(bus: LiveBus, held: Callable[[], object]) -> str | None:
    """Why a book that somebody has told a process to close is not closed at its end; None where nobody has or it is."""
    latch = (await bus.ask(_SWITCH, GetStatus(), lane=Lane.CONTROL)).latch
    if latch.state is not TradingState.KILLED or not latch.flatten or await _is_closed(bus, held):
        return None
    return f"the process ended before that was done{await _kept_by(bus)}; {_GOES_ON}"


async def _kept_by(bus: LiveBus) -> str:
    """Which exchanges are not asked for an order, or give no answer; empty where there is none."""
    found = []
    for venue in (await bus.ask(_SWITCH, GetStatus(), lane=Lane.CONTROL)).silent:
        until = venue.left_alone_until
        what = "does not answer" if until is None else f"wants to be left alone until {utc_text(until)}"
        found.append(f"; {venue.domain} {what}")
    return "".join(found)


def keep_closing(store: StateStore, told: str, now: datetime) -> None:
    """Have the next process close the book, where this one could not even begin to. Raises BasisError ENGINE-004."""
    latch, kill = read_latch(store, now), _closing(told)
    if latch.state is not TradingState.KILLED:
        killed = Latch(state=TradingState.KILLED, reason=kill.reason, who=kill.who, since=now, flatten=True)
        write_latch(store, msgspec.structs.replace(killed, mismatches=latch.mismatches, over=latch.cause))


def _closing(told: str) -> Kill:
    return Kill(f"{told}: the book is closed before the process ends", _WHO, flatten=True, until_closed=True)


def _left_open(latch: Latch) -> str:
    why = f"trading is stopped: {latch.reason} ({latch.who})"
    return f"{why}; `basis-actors kill --flatten` has the next process close it"


async def _is_closed(bus: LiveBus, held: Callable[[], object]) -> bool:
    """What is too small to be traded may be left of a closed book."""
    with anyio.move_on_after(_SETTLING_SECONDS):
        await bus.settled()
    return (await bus.ask(_SWITCH, GetStatus())).book_closed or not held()


def not_closed(why: str, left: Mapping[str, float]) -> BasisError:
    """The failure of a process that should have closed the book, and of which this is `left`."""
    what = f" ({listed(left)})" if left else ""
    return BasisError("RISK-008", f"the book was to be closed, and is not{what}: {why}")


def never_begun() -> BasisError:
    """The failure of one that should have closed it, and ended before it knew what there is to close."""
    text = f"the book is to be closed, and nobody knows whether it is: the process had not begun to trade; {_GOES_ON}"
    return BasisError("RISK-008", text)


def loses_nothing(stop: StopTimeout) -> bool:
    """Whether what a stop did not wait for is known again to the next process, which asks the exchanges: everything but
    an order that was being carried out, and events that are not on disk."""
    return not any(
        lost.actor == EVENT_LOGGER or (lost.actor == "execution_manager" and (lost.handling or lost.unhandled))
        for lost in stop.lost
    )
