"""Defines what follows from a latch: who is told what, what the process shows, and the words for it."""

from __future__ import annotations

from typing import Final

from basis_actors.actors.reporting import STOPPED_CODE
from basis_actors.errors import Severity
from basis_actors.messages.commands import StopTrading
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.safety import CloseBook, Latch, ReduceOnly, StartReport, TradingState

__all__ = ["TRADERS", "commands_of", "phase_of", "severity_of_latch", "unclosed", "wording"]

TRADERS: Final = ("execution_manager", "strategy_manager", "engine")
"""Who has to know of a stop, who sends first."""
_DECIDERS: Final = ("execution_manager", "strategy_manager")
"""Who has to know that only what reduces may be sent."""


def commands_of(latch: Latch) -> tuple[tuple[str, ReduceOnly | CloseBook | StopTrading], ...]:
    """What each actor is told; nothing while trading runs."""
    if latch.state is TradingState.RUNNING:
        return ()
    reason = f"{latch.reason} ({latch.who})"
    if latch.state is TradingState.STOPPED:
        return tuple((actor, ReduceOnly(reason, STOPPED_CODE)) for actor in _DECIDERS)
    command = CloseBook(reason, STOPPED_CODE) if latch.flatten else StopTrading(reason)
    return tuple((actor, command) for actor in TRADERS)


def phase_of(latch: Latch, why_open: str | None, *, begun: bool) -> TradingStatus:
    """What whoever watches the process is told; `why_open` is what `unclosed` says, `begun` whether it has begun to
    trade."""
    if latch.state is TradingState.RUNNING:
        return TradingStatus(TradingPhase.TRADING if begun else TradingPhase.STARTING)
    reason = f"{latch.reason} ({latch.who})" if why_open is None else f"{latch.reason} ({latch.who}); {why_open}"
    return TradingStatus(TradingPhase.KILLED, reason, latch.error_code or STOPPED_CODE)


def unclosed(latch: Latch, start: StartReport | None) -> str | None:
    """Why nothing is being closed of a book that is to be, and what a person can do meanwhile; None where that is not
    so. It names whom the `start` waits for."""
    if not latch.flatten or start is None or not start.waits_for:
        return None
    names = ", ".join(venue.domain for venue in start.waits_for)
    return (
        f"nothing is closed anywhere before {names} answers. By hand, wherever you reach an exchange: buy back shorts"
        " and sell as much of their spot, close what has no hedge; leave alone what `status` shows as undecided or cut"
        " in two, which the process brings to its end"
    )


def severity_of_latch(latch: Latch) -> Severity:
    """How severe it is that this is the state: nobody need be woken for trading that goes on or a stop that somebody
    waits for, and a person who has killed the process knows."""
    if latch.state is TradingState.RUNNING or latch.until_closed:
        return Severity.MEDIUM
    return Severity.HIGH if latch.error_code is None else Severity.CRITICAL


def wording(latch: Latch) -> str:
    """The latch as it is said to a person."""
    flatten = ", and the book is to be closed" if latch.flatten else ""
    code = "" if latch.error_code is None else f"{latch.error_code}: "
    return f"{latch.state}{flatten}: {code}{latch.reason} ({latch.who})"
