"""Defines what a strategy asks for signals: a source that sees the market tick by tick and nothing ahead of it."""

from __future__ import annotations

from typing import Protocol

from basis_actors.messages.market import MarketState
from basis_actors.messages.signals import Signal

__all__ = ["SignalSource"]


class SignalSource(Protocol):
    """Gives the signal that is in force at a tick."""

    @property
    def silence(self) -> str:
        """Why the last tick had no signal; empty when it had one."""
        ...

    def at(self, market: MarketState) -> Signal | None:
        """The signal that is known at this tick, None when there is none. Called once a tick, in order."""
        ...
