"""Defines how a position that cannot have its stop is closed, and what the journal knows of it. When it is to be closed
is for `StopDesk` to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from math import copysign
from typing import Final, NamedTuple

from basis_actors.errors import UnknownOutcome
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.journal import JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.messages.stops import StopKind
from basis_actors.ports import OrderJournal
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.brackets import Bracket, closing_id, closing_order
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.order_desk import OrderDesk
from basis_actors.venues.live.terms import AccountTerms, LiveClock

__all__ = ["Closing", "Closings"]

_REASONS: Final = (None, *StopKind)
_MOST_TRADES: Final = 5
"""Trades that close one position at one look: a book so thin that more are needed is a matter for a person."""


class Closing(NamedTuple):
    """What was sent to close a position."""

    entry: JournalEntry
    passed: StopKind | None
    """The stop whose level the market had passed; None where it could not be had for another reason."""


class Closings:
    """Orders of one account that close what has lost its stops, numbered where those before have left something.

    `held` says how much there is of something, by position key."""

    def __init__(
        self,
        terms: AccountTerms,
        journal: OrderJournal,
        intents: Intents,
        orders: OrderDesk,
        held: Callable[[str], Awaitable[float]],
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._journal = journal
        self._intents = intents
        self._orders = orders
        self._held = held
        self._clock = clock

    async def of(self, bracket: Bracket) -> list[Closing]:
        """What its own process and later ones have sent to close the position of an order."""
        found = []
        for process in range(bracket.incarnation, self._journal.incarnation + 1):
            for number in count(1):
                sent = [
                    Closing(entry, passed)
                    for passed in _REASONS
                    for entry in await self._journal.attempts(process, closing_id(bracket, number, process, passed))
                ]
                if not sent:
                    break
                found += sent
        return found

    async def carry_out(self, order: Order, size: float, passed: StopKind | None) -> float:
        """Close a position of `size`, in as many trades as it takes: each may be filled in part only. `order` is one of
        its stops.

        Returns what is left: nothing, or less than can be traded, unless the most trades were too few. Raises a
        VenueError where one of them is not known to be done.
        """
        pair = order.pair or ""
        for _ in range(_MOST_TRADES):
            closing = await self._next(order, size, passed)
            is_new = not await self._intents.attempts(closing)
            await self._trade(closing)
            left = await self._held(self._terms.position_key(pair))
            if is_new:
                # An account that is read right after a trade may be shown as it was before it.
                filled = float((await self._intents.attempts(closing))[-1].filled)
                left = copysign(min(abs(left), max(0.0, abs(size) - filled)), size)
            size = left
            if self._orders.is_dust(pair, size):
                break
        return size

    async def _trade(self, closing: Order) -> None:
        """Send an order, or ask for the one that is under way, and follow it. Raises a VenueError where it is not known
        to be done."""
        patience, clock = self._terms.patience, self._clock
        attempts = await self._intents.attempts(closing)
        try:
            handshake = await self._orders.ask(attempts[-1]) if attempts else await self._orders.send(closing)
        except UnknownOutcome:
            handshake = None
        give_up = clock.now() + round(patience.order_seconds * NS_PER_SECOND)
        while handshake is None or handshake.status in (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING):
            if clock.now() >= give_up:
                text = "no answer came" if handshake is None else handshake.error_message
                raise UnknownOutcome("VEN-002", f"{closing.operation_id}: {text}")
            await clock.sleep(patience.read_pause_seconds)
            handshake = await self._orders.ask((await self._intents.attempts(closing))[-1])
        if not handshake.was_successful():
            raise UnknownOutcome(
                handshake.error_code or "EXEC-001", f"{closing.operation_id}: {handshake.error_message}"
            )

    async def _next(self, order: Order, size: float, passed: StopKind | None) -> Order:
        """The closing order that is under way, for whatever reason it was sent; else the next."""
        number, incarnation = 1, self._journal.incarnation
        while True:
            sent: list[JournalEntry] = []
            for reason in _REASONS:
                closing = closing_order(order, size, number, incarnation, reason)
                attempts = await self._intents.attempts(closing)
                if attempts and not attempts[-1].state.has_ended:
                    return closing
                sent += attempts
            if not sent:
                return closing_order(order, size, number, incarnation, passed)
            number += 1
