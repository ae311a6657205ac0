"""Defines what the order journal keeps: intents, written down before they are sent, what is known of them, and what an
account held when it was last known.

The journal is what a process that was killed knows of its orders when it comes back; the event log may lack its end.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from basis_actors.messages.exchange import OrderTicket, Payment, TransferTicket, VenueFill
from basis_actors.messages.orders import Order
from basis_actors.messages.stops import StopTicket

__all__ = ["Intent", "IntentState", "JournalEntry", "LastHeld", "Remembered", "may_follow"]


class IntentState(StrEnum):
    """What is known of an intent."""

    PENDING = "pending"
    """Written down, not handed to the exchange."""
    SENT = "sent"
    """Handed to the exchange, no answer yet. What a killed process leaves in this state is unknown."""
    ACKNOWLEDGED = "acknowledged"
    """The exchange has it; nothing is filled."""
    UNKNOWN = "unknown"
    """It was sent and nobody knows whether it arrived. Never sent again, only asked for."""
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    """Done; of a transfer: it has left its source."""
    REJECTED = "rejected"
    """The exchange did nothing, or the order was never there."""
    CANCELLED = "cancelled"
    """Over before all of it was filled, or never sent at all."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be found out."""
        return self in _ENDED


_ENDED: Final = frozenset({IntentState.FILLED, IntentState.REJECTED, IntentState.CANCELLED})
_STANDS: Final = frozenset({IntentState.PARTIALLY_FILLED, *_ENDED})
_NEXT: Final[dict[IntentState, frozenset[IntentState]]] = {
    IntentState.PENDING: frozenset({IntentState.SENT, IntentState.CANCELLED}),
    IntentState.SENT: frozenset({IntentState.ACKNOWLEDGED, IntentState.UNKNOWN, *_STANDS}),
    IntentState.ACKNOWLEDGED: _STANDS,
    IntentState.UNKNOWN: frozenset({IntentState.ACKNOWLEDGED, *_STANDS}),
    IntentState.PARTIALLY_FILLED: frozenset({IntentState.PARTIALLY_FILLED, IntentState.FILLED, IntentState.CANCELLED}),
}


def may_follow(state: IntentState, following: IntentState) -> bool:
    """Whether knowledge can go from one state to the other: never back, and never out of an end."""
    return following in _NEXT.get(state, ())


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is to be sent to an exchange, written down before it is.

    A stop is written down before the order that it protects, and waits as `pending` until that one is filled: what has
    not ended says what has to be kept, also to a process that begins between the two. It is `acknowledged` while the
    exchange keeps it, and `partially_filled` from when it has fired until it is known what is left of the position.
    """

    client_id: str
    """Of the request on the wire; one attempt of one operation."""
    order: Order
    """What the strategy wanted; of a stop the order that brought it, under the name of the stop."""
    ticket: OrderTicket | TransferTicket | StopTicket
    """What goes to the exchange."""
    domain: str
    incarnation: int
    """Of the process that wrote it; operation ids repeat from one to the next."""
    attempt: int
    """Counts from 0; a further one only follows an attempt that definitely did nothing."""
    created_ns: int


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An intent and what is known of it."""

    intent: Intent
    state: IntentState
    filled: Decimal
    """Of the ticket's amount."""
    evidence: str
    """How the state is known."""
    changed_ns: int
    venue_id: str | None = None
    """What the exchange calls it; None while that is not known."""


class LastHeld(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an account held when a process last compared it with its ledger, as the ledger has it."""

    account: str
    """Tells the account from others at the same exchange; empty where nobody says."""
    pairs: tuple[str, ...]
    """Markets whose trades were booked."""
    tokens: tuple[str, ...]
    """What was booked, in alphabetical order."""
    time_ns: int
    positions: dict[str, float]
    """By position key."""
    entries: dict[str, float]
    """Average entries of the perpetuals, by position key."""


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What an account held when it was last known, and what was written down of it since: none of that is in it yet."""

    held: LastHeld
    fills: tuple[VenueFill, ...]
    payments: tuple[Payment, ...]
    transfers: tuple[JournalEntry, ...]
    """Whatever became of them."""
