"""Defines what follows from a latch: who is told what, what the process shows, and the words for it."""

from __future__ import annotations

from typing import Final

from basis_actors.actors.reporting import STOPPED_CODE
from basis_actors.errors import Severity
from basis_actors.messages.commands import StopTrading
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.safety import CloseBook, Latch, ReduceOnly, TradingState

__all__ = ["TRADERS", "commands_of", "phase_of", "severity_of_latch", "wording"]

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


def phase_of(latch: Latch, *, begun: bool) -> TradingStatus:
    """What whoever watches the process is told; `begun` says whether it has begun to trade."""
    if latch.state is TradingState.RUNNING:
        return TradingStatus(TradingPhase.TRADING if begun else TradingPhase.STARTING)
    return TradingStatus(TradingPhase.KILLED, f"{latch.reason} ({latch.who})", latch.error_code or STOPPED_CODE)


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
