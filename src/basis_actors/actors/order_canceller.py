"""Defines the actor that cancels what rests at an exchange when trading is stopped.

It stands beside the actor that owns the account, because a stop does not wait for what that one is busy with. What a
cancelled order had filled is booked by whoever follows it, as always.
"""

from __future__ import annotations

import msgspec

from basis_actors.actors.reporting import STOPPED_CODE, error_event
from basis_actors.bus import Actor, on
from basis_actors.errors import Transient, VenueError
from basis_actors.messages.safety import CancelOrders
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.live.account import ExchangeAccount

__all__ = ["OrderCanceller"]


class TryAgain(msgspec.Struct, frozen=True, gc=False):
    """Something could not be cancelled."""

    command: CancelOrders
    pause_seconds: float
    """What was waited for it."""
    until_ns: int


class OrderCanceller(Actor):
    """Serves one account, and touches no order of anybody else there.

    What fails for a reason that passes is tried again, at growing intervals, for as long as a start of the account may
    take; what is still open then is ended by whoever follows it, or by the process that comes next. What is cancelled
    is no news that wakes anybody: the kill switch has told of the stop, as severely as its reason is.
    """

    def __init__(self, account: ExchangeAccount) -> None:
        super().__init__(f"order_canceller_{account.domain}")
        self._account = account

    @on(CancelOrders)
    async def cancel(self, command: CancelOrders) -> None:
        """Cancel at once."""
        patience = self._account.patience
        until = self.now + self.span(patience.recovery_seconds)
        await self._try(TryAgain(command, patience.read_pause_seconds, until))

    @on(TryAgain)
    async def try_again(self, again: TryAgain) -> None:
        """Cancel what is still open."""
        await self._try(msgspec.structs.replace(again, pause_seconds=2.0 * again.pause_seconds))

    async def _try(self, turn: TryAgain) -> None:
        failure: VenueError | None = None
        try:
            for order in await self._account.unwanted_orders(turn.command.before_ns):
                try:
                    await self._account.cancel(order)
                except VenueError as error:
                    failure = error
                    continue
                what = f"order {order.venue_order_id} in {order.pair} ({order.client_id})"
                text = f"{what} is cancelled at {self._account.domain}: trading is stopped"
                self._say(STOPPED_CODE, text, passes=True)
        except VenueError as error:
            failure = error
        if failure is None:
            return
        passes = isinstance(failure, Transient) and self.now < turn.until_ns
        text = f"what rests at {self._account.domain} cannot be cancelled: {failure.message}"
        self._say(failure.code, text, passes=passes)
        if passes:
            seconds = turn.pause_seconds * self.span(1.0) / NS_PER_SECOND
            self.after(seconds, turn)

    def _say(self, code: str, text: str, *, passes: bool = False) -> None:
        self.log(error_event(utc_from_ns(self.now), self.name, code, text, passes=passes))
