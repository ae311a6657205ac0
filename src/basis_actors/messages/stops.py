"""Defines protective stops: what an exchange is asked to keep for a position, what it says of them, and what a
strategy is told of those that outlived a process.

A stop closes all of a perpetual's position at market once the mark price reaches its trigger. It may only close, so it
can neither turn a position nor open one, and it needs no size of its own.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

__all__ = ["BracketRecalled", "StopKind", "StopReport", "StopState", "StopTicket"]


class StopKind(StrEnum):
    """Which side of a position a stop is on."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"


class StopTicket(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """A stop as it goes to an exchange."""

    client_id: str
    """Ours, at most 32 letters and digits; by it the stop is found again."""
    pair: str
    buys: bool
    """What closes the position: that of a short buys."""
    kind: StopKind
    trigger: Decimal
    """Mark price, whole ticks."""


class StopState(StrEnum):
    """Where a stop stands on the exchange."""

    WAITING = "waiting"
    FIRED = "fired"
    """Its trigger was reached: it has become an order, or is about to."""
    GONE = "gone"
    """Cancelled, expired or refused, without an order."""


class StopReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange says of one stop, or of another order of somebody that waits for a price."""

    client_id: str
    """As the exchange shows it; of one that is not ours whatever its owner chose."""
    venue_stop_id: str
    pair: str
    buys: bool
    trigger: Decimal
    state: StopState
    venue_order_id: str | None
    """The order that it has become, whose trades are its own; None before."""


class BracketRecalled(msgspec.Struct, frozen=True, gc=False):
    """What the process before knew of the position it had opened last in a market, and of the stops around it."""

    position_key: str
    entry_id: str
    """Operation id of the order that brought the stops."""
    direction: int
    """1 long, -1 short."""
    opened_ns: int
    closed_by: StopKind | None
    """The stop that has closed it; None while it is open."""
