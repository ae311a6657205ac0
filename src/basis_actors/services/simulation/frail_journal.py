"""Defines a journal whose writes may be the last thing that a process does: killed just before they took effect, or
just after.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import Payment, VenueFill
from basis_actors.messages.journal import Intent, IntentState, JournalEntry, LastHeld
from basis_actors.messages.orders import Order
from basis_actors.venues.journal.memory import JournalBook, MemoryJournal

__all__ = ["FrailJournal", "KilledWhileWriting"]

R = TypeVar("R")


class KilledWhileWriting(BaseException):
    """The process is gone. Nobody catches this."""


class FrailJournal(MemoryJournal):
    """A journal in memory. `strikes` says, of a moment before or after a write, whether the process is killed there."""

    def __init__(self, deployment: str, strikes: Callable[[str], bool], book: JournalBook | None = None) -> None:
        super().__init__(deployment, book)
        self._strikes = strikes

    def reopened(self) -> FrailJournal:
        """The same journal as the next process finds it."""
        return FrailJournal(self._deployment, self._strikes, super().reopened()._book)

    async def intend(self, intent: Intent) -> JournalEntry:
        """Keep an intent."""
        return await self._write(super().intend(intent))

    async def advance(
        self,
        client_id: str,
        state: IntentState,
        filled: Decimal,
        evidence: str,
        now_ns: int,
        venue_id: str | None = None,
    ) -> JournalEntry:
        """Keep what has become known."""
        return await self._write(super().advance(client_id, state, filled, evidence, now_ns, venue_id))

    async def book_fill(self, domain: str, fill: VenueFill) -> bool:
        """Whether the trade was not there yet."""
        if (domain, fill.pair, fill.trade_id) in self._book.fills:
            return False
        return await self._write(super().book_fill(domain, fill))

    async def book_payment(self, domain: str, payment: Payment, arrived: IncomingTransfer | None = None) -> bool:
        """Whether the payment was not there yet."""
        if (domain, payment.payment_id) in self._book.payments:
            return False
        return await self._write(super().book_payment(domain, payment, arrived))

    async def expect(self, domain: str, transfer: IncomingTransfer) -> None:
        """Keep what is on its way."""
        await self._write(super().expect(domain, transfer))

    async def arrived(self, domain: str, transfer: IncomingTransfer) -> None:
        """It is there."""
        await self._write(super().arrived(domain, transfer))

    async def begin_group(self, group_id: str, orders: Sequence[Order]) -> None:
        """Keep a group."""
        await self._write(super().begin_group(group_id, orders))

    async def end_group(self, incarnation: int, group_id: str) -> None:
        """Forget it."""
        await self._write(super().end_group(incarnation, group_id))

    async def keep(self, domain: str, held: LastHeld) -> None:
        """Keep what an account holds."""
        await self._write(super().keep(domain, held))

    async def _write(self, take_effect: Coroutine[Any, Any, R]) -> R:
        if self._strikes("killed before a write"):
            take_effect.close()
            raise KilledWhileWriting
        result = await take_effect
        if self._strikes("killed after a write"):
            raise KilledWhileWriting
        return result
