"""Defines what a strategy asks for signals: a source that sees the market tick by tick and nothing ahead of it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from basis_actors.errors import BasisError
from basis_actors.messages.market import MarketState
from basis_actors.messages.signals import Signal, SignalReceived

__all__ = ["SignalSource"]


class SignalSource(ABC):
    """Gives the signal that is in force at a tick."""

    silence: str = ""
    """Why the last tick had no signal; empty when it had one."""

    @abstractmethod
    def at(self, market: MarketState) -> Signal | None:
        """The signal that is known at this tick, None when there is none. Called once a tick, in order."""

    def take(self, received: SignalReceived) -> None:  # noqa: ARG002 - for overriders
        """Take note of a signal from outside. Raises BasisError STRAT-001 for a source that has its own."""
        raise BasisError("STRAT-001", f"a signal was received, and {type(self).__name__} has signals of its own")

    @property
    def input_hashes(self) -> dict[str, str]:
        """sha256 of each file that signals come from, by its path."""
        return {}
