"""Defines the actor that brings live accounts into order before anything is traded.

What earlier processes sent is found out, the legs of a compensated group that was cut in two are unwound, and the
ledger begins with what the exchanges then show. If any of that fails, the engine does not start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

from basis_actors.actors.execution_log import operation_event
from basis_actors.actors.execution_units import MOST_UNWINDS, undoing, unwind_id
from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, on
from basis_actors.errors import BasisError, Rejected, Transient, UnknownOutcome
from basis_actors.messages.commands import AwaitRecovery
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import Order
from basis_actors.ports import OrderJournal
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.live.account import ExchangeAccount

__all__ = ["RecoveryManager"]

R = TypeVar("R")


class RecoveryManager(Actor):
    """Has to join the bus before the actors of the accounts.

    What fails for a reason that passes is tried again, for as long as the terms of the account say.
    """

    def __init__(self, accounts: Sequence[ExchangeAccount], journal: OrderJournal) -> None:
        super().__init__("recovery_manager")
        self._accounts = {account.domain: account for account in accounts}
        self._journal = journal
        self._began_ns = 0

    async def pre_start(self) -> None:
        """Recover. Raises a VenueError or BasisError that says why nothing may be traded."""
        self._began_ns = self.now
        accounts = self._accounts.values()
        for account in accounts:
            await self._patiently(account, account.prepare)
            for entry in await self._patiently(account, account.conclude_earlier):
                order = entry.intent.order
                text = f"{entry.intent.client_id} of an earlier process is {entry.state}: {entry.evidence}"
                self._say(account, order.operation_id, text)
        for incarnation, orders in await self._journal.open_groups():
            await self._unwind(incarnation, orders)
        for account in accounts:
            await self._patiently(account, account.open)
            self._tell(account)

    @on(AwaitRecovery)
    def is_done(self, _request: AwaitRecovery) -> None:
        """Whoever asks is answered once all of it is done."""

    async def _unwind(self, incarnation: int, orders: Sequence[Order]) -> None:
        """Undo what is left of a group that began and did not end, unless all of it was done."""
        group_id = orders[0].atomic_group_id
        assert group_id is not None, "a group has a name"
        filled = [await self._filled(incarnation, order) for order in orders]
        whole = all(done >= Decimal(repr(order.amount)) for done, order in zip(filled, orders, strict=True))
        if not whole:
            for order, done in reversed(list(zip(orders, filled, strict=True))):
                if done > 0:
                    await self._undo(incarnation, order, done)
        await self._journal.end_group(group_id)

    async def _filled(self, incarnation: int, order: Order) -> Decimal:
        """What is still in force of a leg: filled, and not undone before or since the kill."""
        done = await self._journal.attempts(incarnation, order.operation_id)
        undone = [
            entry
            for number in range(1, MOST_UNWINDS + 1)
            for entry in await self._journal.attempts(incarnation, unwind_id(order.operation_id, number))
        ]
        for later in range(incarnation + 1, self._journal.incarnation + 1):
            for number in range(MOST_UNWINDS):
                undone += await self._journal.attempts(later, _undoing_id(order, incarnation, number))
        return _sum(entry.filled for entry in done) - _sum(entry.filled for entry in undone)

    async def _undo(self, incarnation: int, order: Order, amount: Decimal) -> None:
        """Undo what is left of a leg, in as many trades as it takes."""
        account, left = self._accounts[order.venue], amount
        for number in range(MOST_UNWINDS):
            undo = undoing(order, float(left), _undoing_id(order, incarnation, number))
            try:
                handshake = await self._carried_out(account, undo)
            except Rejected as error:
                if error.code != "EXEC-009":
                    raise
                # Too small to be traded is too small to matter; the strategy sees it in the book.
                self._say(account, undo.operation_id, f"{left} of {order.operation_id} stay: {error.message}")
                return
            self.log(operation_event(utc_from_ns(self.now), undo, handshake, 0.0))
            left = await self._filled(incarnation, order)
            text = f"group {order.atomic_group_id} was cut in two by the end of an earlier process and is undone"
            self._say(account, undo.operation_id, f"{text}: {left} of {amount} are left of {order.operation_id}")
            if left <= 0:
                return
        raise BasisError(
            "EXEC-006",
            f"{order.operation_id} of group {order.atomic_group_id}, which an earlier process began, could not be"
            f" undone: {left} of {amount} are left; close it by hand, then start again",
        )

    async def _carried_out(self, account: ExchangeAccount, order: Order) -> ExecutionHandshake:
        """Send an order and follow it to its end. Raises what the exchange raises."""
        handshake = await self._patiently(account, lambda: self._sent(account, order))
        while handshake is None or handshake.status in (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING):
            await self.sleep(account.patience.read_pause_seconds)
            handshake = await self._patiently(account, lambda: account.resolve(order))
        return handshake

    async def _sent(self, account: ExchangeAccount, order: Order) -> ExecutionHandshake | None:
        try:
            return await account.execute(order)
        except UnknownOutcome:
            return None

    async def _patiently(self, account: ExchangeAccount, step: Callable[[], Awaitable[R]]) -> R:
        give_up = self._began_ns + round(account.patience.recovery_seconds * NS_PER_SECOND)
        while True:
            try:
                return await step()
            except Transient as error:
                if self.now >= give_up:
                    raise
                self.log(error_event(utc_from_ns(self.now), self.name, error.code, error.message, passes=True))
            await self.sleep(account.patience.read_pause_seconds)

    def _say(self, account: ExchangeAccount, operation_id: str, text: str) -> None:
        self._tell(account)
        self.log(error_event(utc_from_ns(self.now), self.name, "VEN-002", text, operation_id, passes=True))

    def _tell(self, account: ExchangeAccount) -> None:
        for event in account.findings.take_events():
            self.log(event)


def _undoing_id(order: Order, incarnation: int, number: int) -> str:
    """Differs from what the process of the group itself called its unwinding."""
    return f"{order.operation_id}-undone-{incarnation}-{number}"


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
