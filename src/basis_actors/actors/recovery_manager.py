"""Defines the actor that brings live accounts into order before anything is traded.

What earlier processes sent is found out, compensated groups that were cut in two are brought to an end, and the
ledger begins with what the exchanges then show. If any of that fails, the engine does not start. A group that cannot be
made whole is no such failure: what adds risk is stopped, and the strategy levels the book that there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from basis_actors.actors.cut_group import CutGroup
from basis_actors.actors.execution_log import operation_event
from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, on
from basis_actors.errors import BasisError, Rejected, Transient, UnknownOutcome
from basis_actors.messages.commands import AwaitRecovery, GetLatch
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import BookOneSided, StartWaits
from basis_actors.ports import OrderJournal
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.account import ExchangeAccount

__all__ = ["RecoveryManager"]

R = TypeVar("R")
_REFUSED: Final = "EXEC-004"
"""Code of an order that its exchange took and then rejected."""
_ONE_SIDED: Final = "EXEC-006"
"""Code of a group that cannot be made whole."""
_MOST_PAUSES: Final = 32
"""How many times the pause between two reads a pause grows to while an exchange does not answer."""


class RecoveryManager(Actor):
    """Has to join the bus before the actors of the accounts.

    What fails for a reason that passes is tried again, for as long as the terms of the account say. `kill_switch` is
    told of a group that cannot be made whole; where there is none (None) that is a failure.
    """

    def __init__(
        self, accounts: Sequence[ExchangeAccount], journal: OrderJournal, kill_switch: str | None = None
    ) -> None:
        super().__init__("recovery_manager")
        self._kill_switch = kill_switch
        self._accounts = {account.domain: account for account in accounts}
        self._journal = journal
        self._began_ns = 0

    async def pre_start(self) -> None:
        """Recover. Raises a VenueError or BasisError that says why nothing may be traded."""
        self._began_ns = self.now
        accounts = self._accounts.values()
        strangers = await self._journal.domains() - self._accounts.keys()
        if strangers:
            raise BasisError(
                "ENGINE-003",
                f"the order journal has unfinished business at {', '.join(sorted(strangers))}, where this process does"
                " not trade; start the mode that began it, so that it can be brought to its end",
            )
        for account in accounts:
            await self._patiently(account, account.prepare)
            await self._patiently(account, account.conclude_earlier)
            self._tell(account)
        for incarnation, orders in await self._journal.open_groups():
            group_id = orders[0].atomic_group_id
            assert group_id is not None, "a group has a name"
            await self._mend(CutGroup(incarnation, orders, self._journal, self._carry_out, self._explain), orders[0])
            await self._journal.end_group(incarnation, group_id)
        for account in accounts:
            await self._patiently(account, account.open)
            self._tell(account)

    @on(AwaitRecovery)
    def is_done(self, _request: AwaitRecovery) -> None:
        """Whoever asks is answered once all of it is done."""

    async def _mend(self, group: CutGroup, first: Order) -> None:
        try:
            await group.mend()
        except BasisError as error:
            if self._kill_switch is None or not (isinstance(error, Rejected) or error.code == _ONE_SIDED):
                raise
            text = f"group {first.atomic_group_id} of an earlier process stays one-sided: {error.message}"
            self.log(error_event(utc_from_ns(self.now), self.name, _ONE_SIDED, text, first.operation_id))
            self.tell(self._kill_switch, BookOneSided(text))
            # Its answer comes once the latch is on disk: only then may the journal forget the group.
            await self.ask(self._kill_switch, GetLatch())

    async def _carry_out(self, order: Order) -> None:
        """Send an order, follow it to its end and log it.

        Raises what the exchange raises on sending, Rejected also where it refuses what it had taken, and UnknownOutcome
        when it does not say how it ended for as long as a start may take.
        """
        account = self._accounts[order.venue]
        handshake = await self._patiently(account, lambda: self._sent(account, order))
        while handshake is None or handshake.status in (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING):
            if self.now >= self._gives_up(account):
                why = "" if handshake is None else f": {handshake.error_message}"
                raise UnknownOutcome("VEN-002", f"{order.venue} does not say how {order.operation_id} ended{why}")
            await self.sleep(account.patience.read_pause_seconds)
            handshake = await self._patiently(account, lambda: account.resolve(order))
        self.log(operation_event(utc_from_ns(self.now), order, handshake, 0.0))
        self._tell(account)
        if handshake.error_code == _REFUSED:
            raise Rejected(_REFUSED, handshake.error_message or f"{order.venue} refused {order.operation_id}")

    async def _sent(self, account: ExchangeAccount, order: Order) -> ExecutionHandshake | None:
        try:
            return await account.execute(order)
        except UnknownOutcome:
            return None

    async def _patiently(self, account: ExchangeAccount, step: Callable[[], Awaitable[R]]) -> R:
        pause = account.patience.read_pause_seconds
        longest = _MOST_PAUSES * pause
        said: str | None = None
        while True:
            try:
                result = await step()
            except Transient as error:
                if self.now >= self._gives_up(account):
                    raise
                if error.message != said:
                    said = error.message
                    self.log(error_event(utc_from_ns(self.now), self.name, error.code, said, passes=True))
                    self.publish(TradingStatus(TradingPhase.STARTING, said))
                    self.publish(StartWaits(account.domain, said))
                # An exchange that says how long it wants to be left alone is not asked before.
                left = max(0.0, self.seconds_until(self._gives_up(account)))
                wait = max(pause, min(error.wait_seconds, left))
            else:
                if said is not None:
                    self.publish(StartWaits(account.domain, None))
                return result
            await self.sleep(wait)
            pause = min(2.0 * pause, longest)

    def _gives_up(self, account: ExchangeAccount) -> int:
        return self._began_ns + self.span(account.patience.recovery_seconds)

    def _explain(self, operation_id: str, text: str) -> None:
        self.log(error_event(utc_from_ns(self.now), self.name, "VEN-002", text, operation_id, passes=True))

    def _tell(self, account: ExchangeAccount) -> None:
        for event in account.findings.take_events():
            self.log(event)
