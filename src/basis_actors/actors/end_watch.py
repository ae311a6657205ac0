"""Defines the actor that says at the end of a process of which orders nobody knows what became of them."""

from __future__ import annotations

from basis_actors.actors.live_health import PROCESS
from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor
from basis_actors.messages.operations import ProcessFails
from basis_actors.ports import OrderJournal
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.left_orders import left_undecided, undecided_orders

__all__ = ["EndWatch"]


class EndWatch(Actor):
    """Looks once, when it is stopped. It has to stop after everybody who may still find out about an order, and before
    the routes of alerts: added as a sink behind them.
    """

    def __init__(self, journal: OrderJournal) -> None:
        super().__init__("end_watch")
        self._journal = journal

    async def post_stop(self) -> None:
        """Such an end is a failure, also where it was told to stop."""
        left = left_undecided(await undecided_orders(self._journal))
        if left is None:
            return
        text = f"the process ends: {left.message}"
        self.publish(ProcessFails(text, left.code))
        self.log(error_event(utc_from_ns(self.now), PROCESS, left.code, text))
